"""The verb that compares trainings."""

from __future__ import annotations

from pathlib import Path

import click

from noncoder.cli.options import as_json, emit, force
from noncoder.cli.verbs import Verb


@click.command(cls=Verb)
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("compare.html"),
    show_default=True,
    help="HTML page to write.",
)
@click.option("--figure", type=click.Path(path_type=Path), help="Also plot the losses by epoch and by time, as a "
              ".png, .svg or .pdf file.")  # fmt: skip
@click.option("--names", default="", metavar="A,B", help="Names of the runs; by default their folders.")
@click.option("--reach", type=float, metavar="AP", help="Average precision that counts as reached; by default the "
              "lowest of the runs' highest.")  # fmt: skip
@click.option("--split", help="Also compare the first run with each other run on the windows of this split, on which "
              "all were evaluated: differences, their intervals and p-values.")  # fmt: skip
@click.option("--resamples", type=click.IntRange(2), default=1000, show_default=True, help="Number of resamples, "
              "of the block bootstrap, with --split.")  # fmt: skip
@click.option(
    "--block", type=click.IntRange(1), help="Length, bp, of the bootstrap's blocks; by default chosen from the windows."
)
@force
@as_json
def compare(
    runs: tuple[Path, ...],
    out: Path,
    figure: Path | None,
    names: str,
    reach: float | None,
    split: str | None,
    resamples: int,
    block: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Compare trainings, finished or still running: curves, a table and their differences, as one HTML page.

    With --split, predictions are also compared, window by window.

    \b
    Example:
      noncoder compare runs/danq runs/txl --names DanQ,Transformer-XL --figure losses.pdf
      noncoder compare runs/danq runs/txl --split test
    """
    from noncoder.compare import compare as measure
    from noncoder.compare import comparison_text, paired_text, read_runs, write_comparison, write_losses
    from noncoder.errors import InputError
    from noncoder.files import refuse_existing

    for path in (out, figure):
        if path is not None:
            refuse_existing(path, force)
    found = read_runs(runs, [name.strip() for name in names.split(",")] if names else ())
    values, paired = measure(found, reach), None
    if split is not None:
        from noncoder.evaluate.paired_comparison import compare_evaluations, read_evaluation

        evaluated = [read_evaluation(run.name, path, split) for run, path in zip(found, runs, strict=True)]
        if len(evaluated) < 2:
            raise InputError("there is only one run", expected="two or more; the first is compared with the others")
        paired = compare_evaluations(evaluated, resamples, block)
    if figure is not None:
        write_losses(found, figure)
    written = {"page": str(write_comparison(found, values, out, paired)), "figure": figure and str(figure)}
    text = [
        comparison_text(values),
        *([paired_text(paired)] if paired else []),
        f"page: {out}",
        *([f"figure: {figure}"] if figure else []),
    ]
    compared = {"paired": paired.to_json()} if paired else {}
    emit(values | compared | written, "\n".join(text), as_json)
