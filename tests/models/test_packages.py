"""Models of installed packages: entry points of the group `noncoder.models`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from noncoder.cli import main
from noncoder.data.tasks import Task
from noncoder.errors import InputError, UnknownNameError
from noncoder.models import create_model, list_models
from noncoder.predictor import Predictor, PredictorError, load
from tests.models.ownfiles import PLAIN
from tests.models.test_models import one_hot_dna

WINDOW = 60


def install(
    folder: Path, patch: pytest.MonkeyPatch, package: str = "mylab_nets", text: str = PLAIN, **points: str
) -> None:
    """A distribution as pip leaves it, on sys.path."""
    (folder / f"{package}.py").write_text(text)
    info = folder / f"{package}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    lines = [f"{name} = {package}:{attribute}" for name, attribute in (points or {"mynet": "Net"}).items()]
    (info / "entry_points.txt").write_text("[noncoder.models]\n" + "\n".join(lines) + "\n")
    patch.syspath_prepend(str(folder))
    patch.delitem(sys.modules, package, raising=False)


def test_a_package_brings_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    assert "mynet" in list_models()
    torch.manual_seed(0)
    model = create_model("mynet", 3, WINDOW, {"channels": 4}).eval()
    x = one_hot_dna(4, WINDOW)
    Predictor(model, tuple(map(Task, "abc")), 20).save(tmp_path / "p")
    described = json.loads((tmp_path / "p/model.json").read_text())
    assert described["package"] == {"name": "mylab_nets", "version": "1.2"}
    assert not (tmp_path / "p/source.py").exists()
    torch.testing.assert_close(load(tmp_path / "p").model(x), model(x))


def test_the_program_lists_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, monkeypatch, mynet="Net", broken="Nothing")
    monkeypatch.setattr(sys, "argv", ["noncoder", "models", "--json"])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    shown = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(shown)["models"]}
    assert rows["mynet"]["source"] == "package mylab_nets 1.2"
    assert rows["mynet"]["n_parameters"] > 0
    assert "Nothing" in rows["broken"]["about"]
    assert rows["broken"]["n_parameters"] is None


def test_a_package_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        install(tmp_path, patch)
        Predictor(create_model("mynet", 3, WINDOW), tuple(map(Task, "abc")), 20).save(tmp_path / "p")
    with pytest.raises(PredictorError, match=r"not installed\nexpected: the package mylab_nets, version 1.2"):
        load(tmp_path / "p")
    (tmp_path / "other").mkdir()
    install(tmp_path / "other", monkeypatch, "somebody_elses")
    with pytest.raises(PredictorError, match="comes from the package somebody_elses"):
        load(tmp_path / "p")


def test_packages_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, text="import nothing_of_this_name\n")
    with pytest.raises(InputError, match=r"package mylab_nets cannot be imported: ModuleNotFoundError"):
        create_model("mynet", 3, WINDOW)
    with pytest.raises(UnknownNameError, match="did you mean 'mynet'"):
        create_model("mynett", 3, WINDOW)
    (tmp_path / "other").mkdir()
    install(tmp_path / "other", monkeypatch, "somebody_elses")
    with pytest.raises(InputError, match="2 packages have a model 'mynet': mylab_nets, somebody_elses"):
        create_model("mynet", 3, WINDOW)


def test_a_built_in_name_stays_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, compact="Net")
    assert create_model("compact", 2, WINDOW).origin is None
    assert list_models().count("compact") == 1
