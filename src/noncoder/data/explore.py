"""The statistics of a store: numbers of positives, their distribution, and the overlap of its splits.

An unknown label is not counted: neither as a positive, nor as a negative, nor in the denominator of a frequency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.data.composition import Composition, compose
from noncoder.data.cooccurrence import MOST_TASKS, count_together, describe_cooccurrence
from noncoder.data.info import SPLITS
from noncoder.data.layout import lay_out
from noncoder.data.leakage import leakage
from noncoder.data.similarity import NEAR
from noncoder.data.store import Store
from noncoder.data.tally import Tally, tally
from noncoder.errors import StoreError
from noncoder.sequence.encoding import BASES

# A table of sequences has one contig per sequence, which need not be listed.
_MOST_CHROMOSOMES = 100
# If more chromosomes than this are listed, their positives are not listed per task.
_MOST_BY_TASK = 40
# Steps of a tenth of a decade give all stores the same edges, one of them at 5.01%.
_STEPS_PER_DECADE = 10
_GC_BARS = 100

Counts = NDArray[np.int64]


def explore(store: Store, min_positives: int = 30, near: float = NEAR) -> dict[str, Any]:
    """Computes the statistics of a dataset that matter before training.

    Sequence is read in blocks, and labels stay packed. Beyond the packed labels, memory holds some hundred bytes per
    window, one byte per four covered bases, and the common k-mers of near-duplicates.

    Args:
        store: The dataset.
        min_positives: A task with fewer positives in a split is listed, because its scores there would be noise.
        near: Least fraction of a window's sampled k-mers that a near-duplicate has.

    Returns:
        JSON values. `positives`, `known`, `frequency` (fraction of the known labels that are positive, None if none is
        known) and `order` (columns by decreasing number of positives) hold a list per split and one for "all", in the
        order of `tasks`; `splits`, `groups`, `chromosomes` and `bases` are totals. `composition` has GC and N of the
        windows of each split, `leakage` the overlap of splits (see `noncoder.data.leakage`), `cooccurrence` the tasks
        that are positive together (see `noncoder.data.cooccurrence`; None beyond 5,000 tasks).

    Raises:
        StoreError: An array cannot be read, or a window is in no contig or no split.
    """
    if store.split.size and store.split.max() >= len(SPLITS):
        raise StoreError(f"{store.path} is damaged: a window is in split {store.split.max()}", hint="build it again")
    # Sequence comes first: its tables are freed before labels are read.
    layout = lay_out(store.start, store.window, *store.contigs[1:])
    composition = compose(store.code_blocks, layout)
    shared = leakage(store, layout, composition, near)
    contig = np.empty(len(store), dtype=np.int32)
    contig[layout.order] = layout.contig
    del layout
    chromosomes = _Chromosomes(store, contig)
    counts = tally(store, chromosomes.place[contig], chromosomes.listed.size + 1)
    names = [task.name for task in store.tasks]
    groups = [task.group for task in store.tasks]
    positives = _with_all(counts.positives)
    known = _with_all(counts.known)
    frequency = {split: _shares(positives[split], known[split]) for split in positives}
    return {
        "store": _identity(store),
        "tasks": names,
        "groups_of_tasks": groups,
        "positives": {split: column.tolist() for split, column in positives.items()},
        "known": {split: column.tolist() for split, column in known.items()},
        "frequency": frequency,
        "order": {split: np.argsort(-column, kind="stable").tolist() for split, column in positives.items()},
        "frequency_histogram": _frequency_histogram(frequency),
        "under_5_percent": {
            split: sum(share is not None and share < 0.05 for share in shares) for split, shares in frequency.items()
        },
        "no_positive": _fewer_than(1, names, positives),
        "few_positives": {"min_positives": min_positives, "tasks": _fewer_than(min_positives, names, positives)},
        "splits": {split: _split_totals(counts, rows) for split, rows in _ROWS.items()},
        "labels_per_window": {split: _labels_per_window(counts.windows_with[rows]) for split, rows in _ROWS.items()},
        "groups": _group_totals(groups, positives["all"], known["all"]),
        "bases": _bases(store),
        "composition": _compositions(store, composition),
        **chromosomes.totals(counts.places),
        "unknown": _unknown(store, counts),
        "leakage": shared,
        "cooccurrence": None
        if len(names) > MOST_TASKS
        else describe_cooccurrence(count_together(store.packed_labels, store.packed_known, len(names)), names),
    }


_ROWS: dict[str, list[int]] = {"all": [0, 1, 2], **{split: [i] for i, split in enumerate(SPLITS)}}


class _Chromosomes:
    """Returns the contigs with the most windows; all others, or contigs that are not chromosomes, share an entry."""

    def __init__(self, store: Store, contig: NDArray[np.int32]) -> None:
        self.names, _, self.lengths = store.contigs
        n_contigs = len(self.names)
        # One count per split and contig.
        joint = np.bincount(store.split * np.int64(n_contigs) + contig, minlength=len(SPLITS) * n_contigs)
        self.windows = joint.reshape(len(SPLITS), n_contigs)
        total = self.windows.sum(axis=0)
        most = _MOST_CHROMOSOMES if store.info.coordinates else 0
        self.used = np.flatnonzero(total)
        self.listed = np.sort(self.used[np.argsort(-total[self.used], kind="stable")][:most])
        self.place = np.full(n_contigs, self.listed.size, dtype=np.int32)
        self.place[self.listed] = np.arange(self.listed.size)

    def totals(self, positives: Counts) -> dict[str, Any]:
        """Returns JSON values; positives by contig and task, (P + 1, T)."""
        windows, by_task = self.windows.sum(axis=0), self.listed.size <= _MOST_BY_TASK
        return {
            "chromosomes": [
                {
                    "name": self.names[i],
                    "length": int(self.lengths[i]),
                    "windows": int(windows[i]),
                    "positives": int(positives[place].sum()),
                    "positive_rate": _share(int(positives[place].sum()), int(windows[i]) * positives.shape[1]),
                    "splits": {split: int(self.windows[row, i]) for row, split in enumerate(SPLITS)},
                    **({"positives_of_tasks": positives[place].tolist()} if by_task else {}),
                }
                for place, i in enumerate(self.listed)
            ],
            "other_chromosomes": {
                "contigs": int(self.used.size - self.listed.size),
                "windows": int(windows.sum() - windows[self.listed].sum()),
                "positives": int(positives[-1].sum()),
            },
        }


def _compositions(store: Store, composition: Composition) -> dict[str, Any]:
    found: dict[str, Any] = {"gc_edges": (np.arange(_GC_BARS + 1) / _GC_BARS).tolist()}
    known, gc = composition.known, composition.gc
    for split, rows in _ROWS.items():
        here = np.isin(store.split, rows)
        some = here & (known > 0)
        share = gc[some] / known[some]
        windows, any_n = int(here.sum()), int((here & (known < store.window)).sum())
        half_n = int((here & (2 * known < store.window)).sum())
        # The last bar includes windows of G and C only.
        bars = np.minimum((share * _GC_BARS).astype(np.int64), _GC_BARS - 1)
        found[split] = {
            "gc": float(share.mean()) if share.size else None,
            "gc_deviation": float(share.std()) if share.size else None,
            "gc_histogram": np.bincount(bars, minlength=_GC_BARS).tolist(),
            "any_n": any_n,
            "any_n_share": _share(any_n, windows),
            "half_n": half_n,
            "half_n_share": _share(half_n, windows),
        }
    return found


def _fewer_than(least: int, names: Sequence[str], positives: Mapping[str, Counts]) -> dict[str, list[str]]:
    return {
        split: [name for name, count in zip(names, counts, strict=True) if count < least]
        for split, counts in positives.items()
    }


def _with_all(counts: Counts) -> dict[str, Counts]:
    return {split: counts[rows].sum(axis=0) for split, rows in _ROWS.items()}


def _identity(store: Store) -> dict[str, Any]:
    return {
        "name": store.path.name,
        "digest": store.digest,
        "genome": store.info.genome,
        "coordinates": store.info.coordinates,
        "label_rule": store.info.label_rule,
        "split_rule": store.info.split_rule,
        "window": store.window,
        "bin": store.bin,
        "windows": len(store),
        "tasks": len(store.tasks),
        "bases": store.n_bases,
        "contigs": len(store.contigs[0]),
        "dropped": [dict(drop) for drop in store.info.dropped],
    }


def _split_totals(counts: Tally, rows: Sequence[int]) -> dict[str, Any]:
    windows, all_negative = int(counts.windows_with[rows].sum()), int(counts.windows_with[rows, 0].sum())
    return {
        "windows": windows,
        **_balance(int(counts.positives[rows].sum()), int(counts.known[rows].sum())),
        "all_negative": all_negative,
        "all_negative_share": _share(all_negative, windows),
    }


def _balance(positives: int, known: int) -> dict[str, Any]:
    return {
        "labels": known,
        "positives": positives,
        "negatives": known - positives,
        "positive_share": _share(positives, known),
        "positives_per_negative": _share(positives, known - positives),
    }


def _group_totals(groups: Sequence[str], positives: Counts, known: Counts) -> dict[str, dict[str, Any]]:
    columns: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        columns.setdefault(group or "none", []).append(i)
    return {
        group: {"tasks": len(here), **_balance(int(positives[here].sum()), int(known[here].sum()))}
        for group, here in columns.items()
    }


def _frequency_histogram(frequency: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    """Counts tasks by their fraction of positives on a logarithmic grid; tasks without a positive are counted apart."""
    above = [share for share in frequency["all"] if share]
    lowest = min(-1, np.floor(np.log10(min(above, default=1)) * _STEPS_PER_DECADE))
    edges = 10.0 ** (np.arange(lowest, 1) / _STEPS_PER_DECADE)
    return {
        "edges": edges.tolist(),
        # A split's rarest task may be rarer than any task over all splits: it falls into the first bar.
        "counts": {
            split: np.histogram(np.clip([share for share in shares if share], edges[0], 1), edges)[0].tolist()
            for split, shares in frequency.items()
        },
        "zero": {split: sum(share == 0 for share in shares) for split, shares in frequency.items()},
    }


def _labels_per_window(windows_with: Counts) -> dict[str, Any]:
    counts = windows_with.sum(axis=0)
    most = int(np.flatnonzero(counts).max(initial=0))
    total, labels = int(counts.sum()), np.arange(counts.size)
    return {
        "windows": counts[: most + 1].tolist(),
        "mean": _share(int(counts @ labels), total),
        "median": int(np.searchsorted(np.cumsum(counts), (total + 1) // 2)) if total else None,
        "most": most if total else None,
    }


def _bases(store: Store) -> dict[str, Any]:
    counts = np.zeros(len(BASES), dtype=np.int64)
    for codes in store.code_blocks():
        # Five comparisons are several times faster than bincount, which converts each byte to eight.
        counts += [np.count_nonzero(codes == code) for code in range(len(BASES))]
    total = int(counts.sum())
    return {
        "counts": dict(zip(BASES, counts.tolist(), strict=True)),
        "shares": {base: _share(int(count), total) for base, count in zip(BASES, counts, strict=True)},
        "gc": _share(int(counts[1] + counts[2]), int(counts[:4].sum())),
    }


def _unknown(store: Store, counts: Tally) -> dict[str, Any] | None:
    if store.packed_known is None:
        return None
    windows = counts.windows_with.sum(axis=1)
    missing = windows * len(store.tasks) - counts.known.sum(axis=1)
    return {
        "labels": int(missing.sum()),
        "share": _share(int(missing.sum()), len(store) * len(store.tasks)),
        "splits": dict(zip(SPLITS, missing.tolist(), strict=True)),
        "tasks": int((counts.known.sum(axis=0) < len(store)).sum()),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shares(part: Counts, whole: Counts) -> list[float | None]:
    return [_share(int(p), int(w)) for p, w in zip(part, whole, strict=True)]
