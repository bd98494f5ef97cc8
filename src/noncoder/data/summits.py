"""Finds the summits in an interval file by the content of its columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noncoder.data.bed_rows import BedRows, position

_STRANDS = ("+", "-", ".", "*", "", "0", "1", "-1")
# This fraction of rows with a column 10 must look like narrowPeak; a damaged row then uses its midpoint.
_MOST = 2 / 3


@dataclass(frozen=True)
class Summits:
    """The summits of a file.

    Args:
        at: Positions, the midpoint if none is given, (n,).
        source: Column of the summits; empty for midpoints.
        why: Why a column that might hold summits is not used as such.
        midpoint: Whether the row's summit is missing or outside of the peak, (n,); -1 means that there is none.
    """

    at: NDArray[np.int64]
    source: str
    why: str
    midpoint: NDArray[np.bool_]


def first_base(rows: BedRows) -> int:
    """Returns the number of a chromosome's first base in the file.

    It is 1 if each row's length is end - start + 1, as in the tables of MACS and R; always for tables of MACS.
    """
    given = ~np.isnan(rows.length)
    if not given.any():
        return int(rows.layout.name == "abs_summit" and rows.layout.certain)
    share = np.mean((rows.length == rows.end - rows.start + 1)[given])
    return int(share >= _MOST if rows.layout.certain else share == 1 and given.size > 1)


def find_summits(rows: BedRows, base: int, name: str) -> Summits:
    """Finds the summits of a file's rows.

    Args:
        rows: The rows.
        base: Result of `first_base`.
        name: Name of the file, used if the content is ambiguous.
    """
    start, width = rows.start - base, rows.end - rows.start + base
    middle = (start + rows.end) // 2
    if rows.layout.summit >= 0 and (rows.layout.certain or base):
        return _of_named_column(rows, base, middle)
    none = np.zeros(start.size, dtype=bool)
    # No offset is inside a row without a base.
    full = rows.full & (width > 0)
    if not full.any():
        return Summits(middle, "", "", none)
    why = _no_narrow_peak(rows, full, start, width, name)
    if why:
        return Summits(middle, "", why, none)
    offset = rows.values[:, 3]
    inside = ~rows.text & (offset >= 0) & (offset < width)
    outside = full & ~inside & ~(~rows.text & (offset == -1))
    if 2 * outside.sum() > full.sum():
        return Summits(middle, "", "most of column 10 lies outside of the peaks", outside)
    source = "column 10" if inside.any() else ""
    missing = ~inside & (width > 0) & (rows.text | (offset != -1)) if source else outside
    return Summits(_take(start, offset, inside, middle), source, "", missing)


def _take(
    start: NDArray[np.int64], offset: NDArray[np.float64], inside: NDArray[np.bool_], middle: NDArray[np.int64]
) -> NDArray[np.int64]:
    if inside.all():
        return start + offset.astype(np.int64)
    return np.where(inside, start + np.where(inside, offset, 0).astype(np.int64), middle)


def _no_narrow_peak(
    rows: BedRows, full: NDArray[np.bool_], start: NDArray[np.int64], width: NDArray[np.int64], name: str
) -> str:
    """Returns why the rows are not narrowPeak; empty if they are."""
    offset = rows.values[:, 3]
    numbers = full & ~rows.text
    if (numbers & (offset != np.floor(offset))).any():
        return "column 10 holds fractions"
    numbers &= ~np.isnan(rows.values[:, :3]).all(axis=1)
    if numbers.sum() < _MOST * full.sum():
        return "columns 7 to 10 are not all numbers"
    if not np.nan_to_num(rows.values[numbers, :3]).any() and "narrowpeak" not in name.lower():
        return "columns 7 to 9 are all 0, as in BED9, and the file's name does not say narrowPeak"
    signal, p_value, q_value = (rows.values[:, i] for i in range(3))
    thick = (start <= signal) & (signal <= p_value) & (p_value <= start + width)
    if thick[numbers].all() and (start[numbers] > 0).any():
        return "columns 7 and 8 are places within the rows, as in BED"
    if ((q_value == width) & (p_value <= width) & (offset <= 1))[numbers].all():
        return "columns 8 to 10 are how much of the rows is covered"
    sample = [fields for fields in rows.sample if len(fields) > 9]
    if sample and sum(fields[5] in _STRANDS for fields in sample) < len(sample) / 2:
        return "column 6 is no strand"
    if sample and all(_has_blocks(fields) for fields in sample):
        return "columns 10 to 12 are blocks, as in BED12"
    return ""


def _has_blocks(fields: list[str]) -> bool:
    if len(fields) < 12:
        return False
    sizes, starts = (part.removesuffix(",").split(",") for part in fields[10:12])
    return len(sizes) == len(starts) == position(fields[9]) and position(starts[0]) == 0 and "" not in sizes


def _of_named_column(rows: BedRows, base: int, middle: NDArray[np.int64]) -> Summits:
    """Interprets the column of a header as positions or as offsets from the start, by which of them are inside."""
    start, width, name, given = rows.start - base, rows.end - rows.start + base, rows.layout.name, rows.summit
    place = given - base
    # MACS 1 counts its column "summit" from 1, narrowPeak its "peak" from 0.
    offset = given if name == "peak" else given - base
    on_chrom, on_peak = (place >= start) & (place < rows.end), (offset >= 0) & (offset < width)
    if name == "abs_summit" or (name != "peak" and on_chrom.sum() > on_peak.sum()):
        inside, offset = on_chrom, place - start
    else:
        inside = on_peak
    told = ~np.isnan(given) & (given != -1)
    if not inside.any():
        if not rows.layout.certain or not told.any():
            return Summits(middle, "", "", np.zeros(start.size, dtype=bool))
        return Summits(middle, "", f"no number of the column {name!r} lies within its peak", told)
    return Summits(_take(start, offset, inside, middle), f"the column {name}", "", ~inside & (given != -1))
