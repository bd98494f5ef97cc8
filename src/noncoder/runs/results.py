"""Typed results that stages of a run write as JSON, and that reports, comparisons and verbs read."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from noncoder.errors import InputError
from noncoder.files import plain_json, read_json, unreadable, write_json

Ends = tuple[float | None, float | None]
"""Both ends of an interval."""


class Result(BaseModel):
    """A result. A field that an earlier version did not write is None."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_undefined(cls, values: Any) -> Any:
        """NaN and null count as missing: fields then have their default, which is None for numbers."""
        if not isinstance(values, dict):
            return values
        return {
            key: one
            for key, one in values.items()
            if one is not None and not (isinstance(one, float) and math.isnan(one))
        }

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Reads a result; None if there is no file.

        Raises:
            InputError: The file is damaged, or from another version.
        """
        values = read_json(path)
        if values is None:
            return None
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise unreadable(path, _first_problem(error)) from error

    @classmethod
    def read_list(cls, path: Path) -> list[Self] | None:
        """Reads a JSON list of results; None if there is no file.

        Raises:
            InputError: The file is damaged, or from another version.
        """
        if not path.is_file():
            return None
        try:
            return [cls.model_validate(values) for values in json.loads(path.read_text())]
        except ValidationError as error:
            raise unreadable(path, _first_problem(error)) from error
        except (TypeError, ValueError, OSError, RecursionError) as error:
            raise unreadable(path, error) from error

    @classmethod
    def read_or_none(cls, path: Path, instead: str = "it is made again") -> Self | None:
        """Reads a result like `read`, but an unusable file counts as missing, and a message is printed.

        Args:
            path: The file.
            instead: What happens then, for the message.
        """
        try:
            return cls.read(path)
        except InputError as error:
            print(f"{error.found}; {instead}", file=sys.stderr)
            return None

    def write(self, path: Path) -> None:
        """Writes the result with a digest of itself, complete or not at all."""
        write_json(path, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values, with None for NaN."""
        values: dict[str, Any] = plain_json(self.model_dump(mode="json"))
        return values


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}; it is not as this version writes it"


class TrainingStart(Result):
    """Facts that are known when a training starts.

    Args:
        model: The model's name.
        n_parameters: Number of trainable parameters.
        steps: Optimiser steps.
        windows: Windows of the training split.
        tasks: Number of tasks, T.
        positives_per_window: Mean number of positive labels.
        device: Name of the device.
        threads: CPU threads.
        precision: Precision of the forward pass, as Lightning names it.
        accumulate: Batches per optimiser step.
        store: Path of the store.
        store_digest: Digest of the store.
    """

    model: str | None = None
    n_parameters: int | None = None
    steps: int | None = None
    windows: int | None = None
    tasks: int | None = None
    positives_per_window: float | None = None
    device: str | None = None
    threads: int | None = None
    precision: str | None = None
    accumulate: int | None = None
    store: str | None = None
    store_digest: str | None = None


class Validation(Result):
    """One validation.

    Args:
        step: Optimiser step after which it took place.
        loss: Mean binary cross-entropy.
        auroc: Mean over tasks; None if no task has both classes.
        average_precision: Mean over tasks; None if no task has both classes.
    """

    step: int | None = None
    loss: float | None = None
    auroc: float | None = None
    average_precision: float | None = None


class TrainingSpeed(Result):
    """The speed of a training; see `noncoder.train.speed.Speed`."""

    windows_per_second: float | None = None
    loading_seconds: float | None = None
    loading_share: float | None = None
    operations: float | None = None
    peak: float | None = None


class TrainingSummary(TrainingStart):
    """The result of a training.

    Args:
        parameters: The model's settings.
        epochs: Epochs over the training split.
        seconds: Duration, validations included.
        windows_per_second: Speed, validations left out.
        best: The validation whose weights were kept.
        speed: Details of the speed.
        stopped: Reason why it ended.
        devices: Number of devices.
        seed: The seed.
        left_out: Tasks of the store that were not trained.
        versions: Of Python and packages.
        git: The commit of the source, if known.
        started: Time in UTC.
        digests: SHA-256 of the logs.
    """

    parameters: dict[str, Any] | None = None
    epochs: float | None = None
    seconds: float | None = None
    windows_per_second: float | None = None
    best: Validation | None = None
    speed: TrainingSpeed | None = None
    stopped: str | None = None
    devices: int | None = None
    seed: int | None = None
    left_out: tuple[str, ...] = ()
    versions: dict[str, str] | None = None
    git: str | None = None
    started: str | None = None
    digests: dict[str, str] | None = None


class Ranked(Result):
    """A value of each ranking measure."""

    auroc: float | None = None
    average_precision: float | None = None


class RankedEnds(Result):
    """An interval of each ranking measure."""

    auroc: Ends | None = None
    average_precision: Ends | None = None


class Scores(Ranked):
    """A mean or median over tasks of every measure.

    Args:
        tasks: Number of tasks.
        interval: 95% intervals; None without resamples.
    """

    tasks: int | None = None
    pr_auc_trapezoid: float | None = None
    best_f1: float | None = None
    accuracy: float | None = None
    log_loss: float | None = None
    brier: float | None = None
    ece: float | None = None
    interval: RankedEnds | None = None


class GroupScores(Scores):
    """The mean over the tasks of a group.

    tasks: Number of tasks in the group.
    scored: Number of tasks with a score.
    median: Median over the scored tasks.
    """

    scored: int | None = None
    median: Scores | None = None


class Influence(Result):
    """The genome block whose removal changes a mean most.

    Args:
        stretch: The block, 1-based.
        windows: Windows in it.
        without: The mean without it.
        change: `without` minus the mean.
    """

    stretch: str
    windows: int
    without: float
    change: float


class Influences(Result):
    """The most influential block by measure."""

    auroc: Influence
    average_precision: Influence


class BootstrapSummary(Result):
    """How intervals were made.

    Args:
        resamples: Number of resamples.
        level: Coverage, such as 0.95.
        blocks: Number of blocks of the genome.
        block: Their length, bp.
        few: Whether there are fewer blocks than the measured coverage requires.
        seed: The seed.
        most_influential: The blocks that matter most.
    """

    resamples: int
    level: float
    blocks: int
    block: int
    few: bool = False
    seed: int = 0
    most_influential: Influences | None = None


class Difference(Ranked):
    """A difference of means with its interval."""

    interval: RankedEnds | None = None


class AveragingRow(Result):
    """One way of averaging predictions.

    Args:
        name: Such as "both strands".
        mean: The mean over tasks.
        weighted: The mean weighted by training positives.
        difference: `mean` minus the mean of the first row.
    """

    name: str
    mean: Ranked
    weighted: Ranked
    difference: Difference | None = None


class CalibrationErrors(Result):
    """Means over tasks."""

    log_loss: float | None = None
    brier: float | None = None
    ece: float | None = None


class CalibrationSummary(Result):
    """Temperatures and their effect.

    Args:
        split: The split that they were fitted on.
        same_windows: Whether they were fitted on the windows that are evaluated.
        shared: The temperature of tasks with few positives.
        fitted: Number of tasks with a temperature of their own.
        before: Errors of the raw probabilities.
        after: Errors of the calibrated ones.
    """

    split: str
    same_windows: bool | None = None
    shared: float
    fitted: int
    before: CalibrationErrors | None = None
    after: CalibrationErrors | None = None


class TaskMeans(Result):
    """Means over the tasks of a split.

    Args:
        tasks: Number of tasks, T.
        scored: Number of tasks with both classes.
        undefined: Names of the other tasks.
        left_out: Names of tasks by the reason why they were left out.
        prevalence: Fraction of positives among known labels.
        mean: Mean over the scored tasks.
        mean_min_positives: Over those with at least `min_positives` positives.
        weighted: By training positives, over the scored tasks.
        weighted_as_report: The same, with undefined scores counted as 0.
        median: Median over the scored tasks.
        min_positives: Least number of positives for `mean_min_positives`.
        tasks_with_min_positives: Number of these tasks.
        groups: Means by group.
        bootstrap: How intervals were computed; None without intervals.
        averaging: Every way of averaging; all other numbers are of the last.
    """

    tasks: int | None = None
    scored: int | None = None
    undefined: tuple[str, ...] = ()
    left_out: dict[str, tuple[str, ...]] = {}
    prevalence: float | None = None
    mean: Scores | None = None
    mean_min_positives: Scores | None = None
    weighted: Scores | None = None
    weighted_as_report: Scores | None = None
    median: Scores | None = None
    min_positives: int | None = None
    tasks_with_min_positives: int | None = None
    groups: dict[str, GroupScores] = {}
    bootstrap: BootstrapSummary | None = None
    averaging: tuple[AveragingRow, ...] = ()


class SplitSummary(TaskMeans):
    """The evaluation of a split.

    Args:
        split: Its name.
        strands: "both", "forward" or "reverse".
        shifts: Shifts of the windows that were averaged, bp.
        shifts_cut_short: Windows at an end of a contig that could not be shifted in full.
        models: Number of averaged models.
        windows: Windows of the split.
        loss: Mean log loss over tasks.
        calibration: Temperatures; None without.
        published: Result of `noncoder.benchmarks.compare_with_published`; None if no task is DeepSEA's.
        unknown_to_the_model: Tasks of the store that the model lacks.
        no_intervals: Reason why there are no intervals; empty if there are intervals.
        store: The store's path.
        store_digest: Its digest.
        seconds: Duration.
        digests: SHA-256 of the other files.
    """

    split: str | None = None
    strands: str | None = None
    shifts: tuple[int, ...] = ()
    shifts_cut_short: int = 0
    models: int = 1
    windows: int | None = None
    loss: float | None = None
    calibration: CalibrationSummary | None = None
    published: dict[str, Any] | None = None
    unknown_to_the_model: tuple[str, ...] = ()
    no_intervals: str = ""
    store: str | None = None
    store_digest: str | None = None
    seconds: float | None = None
    digests: dict[str, str] | None = None


class ModelDifference(Result):
    """The difference of a measure between two models, a minus b, with a 95% interval and p value."""

    a: float | None = None
    b: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


class PairedMean(ModelDifference):
    """The difference of a mean over tasks between two models."""

    name: str
    measure: str
    tasks: int


class TestedDifference(ModelDifference):
    """The difference of one measure of a task between two models.

    Args:
        adjusted: p after the correction for the number of tasks.
    """

    adjusted: float | None = None


class PairedTask(TestedDifference):
    """The difference of a task between two models, a minus b: by AUROC, and with ap_ by average precision.

    Args:
        p_if_windows_were_independent: p of DeLong's test without blocks.
    """

    task: str
    group: str = ""
    p_if_windows_were_independent: float | None = None
    ap_a: float | None = None
    ap_b: float | None = None
    ap_difference: float | None = None
    ap_low: float | None = None
    ap_high: float | None = None
    ap_p: float | None = None
    ap_adjusted: float | None = None

    def by(self, measure: str) -> TestedDifference:
        """The difference by one measure.

        Args:
            measure: "auroc" or "average_precision".
        """
        prefix = "" if measure == "auroc" else "ap_"
        return TestedDifference(**{key: getattr(self, prefix + key) for key in TestedDifference.model_fields})


class Pair(Result):
    """Two models on the same windows.

    Args:
        a: The name of the first.
        b: The name of the second.
        means: A row a mean and measure.
        tasks: One row per common task.
        only: Model to the tasks that it alone has.
        method: How differences were tested.
        correction: For the number of tasks.
    """

    a: str
    b: str
    means: tuple[PairedMean, ...]
    tasks: tuple[PairedTask, ...]
    only: dict[str, tuple[str, ...]]
    method: str
    correction: str


class PairedComparison(Result):
    """The first of several models against each other one.

    Args:
        split: The split.
        windows: Its windows.
        blocks: Number of genome blocks that count as independent.
        block: Their length, bp.
        resamples: Of the block bootstrap.
        warnings: What limits the comparison.
        pairs: One a model but the first.
    """

    split: str
    windows: int
    blocks: int
    block: int
    resamples: int
    warnings: tuple[str, ...] = ()
    pairs: tuple[Pair, ...]


class MotifMatch(Result):
    """Match of a motif with a known motif.

    Args:
        id: Id of the known motif in the database.
        name: Name of the known motif.
        p: TOMTOM's p-value of the best alignment.
        q: q-value over all targets and all queries.
        offset: Number of positions of the known motif, oriented as in `strand`, before the query's first position;
            negative if the query starts first.
        strand: "-" if the query resembles the reverse complement of the known motif.
        overlap: Number of aligned positions.
    """

    id: str
    name: str
    p: float
    q: float
    offset: int
    strand: Literal["+", "-"]
    overlap: int


class PatternSite(Result):
    """Core of one seqlet of a pattern.

    Args:
        row: Row of the explained window.
        start: First base in the window.
        end: One past the last base.
        strand: Strand of the pattern.
        score: Summed attribution of the core.
    """

    row: int
    start: int
    end: int
    strand: Literal["+", "-"]
    score: float | None = None


class EnrichmentResult(Result):
    """Enrichment of a pattern in held-out windows; see `noncoder.interpret.motifs.Enrichment`."""

    auroc: float | None = None
    p: float | None = None
    positives: int
    negatives: int


class PatternResult(Result):
    """Recurring pattern of a task's attributions: an entry of patterns.json.

    Args:
        name: "pos_0", "pos_1", …, "neg_0", in descending number of seqlets.
        sign: Whether the seqlets raise ("positive") or lower ("negative") the logit.
        seqlets: Number of seqlets.
        ppm: Base frequencies of the core, one row per position.
        cwm: Mean contributions of the core, one row per position.
        sites: Core of each seqlet.
        matches: Best matches with known motifs.
        enrichment: Enrichment in held-out windows; None without them.
        named: Name of the best match; None if a test stopped the pattern.
        stopped: First test that stopped the pattern; None if it has a name.
        why: Reason with numbers; empty if it has a name.
    """

    name: str
    sign: Literal["positive", "negative"]
    seqlets: int
    ppm: list[list[float]]
    cwm: list[list[float]]
    sites: tuple[PatternSite, ...] = ()
    matches: tuple[MotifMatch, ...] = ()
    enrichment: EnrichmentResult | None = None
    named: str | None = None
    stopped: str | None = None
    why: str = ""


class FilterEffect(Result):
    """Mean effect of a filter's motif on a task's logit, with its standard error."""

    task: str
    effect: float
    error: float | None = None


class FilterResult(Result):
    """Filter of the first convolution: an entry of filters.json.

    Args:
        filter: Output channel of the convolution.
        ppm: Base frequencies of the sites, one row per position.
        information: Information of all positions together, bits.
        sequences: Number of sequences with a site.
        sites: Number of sites.
        tasks: Effects on tasks, the largest absolute effect first.
        matches: Known motifs that the filter resembles, best first.
    """

    filter: int
    ppm: list[list[float]]
    information: float
    sequences: int
    sites: int
    tasks: tuple[FilterEffect, ...] = ()
    matches: tuple[MotifMatch, ...] = ()


class RangeTest(Result):
    """Result of a learning-rate range test.

    Args:
        learning_rate: The recipe's learning rate.
        optimizer: The recipe's optimiser.
        seed: The recipe's seed.
        steepest: Learning rate at which the loss falls fastest; None if the loss never falls.
        tenth: A tenth of the learning rate at the minimum of the loss; None if the loss never falls.
        diverged: Whether the loss diverged.
        rates: Learning rate of each optimiser step.
        losses: Loss of each optimiser step.
        smoothed: Smoothed loss of each optimiser step.
    """

    learning_rate: float
    optimizer: str
    seed: int
    steepest: float | None = None
    tenth: float | None = None
    diverged: bool
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]


class Fault(Result):
    """The loss or gradient that stopped a training.

    Args:
        what: What is wrong.
        step: Optimiser step, counted from 1.
        batch: Batch, counted from 0 at the start of the training.
        epoch: Epoch, counted from 0; the key in the file is "pass".
        position: Position of the batch in its epoch.
        batches_a_pass: Batches per epoch.
        loss: Loss of the batch as text, which may be "nan" or "inf".
        gradient_norm: Norm of the gradient as text; None if it was not computed.
        layer: Message that names the first layer whose output is not finite; empty if all are finite.
        rank: Rank of the process that wrote the file.
        ranks: Number of processes.
        precision: Precision of the training, as Lightning names it.
        windows: Store indices of the batch's windows.
    """

    what: str
    step: int
    batch: int
    epoch: int = Field(alias="pass")
    position: int
    batches_a_pass: int
    loss: str
    gradient_norm: str | None = None
    layer: str
    rank: int
    ranks: int
    precision: str
    windows: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values by their keys in the file."""
        return self.model_dump(mode="json", by_alias=True)
