"""Places peaks, excluded regions and listed bins on a genome, and records what has no place there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.config import BuildConfig
from noncoder.data.bed import Peaks, read_bed
from noncoder.data.labels import overlapped_bins
from noncoder.errors import InputError
from noncoder.sequence.builds import fitting_builds, identify_build
from noncoder.sequence.genome import head, match_names


@dataclass(frozen=True)
class OnContig:
    """The peaks of one task on one contig, (n,) each."""

    start: NDArray[np.integer]
    end: NDArray[np.integer]
    summit: NDArray[np.integer]


class Placing:
    """Finds the genome's names for those of peaks, regions and splits, and records what has no place."""

    def __init__(self, config: BuildConfig, lengths: Mapping[str, int], aliases: Mapping[str, str]) -> None:
        self.config, self.lengths, self.aliases = config, lengths, aliases
        for name, contig in aliases.items():
            if contig not in lengths:
                raise InputError(
                    f"{config.aliases} gives {contig!r} for {name!r}",
                    expected=f"a contig of the genome: {head(lengths)}",
                )
        self.dropped: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def drop(self, what: str, count: int, why: str) -> None:
        """Records data that were left out, if there are any."""
        if count:
            self.dropped.append({"what": what, "count": int(count), "why": why})

    def place(self, peaks: Sequence[Peaks]) -> list[dict[str, OnContig]]:
        """Returns the peaks of each task by contig.

        Raises:
            InputError: The files contain no peak, none on a contig, or one outside its contig if that is an error.
        """
        early = self._note_reading(peaks)
        names = list(dict.fromkeys(name for one in peaks for name in one.chroms))
        if not names:
            left_out = "; ".join(f"{drop['count']:,} {drop['why']}" for drop in self.dropped)
            raise InputError(
                f"none of the {len(peaks)} peak files contains a peak" + (f": {left_out}" if left_out else ""),
                expected="one line per peak: chrom, start, end",
            )
        found = match_names(names, list(self.lengths), self.aliases)
        if not found:
            raise InputError(
                f"the peaks and {self.config.genome.name} share no chromosome name: the peaks have {head(names)}; "
                f"the genome has {head(self.lengths)}",
                expected="names that differ by 'chr', leading zeros, the mitochondrion's name or Roman numerals",
                hint="give --aliases, a table of the peaks' name, a tab, the genome's name",
            )
        lost, outside, placed = 0, 0, []
        for one in peaks:
            by_contig: dict[str, OnContig] = {}
            for i, name in enumerate(one.chroms):
                at = np.flatnonzero(one.chrom == i)
                if name not in found:
                    lost += at.size
                    continue
                contig = found[name]
                inside = one.end[at] <= self.lengths[contig]
                if not inside.all() and self.config.outside == "error":
                    raise self._outside(one, int(at[~inside][0]), contig)
                outside += int((~inside).sum())
                at = at[inside]
                if contig in by_contig:  # two names for one contig, such as chr1 and 1
                    before = by_contig[contig]
                    by_contig[contig] = OnContig(
                        *(np.concatenate([getattr(before, f), getattr(one, f)[at]]) for f in ("start", "end", "summit"))
                    )
                elif at.size:
                    by_contig[contig] = OnContig(one.start[at], one.end[at], one.summit[at])
            placed.append(by_contig)
        self.drop("peaks", lost, f"on {head([n for n in names if n not in found])}, which the genome lacks")
        self.drop("peaks", outside, "extend beyond the end of their chromosome")
        if not any(placed):
            others = f", and {early:,} start before it" if early else ""
            raise InputError(
                f"no peak is left: {outside:,} extend beyond the end of their chromosome in {self.config.genome.name}"
                + others,
                hint="check that peaks and genome have the same build",
            )
        return placed

    def _note_reading(self, peaks: Sequence[Peaks]) -> int:
        """Records how the files were read and what was left out; returns the number of peaks that start too early."""
        before = self._drop_early("peaks", peaks)
        read = [one.reading for one in peaks]
        self.drop("peaks", sum(one.empty for one in read), "end where they start (zero-length)")
        outside = "no number, or outside of their peak; the midpoint is used"
        self.drop("summits", sum(one.midpoints for one in read), outside)
        closed = [one.path.name for one in peaks if one.reading.base]
        if closed:
            self.notes.append(f"read as tables with 1-based starts: {head(closed)}")
        if self.config.label == "summit":
            sources = Counter(one.summits or "the midpoint" for one in read)
            self.notes.append(
                f"summits: {', '.join(f'{of} in {count:,} of {len(peaks):,} files' for of, count in sources.items())}"
            )
            refused = [f"{one.path.name} ({one.reading.why})" for one in peaks if one.reading.why]
            if refused:
                self.notes.append(f"midpoints used instead of summits: {head(refused)}")
        return before

    def _drop_early(self, what: str, peaks: Sequence[Peaks]) -> int:
        """Counts intervals that start before their chromosome, which were left out.

        Raises:
            InputError: There is such an interval, and it is configured to be an error.
        """
        early = [one for one in peaks if one.reading.before]
        if early and self.config.outside == "error":
            raise InputError(
                f"{early[0].path}: {early[0].reading.first_before} starts before its chromosome",
                expected="a 0-based start of 0 or more",
                hint="give --outside drop to leave such intervals out",
            )
        count = sum(one.reading.before for one in early)
        self.drop(what, count, "start before their chromosome")
        return count

    def _outside(self, peaks: Peaks, i: int, contig: str, what: str = "peak") -> InputError:
        extents = {name: int(peaks.end[peaks.chrom == at].max()) for at, name in enumerate(peaks.chroms)}
        build, fit = identify_build(self.lengths), fitting_builds(extents)
        likely = f"the genome is {build}" if build else ""
        if fit and build not in fit:
            likely += f"{'; ' if likely else ''}the {what}s of this file would fit {' or '.join(fit)}"
        return InputError(
            f"{peaks.path}: the {what} {peaks.chroms[peaks.chrom[i]]}:{peaks.start[i]}-{peaks.end[i]} lies outside its "
            f"chromosome; {contig} has {self.lengths[contig]:,} bp in {self.config.genome.name}",
            expected=f"{what}s within the genome's chromosomes" + (f" ({likely})" if likely else ""),
            hint=f"check that {what}s and genome have the same build, or give --outside drop to leave such {what}s out",
        )

    def excluded(self) -> dict[str, NDArray[np.bool_]]:
        """Returns the bins of each contig that an excluded region overlaps.

        Raises:
            InputError: A file cannot be read, or names no contig.
        """
        masks = {name: np.zeros(length // self.config.bin, dtype=bool) for name, length in self.lengths.items()}
        for path in self.config.exclude:
            regions = read_bed(path, before="cut")
            self.drop("excluded regions", regions.reading.empty, f"{path.name}: end where they start (zero-length)")
            found = match_names(regions.chroms, list(self.lengths), self.aliases)
            if not regions.start.size:
                rows = regions.reading.empty or regions.reading.before
                why = "none of its rows has a base of a chromosome" if rows else "it is empty"
                self.notes.append(f"{path.name} excludes nothing: {why}")
            elif not found:
                raise InputError(
                    f"{path} excludes nothing: it names {head(regions.chroms)}",
                    expected=f"regions on the genome's contigs: {head(self.lengths)}",
                )
            for i, name in enumerate(regions.chroms):
                if name in found:
                    mask, at = masks[found[name]], regions.chrom == i
                    mask[overlapped_bins(regions.start[at], regions.end[at], self.config.bin, mask.size)] = True
            lost = [name for name in regions.chroms if name not in found]
            self.drop("excluded chromosomes", len(lost), f"{path.name}: the genome lacks {head(lost)}")
        return masks

    def listed(self) -> dict[str, NDArray[np.bool_]]:
        """Returns the bins of each contig that the file of `keep` lists; empty without a file.

        Raises:
            InputError: The file cannot be read, or lists intervals that are not bins of the genome.
        """
        if not self.config.keep.startswith("bed:"):
            return {}
        bin, path = self.config.bin, Path(self.config.keep.partition(":")[2])
        bins = read_bed(path)
        self._drop_early("listed bins", [bins])
        self.drop("listed bins", bins.reading.empty, "end where they start (zero-length)")
        found = match_names(bins.chroms, list(self.lengths), self.aliases)
        wrong = np.flatnonzero((bins.start % bin != 0) | (bins.end - bins.start != bin))
        if wrong.size or not found:
            at = wrong[0] if wrong.size else 0
            what = f"{bins.chroms[bins.chrom[at]]}:{bins.start[at]}-{bins.end[at]}" if wrong.size else head(bins.chroms)
            raise InputError(
                f"{path} lists {what or 'no bin'}",
                expected=f"bins of {bin} bp, whose starts are multiples of it, on the genome's contigs: "
                f"{head(self.lengths)}",
            )
        masks: dict[str, NDArray[np.bool_]] = {}
        lost = outside = 0
        for i, name in enumerate(bins.chroms):
            rows = np.flatnonzero(bins.chrom == i)
            if name not in found:
                lost += rows.size
                continue
            contig = found[name]
            mask = masks.setdefault(contig, np.zeros(self.lengths[contig] // bin, dtype=bool))
            at = bins.start[rows] // bin
            inside = at < mask.size
            if not inside.all() and self.config.outside == "error":
                raise self._outside(bins, int(rows[~inside][0]), contig, "bin")
            outside += int((~inside).sum())
            mask[at[inside]] = True
        missing = head([name for name in bins.chroms if name not in found])
        self.drop("listed bins", lost, f"on {missing}, which the genome lacks")
        self.drop("listed bins", outside, "extend beyond the end of their chromosome")
        return masks
