"""The verb that evaluates a trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from noncoder.cli.options import as_json, emit, force, given_options, model_source, section_options
from noncoder.cli.verbs import Verb
from noncoder.config import EvaluateConfig
from noncoder.runs.results import AveragingRow, CalibrationSummary, Ends, Scores, SplitSummary

_SHORT = {"splits": "--split", "shifts": "--shift"}


@click.command(cls=Verb)
@click.argument("run", type=click.Path(path_type=Path))
@section_options(EvaluateConfig, _SHORT, needed=False)
@click.option("--store", type=click.Path(path_type=Path), help="Store to use instead of the run's own.")
@click.option(
    "--save-temperatures",
    is_flag=True,
    help="Save the fitted temperatures with the predictor; its probabilities are then calibrated.",
)
@model_source
@force
@as_json
def evaluate(run: Path, store: Path | None, save_temperatures: bool, force: bool, as_json: bool, **given: Any) -> None:
    """Evaluate the trained model of a RUN on a split.

    Options override the section `evaluate` of the run's recipe. --json prints the summary for one split, and the
    summaries by name for several.

    \b
    Example:
      noncoder evaluate runs/yeast --split test --json
      noncoder evaluate runs/yeast --split test --shift -20 --shift 20 --ensemble runs/yeast-seed1 --force
    """
    from noncoder.pipeline import evaluate_run

    summaries = evaluate_run(run, given_options(EvaluateConfig, given), store, force, save_temperatures)
    by_split = {str(summary.split): summary.to_json() for summary in summaries}
    single = next(iter(by_split.values())) if len(by_split) == 1 else by_split
    emit(single, "\n".join(line for summary in summaries for line in evaluation_lines(summary)), as_json)


def evaluation_lines(summary: SplitSummary) -> Iterator[str]:
    """Lines of a split's summary for the terminal."""
    few = summary.min_positives
    yield f"{summary.split}: {summary.windows:,} windows, {summary.averaging[-1].name}"
    yield f"  {'':34} {'AUROC':26}{'AP':26}tasks"
    yield _mean_line("mean", summary.mean)
    yield _mean_line(f"mean, at least {few} positives", summary.mean_min_positives)
    yield _mean_line("median", summary.median)
    yield _mean_line("weighted by training positives", summary.weighted)
    yield _mean_line("  the same, with undefined as 0", summary.weighted_as_report)
    for name, group in summary.groups.items():
        yield _mean_line(f"group {name}", group, group.scored)
    for reason, names in summary.left_out.items():
        yield f"  left out, {reason}: {_some(names)}"
    if summary.unknown_to_the_model:
        yield f"  tasks of the store that the model does not have: {_some(summary.unknown_to_the_model)}"
    yield f"  average precision of chance (fraction of positives): {summary.prevalence:.4f}"
    yield from _interval_lines(summary)
    yield from _averaging_lines(summary.averaging)
    if summary.shifts_cut_short:
        short = summary.shifts_cut_short
        yield f"  {short:,} window{'' if short == 1 else 's'} at an end of a contig could not be fully shifted"
    if summary.calibration:
        yield from _calibration_lines(summary.calibration)
    if summary.published:
        from noncoder.benchmarks import published_text

        yield from ("", published_text(summary.published))


def _interval_lines(summary: SplitSummary) -> Iterator[str]:
    drawn = summary.bootstrap
    if drawn is None:
        yield f"  no intervals: {summary.no_intervals}"
        return
    yield f"  [95% intervals]: {drawn.resamples:,} resamples of {drawn.blocks:,} genome blocks of {drawn.block:,} bp"
    if drawn.few:
        yield "  careful: the coverage of the intervals was not tested for so few blocks"
    if drawn.most_influential:
        for key, label in (("auroc", "AUROC"), ("average_precision", "AP")):
            most = getattr(drawn.most_influential, key)
            yield f"  {label} without the most influential block, {most.stretch}: {most.without:.4f}"


def _calibration_lines(found: CalibrationSummary) -> Iterator[str]:
    yield (
        f"  temperatures fitted on {found.split}{' (these windows)' if found.same_windows else ''}: "
        f"{found.fitted:,} of the tasks have their own, the others share {found.shared:.3f}"
    )
    for name, label in (("log_loss", "log loss"), ("brier", "Brier score"), ("ece", "calibration error")):
        before, after = (_digits(getattr(errors, name), 5) for errors in (found.before, found.after))
        yield f"  {label:34} {before} before, {after} after"


def _averaging_lines(rows: Sequence[AveragingRow]) -> Iterator[str]:
    if len(rows) > 1:
        yield f"  {'averaged over':34} {'AUROC':28}AP"
    for row in rows if len(rows) > 1 else ():
        yield f"  {row.name:34} {_digits(row.mean.auroc):28}{_digits(row.mean.average_precision)}"
        if row is not rows[0] and row.difference is not None:
            apart, ends = row.difference, row.difference.interval
            yield f"  {'  against the first':34} " + "".join(
                f"{f'{_signed(getattr(apart, key))} {_ends(getattr(ends, key, None), _signed)}':28}" for key in _RANKED
            )  # fmt: skip


_RANKED = ("auroc", "average_precision")


def _mean_line(label: str, values: Scores | None, tasks: int | None = None) -> str:
    values = values or Scores()
    shown = [f"{_digits(getattr(values, key))} {_ends(getattr(values.interval, key, None)):16}" for key in _RANKED]
    return f"  {label:34} {shown[0]}   {shown[1]}   {values.tasks if tasks is None else tasks:,}"


def _some(names: Sequence[str]) -> str:
    return f"{len(names):,} ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})"


def _ends(pair: Ends | None, digits: Callable[[float | None], str] | None = None) -> str:
    if pair is None or pair == (None, None):
        return ""
    return "[" + ", ".join((digits or _digits)(end) for end in pair) + "]"


def _digits(value: float | None, n: int = 4) -> str:
    return "   -  " if value is None else f"{value:.{n}f}"


def _signed(value: float | None) -> str:
    return "   -   " if value is None else f"{value:+.4f}"
