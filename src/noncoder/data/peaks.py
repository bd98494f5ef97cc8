"""From a genome and peak files to a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from noncoder.config import BuildConfig
from noncoder.data.bed import Peaks, find_peak_files, read_aliases, read_bed, read_task_sheet, sha256
from noncoder.data.info import SPLITS, StoreInfo
from noncoder.data.labels import Bins, overlapped_bins, positive_bins
from noncoder.data.splitting import DROPPED, Regions, read_regions, split_bins
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.errors import InputError
from noncoder.sequence.builds import fitting_builds, identify_build
from noncoder.sequence.genome import Genome, head, match_names

# Bins whose labels are in memory at once, packed; at 919 tasks 8 MB.
_BLOCK = 1 << 16
_READERS = 2


def build_store(config: BuildConfig, path: str | Path, force: bool = False) -> Store:
    """Labels the bins of a genome by peaks and writes them as a store.

    Memory holds the peaks, the positive (bin, task) pairs and one contig.

    Args:
        config: Sources and rules.
        path: Where the store will be.
        force: Replace a store that is there.

    Returns:
        The store; its `info.dropped` says what was left out and why.

    Raises:
        InputError: A source cannot be used: missing, empty, binary, of another genome, named twice.
        SequenceError: The FASTA cannot be read.
    """
    paths, tasks = read_task_sheet(config.tasks) if config.tasks else find_peak_files(config.peaks)
    with Genome(config.genome) as genome:
        placing = _Placing(config, genome.lengths, read_aliases(config.aliases) if config.aliases else {})
        # Nothing holds the peaks but the step that needs them: with DeepSEA's 919 tasks they are gigabytes.
        placed = placing.place(_read_peaks(paths, config))
        listed = placing.listed()
        labelled = _label(config, placed, genome.lengths, placing.excluded(), listed)
        del placed
        kept_tasks = placing.select_tasks(tasks, labelled)
        regions = read_regions(config, genome.lengths, placing.aliases)
        with StoreWriter(path, len(kept_tasks), force) as writer:
            split_rule = _write(writer, genome, config, labelled, kept_tasks, regions, placing, listed)
            lists = [Path(config.keep.partition(":")[2])] if listed else []
            sources = [config.genome, *paths, *([config.tasks] if config.tasks else []), *config.exclude, *lists]
            writer.finish(
                StoreInfo(
                    window=config.window,
                    bin=config.bin,
                    tasks=tuple(tasks[i] for i in kept_tasks),
                    label_rule=config.label,
                    split_rule=split_rule,
                    genome=config.genome.name.split(".fa")[0],
                    sources=tuple({"name": p.name, "sha256": sha256(p)} for p in sources),
                    dropped=tuple(placing.dropped),
                    notes=writer.classes.notes([tasks[i] for i in kept_tasks]),
                    version=version("noncoder"),
                )
            )
    return open_store(path)


def _read_peaks(paths: Sequence[Path], config: BuildConfig) -> list[Peaks]:
    # Parsing lets other threads run, so one file is read while another is parsed.
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(read_bed, paths)
        peaks = list(tqdm(read, "reading peaks", len(paths), unit="file", delay=2, disable=None))
    for one in peaks:
        # Who sets a minimum asks for small tasks to be left out, the empty ones too; else an empty file is a mistake.
        if not one.chrom.size and not config.min_positives:
            raise InputError(
                f"{one.path} is empty: it holds no peak",
                expected="a line a peak: chrom, start, end",
                hint="remove it, or give --min-positives 1 to leave out the tasks that have no peak",
            )
    return peaks


@dataclass
class _Contig:
    """What the peaks say about one contig.

    `bins` are the positive bins of each task that has any, ascending; `any_bins` those that a peak of it overlaps,
    where that decides what is kept.
    """

    n_bins: int
    bins: dict[int, NDArray[np.int32]]
    n_labelling: NDArray[np.int64]
    excluded: NDArray[np.bool_]
    any_bins: dict[int, Bins] = field(default_factory=dict)


@dataclass(frozen=True)
class _OnContig:
    """The peaks of one task on one contig, (n,) each."""

    start: NDArray[np.integer]
    end: NDArray[np.integer]
    summit: NDArray[np.integer]


class _Placing:
    """Finds the genome's names for those of peaks, regions and splits, and notes what finds no place."""

    def __init__(self, config: BuildConfig, lengths: Mapping[str, int], aliases: Mapping[str, str]) -> None:
        self.config, self.lengths, self.aliases = config, lengths, aliases
        for name, contig in aliases.items():
            if contig not in lengths:
                raise InputError(
                    f"{config.aliases} gives {contig!r} for {name!r}",
                    expected=f"a contig of the genome: {head(lengths)}",
                )
        self.dropped: list[dict[str, Any]] = []

    def drop(self, what: str, count: int, why: str) -> None:
        if count:
            self.dropped.append({"what": what, "count": int(count), "why": why})

    def place(self, peaks: Sequence[Peaks]) -> list[dict[str, _OnContig]]:
        """The peaks of each task by contig."""
        names = list(dict.fromkeys(name for one in peaks for name in one.chroms))
        if not names:
            raise InputError(
                f"none of the {len(peaks)} peak files holds a peak", expected="a line a peak: chrom, start, end"
            )
        found = match_names(names, list(self.lengths), self.aliases)
        if not found:
            raise InputError(
                f"the peaks and {self.config.genome.name} share no chromosome name: the peaks have {head(names)}; "
                f"the genome has {head(self.lengths)}",
                expected="names that differ by 'chr', the mitochondrion's name or Roman numerals at most",
                hint="give --aliases, a table of the peaks' name, a tab, the genome's name",
            )
        lost, outside, placed = 0, 0, []
        for one in peaks:
            by_contig: dict[str, _OnContig] = {}
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
                if contig in by_contig:  # two names of one contig, such as chr1 and 1
                    before = by_contig[contig]
                    by_contig[contig] = _OnContig(
                        *(np.concatenate([getattr(before, f), getattr(one, f)[at]]) for f in ("start", "end", "summit"))
                    )
                elif at.size:
                    by_contig[contig] = _OnContig(one.start[at], one.end[at], one.summit[at])
            placed.append(by_contig)
        self.drop("peaks", lost, f"on {head([n for n in names if n not in found])}, which the genome lacks")
        self.drop("peaks", outside, "reach past the end of their chromosome")
        if not any(placed):
            raise InputError(
                f"no peak is left: {outside:,} reach past the end of their chromosome in {self.config.genome.name}",
                hint="check that peaks and genome are of one build",
            )
        return placed

    def _outside(self, peaks: Peaks, i: int, contig: str) -> InputError:
        extents = {name: int(peaks.end[peaks.chrom == at].max()) for at, name in enumerate(peaks.chroms)}
        build, fit = identify_build(self.lengths), fitting_builds(extents)
        likely = f"the genome is {build}" if build else ""
        if fit and build not in fit:
            likely += f"{'; ' if likely else ''}the peaks of this file would fit {' or '.join(fit)}"
        return InputError(
            f"{peaks.path}: the peak {peaks.chroms[peaks.chrom[i]]}:{peaks.start[i]}-{peaks.end[i]} lies outside its "
            f"chromosome; {contig} has {self.lengths[contig]:,} bp in {self.config.genome.name}",
            expected="peaks within the genome's chromosomes" + (f" ({likely})" if likely else ""),
            hint="check that peaks and genome are of one build, or give --outside drop to leave such peaks out",
        )

    def excluded(self) -> dict[str, NDArray[np.bool_]]:
        """The bins of each contig that an excluded region overlaps."""
        masks = {name: np.zeros(length // self.config.bin, dtype=bool) for name, length in self.lengths.items()}
        for path in self.config.exclude:
            regions = read_bed(path)
            found = match_names(regions.chroms, list(self.lengths), self.aliases)
            if not found:
                raise InputError(
                    f"{path} excludes nothing: it names {head(regions.chroms) or 'no region'}",
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
        """The bins of each contig that the file of `keep` lists; empty where none is given."""
        if not self.config.keep.startswith("bed:"):
            return {}
        bin, path = self.config.bin, Path(self.config.keep.partition(":")[2])
        bins = read_bed(path)
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
                raise self._outside(bins, int(rows[~inside][0]), contig)
            outside += int((~inside).sum())
            mask[at[inside]] = True
        missing = head([name for name in bins.chroms if name not in found])
        self.drop("listed bins", lost, f"on {missing}, which the genome lacks")
        self.drop("listed bins", outside, "reach past the end of their chromosome")
        return masks

    def select_tasks(self, tasks: Sequence[Task], contigs: Mapping[str, _Contig]) -> list[int]:
        """The tasks with enough peaks that label a bin."""
        counts = np.sum([contig.n_labelling for contig in contigs.values()], axis=0)
        few = [i for i in range(len(tasks)) if counts[i] < self.config.min_positives]
        self.drop(
            "tasks", len(few),
            f"fewer than {self.config.min_positives} peaks that label a bin: {head(tasks[i].name for i in few)}",
        )  # fmt: skip
        kept = [i for i in range(len(tasks)) if counts[i] >= self.config.min_positives]
        if not kept:
            raise InputError(
                f"no task has {self.config.min_positives} peaks that label a bin; the most is {counts.max()}",
                hint="lower --min-positives, or check --label and --bin",
            )
        return kept


def _label(
    config: BuildConfig,
    placed: Sequence[Mapping[str, _OnContig]],
    lengths: Mapping[str, int],
    excluded: Mapping[str, NDArray[np.bool_]],
    listed: Mapping[str, NDArray[np.bool_]],
) -> dict[str, _Contig]:
    """The positive bins of every task on every contig that has a peak or a listed bin."""
    contigs: dict[str, _Contig] = {}
    touching = config.keep.startswith("group:")
    named = [name for name in lengths if name in listed or any(name in by_contig for by_contig in placed)]
    for name in tqdm(named, "labelling bins", unit="contig", delay=2, disable=None):
        n_bins = lengths[name] // config.bin
        bins, n_labelling, any_bins = {}, np.zeros(len(placed), dtype=np.int64), {}
        for task, by_contig in enumerate(placed):
            if name not in by_contig:
                continue
            peaks = by_contig[name]
            positive = positive_bins(peaks.start, peaks.end, peaks.summit, config.bin, n_bins, config.label)
            positive = positive[~excluded[name][positive]]
            n_labelling[task] = _count_labelling(peaks, positive, config)
            bins[task] = positive.astype(np.int32)
            if touching:
                any_bins[task] = overlapped_bins(peaks.start, peaks.end, config.bin, n_bins)
        contigs[name] = _Contig(n_bins, bins, n_labelling, excluded[name], any_bins)
    return contigs


def _count_labelling(peaks: _OnContig, positive: Bins, config: BuildConfig) -> int:
    """How many peaks have a part, or with the rule `summit` their summit, in a positive bin."""
    if config.label == "summit":
        return int(np.isin(peaks.summit // config.bin, positive).sum())
    first, last = peaks.start // config.bin, (peaks.end - 1) // config.bin
    return int((np.searchsorted(positive, first) < np.searchsorted(positive, last, side="right")).sum())


def _write(
    writer: StoreWriter,
    genome: Genome,
    config: BuildConfig,
    contigs: Mapping[str, _Contig],
    kept_tasks: Sequence[int],
    regions: Regions,
    placing: _Placing,
    listed: Mapping[str, NDArray[np.bool_]],
) -> str:
    """Writes contigs and windows; returns how they were split."""
    columns = {task: column for column, task in enumerate(kept_tasks)}
    group = _group_tasks(config, genome, placing, kept_tasks)
    kept_bins = {name: _kept_bins(config, contig, columns, group) for name, contig in contigs.items()}
    for name, contig in contigs.items() if listed else ():
        none = np.zeros(contig.n_bins, dtype=bool)
        kept_bins[name] = listed.get(name, none) & ~contig.excluded
    splits = split_bins(config, genome, kept_bins, regions)
    n_excluded = n_unlabelled = n_cut = 0
    n_split = np.zeros(len(SPLITS), dtype=np.int64)
    for name, contig in tqdm(contigs.items(), "writing windows", unit="contig", delay=2, disable=None):
        kept, split = kept_bins[name], splits.of[name]
        n_excluded += int(contig.excluded.sum())
        n_unlabelled += int((~contig.excluded).sum()) - int(kept.sum())
        n_cut += int((kept & (split == DROPPED)).sum())
        kept = kept & (split != DROPPED)
        if not kept.any():
            continue
        offset = writer.add_contig(name, genome.contig(name))
        n_split += np.bincount(split[kept], minlength=len(SPLITS))
        for at in range(0, contig.n_bins, _BLOCK):
            stop = min(at + _BLOCK, contig.n_bins)
            rows = np.flatnonzero(kept[at:stop])
            start = offset + (rows + at) * config.bin - (config.window - config.bin) // 2
            writer.add_windows(start, _packed_labels(contig, columns, at, stop)[rows], split[at:stop][rows])
    for split_name, texts in (("valid", config.valid), ("test", config.test)):
        if texts and not n_split[SPLITS.index(split_name)]:
            raise InputError(
                f"the {split_name} split is empty: no kept bin lies in {', '.join(texts)}",
                expected="chromosomes or regions with a kept bin",
                hint="name others, or --keep all",
            )
    silent = [name for name in genome.lengths if name not in contigs]
    placing.drop("contigs", len(silent), f"no peak lies on them: {head(silent)}")
    tails = sum(genome.lengths[name] % config.bin > 0 for name in contigs)
    placing.drop("bins", tails, "the last of a contig, narrower than a bin")
    placing.drop("bins", n_excluded, "overlap an excluded region")
    placing.drop("bins", n_unlabelled, f"not kept by --keep {config.keep}")
    placing.drop("bins", n_cut, "their window reaches into sequence of another split")
    return splits.rule


def _packed_labels(contig: _Contig, columns: Mapping[int, int], start: int, stop: int) -> NDArray[np.uint8]:
    """The labels of a range of bins, (stop - start, ceil(T / 8)), a bit set at a time: most are 0."""
    packed = np.zeros((stop - start, -(-len(columns) // 8)), dtype=np.uint8)
    for task in columns.keys() & contig.bins.keys():
        bins, column = contig.bins[task], columns[task]
        low, high = np.searchsorted(bins, (start, stop))
        packed[bins[low:high] - start, column // 8] |= np.uint8(0x80 >> column % 8)
    return packed


def _group_tasks(config: BuildConfig, genome: Genome, placing: _Placing, kept_tasks: Sequence[int]) -> set[int]:
    if not config.keep.startswith("group:"):
        return set()
    group = config.keep.partition(":")[2]
    _, tasks = read_task_sheet(config.tasks) if config.tasks else find_peak_files(config.peaks)
    members = {i for i in kept_tasks if tasks[i].group == group}
    if not members and any(task.group == group for task in tasks):
        raise InputError(
            f"--keep {config.keep}: no task of the group {group!r} has the {config.min_positives} peaks it takes",
            hint="lower --min-positives",
        )
    if not members:
        groups = sorted({task.group for task in tasks if task.group})
        raise InputError(
            f"--keep {config.keep}: no task is of the group {group!r}",
            expected=f"one of {', '.join(groups)}" if groups else "a task sheet (--tasks) with a column group",
        )
    return members


def _kept_bins(config: BuildConfig, contig: _Contig, columns: Mapping[int, int], group: set[int]) -> NDArray[np.bool_]:
    kept = np.zeros(contig.n_bins, dtype=bool)
    if config.keep == "all":
        kept[:] = True
    elif config.keep == "labelled":
        for task in columns.keys() & contig.bins.keys():
            kept[contig.bins[task]] = True
    else:
        for task in group & contig.any_bins.keys():
            kept[contig.any_bins[task]] = True
    return kept & ~contig.excluded
