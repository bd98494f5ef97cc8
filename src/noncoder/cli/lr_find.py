"""The verb that finds a learning rate."""

from __future__ import annotations

from pathlib import Path

import click

from noncoder.cli.options import as_json, emit, force
from noncoder.cli.verbs import Verb


@click.command("lr-find", cls=Verb)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--steps", type=int, default=300, show_default=True, help="Optimiser steps of the search.")
@click.option("--lowest", type=float, default=1e-6, show_default=True, help="Learning rate of the first step.")
@click.option("--highest", type=float, default=10.0, show_default=True, help="Rate of the last step, if the loss does "
              "not diverge earlier.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Output folder; by default RUN/lr-find.")
@force
@as_json
def lr_find(
    recipe: Path,
    overrides: tuple[str, ...],
    steps: int,
    lowest: float,
    highest: float,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Find a learning rate for a RECIPE: train briefly at rising rates and see where the loss falls and diverges.

    Writes only result.json, result.png and result.txt in RUN/lr-find.

    \b
    Example:
      noncoder lr-find recipes/demo.yaml data.store=demo.zarr train.optimizer=sgd
    """
    from noncoder.config import read_recipe
    from noncoder.data.sources import check_sources

    config = read_recipe(recipe, overrides)
    check_sources(config, makes=False)  # before torch is loaded
    from noncoder.runs.folder import RangeTestFolder, RunFolder
    from noncoder.train.lr_range_test import Ramp, find_learning_rate, range_test_text

    folder = out or RunFolder(config.run).lr_find.path
    result = find_learning_rate(config, folder, Ramp(lowest, highest, steps), force)
    emit(
        result.to_json() | {"out": str(folder)},
        f"{range_test_text(result)}\nfigure: {RangeTestFolder(folder).figure}",
        as_json,
    )
