"""Attributions and motif hits as files for genome browsers: bigWig and BED, complete or absent.

Coordinates are 0-based and half-open. Where windows overlap, a base has the mean of its values in all windows. Bases
of a window outside its contig are left out.
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
"""Bases over which magnitudes are averaged before regions are called; closer regions are merged."""
LEAST = 0.2
"""Bases belong to a region if their average is at least this fraction of the highest average."""
_MOST_SCORE = 1000

Floats = NDArray[np.floating[Any]]


class GenomeWindows(NamedTuple):
    """Genome positions of windows.

    Attributes:
        chrom: Contig of each window, (n,).
        start: First base of each window, (n,), 0-based; a window may extend beyond both ends of its contig.
    """

    chrom: NDArray[np.str_]
    start: NDArray[np.int64]


class GenomeSite(NamedTuple):
    """A motif hit on a genome.

    Attributes:
        chrom: Contig.
        start: First base, 0-based.
        end: End of the interval.
        name: Name of the motif.
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
        chrom: Contig.
        start: First base, 0-based.
        values: Mean over the windows that cover each base, (w,).
    """

    chrom: str
    start: int
    values: Floats


def chromosome_sizes(store: Store) -> dict[str, int]:
    """Returns the length of each contig of a store, bp.

    Raises:
        InputError: The store has no genome coordinates.
    """
    if not store.info.coordinates:
        raise InputError(
            f"{store.path} holds sequences without genome coordinates",
            expected="a store made from a genome, for files that a genome browser shows",
            hint="build one from the FASTA file and the peaks: noncoder data build --genome FA --peaks 'DIR/*.bed'",
        )
    names, _, lengths = store.contigs
    return dict(zip(names, lengths.tolist(), strict=True))


def place_windows(store: Store, indices: Indices) -> GenomeWindows:
    """Returns the genome positions of windows of a store.

    Args:
        store: The store.
        indices: Store indices of the windows, (n,).
    """
    chrom, start = store.bins(indices)
    return GenomeWindows(chrom, start - (store.window - store.bin) // 2)


def write_bigwig(path: Path, windows: GenomeWindows, values: ArrayLike, sizes: Mapping[str, int]) -> None:
    """Writes a bigWig file with one value for each base that windows cover.

    Args:
        path: The file.
        windows: Positions of the windows.
        values: One value per base, (n, L), such as the contribution of the observed base; NaN for no value.
        sizes: Length of each contig.

    Raises:
        InputError: The shapes do not fit each other, nothing is covered, or the file cannot be written.
        UnknownNameError: A contig has no size.
    """
    import pyBigWig

    runs = [part for run in covered(windows, values, sizes) for part in _without_gaps(run)]
    if not runs:
        raise InputError(f"there is no base to write to {path}", expected="a window that lies on its contig")
    with written_whole(path) as partial:
        try:
            with pyBigWig.open(str(partial), "w") as file:
                # Readers search contigs in a tree and need them sorted; entries must have the same order.
                file.addHeader([(name, sizes[name]) for name in sorted(sizes)])
                for run in runs:
                    file.addEntries(run.chrom, run.start, values=run.values.astype(np.float64), span=1, step=1)
        except RuntimeError as error:
            raise InputError(f"cannot write {path}: {error}", expected="a writable folder") from error


def write_stretches(path: Path, windows: GenomeWindows, values: ArrayLike, sizes: Mapping[str, int]) -> int:
    """Writes the regions that contribute most as BED, named "raises" or "lowers" by the sign of their sum.

    A region is a run of bases whose magnitude, averaged over `SMOOTHED` bp, is at least `LEAST` of the highest average.
    Its score is its highest average as a fraction of the highest of all, times 1000.

    Args:
        path: The file.
        windows: Positions of the windows.
        values: One value per base, (n, L).
        sizes: Length of each contig.

    Returns:
        Number of regions.

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
    """Writes motif hits as BED in genome order; the same hit in several windows gets the highest score.

    Args:
        path: The file.
        sites: The hits; hits outside their contig are left out, hits beyond its end are truncated.
        sizes: Length of each contig.

    Returns:
        Number of hits in the file.

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
    """Returns the runs of bases that windows cover, sorted by contig name, with the mean over the windows.

    Args:
        windows: Positions of the windows.
        values: One value per base, (n, L); NaN is ignored.
        sizes: Length of each contig.

    Raises:
        InputError: The shapes do not fit each other.
        UnknownNameError: A contig has no size.
    """
    rows = np.asarray(values)
    chrom, start = np.asarray(windows.chrom).astype(str), np.asarray(windows.start)
    if rows.ndim != 2 or not len(rows) == chrom.size == start.size:
        raise InputError(
            f"values of shape {rows.shape} for {chrom.size} windows", expected="one row per window, one value per base"
        )
    for name in np.unique(chrom):
        if name not in sizes:
            raise UnknownNameError("contig", str(name), sizes)
    runs = []
    order = np.lexsort((start, chrom))
    # A window that starts after the end of all earlier ones, or on another contig, starts a new run.
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
    """Returns the runs of true values; runs less than `SMOOTHED` apart are merged."""
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
