"""How points are drawn: by Optuna's samplers, each trial from random numbers of its own."""

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

    Two processes never draw from the same random numbers, since no two trials have one number; and a study that was
    interrupted draws the same points as one that was not.

    Args:
        kind: tpe or random.
        seed: The study's.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.seed = kind, seed
        self._now: BaseSampler = RandomSampler(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Starts the trial's random numbers."""
        seed = int(np.random.SeedSequence([self.seed, trial.number]).generate_state(1)[0])
        self._now = TPESampler(seed=seed) if self.kind == "tpe" else RandomSampler(seed)
        self._now.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What is drawn together."""
        return self._now.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values that are drawn together."""
        return self._now.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value that is drawn by itself."""
        return self._now.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Lets the sampler keep what it wants to."""
        self._now.after_trial(study, trial, state, values)


def make_sampler(settings: TuneConfig) -> SeededByTrial:
    """The sampler; the points of a grid wait in the study, and no other is drawn."""
    return SeededByTrial("tpe" if settings.sampler == "tpe" else "random", settings.seed)
