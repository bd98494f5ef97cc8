"""Differences between trainings, and how soon each reaches a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from noncoder.compare.compared_run import AXES, ComparedRun

# Recipe keys that do not change a training.
_ASIDE = ("run", "report.", "evaluate.", "train.watch.", "train.device")
# Recipe keys that change the logged training loss.
_LOSS = ("train.loss", "train.l1", "train.mixup", "train.augment", "train.resample")


def differing_keys(runs: Sequence[ComparedRun]) -> dict[str, list[Any]]:
    """Recipe keys whose values differ between runs, mapped to the value of each run; None where a run lacks the key."""
    known = [run.recipe for run in runs if run.recipe]
    keys = dict.fromkeys(key for recipe in known for key in recipe if not key.startswith(_ASIDE))
    return {
        key: [run.recipe.get(key) for run in runs]
        for key in keys
        if any(recipe.get(key) != known[0].get(key) or (key in recipe) != (key in known[0]) for recipe in known)
    }


def warnings_of(runs: Sequence[ComparedRun], differing: dict[str, list[Any]]) -> list[str]:
    """Reasons why these runs may not be comparable."""
    found = []
    digests = {run.name: run.facts.store_digest for run in runs}
    if len(set(digests.values()) - {None}) > 1:
        where = ", ".join(f"{name}: {str(digest)[:12]}" for name, digest in digests.items() if digest)
        found.append(
            f"These runs were trained and validated on different data ({where}): their losses and scores cannot be "
            "compared."
        )
    unknown = [name for name, digest in digests.items() if digest is None]
    if unknown and len(runs) > 1:
        found.append(f"The training data of {_names(unknown)} are not recorded; they may differ.")
    if any(key.startswith(_LOSS) for key in differing):
        found.append(
            "The runs have different training losses. Compare the validation loss, which is the same cross-entropy for "
            "all."
        )
    without = [run.name for run in runs if run.positives_per_window is None]
    if without:
        found.append(
            f"The positive labels seen by {_names(without)} are unknown: the store is missing, and no file of the run "
            "holds the number of positive labels in a window."
        )
    drawn = [run.name for run in runs if run.recipe.get("train.resample")]
    if drawn:
        found.append(
            f"{_names(drawn)} saw more positive labels than shown: windows with rare labels are drawn more often."
        )
    devices = {(run.facts.device, run.facts.threads) for run in runs if run.facts.device}
    if len(devices) > 1:
        found.append("The runs used different devices or numbers of threads: their times are not comparable.")
    return found


def default_reach(runs: Sequence[ComparedRun]) -> float | None:
    """The highest average precision that all runs reached: the minimum over runs of each run's maximum."""
    tops = [np.nanmax(run.valid["average_precision"], initial=-np.inf) for run in runs]
    return float(min(tops)) if tops and np.isfinite(tops).all() else None


def reached(run: ComparedRun, precision: float) -> dict[str, float] | None:
    """The first validation with at least this average precision, on every axis; None if there is none."""
    there = np.flatnonzero(run.valid["average_precision"] >= precision)
    return {axis: float(run.along(run.valid, axis)[there[0]]) for axis in AXES} if there.size else None


def table_row(run: ComparedRun) -> dict[str, Any]:
    """The row of a run in the table."""
    facts, log = run.facts, run.log
    last = {name: float(log[name][-1]) if log[name].size else float("nan") for name in log}
    speed = facts.windows_per_second
    if speed is None and last["trained"] > 0:
        speed = last["windows"] / last["trained"]
    return {
        "name": run.name,
        "state": run.state,
        "model": facts.model or run.recipe.get("model.name"),
        "parameters": facts.n_parameters,
        "windows_per_second": speed,
        "device": facts.device,
        "threads": facts.threads,
        "precision": facts.precision,
        "epochs": last["epoch"] if facts.epochs is None else facts.epochs,
        "steps": last["step"] if run.state != "finished" else facts.steps,
        "seconds": last["seconds"] if facts.seconds is None else facts.seconds,
        "trained_seconds": last["trained"],
        "positives": last["windows"] * run.positives_per_window if run.positives_per_window is not None else None,
        "best": run.best,
        "tests": {
            name: {"strands": test.strands, **(test.mean.to_json() if test.mean else {})}
            for name, test in run.tests.items()
        },
        "store_digest": facts.store_digest,
    }


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
