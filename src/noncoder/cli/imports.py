"""The verb that makes a predictor from other programs' weights."""

from __future__ import annotations

from pathlib import Path

import click

from noncoder.cli.options import as_json, emit, force
from noncoder.cli.verbs import Verb

_PATH = click.Path(path_type=Path)


@click.command("import", cls=Verb)
@click.argument("format")
@click.argument("file", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--tasks", type=_PATH, help="Task sheet: TSV with name, and any of group, cell, assay, treatment.")
@force
@as_json
def import_(format: str, file: Path, out: Path, tasks: Path | None, force: bool, as_json: bool) -> None:
    """Make a predictor OUT from the weights in FILE.

    \b
    FORMAT is one of
      danq-keras     DanQ or DanQ-JASPAR, as saved by its training script (.hdf5, Keras 0.2)
      deepsea-kipoi  DeepSEA, as distributed by Kipoi (deepsea_predict.pth)
      report         a Lightning checkpoint of the 2020 report's models (.ckpt)

    Without --tasks the tasks are numbered; 919 tasks get DeepSEA's groups.

    \b
    Example:
      noncoder import deepsea-kipoi deepsea_predict.pth predictors/deepsea
    """
    from noncoder.importers import import_weights

    summary = import_weights(format, file, out, tasks, force)
    groups = f" in the groups {', '.join(summary['groups'])}" if summary["groups"] else ""
    text = (
        f"{out}: {summary['model']} ({summary['n_parameters']:,} parameters), {summary['tasks']:,} tasks{groups}, "
        f"windows of {summary['window']:,} bp"
    )
    emit(summary, "\n".join([text, *(f"  {note}" for note in summary["imported"]["notes"])]), as_json)
