"""Successive halving that counts a trial once, however often it was interrupted and resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from optuna.pruners import SuccessiveHalvingPruner
from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


class HalvingOfTheLiving(SuccessiveHalvingPruner):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934) among trials that were not interrupted.

    An interrupted trial and the one that resumes it have the same scores; without this, both would compete.
    """

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop the trial."""
        return super().prune(cast(Any, _Living(study)), trial)


class _Living:
    """A study without its interrupted trials."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        trials = self._study.get_trials(deepcopy, states)
        return [t for t in trials if t.state != TrialState.FAIL or "message" in t.user_attrs]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)
