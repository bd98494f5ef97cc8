"""Builds a store from a genome and peak files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.config import BuildConfig
from noncoder.data.bed import Peaks, read_bed, sha256
from noncoder.data.info import SPLITS, StoreInfo
from noncoder.data.labels import Bins, overlapped_bins, positive_bins
from noncoder.data.peak_files import find_peak_files, read_aliases, read_task_sheet
from noncoder.data.placing import OnContig, Placing
from noncoder.data.splitting import DROPPED, Regions, read_regions, split_bins
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.errors import InputError
from noncoder.sequence.genome import Genome, head

# Bins whose packed labels are in memory at once; 8 MB at 919 tasks.
_BLOCK = 1 << 16
_READERS = 2


def build_store(config: BuildConfig, path: str | Path, force: bool = False) -> Store:
    """Labels the bins of a genome by peaks, and writes them as a store.

    Memory holds the peaks, the positive (bin, task) pairs and one contig.

    Args:
        config: Sources and rules.
        path: Path of the store.
        force: Replace an existing store.

    Returns:
        The store; its `info.dropped` says what was left out and why.

    Raises:
        InputError: A source is missing, empty, binary, of another genome, or named twice.
        SequenceError: The FASTA cannot be read.
    """
    paths, tasks = read_task_sheet(config.tasks) if config.tasks else find_peak_files(config.peaks)
    with Genome(config.genome) as genome:
        placing = Placing(config, genome.lengths, read_aliases(config.aliases) if config.aliases else {})
        # Peaks are held only by the step that needs them: for DeepSEA's 919 tasks they take gigabytes.
        placed = placing.place(_read_peaks(paths, config))
        listed = placing.listed()
        labelled = _label(config, placed, genome.lengths, placing.excluded(), listed)
        del placed
        kept_tasks = _select_tasks(tasks, labelled, placing)
        regions = read_regions(config, genome.lengths, placing.aliases)
        with StoreWriter(path, len(kept_tasks), force) as writer:
            written = _write(writer, genome, config, labelled, kept_tasks, regions, placing, listed)
            split_rule, *counted = written
            one_sided = _note_one_sided([tasks[i].name for i in kept_tasks], *counted)
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
                    coordinates=True,
                    sources=tuple({"name": p.name, "sha256": sha256(p)} for p in sources),
                    dropped=tuple(placing.dropped),
                    notes=(*placing.notes, *one_sided, *writer.classes.notes([tasks[i] for i in kept_tasks])),
                    version=version("noncoder"),
                )
            )
    return open_store(path)


def _read_peaks(paths: Sequence[Path], config: BuildConfig) -> list[Peaks]:
    # Parsing releases the interpreter lock, so one file is read while another is parsed.
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(read_bed, paths)
        peaks = list(progress_bar(read, "reading peaks", len(paths), unit="file"))
    for one in peaks:
        # With a minimum, small tasks are to be left out, including empty ones; otherwise an empty file is an error.
        if not one.chrom.size and not one.reading.before and not config.min_positives:
            empty = f"{one.reading.empty:,} rows end where they start (zero-length)"
            raise InputError(
                f"{one.path} "
                + (f"contains no peak: {empty}" if one.reading.empty else "is empty: it contains no peak"),
                expected="one line per peak: chrom, start, end",
                hint="remove it, or give --min-positives 1 to leave out tasks without a peak",
            )
    return peaks


@dataclass
class _Contig:
    """The labels from peaks on one contig.

    `bins` are the positive bins of each task that has any, ascending; `any_bins` those that a peak of the task
    overlaps, if this decides which bins are kept. `n_labelling` counts the peaks of each task that label a bin,
    `silent` the peaks of all tasks that label none, by reason.
    """

    n_bins: int
    bins: dict[int, NDArray[np.int32]]
    n_labelling: NDArray[np.int64]
    excluded: NDArray[np.bool_]
    silent: Counter[str]
    any_bins: dict[int, Bins] = field(default_factory=dict)


def _label(
    config: BuildConfig,
    placed: Sequence[Mapping[str, OnContig]],
    lengths: Mapping[str, int],
    excluded: Mapping[str, NDArray[np.bool_]],
    listed: Mapping[str, NDArray[np.bool_]],
) -> dict[str, _Contig]:
    """Computes the positive bins of every task on every contig with a peak or a listed bin."""
    contigs: dict[str, _Contig] = {}
    touching = config.keep.startswith("group:")
    named = [name for name in lengths if name in listed or any(name in by_contig for by_contig in placed)]
    for name in progress_bar(named, "labelling bins", unit="contig"):
        n_bins = lengths[name] // config.bin
        bins, n_labelling, any_bins = {}, np.zeros(len(placed), dtype=np.int64), {}
        silent: Counter[str] = Counter()
        for task, by_contig in enumerate(placed):
            if name not in by_contig:
                continue
            peaks = by_contig[name]
            positive = positive_bins(peaks.start, peaks.end, peaks.summit, config.bin, n_bins, config.label)
            n_labelling[task] = n_before = _count_labelling(peaks, positive, config)
            if excluded[name][positive].any():
                positive = positive[~excluded[name][positive]]
                n_labelling[task] = _count_labelling(peaks, positive, config)
            at = peaks.summit if config.label == "summit" else peaks.start
            n_tail = int((at // config.bin >= n_bins).sum())
            silent["excluded"] += n_before - int(n_labelling[task])
            silent["tail"] += n_tail
            silent["narrow"] += at.size - n_before - n_tail
            bins[task] = positive.astype(np.int32)
            if touching:
                any_bins[task] = overlapped_bins(peaks.start, peaks.end, config.bin, n_bins)
        contigs[name] = _Contig(n_bins, bins, n_labelling, excluded[name], silent, any_bins)
    return contigs


def _count_labelling(peaks: OnContig, positive: Bins, config: BuildConfig) -> int:
    """Counts the peaks with a part, or with the rule `summit` with their summit, in a positive bin."""
    if config.label == "summit":
        return int(np.isin(peaks.summit // config.bin, positive).sum())
    first, last = peaks.start // config.bin, (peaks.end - 1) // config.bin
    return int((np.searchsorted(positive, first) < np.searchsorted(positive, last, side="right")).sum())


def _select_tasks(tasks: Sequence[Task], contigs: Mapping[str, _Contig], placing: Placing) -> list[int]:
    """Selects the tasks with enough peaks that label a bin."""
    config = placing.config
    counts = np.sum([contig.n_labelling for contig in contigs.values()], axis=0)
    silent = sum((contig.silent for contig in contigs.values()), Counter[str]())
    share = config.label.partition(":")[2]
    summit = "give --label summit, by which a peak of any width labels the bin of its summit"
    reasons = {
        "narrow": f"cover no more than {share} of any bin",
        "excluded": "are in bins that overlap an excluded region",
        "tail": "are after the last whole bin of their contig",
    }
    for reason, why in reasons.items():
        hint = "; --label summit uses only their summits" if reason == "narrow" else ""
        placing.drop("peaks", silent[reason], f"label no bin: they {why}{hint}")
    if not counts.any():
        found = [f"{silent[reason]:,} {why}" for reason, why in reasons.items() if silent[reason]]
        raise InputError(
            f"no peak labels a bin: {'; '.join(found)}",
            expected=f"peaks that label a bin by the rule {config.label}",
            hint=summit if silent["narrow"] else "check --exclude and --bin",
        )
    few = [i for i in range(len(tasks)) if counts[i] < config.min_positives]
    fewer = f"fewer than {config.min_positives} peaks that label a bin: {head(tasks[i].name for i in few)}"
    placing.drop("tasks", len(few), fewer)
    kept = [i for i in range(len(tasks)) if counts[i] >= config.min_positives]
    if not kept:
        raise InputError(
            f"no task has {config.min_positives} peaks that label a bin; the most is {counts.max()}",
            hint="lower --min-positives, or check --label and --bin" + (f"; {summit}" if silent["narrow"] else ""),
        )
    return kept


def _write(
    writer: StoreWriter,
    genome: Genome,
    config: BuildConfig,
    contigs: Mapping[str, _Contig],
    kept_tasks: Sequence[int],
    regions: Regions,
    placing: Placing,
    listed: Mapping[str, NDArray[np.bool_]],
) -> tuple[str, NDArray[np.int64], NDArray[np.int64]]:
    """Writes contigs and windows.

    Returns:
        How they were split, the windows of each split, and those that are positive for each task, (tasks, splits).
    """
    columns = {task: column for column, task in enumerate(kept_tasks)}
    group = _group_tasks(config, genome, placing, kept_tasks)
    kept_bins = {name: _kept_bins(config, contig, columns, group) for name, contig in contigs.items()}
    for name, contig in contigs.items() if listed else ():
        none = np.zeros(contig.n_bins, dtype=bool)
        kept_bins[name] = listed.get(name, none) & ~contig.excluded
    splits = split_bins(config, genome, kept_bins, regions)
    n_excluded = n_unlabelled = n_cut = 0
    n_split = np.zeros(len(SPLITS), dtype=np.int64)
    positives = np.zeros((len(columns), len(SPLITS)), dtype=np.int64)
    for name, contig in progress_bar(contigs.items(), "writing windows", unit="contig"):
        kept, split = kept_bins[name], splits.of[name]
        n_excluded += int(contig.excluded.sum())
        n_unlabelled += int((~contig.excluded).sum()) - int(kept.sum())
        n_cut += int((kept & (split == DROPPED)).sum())
        kept = kept & (split != DROPPED)
        if not kept.any():
            continue
        offset = writer.add_contig(name, genome.contig(name))
        n_split += np.bincount(split[kept], minlength=len(SPLITS))
        for task in columns.keys() & contig.bins.keys():
            bins = contig.bins[task]
            positives[columns[task]] += np.bincount(split[bins[kept[bins]]], minlength=len(SPLITS))
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
                hint="name other ones, or --keep all",
            )
    silent = [name for name in genome.lengths if name not in contigs]
    placing.drop("contigs", len(silent), f"have no peak: {head(silent)}")
    tails = sum(genome.lengths[name] % config.bin > 0 for name in contigs)
    placing.drop("bins", tails, "are the last of a contig and narrower than a bin")
    placing.drop("bins", n_excluded, "overlap an excluded region")
    placing.drop("bins", n_unlabelled, f"are not kept by --keep {config.keep}")
    placing.drop("bins", n_cut, "have windows that extend into another split")
    return splits.rule, n_split, positives


def _note_one_sided(names: Sequence[str], windows: NDArray[np.int64], positives: NDArray[np.int64]) -> list[str]:
    """Describes tasks without a positive, in the store or in a split, and tasks without a negative."""
    total = positives.sum(axis=1)
    notes = {"no window is positive for {}": total == 0}
    for i, split in enumerate(SPLITS):
        if split != "train" and windows[i] and windows[i] < windows.sum():  # `ClassesSeen` handles the training split
            notes[f"no window of the {split} split is positive for {{}}"] = (positives[:, i] == 0) & (total > 0)
    notes["every window is positive for {}; --keep all keeps windows without a peak too"] = total == windows.sum()
    listed = {note: [name for name, one in zip(names, which, strict=True) if one] for note, which in notes.items()}
    return [note.format(head(tasks)) for note, tasks in listed.items() if tasks]


def _packed_labels(contig: _Contig, columns: Mapping[int, int], start: int, stop: int) -> NDArray[np.uint8]:
    """Returns the labels of a range of bins, (stop - start, ceil(T / 8)), set bit by bit, as most are 0."""
    packed = np.zeros((stop - start, -(-len(columns) // 8)), dtype=np.uint8)
    for task in columns.keys() & contig.bins.keys():
        bins, column = contig.bins[task], columns[task]
        low, high = np.searchsorted(bins, (start, stop))
        packed[bins[low:high] - start, column // 8] |= np.uint8(0x80 >> column % 8)
    return packed


def _group_tasks(config: BuildConfig, genome: Genome, placing: Placing, kept_tasks: Sequence[int]) -> set[int]:
    if not config.keep.startswith("group:"):
        return set()
    group = config.keep.partition(":")[2]
    _, tasks = read_task_sheet(config.tasks) if config.tasks else find_peak_files(config.peaks)
    members = {i for i in kept_tasks if tasks[i].group == group}
    if not members and any(task.group == group for task in tasks):
        raise InputError(
            f"--keep {config.keep}: no task of the group {group!r} has the required {config.min_positives} peaks",
            hint="lower --min-positives",
        )
    if not members:
        groups = sorted({task.group for task in tasks if task.group})
        raise InputError(
            f"--keep {config.keep}: no task is in the group {group!r}",
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
