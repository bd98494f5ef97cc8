"""Attributions and motif hits as files for genome browsers: bigWig and BED, complete or absent.

Coordinates are 0-based and half-open. Where windows overlap, a base has the mean of what each of them gives it; what of
a window lies outside its contig is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.data.store import Indices, Store
from noncoder.errors import InputError, UnknownNameError
from noncoder.files import write_bytes, written_whole

SMOOTHED = 5
"""Bases over which the magnitude is averaged before a stretch is looked for; stretches closer than that are one."""
LEAST = 0.2
"""Share of the highest average from which bases belong to a stretch."""
_MOST_SCORE = 1000

Floats = NDArray[np.floating[Any]]


class GenomeWindows(NamedTuple):
    """Where windows lie on a genome.

    Attributes:
        chrom: The contig of each, (n,).
        start: Its first base, (n,), 0-based; it may lie before the contig, and the last base past it.
    """

    chrom: NDArray[np.str_]
    start: NDArray[np.int64]


class GenomeSite(NamedTuple):
    """A motif hit on a genome.

    Attributes:
        chrom: Its contig.
        start: Its first base, 0-based.
        end: One past its last.
        name: The motif.
        score: Any number; the file holds it relative to the highest.
        strand: "+", "-" or ".".
    """

    chrom: str
    start: int
    end: int
    name: str
    score: float
    strand: str


class Covered(NamedTuple):
    """A run of bases that windows cover.

    Attributes:
        chrom: The contig.
        start: Its first base, 0-based.
        values: The mean over the windows that cover each base, (w,).
    """

    chrom: str
    start: int
    values: Floats


def chromosome_sizes(store: Store) -> dict[str, int]:
    """The length of each contig of a store, bp.

    Raises:
        InputError: The store's contigs are no places of a genome.
    """
    if not store.info.coordinates:
        raise InputError(
            f"{store.path} holds sequences without their places on a genome",
            expected="a store made of a genome, for files that a genome browser shows",
            hint="build one from the FASTA file and the peaks: noncoder data build --genome FA --peaks 'DIR/*.bed'",
        )
    names, _, lengths = store.contigs
    return dict(zip(names, lengths.tolist(), strict=True))


def place_windows(store: Store, indices: Indices) -> GenomeWindows:
    """Where windows of a store lie.

    Args:
        store: The store.
        indices: Which windows, (n,).
    """
    chrom, start = store.bins(indices)
    return GenomeWindows(chrom, start - (store.window - store.bin) // 2)


def write_bigwig(path: Path, windows: GenomeWindows, values: ArrayLike, sizes: Mapping[str, int]) -> None:
    """Writes a number for each base that windows cover.

    Args:
        path: The file.
        windows: Where they lie.
        values: A number a base, (n, L), such as the contribution of the base that is there; NaN has none.
        sizes: Length of each contig.

    Raises:
        InputError: The shapes do not fit each other, nothing is covered, or the file cannot be written.
        UnknownNameError: A contig has no size.
    """
    import pyBigWig

    runs = [part for run in covered(windows, values, sizes) for part in _without_gaps(run)]
    if not runs:
        raise InputError(f"there is no base to write into {path}", expected="a window that lies on its contig")
    with written_whole(path) as partial:
        try:
            with pyBigWig.open(str(partial), "w") as file:
                # Readers look contigs up in a tree, which wants them in order; entries must come in the same.
                file.addHeader([(name, sizes[name]) for name in sorted(sizes)])
                for run in runs:
                    file.addEntries(run.chrom, run.start, values=run.values.astype(np.float64), span=1, step=1)
        except RuntimeError as error:
            raise InputError(f"cannot write {path}: {error}", expected="a folder that can be written") from error


def write_stretches(path: Path, windows: GenomeWindows, values: ArrayLike, sizes: Mapping[str, int]) -> int:
    """Writes the stretches that contribute most as BED: name "raises" or "lowers" by the sign of the sum.

    A stretch is a run of bases whose magnitude, averaged over `SMOOTHED` bp, is at least `LEAST` of the highest
    average; its score, up to 1000, is its highest average relative to that.

    Args:
        path: The file.
        windows: Where they lie.
        values: A number a base, (n, L).
        sizes: Length of each contig.

    Returns:
        How many stretches there are.

    Raises:
        InputError: The shapes do not fit each other, or the file cannot be written.
        UnknownNameError: A contig has no size.
    """
    runs = covered(windows, values, sizes)
    smooth = [_smoothed(np.abs(np.nan_to_num(run.values))) for run in runs]
    highest = max((float(run.max()) for run in smooth), default=0.0)
    lines = []
    for run, size in zip(runs, smooth, strict=True):
        for low, high in _stretches(size >= LEAST * highest) if highest > 0 else ():
            score = _MOST_SCORE * float(size[low:high].max()) / highest
            name = "raises" if np.nansum(run.values[low:high]) >= 0 else "lowers"
            lines.append(f"{run.chrom}\t{run.start + low}\t{run.start + high}\t{name}\t{score:.0f}\t.\n")
    write_bytes(path, "".join(lines).encode())
    return len(lines)


def write_sites(path: Path, sites: Sequence[GenomeSite], sizes: Mapping[str, int]) -> int:
    """Writes motif hits as BED, in order of the genome; of the same hit in several windows the highest score.

    Args:
        path: The file.
        sites: The hits; one that lies outside its contig is left out, one that reaches past it cut off.
        sizes: Length of each contig.

    Returns:
        How many hits are in the file.

    Raises:
        InputError: The file cannot be written.
        UnknownNameError: A contig has no size.
    """
    best: dict[tuple[str, int, int, str, str], float] = {}
    for site in sites:
        if site.chrom not in sizes:
            raise UnknownNameError("contig", site.chrom, sizes)
        start, end = max(0, site.start), min(sizes[site.chrom], site.end)
        if start < end:
            key = (site.chrom, start, end, re.sub(r"\s+", "_", site.name), site.strand)
            best[key] = max(site.score, best.get(key, -np.inf))
    highest = max(best.values(), default=0.0)
    unit = _MOST_SCORE / highest if highest > 0 else 0.0
    lines = [
        f"{chrom}\t{start}\t{end}\t{name}\t{unit * max(0.0, score):.0f}\t{strand}\n"
        for (chrom, start, end, name, strand), score in sorted(best.items())
    ]
    write_bytes(path, "".join(lines).encode())
    return len(lines)


def covered(windows: GenomeWindows, values: ArrayLike, sizes: Mapping[str, int]) -> list[Covered]:
    """The runs of bases that windows cover, in order of the contigs' names, with the mean over the windows.

    Args:
        windows: Where they lie.
        values: A number a base, (n, L); NaN counts nowhere.
        sizes: Length of each contig.

    Raises:
        InputError: The shapes do not fit each other.
        UnknownNameError: A contig has no size.
    """
    rows = np.asarray(values)
    chrom, start = np.asarray(windows.chrom).astype(str), np.asarray(windows.start)
    if rows.ndim != 2 or not len(rows) == chrom.size == start.size:
        raise InputError(
            f"values of shape {rows.shape} for {chrom.size} windows", expected="one row a window, one number a base"
        )
    for name in np.unique(chrom):
        if name not in sizes:
            raise UnknownNameError("contig", str(name), sizes)
    runs = []
    order = np.lexsort((start, chrom))
    # A window that starts past the end of those before it, or on another contig, begins a new run.
    apart = (np.diff(start[order]) > rows.shape[1]) | (chrom[order][1:] != chrom[order][:-1])
    for members in np.split(order, np.flatnonzero(apart) + 1) if order.size else ():
        name, first = str(chrom[members[0]]), int(start[members[0]])
        total = np.zeros(int(start[members[-1]]) - first + rows.shape[1])
        count = np.zeros(total.size, dtype=np.int64)
        for member in members:
            at = slice(int(start[member]) - first, int(start[member]) - first + rows.shape[1])
            total[at] += np.nan_to_num(rows[member])
            count[at] += ~np.isnan(rows[member])
        mean = np.divide(total, count, out=np.full(total.size, np.nan), where=count > 0)
        low, high = max(0, -first), min(total.size, sizes[name] - first)
        if low < high:
            runs.append(Covered(name, first + low, mean[low:high]))
    return runs


def _without_gaps(run: Covered) -> Iterator[Covered]:
    for low, high in _runs(np.isfinite(run.values)):
        yield Covered(run.chrom, run.start + low, run.values[low:high])


def _stretches(inside: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of what is inside, those less than `SMOOTHED` apart joined."""
    joined: list[tuple[int, int]] = []
    for low, high in _runs(inside):
        if joined and low - joined[-1][1] < SMOOTHED:
            low = joined.pop()[0]
        joined.append((low, high))
    return joined


def _runs(inside: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0, append=0))
    return [(int(low), int(high)) for low, high in edges.reshape(-1, 2)]


def _smoothed(values: Floats) -> Floats:
    return np.convolve(np.pad(values, SMOOTHED // 2), np.full(SMOOTHED, 1 / SMOOTHED), "valid")
