"""Draws points with Optuna's samplers, each trial from its own random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from noncoder.tune.tune_config import TuneConfig


class SeededByTrial(BaseSampler):
    """Draws a trial's point from the study's seed and the trial's number.

    No two trials have the same number, so two processes never draw from the same random numbers, and an interrupted
    study draws the same points as an uninterrupted one.

    Args:
        kind: tpe or random.
        seed: The study's seed.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.seed = kind, seed
        self._now: BaseSampler = RandomSampler(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seeds the trial's random numbers."""
        seed = int(np.random.SeedSequence([self.seed, trial.number]).generate_state(1)[0])
        self._now = TPESampler(seed=seed) if self.kind == "tpe" else RandomSampler(seed)
        self._now.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Returns the parameters that are drawn together."""
        return self._now.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws values together."""
        return self._now.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draws a single value."""
        return self._now.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Passes the finished trial to the sampler."""
        self._now.after_trial(study, trial, state, values)


def make_sampler(settings: TuneConfig) -> SeededByTrial:
    """Returns the sampler; the points of a grid are queued in the study, so none is drawn."""
    return SeededByTrial("tpe" if settings.sampler == "tpe" else "random", settings.seed)
