"""The verb that puts trainings side by side."""

from __future__ import annotations

from pathlib import Path

import click

from noncoder.cli.options import as_json, emit, force


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("compare.html"), show_default=True, help="The page."
)
@click.option("--figure", type=click.Path(path_type=Path), help="Also the losses against passes and against time, as a "
              ".png, .svg or .pdf file.")  # fmt: skip
@click.option("--names", default="", metavar="A,B", help="What to call the runs, in place of their folders.")
@click.option("--reach", type=float, metavar="AP", help="The average precision that counts as reached; by default the "
              "lowest of the runs' highest.")  # fmt: skip
@force
@as_json
def compare(
    runs: tuple[Path, ...],
    out: Path,
    figure: Path | None,
    names: str,
    reach: float | None,
    force: bool,
    as_json: bool,
) -> None:
    """Compare trainings, finished or still running: curves, a table and what differs, as one HTML page.

    \b
    Example:
      noncoder compare runs/danq runs/txl --names DanQ,Transformer-XL --figure losses.pdf
    """
    from noncoder.compare import compare as measure
    from noncoder.compare import comparison_text, read_runs, write_comparison, write_losses
    from noncoder.errors import InputError

    for path in (out, figure):
        if path is not None and path.exists() and not force:
            raise InputError(f"{path} is there already", mend="give another name, or --force to replace it")
    found = read_runs(runs, [name.strip() for name in names.split(",")] if names else ())
    values = measure(found, reach)
    if figure is not None:
        write_losses(found, figure)
    written = {"page": str(write_comparison(found, values, out)), "figure": figure and str(figure)}
    text = [comparison_text(values), f"page: {out}", *([f"figure: {figure}"] if figure else [])]
    emit(values | written, "\n".join(text), as_json)
