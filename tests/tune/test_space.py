from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noncoder.config import ModelConfig, RunConfig, TrainConfig, read_recipe
from noncoder.errors import ConfigError, NoncoderError
from noncoder.tune.entries import Choices, Range
from noncoder.tune.space import Space, read_space

ROOT = Path(__file__).parents[2]
CONFIG = RunConfig(run=Path("r"))
WIDE = """
train.learning_rate: {low: 1e-4, high: 0.03, log: true}
train.optimizer: [adamw, sgd]
train.momentum: {low: 0.8, high: 0.99, when: {train.optimizer: sgd}}
model.name: [compact, deepsea]
model.parameters.channels: {low: 8, high: 32, step: 8, when: {model.name: compact}}
model.parameters.dilations: {choices: [[1], [1, 2]], when: {model.name: [compact]}}
train.amsgrad: {choices: [true, false], when: {train.optimizer: adamw}}
"""

optuna.logging.set_verbosity(optuna.logging.ERROR)
Read = Callable[[str], Space]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def make(text: str) -> Space:
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return read_space(path)

    return make


def draws(space: Space, n: int = 40) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    return [space.suggest(study.ask()) for _ in range(n)]


def test_numbers_and_choices_are_read_by_their_values(read: Read) -> None:
    entries = read(WIDE).entries
    rate, channels = entries["train.learning_rate"], entries["model.parameters.channels"]
    assert isinstance(rate, Range)
    assert (rate.low, rate.high, rate.log, rate.whole) == (1e-4, 0.03, True, False)
    assert isinstance(channels, Range)
    assert channels.whole
    assert entries["train.optimizer"].values() == ["adamw", "sgd"]
    assert read("train.l1: [1e-4, 2E-3, 0]").entries["train.l1"].values() == [1e-4, 2e-3, 0]


def test_what_is_drawn_lies_in_the_space_and_makes_a_recipe(read: Read) -> None:
    space = read(WIDE)
    space.check(CONFIG)
    drawn = draws(space)
    for values in drawn:
        assert all(space.entries[key].holds(value) for key, value in values.items())
        assert ("train.momentum" in values) == (values["train.optimizer"] == "sgd")
        assert ("model.parameters.channels" in values) == (values["model.name"] == "compact")
        config = space.apply(CONFIG, values)
        assert config.train.learning_rate == values["train.learning_rate"]
        assert config.model.name == values["model.name"]
        assert config.model.parameters == {
            key.rpartition(".")[2]: value for key, value in values.items() if key.startswith("model.parameters.")
        }
        assert space.unnamed(space.named(values)) == values
    assert {values["model.parameters.dilations"][-1] for values in drawn if values["model.name"] == "compact"} == {1, 2}


def test_keys_that_are_not_varied_stay_the_recipes(read: Read) -> None:
    config = RunConfig(run=Path("r"), model=ModelConfig(parameters={"heads": 2}), train=TrainConfig(epochs=3))
    space = read("model.parameters.channels: [8, 16]\ntrain.shift: {low: 0, high: 4}")
    changed = space.apply(config, {"model.parameters.channels": 16, "train.shift": 3})
    assert changed.model.parameters == {"heads": 2, "channels": 16}
    assert changed.train == config.train.model_copy(update={"shift": 3})


def test_parameters_of_another_model_are_left_out(read: Read) -> None:
    config = RunConfig(run=Path("r"), model=ModelConfig(parameters={"heads": 2}))
    space = read("model.name: [compact, danq]")
    assert space.apply(config, {"model.name": "danq"}).model.parameters == {}
    assert space.apply(config, {"model.name": "compact"}).model.parameters == {"heads": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.learning_rat: [0.1]", r"'train.learning_rat'; did you mean 'learning_rate'"),
        ("tain.learning_rate: [0.1]", r"did you mean 'train'"),
        ("model.parameters.chanels: [8]", r"'chanels'; did you mean 'channels'"),
        ("model.name: [compcat]", r"did you mean 'compact'"),
        ("train.learning_rate: [-0.1]", r"train.learning_rate: input should be greater than 0, not -0.1"),
        ("train.momentum: {low: 0.8, high: 0.95}", r"momentum has no effect with adamw[\s\S]*when"),
        ("train.learning_rate: {low: 0.1, hihg: 1}", r"unknown key 'hihg'[\s\S]*did you mean 'high'"),
        ("train.learning_rate: {low: 0.1}", r"'high' is missing"),
        ("train.learning_rate: {low: 0.1, high: 0.01}", r"low 0.1 should be below high 0.01"),
        ("train.weight_decay: {low: 0, high: 0.1, log: true}", r"above 0 on a logarithmic scale"),
        ("train.weight_decay: {low: 0.01, high: 0.1, log: true, step: 0.01}", r"either log or step"),
        ("train.shift: {low: 1, high: 3, step: 5}", r"step 5 should lie between"),
        ("train.shift: []", r"choices"),
        ("train.shift: [1, 1]", r"should differ"),
        ("train.shift: 3", r"is 3[\s\S]*KEY=VALUE"),
        ("seed: [1, 2]", r"would be luck"),
        ("train.monitor: [loss]", r"compared by it"),
        ("train.validations: [1, 2]", r"equally many validations"),
        ("data.store: [a, b]", r"not a key of a model or of training"),
        ("train.momentum: {low: 0.1, high: 0.2, when: {train.optimiser: sgd}}", r"is not an earlier key"),
        ("train.optimizer: [adam]\ntrain.momentum: {low: 0.1, high: 0.2, when: {train.optimizer: sgd}}", r"not among"),
        ("train.optimizer: [adam]\ntrain.amsgrad: {choices: [true], when: {train.optimizr: adam}}", r"did you mean"),
        ("- a", r"holds no keys"),
        ("a: [", r"not valid YAML"),
    ],
)
def test_a_wrong_entry_is_told_before_any_trial(read: Read, text: str, message: str) -> None:
    with pytest.raises(NoncoderError, match=message):
        read(text).check(CONFIG)


def test_a_missing_space_names_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").touch()
    with pytest.raises(ConfigError, match=r"did you mean '.*/space.yaml'"):
        read_space(tmp_path / "spce.yaml")


@given(st.integers(-20, 20), st.integers(1, 5), st.integers(0, 20), st.sampled_from(["1", "0.1", "0.25"]))
def test_steps_end_where_a_study_says(first: int, step: int, more: int, unit: str) -> None:
    def number(n: int) -> int | float:
        return n if unit == "1" else float(n * Decimal(unit))

    entry = Range(low=number(first), high=number(first + step + more), step=number(step))
    values = entry.values()
    assert values == [number(n) for n in range(first, first + step + more + 1, step)]
    assert values[-1] == entry.top
    assert all(entry.holds(value) for value in values)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(5):
        assert entry.draw("x", study.ask()) in values


def test_values_outside_are_not_held() -> None:
    assert not Range(low=1, high=5, step=2).holds(2)
    assert not Range(low=1, high=5).holds(2.5)
    assert not Range(low=1, high=5).holds(True)
    assert not Range(low=0.1, high=0.5).holds("a")
    assert Range(low=0.1, high=0.5).holds(0.2)
    assert not Choices(choices=[[1], [2]]).holds([3])


def test_a_grid_holds_every_combination_once(read: Read) -> None:
    space = read(
        "train.optimizer: [adamw, sgd]\n"
        "train.momentum: {low: 0.5, high: 0.9, step: 0.2, when: {train.optimizer: sgd}}\n"
        "train.shift: {low: 0, high: 2}"
    )
    grid = space.grid()
    assert len(grid) == 3 + 3 * 3
    assert all(a != b for a, b in itertools.combinations(grid, 2))
    assert {values.get("train.momentum") for values in grid} == {None, 0.5, 0.7, 0.9}
    with pytest.raises(ConfigError, match=r"train.l1 has infinitely many values[\s\S]*step"):
        read("train.l1: {low: 0.0, high: 1.0}").grid()


def test_the_recipes_own_values_are_found_where_they_lie_in_the_space(read: Read) -> None:
    space = read(
        "train.learning_rate: {low: 0.001, high: 1, log: true}\nmodel.parameters.dilations: [[1], [1, 2, 4, 8]]"
    )
    assert space.own_values(CONFIG) == {"train.learning_rate": 2e-3, "model.parameters.dilations": [1, 2, 4, 8]}
    assert read("train.learning_rate: [0.1]").own_values(CONFIG) is None
    assert read("train.loss: [focal, bce]").own_values(CONFIG) == {"train.loss": "bce"}
    assert read("train.loss: [focal, asymmetric]").own_values(CONFIG) is None


def test_keys_of_a_section_in_a_section_are_set(read: Read) -> None:
    space = read("train.loss.kind: [focal]\ntrain.loss.gamma: {low: 1.0, high: 3.0, when: {train.loss.kind: focal}}")
    space.check(CONFIG)
    changed = space.apply(CONFIG, {"train.loss.kind": "focal", "train.loss.gamma": 2.5})
    assert (changed.train.loss.kind, changed.train.loss.gamma) == ("focal", 2.5)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes/spaces").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_space_fits_its_recipe(path: Path) -> None:
    text = path.read_text()
    recipe = read_recipe(ROOT / "recipes" / path.name)
    space = read_space(path)
    space.check(recipe)
    assert space.own_values(recipe) is not None  # they are the first trial
    assert f"noncoder tune recipes/{path.name} --space recipes/spaces/{path.name} " in text


def test_a_slip_of_the_pen_among_the_other_choices_is_told(read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    read("train.optimizer: [adamw, sdg]\ntrain.warmup: {low: 0, high: 1.5}").check(RunConfig(run=Path("run")))
    told = capsys.readouterr().err
    assert "train.optimizer=sdg does not fit" in told
    assert "did you mean 'sgd'" in told
    assert "train.warmup=1.5 does not fit" in told
