"""The results of a study: a table of its trials, the best recipe, figures and a page."""

from __future__ import annotations

import csv
import io
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from noncoder.config import RunConfig, write_recipe
from noncoder.files import write_bytes
from noncoder.runs.folder import StudyFolder
from noncoder.tune.entries import Choices
from noncoder.tune.space import Space
from noncoder.tune.study import ETA, direction, import_optuna
from noncoder.tune.trial import trial_config
from noncoder.tune.trials import Trial
from noncoder.tune.tune_config import TuneConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Study

FIGURES = ("history", "curves", "importance", "slices")
ENDINGS = ("png", "svg")
_LEAST_FOR_IMPORTANCE = 4


def best_trial(trials: Sequence[Trial], config: RunConfig) -> Trial | None:
    """Returns the finished trial with the best score; of equal ones the first."""
    sign = 1 if direction(config) == "minimize" else -1
    done = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    return min(done, key=lambda trial: sign * (trial.value or 0), default=None)


def write_table(trials: Sequence[Trial], space: Space, folder: Path) -> None:
    """Writes trials.tsv: a row for each trial that was started."""
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(["number", "state", "value", "seconds", "validations", *space.entries, "folder", "message"])
    for trial in trials:
        if trial.state != "waiting":
            values = [_cell(trial.values.get(key, "")) for key in space.entries]
            table.writerow(
                [trial.number, trial.state, _cell(trial.value), _cell(trial.seconds), len(trial.curve), *values,
                 trial.folder, " ".join(trial.message.split())]
            )  # fmt: skip
    write_bytes(StudyFolder(folder).table, text.getvalue().encode())


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, list | dict | bool) else value


def write_best(trials: Sequence[Trial], config: RunConfig, space: Space, folder: Path) -> Path | None:
    """Writes best.yaml, the complete recipe of the best trial, if a trial has finished."""
    best = best_trial(trials, config)
    if best is None:
        return None
    recipe = write_recipe(trial_config(config, space, best.values, StudyFolder(folder).best_run))
    path = StudyFolder(folder).recipe
    score = f"# Trial {best.number}: {_measure(config)} {best.value}\n#   noncoder train {path}\n"
    write_bytes(path, (score + recipe).encode())
    return path


def note(trials: Sequence[Trial], number: int, config: RunConfig, space: Space, folder: Path) -> None:
    """Records and prints the result of a trial."""
    write_table(trials, space, folder)
    write_best(trials, config, space, folder)
    tqdm.write(trial_line(trials[number], trials, config), file=sys.stderr)


def trial_line(trial: Trial, trials: Sequence[Trial], config: RunConfig) -> str:
    """Describes a trial in one line."""
    parts = [f"trial {trial.number}  {trial.state}"]
    if trial.value is not None:
        parts.append(f"{_measure(config)} {trial.value:.4f}")
    best = best_trial(trials, config)
    if best is not None and best.value is not None:
        parts.append("the best so far" if best is trial else f"(best {best.value:.4f}, trial {best.number})")
    parts += [f"{trial.seconds or 0:,.0f} s", " ".join(f"{key}={_short(value)}" for key, value in trial.values.items())]
    return "  ".join(parts) + (f"\n  {trial.message.splitlines()[0]}" if trial.message else "")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _measure(config: RunConfig) -> str:
    return "validation " + config.train.monitor.replace("_", " ")


def summarise(study: Study, trials: Sequence[Trial], config: RunConfig, folder: Path) -> dict[str, Any]:
    """Returns the summary of a study for programs."""
    best = best_trial(trials, config)
    states = [trial.state for trial in trials if trial.state != "waiting"]
    return {
        "study": str(folder),
        "monitor": config.train.monitor,
        "trials": {state: states.count(state) for state in dict.fromkeys(states)},
        "seconds": round(sum(trial.seconds or 0 for trial in trials), 1),
        "best": best and {
            "number": best.number, "value": best.value, "values": best.values,
            "recipe": str(StudyFolder(folder).recipe), "run": str(StudyFolder(folder).trial(best.folder)),
        },
        "importance": importance(study),
    }  # fmt: skip


def importance(study: Study) -> dict[str, float]:
    """Returns how much each key separates the best tenth of the finished trials from the others, largest first.

    PED-ANOVA (Watanabe et al., IJCAI 2023); empty if fewer than four trials have finished.
    """
    optuna = import_optuna()
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(done) < _LEAST_FOR_IMPORTANCE or len({trial.value for trial in done}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about experimental features of older versions, and keys with one value
        return dict(
            optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
        )


def write_page(trials: Sequence[Trial], summary: dict[str, Any], config: RunConfig, space: Space,
               figures: dict[str, Figure]) -> Path:  # fmt: skip
    """Writes study.html: figures, trials and the best recipe in one file."""
    from markupsafe import Markup

    from noncoder.plots import figure_svg
    from noncoder.report import render

    folder = Path(summary["study"])
    best = best_trial(trials, config)
    rows = [
        {
            "trial": trial,
            "best": trial is best,
            "values": [_short(trial.values[key]) if key in trial.values else "" for key in space.entries],
        }
        for trial in trials
        if trial.state != "waiting"
    ]
    return render(
        "tuning.html.j2",
        StudyFolder(folder).page,
        title=f"Tuning {config.run.resolve().name}",
        measure=_measure(config),
        summary=summary,
        keys=list(space.entries),
        rows=rows,
        best=best,
        recipe=StudyFolder(folder).recipe.read_text() if best else None,
        figures={name: Markup(figure_svg(figure, name, name)) for name, figure in figures.items()},
        finished=sum(trial.state == "complete" for trial in trials),
    )


def draw(trials: Sequence[Trial], shares: dict[str, float], config: RunConfig, space: Space,
         settings: TuneConfig) -> dict[str, Figure]:  # fmt: skip
    """Returns the figures of a study by name, if there is data for them."""
    from noncoder import plots

    shown = [trial for trial in trials if trial.state in ("complete", "pruned") and trial.value is not None]
    if not shown:
        return {}
    measure, lower = _measure(config), direction(config) == "minimize"
    scores, done = [trial.value or 0.0 for trial in shown], [trial.state == "complete" for trial in shown]
    best = best_trial(trials, config)
    figures = {"history": plots.plot_history([trial.number for trial in shown], scores, done, measure, lower)}
    # With restarts, the length of a training is counted in ninths of its epochs.
    per_pass = config.train.validations if settings.fidelity == "along" else ETA**2 / config.train.epochs
    curves = [([step / per_pass for step in trial.curve], list(trial.curve.values())) for trial in shown if trial.curve]
    if any(len(at) > 1 for at, _ in curves):
        lit = [trial for trial in shown if trial.curve].index(best) if best is not None and best.curve else None
        figures["curves"] = plots.plot_trial_curves(
            curves, [trial.state == "complete" for trial in shown if trial.curve], lit, measure
        )
    if shares:
        figures["importance"] = plots.plot_importance(list(shares), list(shares.values()))
    slices = {
        key: [entry.name(trial.values[key]) if key in trial.values else None for trial in shown]
        for key, entry in space.entries.items()
    }
    unordered = {key for key, entry in space.entries.items() if isinstance(entry, Choices)}
    logarithmic = {key for key, entry in space.entries.items() if not isinstance(entry, Choices) and entry.log}
    figures["slices"] = plots.plot_slices(slices, scores, done, measure, unordered, logarithmic)
    return figures
