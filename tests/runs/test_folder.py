"""The names of a run's files stand in one module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import noncoder
from noncoder.runs import folder
from noncoder.runs.folder import RunFolder

SOURCE = Path(noncoder.__file__).parent
SHARED = {"zarr.json", "tasks.tsv", "made-from.json", "data.json"}
"""Names that other folders use for something else, such as DeepSEA's own table of tasks."""


def literals(path: Path) -> Iterator[str]:
    """The texts of a module that are no docstrings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            yield node.value


def names(path: Path) -> set[str]:
    return {text for text in literals(path) if Path(text).suffix and " " not in text and not text.startswith("*")}


def test_no_other_module_spells_a_name() -> None:
    known = names(Path(folder.__file__)) - SHARED
    assert {"summary.json", "logits.npy", "best.ckpt", "model.json", "study.db"} <= known
    for path in SOURCE.rglob("*.py"):
        if path != Path(folder.__file__):
            assert (path, known & set(literals(path))) == (path, set())


def test_paths() -> None:
    run = RunFolder(Path("r"))
    assert run.evaluate.split("test").logits == Path("r/evaluate/test/logits.npy")
    assert run.interpret.task("CTCF.deeplift").summary == Path("r/interpret/tasks/CTCF.deeplift/summary.json")
    assert run.train.best_of_step(7) == Path("r/train/best-00000007.ckpt")
    assert run.train.best_of_step("*") == Path("r/train/best-*.ckpt")
    assert run.predictor.names() == {"weights.safetensors", "model.json"}
    assert run.tune.trial("0001") == Path("r/tune/trials/0001")


def test_splits_are_the_folders_without_a_dot(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert list(run.evaluate.splits()) == []
    for name in ("test", "valid", ".valid-x"):
        (run.evaluate.path / name).mkdir(parents=True)
    (run.evaluate.path / "notes.txt").touch()
    assert {split.path.name for split in run.evaluate.splits()} == {"test", "valid"}
