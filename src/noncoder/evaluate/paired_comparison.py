"""Paired comparison of models on the same windows: differences of means and of tasks, with intervals and p values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task, group_columns
from noncoder.errors import InputError, did_you_mean
from noncoder.evaluate.measuring import RANKED
from noncoder.files import check_file, unreadable
from noncoder.metrics import group_means, named_means
from noncoder.metrics.blocks import Blocks
from noncoder.metrics.delong import DeLongComparison, compare_tasks
from noncoder.metrics.multiple import adjust
from noncoder.metrics.uncertainty import BootstrapDraws, Resampled, bootstrap, difference, interval, p_value
from noncoder.predictor.task_labels import Labels, labels_of, stretches
from noncoder.runs.folder import RunFolder, SplitFolder
from noncoder.runs.results import Pair, PairedComparison, PairedMean, PairedTask, SplitSummary


@dataclass(frozen=True)
class Evaluation:
    """An evaluated split of a run.

    Args:
        name: The name of the run.
        folder: RUN/evaluate/SPLIT.
        summary: Its summary.json.
        tasks: Its tasks, in the order of the columns of the logits.
    """

    name: str
    folder: SplitFolder
    summary: SplitSummary
    tasks: tuple[Task, ...]

    @property
    def logits(self) -> Path:
        """The file of its logits."""
        return self.folder.logits

    @property
    def averaged_over(self) -> str:
        """The strands, shifts and models whose probabilities were averaged."""
        return self.summary.averaging[-1].name


def read_evaluation(name: str, run: Path, split: str) -> Evaluation:
    """Reads the results of `noncoder evaluate` for a split.

    Raises:
        InputError: The split was not evaluated, or its files cannot be read.
    """
    evaluations = RunFolder(run).evaluate
    folder = evaluations.split(split)
    summary = SplitSummary.read(folder.summary)
    if summary is None or not folder.logits.is_file():
        there = sorted(other.path.name for other in evaluations.splits() if other.summary.is_file())
        raise InputError(
            f"{run} was not evaluated on the split {split!r}" + (f", only on {', '.join(there)}" if there else ""),
            hint=did_you_mean(split, there) or f"`noncoder evaluate {run} --split {split}`",
        )
    for file in (folder.tasks, folder.logits):
        check_file(file, summary.digests)
    try:
        table = pl.read_parquet(folder.tasks)
        rows = table.select("task", "group", "cell", "assay", "treatment").iter_rows()
        tasks = tuple(Task(*row) for row in rows)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(folder.tasks, error) from error
    return Evaluation(name, folder, summary, tasks)


def compare_evaluations(
    evaluations: Sequence[Evaluation], resamples: int = 1000, block: int | None = None
) -> PairedComparison:
    """Compares the first of several models with each of the others, on the same windows.

    Args:
        evaluations: Evaluations of the same split of the same store.
        resamples: Resamples of the block bootstrap, which tests means and average precision.
        block: The length of its genome blocks, bp; None chooses one from the windows.

    Returns:
        The comparison. Differences are a minus b.

    Raises:
        InputError: The evaluations are of different data or have no task in common, or the store is missing or changed.
    """
    first, *others = evaluations
    store, split = _store_of(evaluations), str(first.summary.split)
    indices = store.indices(split)
    blocks = stretches(store, indices, block)
    if blocks.n < 2:
        raise InputError(
            f"the {indices.size:,} windows lie in one genome block of {blocks.length:,} bp",
            expected="windows in at least two genome blocks", hint="set a shorter length: --block",
        )  # fmt: skip
    return PairedComparison(
        split=split,
        windows=int(indices.size),
        blocks=blocks.n,
        block=blocks.length,
        resamples=resamples,
        warnings=_warnings(evaluations),
        pairs=[_pair(first, other, store, indices, blocks, resamples) for other in others],
    )


def _warnings(evaluations: Sequence[Evaluation]) -> list[str]:
    ways = {one.name: one.averaged_over for one in evaluations}
    if len(set(ways.values())) == 1:
        return []
    text = ", ".join(f"{name}: {way}" for name, way in ways.items())
    return [f"The predictions are averaged in different ways ({text}); this may cause part of a difference."]


def _store_of(evaluations: Sequence[Evaluation]) -> Store:
    digests = {evaluation.name: str(evaluation.summary.store_digest) for evaluation in evaluations}
    if len(set(digests.values())) > 1:
        text = ", ".join(f"{name}: {digest[:12]}" for name, digest in digests.items())
        raise InputError(f"the runs were evaluated on different data ({text})", expected="the same store for all")
        # Look at the recorded path, then in the folders of the runs, which may have been moved with their store.
    places = [Path(str(one.summary.store)) for one in evaluations]
    places += [RunFolder(one.folder.path.parents[1]).store for one in evaluations]
    there = [open_store(place) for place in dict.fromkeys(places) if place.exists()]
    for store in there:
        if store.digest == evaluations[0].summary.store_digest:
            return store
    text = f"{there[0].path} is not the store" if there else f"there is no {places[0]} any more: the store"
    raise InputError(f"{text} that the runs were evaluated on", hint="run `noncoder evaluate --force` for each")


def _pair(
    a: Evaluation, b: Evaluation, store: Store, indices: NDArray[np.int64], blocks: Blocks, resamples: int
) -> Pair:
    at_b = {task.name: i for i, task in enumerate(b.tasks)}
    shared = [(i, at_b[task.name]) for i, task in enumerate(a.tasks) if task.name in at_b]
    if not shared:
        raise InputError(f"{a.name} and {b.name} have no task in common", expected="models of the same tasks, by name")
    tasks = [a.tasks[i] for i, _ in shared]
    labels = labels_of(tasks, store, indices)
    columns = [labels.columns(one.logits, [pair[side] for pair in shared]) for side, one in enumerate((a, b))]
    drawn = [bootstrap(one, blocks, resamples) for one in columns]
    apart = {name: difference(getattr(drawn[0], name), getattr(drawn[1], name)) for name in RANKED}
    names_a, names_b = ({task.name for task in one.tasks} for one in (a, b))
    return Pair(
        a=a.name,
        b=b.name,
        means=_mean_rows(tasks, labels, drawn, apart, a.summary.min_positives or 0),
        tasks=_task_rows(tasks, compare_tasks(columns[0], columns[1], blocks), drawn, apart),
        only={a.name: sorted(names_a - names_b), b.name: sorted(names_b - names_a)},
        method="AUROC of a task: DeLong's test with genome blocks as independent units (Obuchowski 1997); average "
        "precision and means: bootstrap over the same blocks",
        correction="Holm",
    )


def _mean_rows(
    tasks: Sequence[Task],
    labels: Labels,
    drawn: Sequence[Resampled],
    apart: Mapping[str, BootstrapDraws],
    min_positives: int,
) -> list[PairedMean]:
    means = named_means(labels.positives, labels.train_positives, min_positives)
    chosen = {
        "mean": means["mean"],
        f"mean, at least {min_positives} positives": means["mean_min_positives"],
        "weighted": means["weighted"],
        **{f"group {name}": mean for name, mean in group_means(group_columns(tasks), len(tasks)).items()},
    }
    rows = []
    for name, mean in chosen.items():
        for measure in RANKED:
            scores = [float(mean.of(getattr(one, measure).estimate)) for one in drawn]
            of_mean = apart[measure].map(mean.of)
            low, high = interval(of_mean)
            rows.append(
                PairedMean(
                    name=name,
                    measure=measure,
                    tasks=mean.tasks(apart[measure].estimate),
                    a=scores[0],
                    b=scores[1],
                    difference=float(of_mean.estimate),
                    low=float(low),
                    high=float(high),
                    p=float(p_value(of_mean)),
                )
            )
    return rows


def _task_rows(
    tasks: Sequence[Task], tested: DeLongComparison, drawn: Sequence[Resampled], apart: Mapping[str, BootstrapDraws]
) -> list[PairedTask]:
    assert tested.clustered is not None
    precision = apart["average_precision"]
    ap_low, ap_high = interval(precision)
    ap_p = p_value(precision)
    columns = {
        "a": tested.auroc_a,
        "b": tested.auroc_b,
        "difference": tested.difference,
        "low": tested.clustered.low,
        "high": tested.clustered.high,
        "p": tested.clustered.p,
        "adjusted": adjust(tested.clustered.p),
        "p_if_windows_were_independent": tested.independent.p,
        "ap_a": drawn[0].average_precision.estimate,
        "ap_b": drawn[1].average_precision.estimate,
        "ap_difference": precision.estimate,
        "ap_low": ap_low,
        "ap_high": ap_high,
        "ap_p": ap_p,
        "ap_adjusted": adjust(ap_p),
    }
    lists = {key: np.asarray(values, dtype=float).tolist() for key, values in columns.items()}
    return [
        PairedTask(task=task.name, group=task.group, **{key: values[i] for key, values in lists.items()})
        for i, task in enumerate(tasks)
    ]
