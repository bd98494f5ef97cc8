from __future__ import annotations

import optuna
import pytest

from noncoder.tune.pruning import HalvingOfTheLiving
from noncoder.tune.trials import again

optuna.logging.set_verbosity(optuna.logging.ERROR)


def run(study: optuna.Study, score: float) -> tuple[optuna.Trial, bool]:
    """A trial that is told one score; whether it should be given up."""
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    trial.set_user_attr("folder", str(trial.number))
    trial.report(score, 1)
    return trial, trial.should_prune()


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_trial_that_was_cut_off_competes_once(cut_off: bool) -> None:
    pruner = HalvingOfTheLiving(min_resource=1, reduction_factor=3)
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(0))
    best, _ = run(study, 0.9)
    if cut_off:
        study.tell(best, state=optuna.trial.TrialState.FAIL)
        again(study, study.trials[best.number])
        best = study.ask()
    for score in (0.1, 0.2, 0.3, 0.4):
        trial, given_up = run(study, score)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED if given_up else optuna.trial.TrialState.COMPLETE,
                   values=None if given_up else score)  # fmt: skip
    # Of six, the best two go on: the second is one of them only if the first counts once.
    assert run(study, 0.8)[1] is False
