"""Chooses the tasks to interpret, and their windows."""

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
from noncoder.interpret.motifs import HeldOut
from noncoder.interpret.motifs.evidence import central, draw_held_out
from noncoder.interpret.window import fit_window
from noncoder.metrics import Columns, rank_columns
from noncoder.predictor import Predictor
from noncoder.predictor.task_labels import Labels, labels_of
from noncoder.sequence.genome import Genome, head, match_names

MIN_POSITIVES = 30
"""Tasks with fewer positives in the split are interpreted only if the user names them."""
_BEST = 3
_LOOKED_AT = 4  # ratio of windows whose logits are computed to windows that are requested


class NoTaskError(InputError):
    """No task was named, and none can be chosen."""


@dataclass(frozen=True)
class ChosenWindows:
    """The windows in which a task is interpreted.

    Args:
        codes: Bases, uint8 (n, L).
        row: Store indices, int64 (n,); -1 for windows from elsewhere.
        chrom: Names of the contigs or records, (n,).
        start: 0-based start on the contig, int64 (n,); negative if the window starts before the contig.
        on_genome: Whether `chrom` and `start` are positions on the store's contigs.
        chosen: A sentence that says how they were chosen.
        split: Their split, "all" for all splits; None for windows from elsewhere.
        notes: Remarks for the reader, one sentence each.
    """

    codes: NDArray[np.uint8]
    row: NDArray[np.int64]
    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    on_genome: bool
    chosen: str
    split: str | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Scored:
    """A split with the predictor's logits.

    Args:
        store: The dataset.
        split: Its name.
        indices: Store indices of its windows, (n,).
        logits: (n, T), of the mean probability of both strands.
        labels: Labels by the predictor's tasks.
    """

    store: Store
    split: str
    indices: NDArray[np.int64]
    logits: NDArray[np.float32]
    labels: Labels


def judged_split(store: Store) -> str:
    """Returns the split in which tasks are ranked: the test split, else validation, else training."""
    return next((split for split in ("test", "valid") if store.indices(split).size), "train")


def score_split(predictor: Predictor, store: Store, logits: Path | None, batch_size: int) -> Scored:
    """Returns the split in which tasks are ranked, with the predictor's logits.

    Args:
        predictor: The trained model.
        store: The dataset.
        logits: File of logits that were computed before, in the order of the predictor's tasks.
        batch_size: Windows per forward pass, if they are computed now.

    Raises:
        InputError: The store lacks tasks of the predictor, or has windows of another width.
    """
    split = judged_split(store)
    indices = store.indices(split)
    labels = labels_of(predictor.tasks, store, indices)
    if logits is None:
        return Scored(store, split, indices, predictor.predict_store(store, indices, batch_size=batch_size), labels)
    return Scored(store, split, indices, np.load(logits, mmap_mode="r"), labels)


def choose_tasks(predictor: Predictor, asked: Sequence[str], scored: Scored | None) -> list[int]:
    """Returns the columns of the tasks to interpret.

    Args:
        predictor: The trained model.
        asked: Names of tasks; empty for the three with the highest average precision.
        scored: A split; without one, tasks must be named.

    Raises:
        UnknownNameError: There is no such task.
        NoTaskError: No task is named, and none can be chosen.
    """
    if asked:
        return find_tasks(list(dict.fromkeys(asked)), predictor.tasks)
    if scored is None:
        raise NoTaskError("no task was named", expected="--tasks NAME if windows are not from a split")
    labels = scored.labels
    ranking = rank_columns(Columns(scored.logits, labels.truth, labels.known, labels.names))
    enough = np.flatnonzero((ranking.positives >= MIN_POSITIVES) & np.isfinite(ranking.average_precision))
    if not enough.size:
        raise NoTaskError(
            f"no task has {MIN_POSITIVES} positives in the split {scored.split!r}",
            hint="name tasks with --tasks, or another --split",
        )
    best = enough[np.argsort(-ranking.average_precision[enough], kind="stable")][:_BEST]
    return [int(column) for column in best]


def positive_windows(predictor: Predictor, store: Store, column: int, config: InterpretConfig) -> ChosenWindows:
    """Returns the positive windows of a task; if there are too many, those with the highest logits.

    Of very many windows, logits are computed for a multiple of the requested number, evenly spaced along the genome.

    Raises:
        InputError: There is no positive window.
    """
    indices = store.indices(None if config.split == "all" else config.split)
    positive, _ = labels_of(predictor.tasks, store, indices).column(column)
    rows, name = indices[positive], predictor.tasks[column].name
    where = "the store" if config.split == "all" else f"the split {config.split!r}"
    if not rows.size:
        raise InputError(f"no window of {where} is positive for {name!r}", hint="choose another --split or task")
    chosen = f"the {rows.size:,} windows of {where} that are positive for {name}"
    if rows.size > config.windows:
        chosen = f"of {chosen[4:]}, the {config.windows:,} with the highest logit"
        some = rows[np.linspace(0, rows.size - 1, min(rows.size, _LOOKED_AT * config.windows)).astype(np.int64)]
        if some.size < rows.size:
            chosen += f" among {some.size:,} evenly spaced ones"
        logits = predictor.predict_store(store, some, batch_size=config.batch_size)[:, column]
        rows = np.sort(some[np.argsort(-logits, kind="stable")[: config.windows]])
    return _of_store(store, rows, chosen, config.split)


def held_out_windows(predictor: Predictor, store: Store, column: int) -> HeldOut | None:
    """Returns the bins that the model was not trained on, and whether each is positive; None if there are none.

    At most a few thousand of each label are read; see `HeldOut`.
    """
    indices = np.concatenate([store.indices("valid"), store.indices("test")])
    positive, negative = labels_of(predictor.tasks, store, indices).column(column)
    if not positive.any() or not negative.any():
        return None
    chosen = draw_held_out(positive, negative)
    return HeldOut(central(store.read_codes(indices[chosen]), store.bin), positive[chosen])


def _of_store(store: Store, rows: NDArray[np.int64], chosen: str, split: str) -> ChosenWindows:
    chrom, bins = store.bins(rows)
    start = bins - (store.window - store.bin) // 2
    return ChosenWindows(store.read_codes(rows), rows, chrom, start, store.info.coordinates, chosen, split)


def check_regions(store: Store, regions: Path) -> None:
    """Checks that a store has the genome coordinates that a BED file needs.

    Raises:
        InputError: It has no coordinates.
    """
    if not store.info.coordinates:
        raise InputError(
            f"{regions} needs genome coordinates, and {store.path} has none: its contigs are sequences without a "
            "position on a genome",
            expected="a store that was built from a genome",
            hint="give the sequences themselves as FASTA with --sequences",
        )


def region_windows(store: Store, path: Path, most: int, window: int) -> ChosenWindows:
    """Returns windows around the summits, else the midpoints, of the regions of a BED file.

    The store need not have windows there.

    Raises:
        InputError: The store has no coordinates, lacks the file's chromosomes, or no region lies on one.
    """
    check_regions(store, path)
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
    if left_out := peaks.reading.empty + peaks.reading.before:
        notes.append(f"{left_out:,} regions were left out: they have no base, or start before their chromosome")
    if inside.sum() < inside.size:
        notes.append(f"{inside.size - inside.sum():,} of {inside.size:,} regions are on no contig of the store")
    if inside.sum() > kept.size:
        notes.append(f"the first {kept.size:,} of {inside.sum():,} regions")
    start = middle[kept] - window // 2
    codes = np.stack([store.read_stretch(int(c), int(s), window) for c, s in zip(contig[kept], start, strict=True)])
    chosen = f"{kept.size:,} windows of {window:,} bp around the summits or midpoints of the regions of {path.name}"
    return ChosenWindows(
        codes,
        np.full(kept.size, -1),
        np.array(names)[contig[kept]],
        start.astype(np.int64),
        True,
        chosen,
        None,
        tuple(notes),
    )


def record_windows(path: Path, most: int, window: int) -> ChosenWindows:
    """Returns the records of a FASTA file, cropped or padded to the window.

    Raises:
        SequenceError: The file is missing or not FASTA, or a character is not a base.
    """
    with Genome(path) as records:
        names = list(records.lengths)
        codes, notes = fit_window([records.contig(name) for name in names[:most]], window)
    if len(names) > most:
        notes = (*notes, f"the first {most:,} of {len(names):,} records")
    chosen = f"{len(codes):,} records of {path.name}"
    n = len(codes)
    return ChosenWindows(
        codes, np.full(n, -1), np.array(names[:most]), np.zeros(n, dtype=np.int64), False, chosen, None, notes
    )


def windows_from(config: InterpretConfig, store: Store | None, window: int) -> ChosenWindows | None:
    """Returns the windows of a file in the settings; None if the windows come from a split.

    Raises:
        InputError: Regions are given without a store, or `region_windows` fails.
        SequenceError: `record_windows` fails.
    """
    if config.sequences is not None:
        return record_windows(config.sequences, config.windows, window)
    if config.regions is None:
        return None
    if store is None:
        raise InputError(f"{config.regions} needs a store with its genome", hint="give the store with --store")
    return region_windows(store, config.regions, config.windows, window)
