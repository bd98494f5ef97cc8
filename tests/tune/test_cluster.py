"""What Ray asks for and tells, without Ray's processes; those are in test_tune.py's long tests."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

pytest.importorskip("ray")

from noncoder.config import RunConfig
from noncoder.errors import ConfigError
from noncoder.tune import TuneConfig
from noncoder.tune.cluster import StudySearcher
from noncoder.tune.space import read_space
from noncoder.tune.study import open_study
from noncoder.tune.trials import read_trials
from noncoder.tune.workers import Workers

SPACE = """
train.learning_rate: {low: 0.01, high: 0.1}
train.warmup: [0.05, 0.5]
train.warmup_steps: [0, 2]
"""


@pytest.fixture
def searcher(tmp_path: Path) -> StudySearcher:
    (tmp_path / "space.yaml").write_text(SPACE)
    settings = TuneConfig(space=tmp_path / "space.yaml", trials=9, seed=1, cluster="local", budget=60)
    config, space = RunConfig(run=tmp_path / "run"), read_space(settings.space)
    study = open_study(tmp_path, config, space, settings, {})
    return StudySearcher(study, config, space, settings, tmp_path, Workers(tmp_path))


def test_the_study_knows_how_each_trial_ended(searcher: StudySearcher, tmp_path: Path) -> None:
    point = searcher.suggest("a")
    assert point["folder"] == str(tmp_path / "trials/0000")
    searcher.on_trial_result("a", {"score": 0.2, "step": 1})
    searcher.on_trial_complete("a", {"score": 0.3, "step": 6, "finished": True})
    searcher.suggest("b")
    searcher.on_trial_complete("b", {"score": 0.1, "step": 2, "finished": False})
    failed = Path(searcher.suggest("c")["folder"])
    failed.mkdir(parents=True)
    (failed / "failed.txt").write_text("out of memory")
    searcher.on_trial_complete("c", error=True)
    point = searcher.suggest("d")
    searcher.on_trial_result("d", {"score": 0.2, "step": 1})
    searcher.deadline = 0  # the time is up
    searcher.on_trial_complete("d", {"score": 0.2, "step": 1, "finished": False})
    assert searcher.suggest("e") == searcher.FINISHED
    searcher.deadline = float("inf")
    assert searcher.suggest("e") == point
    searcher.cut_off_rest()
    trials = [trial for trial in read_trials(searcher.study, searcher.space) if trial.state != "infeasible"]
    assert [trial.state for trial in trials] == [
        "complete", "pruned", "failed", "interrupted", "interrupted", "waiting"
    ]  # fmt: skip
    assert [trial.value for trial in trials[:3]] == [0.3, 0.1, None]
    assert [trial.curve for trial in trials[:2]] == [{1: 0.2}, {2: 0.1}]
    assert trials[2].message == "out of memory"
    assert trials[-1].curve == {1: 0.2}
    assert {trial.folder for trial in trials[3:]} == {Path(point["folder"]).name}


def test_infeasible_points_start_no_process_and_trials_end(searcher: StudySearcher) -> None:
    begun = 0
    while searcher.suggest(str(begun)) != searcher.FINISHED:
        searcher.on_trial_complete(str(begun), {"score": 0.1, "step": 6, "finished": True})
        begun += 1
    trials = read_trials(searcher.study, searcher.space)
    assert len(trials) == 9
    infeasible = [trial for trial in trials if trial.state == "infeasible"]
    assert begun + len(infeasible) == 9
    assert infeasible, "none of the points was"
    for trial in infeasible:
        assert (trial.values["train.warmup"], trial.values["train.warmup_steps"]) == (0.5, 2)


def test_failures_in_a_row_end_the_search(searcher: StudySearcher) -> None:
    for i in range(5):
        searcher.suggest(str(i))
        searcher.on_trial_complete(str(i), error=True)
    assert searcher.suggest("5") == searcher.FINISHED


def test_what_ray_keeps_of_it_has_no_address(searcher: StudySearcher) -> None:
    assert b"study.db" not in pickle.dumps(searcher)


def test_the_median_is_not_for_a_cluster(tmp_path: Path) -> None:
    from noncoder.config import validate

    with pytest.raises(ConfigError, match="halving or none"):
        validate(TuneConfig, {"space": tmp_path, "cluster": "local", "pruner": "median"}, "the options")
