"""A model in a file outside of the package, from a recipe to a report, and when its file is run and when not."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import noncoder
from noncoder.cli import main
from noncoder.data.tasks import Task
from noncoder.errors import ConfigError
from noncoder.predictor import Predictor, PredictorError
from tests.conftest import random_dna, write_fasta
from tests.models.ownfiles import PLAIN, SPLIT, SUM, switch_account, write_model

WINDOW = 200
RAN = "__import__('pathlib').Path('ran').write_text('x')\n"
"""What leaves a trace where a file is run."""

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Program:
    """Runs the program in an empty folder: exit code, output and messages."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    switch_account(monkeypatch, tmp_path / "state")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["noncoder", *words])
        with pytest.raises(SystemExit) as done:
            main()
        printed = capsys.readouterr()
        return int(done.value.code or 0), printed.out, printed.err

    return run


def write_recipe(text: str = PLAIN) -> None:
    Path("nets").mkdir(exist_ok=True)
    write_model(Path("nets"), text)
    simulate = {"windows": 200, "tasks": 2, "window": WINDOW, "bin": 100, "chromosomes": 4}
    recipe = {
        "run": "runs/own",
        "data": {"simulate": simulate},
        "model": {"name": "nets/net.py:Net"},
        "train": {"epochs": 1, "batch_size": 16, "device": "cpu"},
        "evaluate": {"splits": ["test"], "resamples": 0},
        "interpret": {"windows": 4, "mutated": 1, "references": 1, "designs": 0, "grammar": 0},
    }
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    write_fasta(Path("in.fa"), {f"s{i}": random_dna(WINDOW, i) for i in range(3)})


def test_every_stage_and_verb(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_recipe()
    code, out, err = program("run", "recipe.yaml", "--json")
    assert code == 0, err
    assert json.loads(out)["evaluate"]["test"]["windows"] > 0
    assert Path("runs/own/report.html").is_file()
    assert Path("runs/own/predictor/source.py").read_text() == PLAIN
    described = json.loads(Path("runs/own/predictor/model.json").read_text())
    assert described["model"] == "nets/net.py:Net"
    assert described["source"]["path"] == str(Path("nets/net.py").absolute())
    assert described["parameters"] == {"channels": 6, "dropout": 0.1}
    task = described["tasks"][0]["name"]

    code, _, err = program("run", "recipe.yaml")
    assert code == 0, err
    assert "train     already done" in err
    for verb in (
        ("evaluate", "--split", "valid"),
        ("interpret", "--tasks", task, "--method", "gradcam"),
        ("predict", "in.fa", "--out", "p.tsv"),
        ("grammar", "--task", task, "--motif", "CTCF", "--out", "g.json"),
        ("design", "--task", task, "--out", "d.fa"),
    ):
        name, *options = verb
        code, _, err = program(name, "runs/own", *options)
        assert code == 0, (name, err)
    predictor = noncoder.load("runs/own")
    table = predictor.predict_table([random_dna(WINDOW, i) for i in range(3)], ["s0", "s1", "s2"])
    assert Path("p.tsv").read_text() == table.write_csv(separator="\t", float_precision=6)

    # The folder and the recipe's folder may be elsewhere, and the file may be gone or edited.
    first = predictor.predict([random_dna(WINDOW)])
    Path("nets/net.py").write_text(PLAIN.replace("self.act(", "-self.act("))
    shutil.copytree("runs/own", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(noncoder.load("moved").predict([random_dna(WINDOW)]), first)


def trained(program: Program, text: str = PLAIN) -> None:
    write_recipe(text)
    code, _, err = program("run", "recipe.yaml", "interpret.windows=0")
    assert code == 0, err


def test_training_goes_on_with_the_same_file_alone(program: Program) -> None:
    trained(program)
    write_model(Path("nets"), PLAIN.replace("0.1", "0.2"))
    for verb in ("run", "train"):
        code, _, err = program(verb, "recipe.yaml", "interpret.windows=0")
        assert code == 2
        assert ("model_source has changed" in err) if verb == "run" else ("finished training" in err)
    code, _, err = program("run", "recipe.yaml", "interpret.windows=0", "--force")
    assert code == 0, err
    assert "0.2" in Path("runs/own/predictor/source.py").read_text()


def test_a_folder_from_elsewhere_runs_nothing(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained(program, RAN + PLAIN)
    Path("ran").unlink()
    name = "noncoder_own_" + json.loads(Path("runs/own/predictor/model.json").read_text())["source"]["sha256"][:16]
    monkeypatch.delitem(sys.modules, name)
    switch_account(monkeypatch, tmp_path / "other")
    copy = Path("runs/own/predictor/source.py")
    for verb in (
        ("evaluate", "runs/own"),
        ("interpret", "runs/own"),
        ("predict", "runs/own", "in.fa", "--out", "p.tsv"),
    ):
        code, _, err = program(*verb, *(("--force",) if verb[0] == "evaluate" else ()))
        assert code == 2
        assert "that you have not named before" in err
        assert f"--model-source {copy}" in err
    with pytest.raises(PredictorError, match="have not named before"):
        noncoder.load("runs/own")
    assert not Path("ran").exists()

    # Named, it is run; from then on it is this user's as well.
    code, _, err = program("predict", "runs/own", "in.fa", "--out", "p.tsv", "--model-source", str(copy))
    assert code == 0, err
    assert Path("ran").read_text() == "x"
    assert noncoder.load("runs/own").predict([random_dna(WINDOW)]).shape == (1, 2)


def test_what_is_named_has_to_be_the_source(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained(program)
    write_model(Path("nets"), RAN + PLAIN)
    for here in (True, False):
        if not here:
            switch_account(monkeypatch, tmp_path / "other")
        with pytest.raises(PredictorError, match=r"nets/net\.py has changed, or is another file"):
            noncoder.load("runs/own", source="nets/net.py")
        code, _, err = program("evaluate", "runs/own", "--model-source", "nets/net.py")
        assert code == 2
        assert "has changed, or" in err
    with pytest.raises(PredictorError, match="does not exist"):
        noncoder.load("runs/own", source="nets/nothing.py")
    assert not Path("ran").exists()
    # Of several files the right one is taken.
    code, _, err = program(
        "predict", "runs/own", "in.fa", "--out", "p.tsv",
        "--model-source", "nets/net.py", "--model-source", "runs/own/predictor/source.py",
    )  # fmt: skip
    assert code == 0, err
    assert not Path("ran").exists()


def test_a_copy_that_is_gone_or_edited(program: Program) -> None:
    trained(program)
    copy = Path("runs/own/predictor/source.py")
    copy.write_text(RAN + PLAIN)
    with pytest.raises(PredictorError, match="missing or changed") as told:
        noncoder.load("runs/own")
    assert str(Path("nets/net.py").absolute()) in str(told.value)
    copy.unlink()
    with pytest.raises(PredictorError, match="missing or changed"):
        noncoder.load("runs/own")
    assert not Path("ran").exists()
    np.testing.assert_allclose(
        noncoder.load("runs/own", source="nets/net.py").predict([random_dna(WINDOW)]).sum(), 0.5, atol=1.5
    )


def test_a_description_alone_names_no_file(program: Program) -> None:
    trained(program)
    write_model(Path(), RAN + PLAIN, "evil.py")
    file = Path("runs/own/predictor/model.json")
    kept = json.loads(file.read_text())
    del kept["file_sha256"]
    for change in (
        {"model": "evil.py:Net", "source": None},
        {"model": "evil.py:Net", "source": {"file": "evil.py", "path": "evil.py", "class": "Net", "sha256": "0" * 64}},
        {"model": "evil.py:Net", "source": {"file": "evil.py"}},
        {"model": "evil.py"},
    ):
        file.write_text(json.dumps(kept | change))
        if change["model"] == "evil.py":  # the name is shown, the source decides
            noncoder.load("runs/own")
            continue
        with pytest.raises(PredictorError):
            noncoder.load("runs/own")
    kept.pop("source")
    file.write_text(json.dumps(kept | {"model": "evil.py:Net"}))
    with pytest.raises(PredictorError, match="damaged"):
        noncoder.load("runs/own")
    assert not Path("ran").exists()


def test_what_a_model_lacks_is_said(program: Program) -> None:
    write_recipe(SUM)
    code, _, err = program("run", "recipe.yaml", "interpret.windows=0")
    assert code == 0, err
    assert "has no last linear layer with a bias, so train.output_bias is not used" in err
    code, _, err = program("interpret", "runs/own", "--method", "gradcam", "--windows", "4", "--tasks", "CTCF")
    assert code == 2
    assert "has channels and positions" in err
    code, _, err = program("train", "recipe.yaml", "train.l1=0.1", "run=runs/l1", "data.store=runs/own/data.zarr")
    assert code == 2
    assert "train.l1" in err


def test_l1_and_output_bias_reach_the_last_layer(program: Program) -> None:
    write_recipe(SPLIT)
    code, _, err = program("run", "recipe.yaml", "interpret.windows=0", "train.l1=0.001", "train.output_bias=0.3")
    assert code == 0, err
    assert "output_bias" not in err


def test_one_tensor_under_two_names_is_saved(program: Program) -> None:
    trained(program, PLAIN.replace("        self.drop", "        self.again = self.reads\n        self.drop"))
    model = noncoder.load("runs/own").model
    assert torch.equal(model.state_dict()["network.again.weight"], model.state_dict()["network.reads.weight"])


def test_a_mistake_in_the_file_is_one_message(program: Program) -> None:
    write_recipe("import nothing_of_this_name\n" + PLAIN)
    code, _, err = program("run", "recipe.yaml")
    assert code == 2
    assert "net.py, line 1): ModuleNotFoundError" in err
    assert "Traceback" not in err
    assert not Path("runs/own/data.zarr").exists()


def test_the_page_of_the_docs_works(program: Program) -> None:
    page = (Path(__file__).parents[1] / "docs/how-to/own-models.md").read_text()
    Path("mynet.py").write_text(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)[0])
    shown, trains, *_ = (line for line in page.splitlines() if line.startswith("noncoder "))
    code, out, err = program(*shlex.split(shown, comments=True)[1:])
    assert code == 0, err
    assert "Two convolutions and a mean" in out
    write_recipe()
    small = ["train.epochs=1", "train.device=cpu", "interpret.windows=0", "evaluate.resamples=0"]
    words = [{"recipes/demo.yaml": "recipe.yaml"}.get(word, word) for word in shlex.split(trains, comments=True)[1:]]
    code, _, err = program(*words, *small)
    assert code == 0, err
    assert noncoder.load("runs/mynet").model.config.model_dump()["channels"] == 32


def test_the_python_way_needs_no_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    switch_account(monkeypatch, tmp_path / "state")
    model = noncoder.create_model(write_model(tmp_path), tasks=2, window=WINDOW)
    predictor = Predictor(model, (Task("a"), Task("b")), 100)
    predictor.save(tmp_path / "p")
    again = noncoder.load(tmp_path / "p")
    assert again.digest() == predictor.digest()
    again.save(tmp_path / "q")
    assert (tmp_path / "q/source.py").read_text() == PLAIN
    assert noncoder.load(tmp_path / "q").model.name == model.name
    with pytest.raises(ConfigError):
        noncoder.create_model(f"{tmp_path / 'net.py'}:Net", 2, WINDOW, {"nothing": 1})
