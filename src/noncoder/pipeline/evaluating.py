"""Evaluates the predictor of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noncoder.config import EvaluateConfig, validate
from noncoder.data.store import open_store
from noncoder.evaluate.evaluation_stage import EvaluationStage
from noncoder.files import locked
from noncoder.pipeline.best_device import best_device
from noncoder.predictor import load
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import SplitSummary
from noncoder.runs.run_recipe import read_run


def evaluate_run(
    run: Path,
    config: EvaluateConfig | Mapping[str, Any],
    store: Path | None = None,
    force: bool = False,
    save_temperatures: bool = False,
) -> list[SplitSummary]:
    """Evaluates the predictor of a run; results of splits that were evaluated with the same settings are reused.

    Args:
        run: The run's folder.
        config: Settings of the evaluation, or changes of those in the recipe.
        store: Another store than the run's own.
        force: Evaluate again.
        save_temperatures: Save the fitted temperatures with the predictor, whose probabilities are then calibrated.

    Raises:
        NoncoderError: The run has no predictor or no such split, or the store does not fit.
    """
    recipe = read_run(run)
    if not isinstance(config, EvaluateConfig):
        config = validate(EvaluateConfig, recipe.evaluate.model_dump() | dict(config), origin="the options")
    folder, device = RunFolder(run), best_device()
    predictors = [load(path).to(device) for path in (run, *config.ensemble)]
    opened = open_store(store or recipe.store)
    for split in config.splits:
        opened.indices(split)  # refuse an unknown split before the evaluation
    stage = EvaluationStage(folder.evaluate, predictors, opened, config, force)
    if save_temperatures:
        stage.check_saving()  # refuse temperatures that cannot be saved before the evaluation
    with locked(folder.evaluate.path, hint="wait for it"):
        summaries = [stage.evaluate(split) for split in config.splits]
        if save_temperatures:
            with locked(folder.train.path, hint="wait for it: a training writes the predictor when it ends"):
                stage.save_temperatures(folder.predictor.path)
    return summaries
