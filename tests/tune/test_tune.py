"""Studies of tiny trainings: what they leave, how they go on, what they give up and survive."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from noncoder.cli import main
from noncoder.config import RunConfig, SimulateConfig, read_recipe, validate, write_recipe
from noncoder.data.simulate import simulate_store
from noncoder.errors import ConfigError, InputError
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import TrainingSummary, Validation
from noncoder.tune import TuneConfig, tune
from noncoder.tune.space import Space, read_space
from noncoder.tune.study import import_optuna, open_study
from noncoder.tune.trials import queue_cut_off, read_trials
from noncoder.tune.workers import Workers
from tests.train.making import summary_of

TINY = {"channels": 4, "dilations": [1], "heads": 2, "stem_kernel": 5}
RATES = "train.learning_rate: {low: 0.001, high: 0.1, log: true}\ntrain.shift: [0, 4]"

Recipe = Callable[..., RunConfig]
Search = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "sim.zarr"
    simulate_store(SimulateConfig(windows=200, tasks=3, window=100, bin=50, chromosomes=5), path)
    return path


@pytest.fixture
def recipe(tmp_path: Path, store_path: Path) -> Recipe:
    def make(**settings: Any) -> RunConfig:
        values = {
            "run": tmp_path / "run",
            "data": {"store": store_path},
            "model": {"parameters": TINY},
            "train": {"epochs": 1, "batch_size": 32, "precision": "32-true", "learning_rate": 0.01} | settings,
        }
        return validate(RunConfig, values, origin="test")

    return make


@pytest.fixture
def search(tmp_path: Path, recipe: Recipe) -> Search:
    """Tunes a recipe over a space that is given as text."""

    def make(space: str = RATES, train: dict[str, Any] | None = None, force: bool = False, **settings: Any) -> Any:
        path = tmp_path / "space.yaml"
        path.write_text(space)
        return tune(recipe(**(train or {})), TuneConfig(space=path, **settings), force=force)

    return make


def made_up(config: RunConfig, on_validation: Callable[[dict[str, float]], bool]) -> TrainingSummary | None:
    """In place of a training: a score that the learning rate decides, in two validations."""
    score = 1 - abs(config.train.learning_rate - 0.01)
    log = config.run / "train/valid.csv"
    log.parent.mkdir(parents=True)
    with log.open("w") as file:
        print("average_precision", file=file)
        for value in (score / 2, score):
            print(value, file=file, flush=True)
            if on_validation({"average_precision": value}):
                return None
    return TrainingSummary(best=Validation(average_precision=score))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No training takes place."""
    monkeypatch.setattr("noncoder.train.fit.train", made_up)
    monkeypatch.setattr("noncoder.tune.tune_run.draw", lambda *_: {})


def table(folder: Path | str) -> list[dict[str, str]]:
    with (Path(folder) / "trials.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_study_leaves_a_table_figures_and_a_recipe_that_scores_the_same(search: Search) -> None:
    result = search(trials=5, pruner="none", train={"validations": 2})
    rows = table(result["study"])
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert {row["state"] for row in rows} == {"complete"}
    assert rows[0]["train.learning_rate"] == "0.01"  # the recipe's own values come first
    assert float(max(rows, key=lambda row: float(row["value"]))["value"]) == result["best"]["value"]
    assert result["trials"] == {"complete": 5}
    assert result["stopped"] == "all trials done"
    folder = Path(result["study"])
    for name in result["figures"]:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (folder / f"{name}.svg").read_text()
    page = Path(result["page"]).read_text()
    assert page.count("<svg") == 4
    assert '="http' not in page  # nothing is fetched
    assert set(result["figures"]) == {"history", "curves", "importance", "slices"}
    assert sum(result["importance"].values()) == pytest.approx(1)
    best = read_recipe(folder / "best.yaml")
    assert summary_of(best)["best"]["average_precision"] == result["best"]["value"]
    assert RunFolder(Path(result["best"]["run"])).predictor.path.exists()
    assert not list(folder.glob("trials/**/*.ckpt"))


@pytest.mark.parametrize("pruner", ["none", "halving"])
@pytest.mark.usefixtures("quick")
def test_a_study_that_goes_on_adds_up_and_draws_as_one_that_went_on_at_once(search: Search, pruner: str) -> None:
    settings: dict[str, Any] = {"seed": 5, "pruner": pruner, "train": {"validations": 2}}
    whole = table(search(trials=12, **settings)["study"])
    assert len({row["train.learning_rate"] for row in whole}) == 12
    assert any(row["state"] == "pruned" for row in whole) == (pruner != "none")
    search(trials=3, force=True, **settings)
    parts = table(search(trials=12, **settings)["study"])
    drop = {"seconds"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in parts] == [
        {k: v for k, v in row.items() if k not in drop} for row in whole
    ]
    again = search(trials=12, **settings)
    assert len(table(again["study"])) == 12


def test_a_hopeless_trial_is_given_up_and_keeps_its_logs(search: Search) -> None:
    hopeless = {"validations": 6, "epochs": 2, "monitor": "loss", "output_bias": "zero", "shift": 1}
    result = search("train.learning_rate: [0.02, 1e-9]\ntrain.shift: [0, 1, 2]", hopeless, trials=6, sampler="grid")
    rows = table(result["study"])
    assert len({(row["train.learning_rate"], row["train.shift"]) for row in rows}) == 6
    bad = [row for i, row in enumerate(rows) if row["train.learning_rate"] == "1e-09" and i]
    assert len(bad) >= 2
    assert {row["state"] for row in bad} == {"pruned"}
    assert result["best"]["values"]["train.learning_rate"] == 0.02
    assert result["best"]["value"] == min(float(row["value"]) for row in rows if row["state"] == "complete")
    for row in bad:
        folder = RunFolder(Path(result["study"]) / "trials" / row["folder"])
        assert not folder.train.summary.exists()
        assert not folder.predictor.path.exists()
        with (folder.train.validations).open() as file:
            assert len(list(csv.DictReader(file))) == int(row["validations"]) < 12


def test_trainings_from_the_start_grow_and_are_given_up_between_them(search: Search) -> None:
    hopeless = {"epochs": 3, "monitor": "loss", "output_bias": "zero", "learning_rate": 0.02, "batch_size": 8}
    result = search("train.learning_rate: [0.02, 1e-9]", hopeless, trials=4, sampler="random", fidelity="restart")
    rows = table(result["study"])
    assert rows[0]["validations"] == "3"
    trials = Path(result["study"]) / "trials"
    epochs = [
        json.loads(RunFolder(trials / "0000" / part).train.summary.read_text())["epochs"]
        for part in ("rung-1", "rung-2", "")
    ]
    assert epochs == pytest.approx([1 / 3, 1, 3], rel=0.2)
    bad = [row for row in rows if row["train.learning_rate"] == "1e-09"]
    assert bad
    assert {(row["state"], row["validations"]) for row in bad} == {("pruned", "1")}


def test_a_budget_stops_at_a_validation_and_the_trial_goes_on_later(
    search: Search, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"trials": 1, "train": {"epochs": 3, "validations": 2}}
    whole = search(**settings)["best"]["value"]
    valid = tmp_path / "run/tune/trials/0000/train/valid.csv"
    begun = time.time()

    def clock() -> float:  # an hour passes with the first validation
        fresh = valid.exists() and valid.stat().st_mtime > begun and valid.read_text().count("\n") > 1
        return 3600.0 if fresh else 0.0

    with monkeypatch.context() as patch:
        for module in ("local_trials", "study"):
            clocks = SimpleNamespace(monotonic=clock, perf_counter=time.perf_counter)
            patch.setattr(f"noncoder.tune.{module}.time", clocks)
        result = search(budget=1, force=True, **settings)
    assert result["trials"] == {"interrupted": 1}
    assert result["stopped"] == "1 minutes are over"
    assert result["best"] is None
    assert len(valid.read_text().splitlines()) == 2
    result = search(**settings)
    assert result["trials"] == {"interrupted": 1, "complete": 1}
    assert [row["folder"] for row in table(result["study"])] == ["0000", "0000"]
    assert result["best"]["value"] == whole


@pytest.mark.usefixtures("quick")
def test_ctrl_c_leaves_the_study_and_says_how_to_go_on(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    search(trials=1)
    with monkeypatch.context() as patch:
        patch.setattr("noncoder.train.fit.train", interrupted)
        with pytest.raises(KeyboardInterrupt, match="the same command continues"):
            search(trials=2)
    result = search(trials=2)
    assert result["trials"] == {"complete": 2, "interrupted": 1}


@pytest.mark.usefixtures("quick")
def test_a_trial_that_fails_is_told_and_the_next_begins(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(config: RunConfig, **hooks: Any) -> Any:
        if config.train.shift:
            raise RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")
        return made_up(config, **hooks)

    monkeypatch.setattr("noncoder.train.fit.train", fails)
    result = search("train.shift: [0, 1]\ntrain.amsgrad: [false]", trials=2, sampler="grid")
    assert result["trials"] == {"complete": 1, "failed": 1}
    failed = next(row for row in table(result["study"]) if row["state"] == "failed")
    assert failed["message"] == "CUDA out of memory. Tried to allocate 2 GiB"
    assert failed["value"] == ""
    with pytest.raises(InputError, match=r"5 trials in a row failed; the last: CUDA out of memory"):
        search("train.shift: {low: 1, high: 20}", trials=20, sampler="grid", force=True)


def test_a_database_with_other_scores_is_told(search: Search, tmp_path: Path) -> None:
    search(sampler="random", trials=2)
    path = tmp_path / "run/tune/study.db"
    whole = path.read_bytes()
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE trial_values SET value = value + 0.25 WHERE trial_id = 2")
        database.commit()
    with pytest.raises(InputError, match=r"database is damaged: trial 1 differs from .*finished\.json"):
        search(sampler="random", trials=3)
    path.write_bytes(whole[:5000] + b"x" * (len(whole) - 5000))
    with pytest.raises(InputError, match="database is damaged"):
        search(sampler="random", trials=3)
    path.write_bytes(whole)
    assert search(sampler="random", trials=2)["trials"] == {"complete": 2}
    path.write_bytes(b"no database" * 1000)
    assert search(sampler="random", trials=1, force=True)["trials"] == {"complete": 1}


def test_a_grid_that_is_too_large_is_told(search: Search) -> None:
    with pytest.raises(ConfigError, match=r"a grid of 3,000 points[\s\S]*--sampler random"):
        search("train.shift: {low: 0, high: 2999}", trials=1, sampler="grid")


@pytest.mark.usefixtures("quick")
def test_values_that_do_not_go_together_are_told(search: Search) -> None:
    result = search("train.warmup: [0.05, 0.5]\ntrain.warmup_steps: [0, 2]", trials=4, sampler="grid")
    assert result["trials"] == {"complete": 3, "infeasible": 1} or result["trials"] == {"infeasible": 1, "complete": 3}
    row = next(row for row in table(result["study"]) if row["state"] == "infeasible")
    assert (row["train.warmup"], row["train.warmup_steps"]) == ("0.5", "2")
    assert "give either warmup or warmup_steps" in row["message"]


@pytest.mark.usefixtures("quick")
def test_a_study_of_another_kind_is_not_gone_on_with(search: Search) -> None:
    search(trials=1)
    with pytest.raises(ConfigError, match=r"recipe.train.epochs was 1.0, now 0.5"):
        search(trials=2, train={"epochs": 0.5})
    with pytest.raises(ConfigError, match=r"space.train.shift.choices was \[0, 4\], now \[0, 5\]"):
        search(RATES.replace("4", "5"), trials=2)
    with pytest.raises(ConfigError, match=r"tuning.seed was 0, now 1"):
        search(trials=2, seed=1)
    assert search(trials=1, seed=1, force=True)["trials"] == {"complete": 1}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgresql://tuner:hunter2@127.0.0.1:1/study", r"tuner:\*\*\*@127.0.0.1"),
        ("hunter2", r"not a database address"),
        ("sqlite:////nowhere/hunter/study.db", r"unable to open database file"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_without_its_password(
    search: Search, address: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as told:
        search(trials=1, storage=address)
    assert "hunter2" not in str(told.value)


def test_missing_optuna_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"noncoder\[tune\]"):
        import_optuna()


@pytest.fixture
def opened(tmp_path: Path, recipe: Recipe) -> Callable[[], tuple[optuna.Study, Space]]:
    path = tmp_path / "space.yaml"
    path.write_text("train.learning_rate: {low: 0.02, high: 0.1}")  # without the recipe's own
    settings, space = TuneConfig(space=path, seed=3), read_space(path)
    return lambda: (open_study(tmp_path, recipe(), space, settings, {"a": 1}), space)


def test_processes_draw_different_points_and_together_those_of_one(
    opened: Callable[[], tuple[optuna.Study, Space]], tmp_path: Path
) -> None:
    (first, space), (second, _) = opened(), opened()
    with pytest.warns(UserWarning, match="Heartbeat"):
        shared = [space.suggest(study.ask())["train.learning_rate"] for study in (first, second) * 4]
    assert len(set(shared)) == 8
    optuna.delete_study(study_name="run", storage=first._storage)
    alone, _ = opened()
    with pytest.warns(UserWarning, match="Heartbeat"):
        assert [space.suggest(alone.ask())["train.learning_rate"] for _ in range(8)] == shared


def test_a_trial_whose_process_died_is_done_again_but_not_for_ever(
    opened: Callable[[], tuple[optuna.Study, Space]], tmp_path: Path
) -> None:
    study, space = opened()
    here, gone = Workers(tmp_path), Workers(tmp_path)
    gone.name = gone.name + "0"
    for attempt in range(1, 4):
        with pytest.warns(UserWarning, match="Heartbeat"):
            trial = study.ask()
        values = space.suggest(trial)
        trial.set_user_attr("folder", "0000")
        trial.set_user_attr("worker", gone.name)
        with gone.present():
            queue_cut_off(study, here, shared=False)
            assert read_trials(study, space)[-1].state == "running"
        queue_cut_off(study, here, shared=False)
        trials = read_trials(study, space)
        assert trials[attempt - 1].state == ("interrupted" if attempt < 3 else "failed")
        if attempt < 3:
            assert trials[-1].state == "waiting"
            assert trials[-1].values == values
    assert len(trials) == 3
    assert trials[-1].message == "its process died 3 times"


def test_another_machine_is_not_judged_by_its_locks(tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    assert not workers.is_gone("elsewhere.1.abc")
    assert workers.is_gone(f"{workers.host}.1.abc")
    assert not workers.is_gone(workers.name)
    with workers.present():
        assert Workers(tmp_path).others() == 1
    assert Workers(tmp_path).others() == 0


def command(config: RunConfig, tmp_path: Path, *words: str) -> list[str]:
    (tmp_path / "recipe.yaml").write_text(write_recipe(config))
    (tmp_path / "space.yaml").write_text(RATES)
    return [sys.executable, "-m", "noncoder", "tune", str(tmp_path / "recipe.yaml"), "--space",
            str(tmp_path / "space.yaml"), "--json", *words]  # fmt: skip


@pytest.mark.usefixtures("quick")
def test_the_command_prints_json_or_text(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(recipe(), tmp_path, "--trials", "5", "--out", str(tmp_path / "study"))[2:]
    for machine in (True, False):
        monkeypatch.setattr(sys, "argv", words if machine else [word for word in words if word != "--json"])
        with pytest.raises(SystemExit) as done:
            main()
        told = capsys.readouterr()
        assert not done.value.code
        if machine:
            assert json.loads(told.out)["best"]["recipe"] == str(tmp_path / "study/best.yaml")
            assert "trial 1  " in told.err
            assert "one validation, so none can be stopped early" in told.err
        else:
            assert told.out.startswith("trials: 5 complete; all trials done\nbest: trial 0, ")
            assert f"recipe: {tmp_path / 'study/best.yaml'}\n" in told.out


@pytest.mark.usefixtures("quick")
def test_the_store_is_made_where_the_recipe_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"simulate": {"windows": 60, "tasks": 2, "window": 100, "bin": 50, "chromosomes": 3}}
    recipe = {"run": tmp_path / "run", "data": data, "train": {"one_class": "keep"}}
    config = validate(RunConfig, recipe, origin="test")
    monkeypatch.setattr(sys, "argv", command(config, tmp_path, "--trials", "1")[2:])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code, capsys.readouterr().err
    assert (tmp_path / "run/data.zarr").exists()
    best = read_recipe(tmp_path / "run/tune/best.yaml")
    assert best.store == tmp_path / "run/data.zarr"
    assert best.run == tmp_path / "run/tune/best"


@pytest.mark.parametrize("shared", [False, True])
def test_a_point_of_a_grid_is_not_lost_with_its_process(
    opened: Callable[[], tuple[optuna.Study, Space]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    study, space = opened()
    study.enqueue_trial({"train.learning_rate": 0.05})
    with pytest.warns(UserWarning, match="Heartbeat"):
        study.ask()  # and the process dies before it says who it is
    queue_cut_off(study, Workers(tmp_path), shared=True)  # another machine may be about to name it
    assert [trial.state for trial in read_trials(study, space)] == ["running"]
    if shared:
        monkeypatch.setattr("noncoder.tune.trials._SECONDS_TO_START", -1)
    queue_cut_off(study, Workers(tmp_path), shared)
    assert [trial.state for trial in read_trials(study, space)] == ["interrupted", "waiting"]
    assert read_trials(study, space)[1].folder == "0000"
    with pytest.warns(UserWarning, match="Heartbeat"):
        assert space.suggest(study.ask()) == {"train.learning_rate": 0.05}


@pytest.mark.long
def test_two_processes_share_a_study(recipe: Recipe, tmp_path: Path) -> None:
    words = command(recipe(epochs=0.5), tmp_path, "--trials", "12", "--pruner", "none")
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=600) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    rows = table(tmp_path / "run/tune")
    assert len(rows) == 12
    assert {row["state"] for row in rows} == {"complete"}
    assert len({row["folder"] for row in rows}) == 12
    assert len({row["train.learning_rate"] for row in rows}) == 12
    assert all("trial " in errors for _, errors in told), "one of them did all"


@pytest.mark.long
def test_a_killed_study_goes_on(recipe: Recipe, tmp_path: Path) -> None:
    words = command(recipe(epochs=40, patience=1000), tmp_path, "--trials", "2", "--pruner", "none")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = tmp_path / "run/tune/trials/0001/train/last.ckpt"
    while process.poll() is None and not last.exists():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"] == {"complete": 2, "interrupted": 1}
    rows = table(tmp_path / "run/tune")
    assert [row["folder"] for row in rows] == ["0000", "0001", "0001"]
    (tmp_path / "again").mkdir()
    whole = command(recipe(epochs=40, patience=1000), tmp_path, "--trials", "2", "--pruner", "none", "--out",
                    str(tmp_path / "again"))  # fmt: skip
    done = subprocess.run(whole, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [row["value"] for row in table(tmp_path / "again")] == [rows[0]["value"], rows[2]["value"]]


@pytest.mark.long
def test_the_same_space_through_ray(recipe: Recipe, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    address = f"sqlite:///{tmp_path / 'shared.db'}"
    words = command(recipe(validations=4), tmp_path, "--trials", "3", "--cluster", "local", "--storage", address)
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert sum(result["trials"].values()) == 3
    assert set(result["trials"]) <= {"complete", "pruned"}
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert any("ray" in path.parts for path in files)
    assert not [path for path in files if b"shared.db" in path.read_bytes()]
    assert summary_of(read_recipe(result["best"]["recipe"]))["best"]["average_precision"] == result["best"]["value"]
