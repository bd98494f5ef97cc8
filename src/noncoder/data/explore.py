"""The statistics of a store: how many positives, where, and how rare.

A label that is unknown counts nowhere: not as a positive, not as a negative, and not in a frequency's denominator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.data.info import SPLITS
from noncoder.data.store import Store
from noncoder.sequence.encoding import BASES

# Unpacked labels take a byte each: 60 MB for 919 tasks, whatever the number of windows.
_BLOCK = 1 << 16
# A table of sequences has one contig a sequence, which nobody wants listed.
_MOST_CHROMOSOMES = 100
# Steps of a tenth of a decade put the same edges under every store, and one of them at 5.01%.
_STEPS_PER_DECADE = 10

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class _Tally:
    """What one pass over the labels counts; the first axis is the split, save of `chromosome_positives`."""

    positives: Counts  # (3, T)
    known: Counts  # (3, T)
    windows_with: Counts  # (3, T + 1): windows with 0, 1, 2, ... positive labels
    chromosome_windows: Counts  # (3, C)
    chromosome_positives: Counts  # (C,)


def explore(store: Store) -> dict[str, Any]:
    """Counts everything that is worth knowing of a dataset before a model sees it.

    The labels are read in blocks, so memory beyond that of the open store stays below 200 MB.

    Args:
        store: The dataset.

    Returns:
        JSON values. `positives`, `known`, `frequency` (share of the known labels that are positive, None where none is
        known) and `order` (columns from the most to the fewest positives) hold a list a split and one for "all", in the
        order of `tasks`; `splits`, `groups`, `chromosomes` and `bases` are totals.

    Raises:
        StoreError: An array cannot be read.
    """
    tally = _tally(store)
    names = [task.name for task in store.tasks]
    groups = [task.group for task in store.tasks]
    positives = _with_all(tally.positives)
    known = _with_all(tally.known)
    frequency = {split: _shares(positives[split], known[split]) for split in positives}
    return {
        "store": _identity(store),
        "tasks": names,
        "groups_of_tasks": groups,
        "positives": {split: counts.tolist() for split, counts in positives.items()},
        "known": {split: counts.tolist() for split, counts in known.items()},
        "frequency": frequency,
        "order": {split: np.argsort(-counts, kind="stable").tolist() for split, counts in positives.items()},
        "frequency_histogram": _frequency_histogram(frequency),
        "under_5_percent": {
            split: sum(share is not None and share < 0.05 for share in shares) for split, shares in frequency.items()
        },
        "no_positive": {
            split: [name for name, count in zip(names, counts, strict=True) if count == 0]
            for split, counts in positives.items()
        },
        "splits": {split: _split_totals(tally, rows) for split, rows in _ROWS.items()},
        "labels_per_window": {split: _labels_per_window(tally.windows_with[rows]) for split, rows in _ROWS.items()},
        "groups": _group_totals(groups, positives["all"], known["all"]),
        "bases": _bases(store),
        **_chromosomes(store, tally),
        "unknown": _unknown(store, tally),
    }


_ROWS: dict[str, list[int]] = {"all": [0, 1, 2], **{split: [i] for i, split in enumerate(SPLITS)}}


def _tally(store: Store) -> _Tally:
    n_tasks, (names, offsets, _) = len(store.tasks), store.contigs
    tally = _Tally(
        positives=np.zeros((3, n_tasks), dtype=np.int64),
        known=np.zeros((3, n_tasks), dtype=np.int64),
        windows_with=np.zeros((3, n_tasks + 1), dtype=np.int64),
        chromosome_windows=np.zeros((3, len(names)), dtype=np.int64),
        chromosome_positives=np.zeros(len(names), dtype=np.int64),
    )
    for at in range(0, len(store), _BLOCK):
        rows = slice(at, at + _BLOCK)
        contig = np.searchsorted(offsets, store.start[rows] + store.window // 2, side="right") - 1
        for split in range(len(SPLITS)):
            here = store.split[rows] == split
            if here.any():
                labels = store.packed_labels[rows][here]
                known = None if store.packed_known is None else store.packed_known[rows][here]
                _add(tally, split, labels, known, contig[here])
    return tally


def _add(tally: _Tally, split: int, labels: NDArray[np.uint8], known: NDArray[np.uint8] | None, contig: Counts) -> None:
    n_tasks = tally.positives.shape[1]
    tally.known[split] += len(labels) if known is None else _unpack(known, n_tasks).sum(axis=0, dtype=np.int64)
    bits = _unpack(labels if known is None else labels & known, n_tasks)
    tally.positives[split] += bits.sum(axis=0, dtype=np.int64)
    per_window = bits.sum(axis=1, dtype=np.int64)
    tally.windows_with[split] += np.bincount(per_window, minlength=n_tasks + 1)
    # Windows lie in genome order, so a block spans few contigs; counting all of them each time would cost more.
    first, span = int(contig.min()), slice(int(contig.min()), int(contig.max()) + 1)
    tally.chromosome_windows[split, span] += np.bincount(contig - first)
    tally.chromosome_positives[span] += np.bincount(contig - first, weights=per_window).astype(np.int64)


def _unpack(packed: NDArray[np.uint8], n_tasks: int) -> NDArray[np.uint8]:
    return np.unpackbits(packed, axis=1, count=n_tasks)


def _with_all(counts: Counts) -> dict[str, Counts]:
    return {split: counts[rows].sum(axis=0) for split, rows in _ROWS.items()}


def _identity(store: Store) -> dict[str, Any]:
    return {
        "name": store.path.name,
        "digest": store.digest,
        "genome": store.info.genome,
        "label_rule": store.info.label_rule,
        "window": store.window,
        "bin": store.bin,
        "windows": len(store),
        "tasks": len(store.tasks),
        "bases": store.n_bases,
        "contigs": len(store.contigs[0]),
        "dropped": [dict(drop) for drop in store.info.dropped],
    }


def _split_totals(tally: _Tally, rows: Sequence[int]) -> dict[str, Any]:
    windows, all_negative = int(tally.windows_with[rows].sum()), int(tally.windows_with[rows, 0].sum())
    return {
        "windows": windows,
        **_balance(int(tally.positives[rows].sum()), int(tally.known[rows].sum())),
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
    """Tasks by their share of positives, on a logarithmic grid; tasks without a positive are counted apart."""
    above = [share for share in frequency["all"] if share]
    lowest = min(-1, np.floor(np.log10(min(above, default=1)) * _STEPS_PER_DECADE))
    edges = 10.0 ** (np.arange(lowest, 1) / _STEPS_PER_DECADE)
    return {
        "edges": edges.tolist(),
        # A split's rarest task may be rarer than any is over all splits: it falls into the first bar.
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
        # Five comparisons are several times faster than bincount, which widens each byte to eight.
        counts += [np.count_nonzero(codes == code) for code in range(len(BASES))]
    total = int(counts.sum())
    return {
        "counts": dict(zip(BASES, counts.tolist(), strict=True)),
        "shares": {base: _share(int(count), total) for base, count in zip(BASES, counts, strict=True)},
        "gc": _share(int(counts[1] + counts[2]), int(counts[:4].sum())),
    }


def _chromosomes(store: Store, tally: _Tally) -> dict[str, Any]:
    names, _, lengths = store.contigs
    windows = tally.chromosome_windows.sum(axis=0)
    used = np.flatnonzero(windows)
    listed = np.sort(used[np.argsort(-windows[used], kind="stable")][:_MOST_CHROMOSOMES])
    return {
        "chromosomes": [
            {
                "name": names[i],
                "length": int(lengths[i]),
                "windows": int(windows[i]),
                "positives": int(tally.chromosome_positives[i]),
                "splits": {split: int(tally.chromosome_windows[row, i]) for row, split in enumerate(SPLITS)},
            }
            for i in listed
        ],
        "other_chromosomes": {
            "contigs": int(used.size - listed.size),
            "windows": int(windows.sum() - windows[listed].sum()),
            "positives": int(tally.chromosome_positives.sum() - tally.chromosome_positives[listed].sum()),
        },
    }


def _unknown(store: Store, tally: _Tally) -> dict[str, Any] | None:
    if store.packed_known is None:
        return None
    windows = tally.windows_with.sum(axis=1)
    missing = windows * len(store.tasks) - tally.known.sum(axis=1)
    return {
        "labels": int(missing.sum()),
        "share": _share(int(missing.sum()), len(store) * len(store.tasks)),
        "splits": dict(zip(SPLITS, missing.tolist(), strict=True)),
        "tasks": int((tally.known.sum(axis=0) < len(store)).sum()),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shares(part: Counts, whole: Counts) -> list[float | None]:
    return [_share(int(p), int(w)) for p, w in zip(part, whole, strict=True)]


def explore_text(stats: Mapping[str, Any]) -> str:
    """A summary of the statistics for the terminal, a dozen lines at most.

    Args:
        stats: What `explore` returned.
    """
    about = stats["store"]
    shares = [share for share in stats["frequency"]["all"] if share is not None]
    bases = " ".join(f"{base} {_percent(share)}" for base, share in stats["bases"]["shares"].items())
    lines = [
        f"{about['name']}: {about['windows']:,} windows of {about['window']:,} bp, {about['tasks']:,} tasks",
        f"bases: {about['bases']:,} ({bases})",
        f"{'split':<7}{'windows':>12}{'positives':>14}{'of labels':>11}{'no positive':>13}",
    ]
    for split in SPLITS:
        row = stats["splits"][split]
        lines.append(
            f"{split:<7}{row['windows']:>12,}{row['positives']:>14,}"
            f"{_percent(row['positive_share']):>11}{_percent(row['all_negative_share']):>13}"
        )
    if shares:
        low, middle, high = (_percent(float(share)) for share in np.quantile(shares, [0, 0.5, 1]))
        lines.append(f"tasks: median {middle} positive ({low} to {high}), {stats['under_5_percent']['all']} under 5%")
    for split, lacking in stats["no_positive"].items():
        if lacking and split != "all" and stats["splits"][split]["windows"]:
            lines.append(f"no positive in {split}: {_some(lacking)}")
    if stats["unknown"]:
        lines.append(f"unknown labels: {stats['unknown']['labels']:,} ({_percent(stats['unknown']['share'])})")
    return "\n".join(lines)


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} tasks ({', '.join(names[:most])}{more})"


def _percent(share: float | None) -> str:
    if share is None:
        return "-"
    return "0%" if share == 0 else f"{share:.2%}" if share < 0.1 else f"{share:.1%}"
