"""Tests of interpret/interpretation_stage.py and of the steps of a task: files, resuming, and what a user is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noncoder.config import InterpretConfig
from noncoder.data.store import Store
from noncoder.errors import InputError, UnknownNameError
from noncoder.files import read_json
from noncoder.interpret import job, task_arrays
from noncoder.interpret.attribution import attribute
from noncoder.interpret.interpretation_stage import InterpretationStage
from noncoder.interpret.task_arrays import load_arrays
from noncoder.predictor import Predictor
from noncoder.runs.folder import InterpretFolder
from tests.conftest import write_fasta
from tests.evaluate.made import WINDOW, labelled_store, predictor_of


def settings(**changes: Any) -> InterpretConfig:
    small = {"tasks": ["t1"], "windows": 6, "mutated": 2, "references": 2, "designs": 0, "filters": False}
    return InterpretConfig(**(small | {"taxon": "fungi"} | changes))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return labelled_store(tmp_path_factory.mktemp("stage") / "data.zarr")


@pytest.fixture(scope="module")
def predictor(store: Store) -> Predictor:
    return predictor_of(store)


def stage(folder: Path, predictor: Predictor, store: Store | None, force: bool = False, **changes: Any) -> Any:
    return InterpretationStage(InterpretFolder(folder), predictor, store, settings(**changes), force)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, predictor: Predictor, store: Store) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("done")
    return folder, stage(folder, predictor, store, designs=1, filters=True).interpret()


class TestFiles:
    def test_a_task_has_them_all(self, done: tuple[Path, dict[str, Any]]) -> None:
        folder = done[0] / "tasks" / "t1.deeplift"
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert {
            "attributions.npz", "attributions.bw", "attributions.bed", "hits.bed", "gradcam.npz", "ism.npz",
            "patterns.json", "summary.json", "made-from.json", "design.json", "figures/window-1.png",
            "figures/mutagenesis.png", "figures/windows.png",
        } <= names  # fmt: skip

    def test_the_arrays_are_of_the_windows(
        self, done: tuple[Path, dict[str, Any]], predictor: Predictor, store: Store
    ) -> None:
        stored = load_arrays(done[0] / "tasks" / "t1.deeplift" / "attributions.npz")
        assert stored is not None
        assert np.array_equal(stored["codes"], store.read_codes(stored["row"]))
        assert store.read_labels(stored["row"])[:, 1].all()
        logits = predictor.predict_logits(stored["codes"], "forward")[:, 1]
        np.testing.assert_allclose(stored["logit"], logits, rtol=1e-5, atol=1e-5)
        assert stored["values"].shape == (6, 4, WINDOW)

    def test_the_summary_says_what_was_found(self, done: tuple[Path, dict[str, Any]]) -> None:
        (task,) = done[1]["done"]
        assert task["task"] == "t1"
        assert task["windows"] == 6
        assert task["completeness"]["claimed"]
        assert task["agreement"]["windows"] == 2
        assert -1 <= task["agreement"]["method_ism_spearman"] <= 1
        assert 0 <= task["auroc"] <= 1
        assert task["motifs"] == []
        assert task["diagnosis"]["text"]
        assert read_json(done[0] / "tasks" / "t1.deeplift" / "summary.json") == task
        assert done[1]["tasks"] == [{"task": "t1", "method": "deeplift", "folder": "t1.deeplift"}]

    def test_kernels_of_the_first_convolution(self, done: tuple[Path, dict[str, Any]]) -> None:
        rows = json.loads((done[0] / "filters" / "filters.json").read_text())
        assert done[1]["filters"]["n"] == len(rows) <= 8


class TestAgain:
    def test_what_was_done_is_read(
        self, done: tuple[Path, dict[str, Any]], predictor: Predictor, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(job, "attribute", None)
        again = stage(done[0], predictor, store, designs=1, filters=True).interpret()
        assert again == done[1]

    def test_an_interrupted_task_goes_on(
        self, tmp_path: Path, predictor: Predictor, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(job, "mutate", stop)
            with pytest.raises(KeyboardInterrupt):
                stage(tmp_path, predictor, store).interpret()
        # All that `attribute` was needed for is there.
        monkeypatch.setattr(job, "attribute", stop)
        assert stage(tmp_path, predictor, store).interpret()["done"][0]["agreement"]["windows"] == 2

    @pytest.mark.parametrize(("method", "times"), [("gradcam", 1), ("saliency", 2)])
    def test_each_part_is_computed_once_and_not_read_back(
        self, tmp_path: Path, predictor: Predictor, store: Store, monkeypatch: pytest.MonkeyPatch, method: str,
        times: int,
    ) -> None:  # fmt: skip
        called: list[str] = []

        def counted(name: str) -> Callable[..., Any]:
            do = getattr(job, name)

            def call(*arguments: Any) -> Any:
                called.append(name)
                return do(*arguments)

            return call

        for name in ("attribute", "mutate"):
            monkeypatch.setattr(job, name, counted(name))
        monkeypatch.setattr(task_arrays, "read_arrays", lambda path: pytest.fail(f"{path} is read"))
        stage(tmp_path, predictor, store, method=method).interpret()
        assert sorted(called) == ["attribute"] * times + ["mutate"]
        monkeypatch.undo()
        folder = tmp_path / "tasks" / f"t1.{method}"
        written = {name: load_arrays(folder / f"{name}.npz") for name in ("attributions", "gradcam", "ism")}
        assert all(written.values())
        if method == "gradcam":
            cam, values = written["gradcam"], written["attributions"]
            assert cam is not None
            assert values is not None
            np.testing.assert_array_equal(cam["cam"], attribute(
                predictor.model, values["codes"], 1, "gradcam").projected)  # fmt: skip

    @pytest.mark.parametrize("name", ["attributions.npz", "gradcam.npz", "ism.npz", "patterns.json", "design.json",
                                      "summary.json", "made-from.json"])  # fmt: skip
    def test_what_is_damaged_is_made_again(
        self, done: tuple[Path, dict[str, Any]], predictor: Predictor, store: Store, tmp_path: Path, name: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        folder = Path(shutil.copytree(done[0], tmp_path / "copy"))
        path = folder / "tasks/t1.deeplift" / name
        content = bytearray(path.read_bytes()) or bytearray(b"x")
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
        (again,) = stage(folder, predictor, store, designs=1).interpret()["done"]
        assert name in capsys.readouterr().err
        (first,) = done[1]["done"]
        aside = {"folder": "", "digests": {}}  # a design says how long it took
        assert again | aside == first | aside
        found, expected = (load_arrays(at / "tasks/t1.deeplift/attributions.npz") for at in (folder, done[0]))
        assert found is not None
        assert expected is not None
        assert np.array_equal(found["values"], expected["values"])

    @pytest.mark.parametrize(
        ("name", "other"),
        [("attributions.npz", "gradcam.npz"), ("ism.npz", "gradcam.npz"), ("gradcam.npz", "ism.npz"),
         ("summary.json", "design.json")],
    )  # fmt: skip
    def test_what_was_exchanged_is_made_again(
        self, done: tuple[Path, dict[str, Any]], predictor: Predictor, store: Store, tmp_path: Path, name: str,
        other: str, capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        folder = Path(shutil.copytree(done[0], tmp_path / "copy"))
        shutil.copy(folder / "tasks/t1.deeplift" / other, folder / "tasks/t1.deeplift" / name)
        (again,) = stage(folder, predictor, store, designs=1).interpret()["done"]
        assert name in capsys.readouterr().err
        aside = {"folder": "", "digests": {}}
        assert again | aside == done[1]["done"][0] | aside

    def test_another_way_asks_for_force(
        self, done: tuple[Path, dict[str, Any]], predictor: Predictor, store: Store, tmp_path: Path
    ) -> None:
        with pytest.raises(InputError, match=r"interpret\.references was 2, now 3"):
            stage(done[0], predictor, store, designs=1, references=3).interpret()
        first = stage(tmp_path, predictor, store, mutated=0).interpret()
        second = stage(tmp_path, predictor, store, force=True, mutated=0, references=3).interpret()
        assert first["done"][0]["completeness"] != second["done"][0]["completeness"]

    def test_another_method_stands_beside(self, tmp_path: Path, predictor: Predictor, store: Store) -> None:
        stage(tmp_path, predictor, store, mutated=0).interpret()
        summary = stage(tmp_path, predictor, store, mutated=0, method="gradcam").interpret()
        # What was asked for last comes first.
        assert [task["folder"] for task in summary["tasks"]] == ["t1.gradcam", "t1.deeplift"]
        assert "positions, not bases" in summary["done"][0]["diagnosis"]["text"][0]

    def test_other_weights_are_looked_into_anew(self, tmp_path: Path, predictor: Predictor, store: Store) -> None:
        before = stage(tmp_path, predictor, store, mutated=0).interpret()
        after = stage(tmp_path, predictor_of(store, seed=1), store, mutated=0).interpret()
        assert before["done"][0]["auroc"] != after["done"][0]["auroc"]

    def test_a_mistake_lets_go_of_nothing(self, tmp_path: Path, predictor: Predictor, store: Store) -> None:
        stage(tmp_path, predictor, store, mutated=0).interpret()
        before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        for wrong in ({"layer": "nope"}, {"taxon": "fungus"}, {"tasks": ["t1", "t3"], "split": "test"}):
            with pytest.raises((InputError, UnknownNameError)):
                stage(tmp_path, predictor, store, force="tasks" not in wrong, mutated=0, **wrong).interpret()
            assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before

    def test_pictures_in_another_format_are_drawn(self, tmp_path: Path, predictor: Predictor, store: Store) -> None:
        stage(tmp_path, predictor, store, mutated=0).interpret()
        stage(tmp_path, predictor, store, mutated=0, figures=["svg"]).interpret()
        assert (tmp_path / "tasks/t1.deeplift/figures/window-1.svg").is_file()


class TestSources:
    def test_regions(self, tmp_path: Path, predictor: Predictor, store: Store) -> None:
        bed = tmp_path / "some.bed"
        bed.write_text("a\t100\t110\na\t900\t910\n")
        summary = stage(tmp_path / "i", predictor, store, regions=bed).interpret()
        assert summary["tasks"][0]["folder"] == "t1.deeplift.some.bed"
        assert summary["done"][0]["windows"] == 2
        assert (tmp_path / "i" / "tasks" / "t1.deeplift.some.bed" / "attributions.bw").is_file()

    def test_sequences_need_no_store(self, tmp_path: Path, predictor: Predictor) -> None:
        fasta = write_fasta(tmp_path / "some.fa", {"one": "ACGT" * 20, "none": "N" * WINDOW})
        summary = stage(tmp_path / "i", predictor, None, sequences=fasta).interpret()["done"][0]
        assert summary["auroc"] is None
        assert any("cropped" in note for note in summary["notes"])
        assert any("all N" in warning for warning in summary["warnings"])
        assert not list((tmp_path / "i").rglob("*.bw"))


class TestMistakes:
    def test_unknown_task(self, tmp_path: Path, predictor: Predictor, store: Store) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 't1'"):
            stage(tmp_path, predictor, store, tasks=["T1x"]).interpret()

    def test_unknown_layer(self, tmp_path: Path, predictor: Predictor, store: Store) -> None:
        with pytest.raises(InputError, match=r"blocks\.0"):
            stage(tmp_path, predictor, store, layer="block.0").interpret()

    def test_no_store_and_no_sequences(self, tmp_path: Path, predictor: Predictor) -> None:
        with pytest.raises(InputError, match="no store"):
            stage(tmp_path, predictor, None).interpret()

    def test_two_sources(self) -> None:
        with pytest.raises(ValueError, match="not both"):
            settings(regions="a.bed", sequences="a.fa")

    def test_names_that_no_file_may_have(self, tmp_path: Path, store: Store) -> None:
        names = ["a/b|c", "A/B|c", "..", "ä" * 80, "t"]
        other = labelled_store(tmp_path / "data.zarr", names=names)
        made = [stage(tmp_path, predictor_of(other), other)._folder_name(i) for i in range(5)]
        assert len({name.casefold() for name in made}) == 5
        assert all("/" not in name and not name.startswith(".") for name in made)
