"""The frame around the formats: tasks, the folder, what is kept of the source."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from noncoder.errors import InputError, UnknownNameError
from noncoder.importers import _numbered, import_weights
from noncoder.predictor import load
from tests.conftest import listing, random_dna
from tests.importers.test_report import TASKS, ReportModel, checkpoint


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(checkpoint(ReportModel("lstm", width=8)), tmp_path / "report.ckpt")
    return tmp_path / "report.ckpt"


def test_the_predictor_says_where_its_weights_are_from(file: Path, tmp_path: Path) -> None:
    summary = import_weights("report", str(file), str(tmp_path / "out"))
    predictor = load(tmp_path / "out")
    source = predictor.info["imported"]
    assert source == summary["imported"]
    assert source["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (source["format"], source["file"]) == ("report", "report.ckpt")
    assert (predictor.window, predictor.bin, predictor.model.name) == (1000, 200, "wideresnet-lstm")
    assert predictor.predict([random_dna(1000)]).shape == (1, TASKS)
    json.dumps(summary)


def test_tasks_without_a_sheet() -> None:
    tasks = _numbered(919)
    groups = [task.group for task in tasks]
    assert {group: groups.count(group) for group in dict.fromkeys(groups)} == {"DNase": 125, "TF": 690, "histone": 104}
    assert [tasks[i].group for i in (0, 124, 125, 814, 815, 918)] == ["DNase"] * 2 + ["TF"] * 2 + ["histone"] * 2
    assert [tasks[i].name for i in (0, 918)] == ["task000", "task918"]
    assert [(task.name, task.group) for task in _numbered(2)] == [("task0", ""), ("task1", "")]
    assert [task.name for task in _numbered(11)][-2:] == ["task09", "task10"]


@pytest.mark.parametrize("path_column", [True, False])
def test_tasks_of_a_sheet(path_column: bool, file: Path, tmp_path: Path) -> None:
    names = [f"t{i}" for i in range(TASKS)]
    lines = ["name\tgroup\tcell" + "\tpath" * path_column]
    lines += [f"{name}\tTF\tK562" + "\tx.bed" * path_column for name in names]
    (tmp_path / "sheet.tsv").write_text("\n".join(lines) + "\n")
    summary = import_weights("report", file, tmp_path / "out", tmp_path / "sheet.tsv")
    assert summary["groups"] == ["TF"]
    tasks = load(tmp_path / "out").tasks
    assert [task.name for task in tasks] == names
    assert {(task.group, task.cell, task.assay) for task in tasks} == {("TF", "K562", "")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\nonly\n", rf"sheet.tsv names 1 tasks\n.*{TASKS}, as many as"),
        ("group\nTF\n", r"has the columns group\n.*name, and any of"),
        ("name\n" + "a\n" * TASKS, "is named twice"),
    ],
)
def test_a_sheet_that_does_not_fit_is_told(text: str, message: str, file: Path, tmp_path: Path) -> None:
    (tmp_path / "sheet.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        import_weights("report", file, tmp_path / "out", tmp_path / "sheet.tsv")
    assert listing(tmp_path) == ["report.ckpt", "sheet.tsv"]


def test_what_is_there_is_kept_and_what_is_no_predictor_is_never_replaced(file: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()  # an empty folder is free
    import_weights("report", file, out)
    before = (out / "weights.safetensors").read_bytes()
    torch.save(checkpoint(ReportModel("lstm", width=16)), file)
    with pytest.raises(InputError, match="out already exists"):
        import_weights("report", file, out)
    assert (out / "weights.safetensors").read_bytes() == before
    import_weights("report", file, out, force=True)
    assert load(out).model.config.model_dump()["width"] == 16
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    for taken in (other, file):
        with pytest.raises(InputError, match="is no predictor, so it is not replaced"):
            import_weights("report", file, taken, force=True)
    assert listing(other) == ["notes.txt"]


def test_an_unknown_format_offers_the_nearest(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'danq-keras'"):
        import_weights("danq-kears", file, tmp_path / "out")


@pytest.mark.parametrize("kind", [torch.int64, torch.bool])
def test_weights_that_are_no_floating_point_numbers_are_told(kind: torch.dtype, tmp_path: Path) -> None:
    content = checkpoint(ReportModel("lstm", width=8))
    state = content["state_dict"]
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name] = state[name].to(kind)
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match="expected: floating-point numbers"):
        import_weights("report", tmp_path / "x.pth", tmp_path / "out")
