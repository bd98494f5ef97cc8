"""Which tasks are looked into, and in which windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noncoder.config import InterpretConfig
from noncoder.data.bed import read_bed
from noncoder.data.store import Store
from noncoder.data.tasks import find_tasks
from noncoder.errors import InputError
from noncoder.interpret.window import fit_window
from noncoder.metrics import Columns, rank_columns
from noncoder.predictor import Predictor
from noncoder.predictor.matching import Labels, labels_of
from noncoder.sequence.genome import Genome, head, match_names

MIN_POSITIVES = 30
"""Tasks with fewer positives in the split are not looked into unless they are asked for."""
_BEST = 3


class NoTaskError(InputError):
    """No task was named, and none can be chosen."""


@dataclass(frozen=True)
class Windows:
    """The windows in which a task is looked for.

    Args:
        codes: Their bases, uint8 (n, L).
        row: Their rows in the store, int64 (n,); -1 for windows from elsewhere.
        chrom: The contigs' names, or those of the records, (n,).
        start: 0-based start on the contig, int64 (n,); negative where the window reaches past its first base.
        on_genome: Whether `chrom` and `start` are places on the store's contigs.
        chosen: How they were chosen, a sentence.
        notes: What a reader should know of them, a sentence each.
    """

    codes: NDArray[np.uint8]
    row: NDArray[np.int64]
    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    on_genome: bool
    chosen: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Scored:
    """A split with the predictor's logits.

    Args:
        store: The dataset.
        split: Its name.
        indices: Its windows, (n,).
        logits: (n, T), of the mean probability of both strands.
        labels: Their labels, by the predictor's tasks.
    """

    store: Store
    split: str
    indices: NDArray[np.int64]
    logits: NDArray[np.float32]
    labels: Labels


def score_split(predictor: Predictor, store: Store, split: str, logits: Path | None, batch_size: int) -> Scored:
    """A split with the predictor's logits.

    Args:
        predictor: The trained model.
        store: The dataset.
        split: Its name.
        logits: The logits on disk, where they were computed before, in the order of the predictor's tasks.
        batch_size: Windows a forward pass, where they were not.

    Raises:
        InputError: The store lacks tasks of the predictor, has windows of another width or none in the split.
    """
    indices = store.indices(split)
    if not indices.size:
        raise InputError(
            f"{store.path} has no window in the split {split!r}", expected="train, valid or test, as the store has"
        )
    labels = labels_of(predictor.tasks, store, indices)
    if logits is None:
        return Scored(store, split, indices, predictor.predict_store(store, indices, batch_size=batch_size), labels)
    return Scored(store, split, indices, np.load(logits, mmap_mode="r"), labels)


def choose_tasks(predictor: Predictor, asked: Sequence[str], scored: Scored | None) -> list[int]:
    """The columns of the tasks that are looked into.

    Args:
        predictor: The trained model.
        asked: Names of tasks; none for the three with the highest average precision.
        scored: A split, without which tasks have to be asked for.

    Raises:
        UnknownNameError: There is no such task.
        NoTaskError: No task is asked for, and none can be chosen.
    """
    if asked:
        return find_tasks(list(dict.fromkeys(asked)), predictor.tasks)
    if scored is None:
        raise NoTaskError("no task was named", expected="--tasks NAME where windows are not those of a split")
    labels = scored.labels
    ranking = rank_columns(Columns(scored.logits, labels.truth, labels.known, labels.names))
    enough = np.flatnonzero((ranking.positives >= MIN_POSITIVES) & np.isfinite(ranking.average_precision))
    if not enough.size:
        raise NoTaskError(
            f"no task has {MIN_POSITIVES} positives in the split {scored.split!r}",
            mend="name tasks with --tasks, or another --split",
        )
    best = enough[np.argsort(-ranking.average_precision[enough], kind="stable")][:_BEST]
    return [int(column) for column in best]


def positive_windows(scored: Scored, column: int, most: int) -> Windows:
    """The windows that are positive for a task, those with the highest logits where there are more than asked for.

    Raises:
        InputError: There is none.
    """
    positive, _ = scored.labels.column(column)
    rows = np.flatnonzero(positive)
    name = scored.labels.names[column]
    if not rows.size:
        raise InputError(
            f"no window of the split {scored.split!r} is positive for {name!r}", mend="choose another --split or task"
        )
    order = np.argsort(-scored.logits[rows, column], kind="stable")[:most]
    chosen = f"the {rows.size:,} windows of the {scored.split} split that are positive for {name}"
    if rows.size > most:
        chosen = f"of {chosen[4:]}, the {most:,} with the highest logit"
    return _of_store(scored.store, scored.indices[rows[order]], chosen)


def _of_store(store: Store, rows: NDArray[np.int64], chosen: str) -> Windows:
    chrom, bins = store.bins(rows)
    start = bins - (store.window - store.bin) // 2
    return Windows(store.read_codes(rows), rows, chrom, start, bool(store.info.genome), chosen)


def region_windows(store: Store, path: Path, most: int, window: int) -> Windows:
    """Windows around the summits, else the middles, of the regions of a BED file.

    The store need not have windows there.

    Raises:
        InputError: The store has no coordinates, lacks the file's chromosomes, or no region lies on one.
    """
    if not store.info.genome:
        raise InputError(
            f"{store.path} has no coordinates: its contigs are sequences without a place on a genome",
            mend="give sequences as a FASTA with --sequences",
        )
    peaks = read_bed(path)
    names, _, lengths = store.contigs
    found = match_names(peaks.chroms, names)
    if not found:
        raise InputError(
            f"{path}: no chromosome of {head(peaks.chroms)} is in {store.path}", expected=f"names such as {head(names)}"
        )
    place = {name: names.index(own) for name, own in found.items()}
    contig = np.array([place.get(chrom, -1) for chrom in peaks.chroms])[peaks.chrom]
    middle = peaks.summit.astype(np.int64)
    inside = (contig >= 0) & (middle < np.where(contig >= 0, lengths[contig], 0))
    kept = np.flatnonzero(inside)[:most]
    if not kept.size:
        raise InputError(f"{path}: no region lies within a chromosome of {store.path}")
    notes = []
    if inside.sum() < inside.size:
        notes.append(f"{inside.size - inside.sum():,} of {inside.size:,} regions lie on no contig of the store")
    if inside.sum() > kept.size:
        notes.append(f"the first {kept.size:,} of {inside.sum():,} regions")
    start = middle[kept] - window // 2
    codes = np.stack([store.read_stretch(int(c), int(s), window) for c, s in zip(contig[kept], start, strict=True)])
    chosen = f"{kept.size:,} windows of {window:,} bp around the summits or middles of the regions of {path.name}"
    return Windows(
        codes, np.full(kept.size, -1), np.array(names)[contig[kept]], start.astype(np.int64), True, chosen, tuple(notes)
    )


def record_windows(path: Path, most: int, window: int) -> Windows:
    """The records of a FASTA file, cropped or filled up to the window.

    Raises:
        SequenceError: The file is missing or no FASTA, or a character is no base.
    """
    with Genome(path) as records:
        names = list(records.lengths)
        codes, notes = fit_window([records.contig(name) for name in names[:most]], window)
    if len(names) > most:
        notes = (*notes, f"the first {most:,} of {len(names):,} records")
    chosen = f"{len(codes):,} records of {path.name}"
    n = len(codes)
    return Windows(codes, np.full(n, -1), np.array(names[:most]), np.zeros(n, dtype=np.int64), False, chosen, notes)


def windows_from(config: InterpretConfig, store: Store | None, window: int) -> Windows | None:
    """The windows that the settings name outright; None where they are to be a split's.

    Raises:
        InputError: Regions are given without a store, or as `region_windows`.
        SequenceError: As `record_windows`.
    """
    if config.sequences is not None:
        return record_windows(config.sequences, config.windows, window)
    if config.regions is None:
        return None
    if store is None:
        raise InputError(f"{config.regions} names places, and there is no store", mend="give the store with --store")
    return region_windows(store, config.regions, config.windows, window)
