"""Overlap between the splits of a store: shared bases, equal windows, and nearly equal sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.data import similarity
from noncoder.data.composition import Composition
from noncoder.data.info import SPLITS
from noncoder.data.layout import Longs, WindowLayout
from noncoder.data.store import Store

_EXAMPLES = 5
_KINDS = ("overlapping", "duplicates", "near_duplicates")

Partners = NDArray[np.int64]


def leakage(
    store: Store, layout: WindowLayout, composition: Composition, near: float = similarity.NEAR
) -> dict[str, Any]:
    """Counts the windows of each split with a partner in another split.

    - `overlapping`: a window of the other split shares stored bases with it.
    - `duplicates`: a window of the other split has the same sequence, or its reverse complement. Positions outside the
      contig count as N, so a sequence shorter than its window must be at the same offset. Windows with more than half N
      are left out.
    - `near_duplicates`: see `noncoder.data.similarity`; these include exact duplicates at other positions, but not
      windows that overlap.

    Args:
        store: The dataset.
        layout: Positions of its windows.
        composition: Composition of its windows.
        near: Least fraction of a window's sampled k-mers that a near-duplicate has.

    Returns:
        JSON values: the `definition`; by split (`splits`) the windows with any such partner in another split, and
        `repeated`, those with a duplicate in their own; and for each pair of splits (`pairs`) the windows of each and a
        few examples, as chrom:start-end, 0-based and half-open.
    """
    blocks: Callable[[], Iterable[NDArray[np.uint8]]] = store.code_blocks
    pairs = similarity.near_duplicates(blocks, layout, store.split, near)
    whole = 2 * composition.known >= store.window
    duplicates, repeated = _duplicates(composition.digest, store.split, whole)
    found = {
        "overlapping": _overlapping(layout, store.split),
        "duplicates": duplicates,
        "near_duplicates": np.full((len(SPLITS), len(store)), -1, dtype=np.int64),
    }
    found["near_duplicates"][store.split[pairs.other], pairs.window] = pairs.other
    return {
        "definition": {
            "k": similarity.K,
            "sampled_1_in": 1 << similarity.sampling(store.window),
            "near": near,
            "most_occurrences": similarity.MOST_OCCURRENCES,
            "least_samples": similarity.LEAST_SAMPLES,
        },
        "splits": {
            split: _of_split(i, found, repeated, pairs.judged, store.split == i) for i, split in enumerate(SPLITS)
        },
        "pairs": [
            _of_pair(store, layout, a, b, found)
            for a, b in ((0, 1), (0, 2), (1, 2))
            if (store.split == a).any() and (store.split == b).any()
        ],
    }


def _overlapping(layout: WindowLayout, split: NDArray[np.uint8]) -> Partners:
    """Returns for each split and window a window of that split, not its own, that overlaps it; -1 if there is none."""
    partners = np.full((len(SPLITS), len(layout)), -1, dtype=np.int64)
    ordered = split[layout.order]
    for other in range(len(SPLITS)):
        theirs, ours = np.flatnonzero(ordered == other), np.flatnonzero(ordered != other)
        if not theirs.size:
            continue
        # The nearest one on either side: ends never decrease, so if it does not overlap, none does.
        after = np.searchsorted(theirs, ours)
        for near in (np.maximum(after - 1, 0), np.minimum(after, theirs.size - 1)):
            one = theirs[near]
            meet = (layout.begin[one] < layout.end[ours]) & (layout.begin[ours] < layout.end[one])
            partners[other, layout.order[ours[meet]]] = layout.order[one[meet]]
    return partners


def _duplicates(
    digest: NDArray[np.uint64], split: NDArray[np.uint8], whole: NDArray[np.bool_]
) -> tuple[Partners, NDArray[np.bool_]]:
    """Returns for each split and window a window of that split, not its own, with the same digest.

    The second array says which windows have one in their own split.
    """
    rows = np.flatnonzero(whole)
    rows = rows[np.argsort(digest[rows], kind="stable")]
    first = np.append(True, digest[rows[1:]] != digest[rows[:-1]])[: rows.size]
    alike = np.cumsum(first) - 1
    n_alike = int(first.sum())
    partners, repeated = np.full((len(SPLITS), len(digest)), -1, dtype=np.int64), np.zeros(len(digest), dtype=bool)
    for other in range(len(SPLITS)):
        theirs = split[rows] == other
        one = np.full(n_alike, -1, dtype=np.int64)
        one[alike[theirs][::-1]] = rows[theirs][::-1]
        partners[other, rows[~theirs]] = one[alike[~theirs]]
        count = np.bincount(alike[theirs], minlength=n_alike)
        repeated[rows[theirs]] = count[alike[theirs]] > 1
    return partners, repeated


def _of_split(
    split: int, found: dict[str, Partners], repeated: NDArray[np.bool_], judged: NDArray[np.bool_],
    here: NDArray[np.bool_],
) -> dict[str, Any]:  # fmt: skip
    windows = int(here.sum())
    counts = {kind: int((found[kind][:, here] >= 0).any(axis=0).sum()) for kind in _KINDS}
    anything = np.concatenate([found[kind][:, here] for kind in _KINDS])
    counts["any"] = int((anything >= 0).any(axis=0).sum())
    counts |= {"repeated": int(repeated[here].sum()), "not_judged": int((~judged)[here].sum())}
    shares = {f"{kind}_share": count / windows if windows else None for kind, count in counts.items()}
    return {"windows": windows, **counts, **shares}


def _of_pair(store: Store, layout: WindowLayout, a: int, b: int, found: dict[str, Partners]) -> dict[str, Any]:
    in_a, in_b = store.split == a, store.split == b
    rows: dict[str, Any] = {"splits": [SPLITS[a], SPLITS[b]]}
    for kind in _KINDS:
        ours, theirs = in_a & (found[kind][b] >= 0), in_b & (found[kind][a] >= 0)
        # Either split may be the first, but only one of the two windows may have a partner.
        side, other = (theirs, a) if theirs.any() else (ours, b)
        rows[kind] = {
            "windows": [int(ours.sum()), int(theirs.sum())],
            "shares": [float(ours.sum() / in_a.sum()), float(theirs.sum() / in_b.sum())],
            "examples": _examples(store, side, found[kind][other]),
        }
    return rows


def _examples(store: Store, side: NDArray[np.bool_], partners: Longs) -> list[list[str]]:
    """Returns pairs of windows, spread over the store, as text."""
    rows = np.flatnonzero(side)
    rows = rows[np.linspace(0, rows.size - 1, min(_EXAMPLES, rows.size)).astype(int)]
    return [[_place(store, int(row)), _place(store, int(partners[row]))] for row in rows]


def _place(store: Store, row: int) -> str:
    names, offsets, lengths = store.contigs
    contig = int(np.searchsorted(offsets, store.start[row] + store.window // 2, side="right")) - 1
    first = int(store.start[row] - offsets[contig])
    return f"{names[contig]}:{max(0, first)}-{min(first + store.window, int(lengths[contig]))}"
