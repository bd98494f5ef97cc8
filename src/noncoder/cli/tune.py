"""The verb that searches for a better recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from noncoder.cli.options import as_json, emit, force, section_from, section_options
from noncoder.cli.verbs import Verb
from noncoder.tune.tune_config import TuneConfig


@click.command(cls=Verb)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@section_options(TuneConfig)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the study; by default tune in the run's folder."
)
@force
@as_json
def tune(recipe: Path, overrides: tuple[str, ...], out: Path | None, force: bool, as_json: bool, **given: Any) -> None:
    """Search for the values of a RECIPE's keys with the best validation; each trial is a training.

    The same command resumes a search, adds trials if --trials is higher, and can run several times at once: in several
    shells, or on several machines with --storage. Writes trials.tsv, best.yaml, figures and the trained models.

    \b
    Example:
      noncoder tune recipes/yeast.yaml --space recipes/spaces/yeast.yaml --trials 30 --budget 60
    """
    from noncoder.config import read_recipe
    from noncoder.data.sources import check_sources

    config, settings = read_recipe(recipe, overrides), section_from(TuneConfig, given)
    check_sources(config)  # before torch is loaded
    from noncoder.tune import tune as search

    if not config.store.exists():
        from noncoder.pipeline import make_data

        make_data(config)
    result = search(config, settings, out, force)
    emit(result, _text(result), as_json)


def _text(result: dict[str, Any]) -> str:
    counts = ", ".join(f"{n} {state}" for state, n in result["trials"].items()) or "none"
    lines = [f"trials: {counts}; {result['stopped']}"]
    best = result["best"]
    if best is not None:
        values = " ".join(f"{key}={value}" for key, value in best["values"].items())
        lines.append(
            f"best: trial {best['number']}, validation {result['monitor'].replace('_', ' ')} {best['value']:.4f}"
        )
        lines += [f"  {values}", f"recipe: {best['recipe']}", f"model: {best['run']}"]
    if result["importance"]:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in result["importance"].items())
        finished = result["trials"].get("complete", 0)
        lines.append(f"importance, from {finished} finished trials: {shares}")
    return "\n".join([*lines, f"page: {result['page']}"])
