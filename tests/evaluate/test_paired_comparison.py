"""Two models on the same windows, from the files of their evaluations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from noncoder.compare import paired_text
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.evaluate import evaluate
from noncoder.evaluate.paired_comparison import compare_evaluations, read_evaluation
from noncoder.runs.results import PairedComparison
from tests.evaluate.made import few, labelled_store, predictor_of, truth


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return labelled_store(tmp_path_factory.mktemp("store") / "s.zarr")


@pytest.fixture(scope="module")
def runs(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The second has the same tasks in another order, the third only some of them."""
    folder = tmp_path_factory.mktemp("runs")
    made = {"one": (0, ()), "turned": (0, (4, 2, 0, 1, 3)), "other": (7, (4, 0, 2))}
    for name, (seed, order) in made.items():
        evaluate([predictor_of(store, seed, order)], store, "test", few(), folder / name / "evaluate/test")
    return {name: folder / name for name in made}


def compared(runs: dict[str, Path], *names: str) -> dict[str, Any]:
    return compare_evaluations([read_evaluation(name, runs[name], "test") for name in names], 100).to_json()


class TestCompareEvaluations:
    def test_tasks_are_matched_by_name(self, runs: dict[str, Path], store: Store) -> None:
        found = compared(runs, "one", "turned", "other")
        assert (found["split"], found["windows"]) == ("test", 300)
        assert [(pair["a"], pair["b"]) for pair in found["pairs"]] == [("one", "turned"), ("one", "other")]
        pair = found["pairs"][1]
        assert pair["only"] == {"one": ["t1", "t3"], "other": []}
        assert [row["task"] for row in pair["tasks"]] == ["t0", "t2", "t4"]
        labels, known = truth(store, "test")
        logits = {name: np.load(runs[name] / "evaluate/test/logits.npy") for name in ("one", "other")}
        for row, a, b in zip(pair["tasks"], (0, 2, 4), (1, 2, 0), strict=True):
            mask = known[:, a]
            for key, column in (("a", logits["one"][mask, a]), ("b", logits["other"][mask, b])):
                assert row[key] == pytest.approx(roc_auc_score(labels[mask, a], column), abs=1e-12)
                expected = average_precision_score(labels[mask, a], column)
                assert row[f"ap_{key}"] == pytest.approx(expected, abs=1e-12)
            assert row["difference"] == pytest.approx(row["a"] - row["b"])
            assert row["low"] < row["difference"] < row["high"]
            assert row["adjusted"] >= row["p"] > 0

    def test_means_are_those_of_the_tasks(self, runs: dict[str, Path]) -> None:
        pair = compared(runs, "one", "other")["pairs"][0]
        rows = {(row["name"], row["measure"]): row for row in pair["means"]}
        assert rows["mean", "auroc"]["a"] == pytest.approx(np.mean([row["a"] for row in pair["tasks"]]))
        assert rows["mean", "average_precision"]["difference"] == pytest.approx(
            np.mean([row["ap_a"] - row["ap_b"] for row in pair["tasks"]])
        )
        assert rows["group even", "auroc"]["tasks"] == 3
        for row in rows.values():
            assert row["low"] < row["difference"] < row["high"]
            assert 0 < row["p"] <= 1
            assert (row["p"] < 0.05) == (not row["low"] <= 0 <= row["high"])

    def test_a_model_differs_from_itself_by_nothing(self, runs: dict[str, Path], store: Store) -> None:
        pair = compared(runs, "one", "one")["pairs"][0]
        assert {row["difference"] for row in pair["means"]} == {0}
        assert {row["p"] for row in pair["means"]} == {1}
        for row in pair["tasks"]:
            if row["task"] == "t3":  # it has no positive in the test split
                assert row["p"] is None
            else:
                assert (row["difference"], row["p"], row["ap_p"]) == (0, 1, 1)

    def test_other_averaging_is_told(self, runs: dict[str, Path], store: Store, tmp_path: Path) -> None:
        assert compared(runs, "one", "other")["warnings"] == []
        evaluate([predictor_of(store)], store, "test", few(strands="forward"), tmp_path / "evaluate/test")
        found = compared(runs | {"plain": tmp_path}, "one", "plain")
        assert "(one: both strands, plain: forward strand)" in found["warnings"][0]
        assert f"careful: {found['warnings'][0]}" in paired_text(PairedComparison(**found))

    def test_a_mean_of_no_task_has_no_numbers(self, runs: dict[str, Path]) -> None:
        found = compared(runs, "one", "other")
        empty = dict.fromkeys(("a", "b", "difference", "low", "high", "p")) | {"tasks": 0}
        rows = [row | empty if row["name"] == "weighted" else row for row in found["pairs"][0]["means"]]
        text = paired_text(PairedComparison(**found | {"pairs": [found["pairs"][0] | {"means": rows}]}))
        assert re.search(r"weighted, AUROC \(0 tasks\) +-$", text, re.MULTILINE)

    def test_a_run_that_was_moved_with_its_data(self, tmp_path: Path) -> None:
        store = labelled_store(tmp_path / "run/data.zarr")
        evaluate([predictor_of(store)], store, "test", few(), tmp_path / "run/evaluate/test")
        (tmp_path / "run").rename(tmp_path / "moved")
        assert compared({"run": tmp_path / "moved"}, "run", "run")["windows"] == 300
        (tmp_path / "moved/data.zarr").rename(tmp_path / "gone")
        with pytest.raises(InputError, match="any more: the store that the runs were evaluated on"):
            compared({"run": tmp_path / "moved"}, "run", "run")


class TestBadInput:
    def test_a_split_that_was_not_evaluated(self, runs: dict[str, Path]) -> None:
        with pytest.raises(InputError, match="was not evaluated on the split 'tset', only on test") as caught:
            read_evaluation("one", runs["one"], "tset")
        assert "did you mean 'test'" in caught.value.hint
        with pytest.raises(InputError, match="was not evaluated") as caught:
            read_evaluation("none", runs["one"] / "none", "test")
        assert "noncoder evaluate" in caught.value.hint

    def test_other_data(self, runs: dict[str, Path], tmp_path: Path) -> None:
        other = labelled_store(tmp_path / "o.zarr", seed=9)
        evaluate([predictor_of(other)], other, "test", few(), tmp_path / "run/evaluate/test")
        with pytest.raises(InputError, match="different data"):
            compared(runs | {"far": tmp_path / "run"}, "one", "far")

    def test_a_store_that_has_changed(self, tmp_path: Path) -> None:
        store = labelled_store(tmp_path / "s.zarr")
        evaluate([predictor_of(store)], store, "test", few(), tmp_path / "run/evaluate/test")
        labelled_store(tmp_path / "s.zarr", seed=9, force=True)
        with pytest.raises(InputError, match="is not the store that the runs were evaluated on"):
            compared({"run": tmp_path / "run"}, "run", "run")
