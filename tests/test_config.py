from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from noncoder.config import (
    BuildConfig,
    DataConfig,
    ModelConfig,
    PackConfig,
    ReportConfig,
    RunConfig,
    Section,
    SimulateConfig,
    TrainConfig,
    read_recipe,
    validate,
    write_recipe,
)
from noncoder.errors import ConfigError

BUILD = {"genome": "g.fa", "peaks": "*.bed"}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


def refused(section: type[Section], values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(section, values, origin="my.yaml")
    assert caught.value.found.startswith("my.yaml: ")
    return caught.value.found


class TestValidate:
    def test_misspelled_keys_are_all_told_with_the_nearest(self) -> None:
        told = refused(
            RunConfig, {"run": "r", "trian": {}, "train": {"epoch": 3}, "data": {"build": {**BUILD, "bni": 1}}}
        )
        assert "there is no key 'trian'; did you mean 'train'?" in told
        assert "there is no key 'train.epoch'; did you mean 'epochs'?" in told
        assert "there is no key 'data.build.bni'; did you mean 'bin'?" in told

    def test_a_key_near_none_lists_those_known(self) -> None:
        told = refused(RunConfig, {"run": "r", "report": {"zzz": 1}})
        assert "there is no key 'report.zzz'; known here: tasks, title" in told

    def test_missing_keys(self) -> None:
        assert "the key 'run' is missing" in refused(RunConfig, {})
        assert "the key 'data.build.genome' is missing" in refused(RunConfig, {"run": "r", "data": {"build": {}}})

    @pytest.mark.parametrize(
        ("section", "values", "told"),
        [
            (TrainConfig, {"epochs": 0}, "epochs: input should be greater than 0, not 0"),
            (TrainConfig, {"epochs": "many"}, "epochs: input should be a valid number"),
            (TrainConfig, {"warmup": 1}, "warmup: input should be less than 1, not 1"),
            (
                TrainConfig,
                {"decay": "cosin"},
                "decay: input should be 'cosine', 'linear', 'constant', 'step', 'inverse', 'plateau', 'one-cycle' or "
                "'cyclical', not 'cosin'; did you mean 'cosine'?",
            ),
            (TrainConfig, {"optimizer": "adamW2"}, "not 'adamW2'; did you mean 'adamw'?"),
            (TrainConfig, {"optimizer": "lion"}, "'keras-rmsprop' or 'muon', not 'lion'"),
            (TrainConfig, {"loss": "focl"}, "'focal' or 'asymmetric', not 'focl'; did you mean 'focal'?"),
            (TrainConfig, {"loss": {"gamma": 3}}, "gamma has no effect with bce, only with focal"),
            (
                TrainConfig,
                {"loss": {"kind": "focal", "margin": 0.1}},
                "margin has no effect with focal, only with asymm",
            ),
            (TrainConfig, {"loss": {"beta": 0.9}}, "beta has no effect with equal, only with effective-number"),
            (TrainConfig, {"loss": {"weights_file": "w.tsv"}}, "weights_file has no effect with equal, only with file"),
            (TrainConfig, {"loss": {"task_weights": "file"}}, "task_weights file needs a weights_file"),
            (TrainConfig, {"loss": {"gama": 1}}, "there is no key 'loss.gama'; did you mean 'gamma'?"),
            (
                TrainConfig,
                {"augment": "evoag"},
                "augment: should be a section, 'evoaug' or 'none', not 'evoag'; did you mean 'evoaug'?",
            ),
            (TrainConfig, {"augment": {"most": 3}}, "most has no effect without a change: give one of inversion"),
            (TrainConfig, {"augment": {"deletion": 5, "least": 3}}, "augment: least 3 is more than most, 2"),
            (TrainConfig, {"augment": {"mutation": 1.5}}, "augment.mutation: input should be less than or equal to 1"),
            (
                TrainConfig,
                {"augment": {"deletions": 5}},
                "there is no key 'augment.deletions'; did you mean 'deletion'?",
            ),
            (TrainConfig, {"resample_cap": 5}, "resample_cap has no effect without resample"),
            (TrainConfig, {"average": 0.9, "average_last": 0.2}, "give either average (EMA) or average_last (SWA)"),
            (TrainConfig, {"muon_momentum": 0.9}, "muon_momentum has no effect with adamw, only with muon"),
            (TrainConfig, {"decay_patience": 3}, "decay_patience has no effect with cosine, only with plateau"),
            (
                TrainConfig,
                {"decay_floor": 0.1},
                "decay_floor has no effect with cosine, only with plateau and cyclical",
            ),
            (TrainConfig, {"cycle_rise": 0.2}, "cycle_rise has no effect with cosine, only with one-cycle"),
            (
                TrainConfig,
                {"decay": "one-cycle", "warmup_steps": 10},
                "one-cycle rises by itself: set warmup to 0 and leave out warmup_steps",
            ),
            (TrainConfig, {"decay": "cyclical", "warmup": 0.2}, "cyclical rises by itself"),
            (
                TrainConfig,
                {"decay": "one-cycle", "optimizer": "rmsprop", "cycle_momentum": [0.95, 0.85]},
                "rmsprop has no momentum for cycle_momentum to move",
            ),
            (TrainConfig, {"momentum": 0.5}, "momentum has no effect with adamw, only with sgd"),
            (
                TrainConfig,
                {"optimizer": "sgd", "epsilon": 1e-7},
                "epsilon has no effect with sgd, only with adamw and adam",
            ),
            (TrainConfig, {"decay_rate": 1e-6}, "decay_rate has no effect with cosine, only with inverse"),
            (TrainConfig, {"warmup": 0.1, "warmup_steps": 5}, "give either warmup or warmup_steps"),
            (TrainConfig, {"betas": [0.9, 1]}, "betas.1: input should be less than 1, not 1"),
            (
                TrainConfig,
                {"output_bias": 1},
                "output_bias: should be 'prevalence', 'zero' or a share above 0 and below 1",
            ),
            (TrainConfig, {"output_bias": True}, "output_bias: should be"),
            (TrainConfig, {"output_bias": "none"}, "output_bias: should be"),
            (TrainConfig, {"output_bias": [0.5]}, "output_bias: should be"),
            (TrainConfig, {"batch_size": 1.5}, "batch_size: input should be a valid integer"),
            (TrainConfig, {"learning_rate": math.nan}, "learning_rate: input should be a finite number"),
            (BuildConfig, {**BUILD, "label": "overlap"}, "label: should be 'summit' or 'overlap:F'"),
            (BuildConfig, {**BUILD, "label": "overlap:1"}, "label: should be"),
            (BuildConfig, {**BUILD, "label": "overlap:-0.1"}, "label: should be"),
            (BuildConfig, {**BUILD, "label": "overlap:nan"}, "label: should be"),
            (BuildConfig, {**BUILD, "label": "Summit"}, "not 'Summit'; did you mean 'summit'?"),
            (
                BuildConfig,
                {**BUILD, "keep": "group:"},
                "keep: should be 'all', 'labelled', 'group:NAME' or 'bed:FILE', not 'group:'",
            ),
            (BuildConfig, {**BUILD, "keep": "labeled"}, "keep: should be"),
            (BuildConfig, {**BUILD, "outside": "clip"}, "outside: input should be 'error' or 'drop'"),
            (BuildConfig, {**BUILD, "min_positives": -1}, "min_positives: input should be greater than or equal to 0"),
            (BuildConfig, {**BUILD, "window": 999}, "window 999 and bin 200: the window should be wider by an even"),
            (BuildConfig, {**BUILD, "window": 100}, "window 100 and bin 200: the window should be wider"),
            (BuildConfig, {**BUILD, "bin": 0}, "bin: input should be greater than or equal to 1"),
            (BuildConfig, {"genome": "g.fa"}, "give either peaks (files) or tasks"),
            (BuildConfig, {**BUILD, "tasks": "t.tsv"}, "give either peaks (files) or tasks"),
            (PackConfig, {"table": "t.csv", "valid_fraction": 1}, "valid_fraction: input should be less than 1"),
            (SimulateConfig, {"seed": -1}, "seed: input should be greater than or equal to 0"),
            (SimulateConfig, {"gc": [0.1]}, "gc.1"),
            (RunConfig, {"run": "r", "seed": -1}, "seed: input should be greater than or equal to 0"),
            (RunConfig, {"run": None}, "run: input is not a valid path"),
            (RunConfig, {"run": "r", "train": 3}, "train: "),
            (RunConfig, {"run": "r", "train": [1]}, "train: "),
            (RunConfig, {"run": "r", 7: 1}, "7: keys should be strings"),
            (DataConfig, {"build": BUILD, "simulate": {}}, "give at most one of build, pack, deepsea and simulate"),
        ],
    )
    def test_wrong_values(self, section: type[Section], values: dict[str, Any], told: str) -> None:
        assert told in refused(section, values)

    @pytest.mark.parametrize("label", ["summit", "overlap:0", "overlap:0.5", "overlap:.999", "overlap:1e-3"])
    def test_label_rules(self, label: str) -> None:
        assert validate(BuildConfig, {**BUILD, "label": label}, "x").label == label

    def test_one_stands_for_several_and_numbers_for_names(self) -> None:
        config = validate(BuildConfig, {**BUILD, "valid": 7, "test": [8, "chr9", 10], "exclude": "a.bed"}, "x")
        assert (config.peaks, config.valid, config.test) == (("*.bed",), ("7",), ("8", "chr9", "10"))
        assert config.exclude == (Path("a.bed"),)

    @pytest.mark.parametrize("text", ["VII, IX", " VII ,IX,", ["VII", " IX "], ["VII,IX"], ("VII , IX",)])
    def test_chromosomes_are_separated_by_commas_with_or_without_blanks(self, text: Any) -> None:
        assert validate(BuildConfig, {**BUILD, "valid": text}, "x").valid == ("VII", "IX")
        assert validate(BuildConfig, {**BUILD, "test": "X:1,001-2,000, XI"}, "x").test == ("X:1,001-2,000", "XI")

    def test_an_empty_section_is_its_defaults(self) -> None:
        config = validate(RunConfig, {"run": "r", "train": None, "data": {"simulate": {}, "build": None}}, "x")
        assert config.train == TrainConfig()
        assert config.data == DataConfig(simulate=SimulateConfig())

    def test_a_loss_is_named_alone_or_with_its_settings(self) -> None:
        assert validate(TrainConfig, {"loss": "focal"}, "x") == validate(TrainConfig, {"loss": {"kind": "focal"}}, "x")
        assert validate(TrainConfig, {"loss": None}, "x") == TrainConfig()
        config = validate(TrainConfig, {"loss": {"kind": "focal", "alpha": None}}, "x")
        assert (config.loss.gamma, config.loss.alpha) == (2, None)

    def test_changes_are_named_together_or_one_by_one(self) -> None:
        config = validate(TrainConfig, {"augment": "evoaug"}, "x")
        assert config.augment.kinds == ("translocation", "insertion", "deletion", "mutation")
        assert (config.augment.deletion, config.augment.mutation, config.augment.least) == (20, 0.05, 2)
        nothing: tuple[Any, ...] = ("none", None, {})
        assert all(validate(TrainConfig, {"augment": none}, "x") == TrainConfig() for none in nothing)

    def test_is_frozen(self) -> None:
        with pytest.raises(ValidationError):
            TrainConfig().epochs = 3  # type: ignore[misc]

    def test_the_store_lies_in_the_run_unless_named(self) -> None:
        assert RunConfig(run=Path("r")).store == Path("r/data.zarr")
        assert RunConfig(run=Path("r"), data=DataConfig(store=Path("s.zarr"))).store == Path("s.zarr")


class TestReadRecipe:
    def test_overrides(self, tmp_path: Path) -> None:
        recipe = tmp_path / "r.yaml"
        recipe.write_text("run: r\ntrain:\n  epochs: 2\ndata:\n")
        overrides = ["train.epochs=3", "train.learning_rate=2e-3", "data.simulate.windows=50", "run=else", "seed=4",
                     "evaluate.splits=[test]", "report.title='a: b = c'"]  # fmt: skip
        config = read_recipe(recipe, overrides)
        assert (config.train.epochs, config.train.learning_rate, config.seed) == (3, 0.002, 4)
        assert config.data.simulate == SimulateConfig(windows=50)
        assert (config.run, config.evaluate.splits, config.report.title) == (Path("else"), ("test",), "a: b = c")

    @pytest.mark.parametrize(
        ("override", "told"),
        [
            ("train.epochs", "'train.epochs' sets nothing"),
            ("run.x=1", "'run.x': run is a value, not a section"),
            ("train.epoch=1", "there is no key 'train.epoch'; did you mean 'epochs'?"),
            ("trian.epochs=1", "there is no key 'trian'; did you mean 'train'?"),
            ("report.title=[", "'report.title=[': the value is not valid YAML"),
            ("report.title=a: b", "report.title: input should be a valid string"),
            ("=1", "there is no key ''"),
            ("train.epochs=", "train.epochs: input should be a valid number"),
        ],
    )
    def test_wrong_overrides(self, tmp_path: Path, override: str, told: str) -> None:
        recipe = tmp_path / "r.yaml"
        recipe.write_text("run: r\n")
        with pytest.raises(ConfigError) as caught:
            read_recipe(recipe, [override])
        assert told in str(caught.value)

    def test_a_missing_file_with_the_nearest(self, tmp_path: Path) -> None:
        (tmp_path / "yeast.yaml").write_text("run: r\n")
        with pytest.raises(ConfigError, match=r"yaest\.yaml does not exist") as caught:
            read_recipe(tmp_path / "yaest.yaml")
        assert caught.value.hint == f"did you mean '{tmp_path / 'yeast.yaml'}'?"
        with pytest.raises(ConfigError) as caught:
            read_recipe(tmp_path.with_name(tmp_path.name + "x") / "yaest.yaml")  # the folder is mistyped too
        assert caught.value.hint == f"did you mean '{tmp_path / 'yeast.yaml'}'?"
        with pytest.raises(ConfigError, match="does not exist"):
            read_recipe(tmp_path / "no" / "folder.yaml")

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"", "holds no sections"),
            (b"- a\n- b\n", "holds no sections"),
            (b"just text\n", "holds no sections"),
            (b"run: [\n", "is not valid YAML"),
            (b"run: a: b\n", "is not valid YAML"),
            (b"\xff\xfe\0\1", "is not text in UTF-8"),
            (b"run: !!python/object/apply:os.getcwd []\n", "is not valid YAML"),
        ],
    )
    def test_wrong_files(self, tmp_path: Path, content: bytes, told: str) -> None:
        recipe = tmp_path / "r.yaml"
        recipe.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            read_recipe(recipe)
        assert str(recipe) in caught.value.found
        assert told in caught.value.found

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="is an empty folder"):
            read_recipe(tmp_path)


class TestWriteRecipe:
    @settings(deadline=None, max_examples=40)
    @given(
        title=TEXT,
        tasks=st.lists(TEXT, max_size=3),
        parameters=st.dictionaries(
            st.text("abc_", min_size=1, max_size=4),
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.lists(TEXT, max_size=3),
            max_size=4,
        ),
        rate=st.floats(1e-12, 10),
        source=st.sampled_from([DataConfig(), DataConfig(simulate=SimulateConfig()),
                                DataConfig(build=BuildConfig(genome=Path("a b.fa"), peaks=("*.bed", "yes")))]),
    )  # fmt: skip
    def test_reading_it_back_gives_the_same(
        self, title: str, tasks: list[str], parameters: dict[str, Any], rate: float, source: DataConfig
    ) -> None:
        config = RunConfig(
            run=Path("runs/x"),
            data=source,
            model=ModelConfig(parameters=parameters),
            train=TrainConfig(learning_rate=rate),
            report=ReportConfig(title=title, tasks=tuple(tasks)),
        )
        values = yaml.safe_load(write_recipe(config))
        assert validate(RunConfig, values, "x") == config

    def test_every_key_has_its_docstring_above(self) -> None:
        text = write_recipe(RunConfig(run=Path("r")))
        lines = text.splitlines()
        for i, line in enumerate(lines):
            if not line.lstrip().startswith("#"):
                assert lines[i - 1].lstrip().startswith("# ")
                assert len(lines[i - 1].strip()) > 4
        assert "  # Number of epochs over the training split; a fraction is allowed.\n  epochs: 6\n" in text

    def test_every_shipped_recipe_is_read(self) -> None:
        recipes = sorted((Path(__file__).parents[1] / "recipes").rglob("*.yaml"))
        recipes = [recipe for recipe in recipes if recipe.parent.name != "spaces"]
        assert {recipe.name for recipe in recipes} >= {"demo.yaml", "yeast.yaml", "danq.yaml"}
        for recipe in recipes:
            config = read_recipe(recipe)
            assert validate(RunConfig, yaml.safe_load(write_recipe(config)), "x") == config


@pytest.mark.parametrize("key", ["train.epochs", "train.batch_size", "seed"])
def test_a_boolean_is_no_number(tmp_path: Path, key: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("run: r\n")
    with pytest.raises(ConfigError, match="should be a number, not true"):
        read_recipe(recipe, (f"{key}=true",))
