"""The files of an evaluation say what the plain way over the same predictions says."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from noncoder.benchmarks import task_scores
from noncoder.cli.evaluate import evaluation_lines
from noncoder.config import EvaluateConfig
from noncoder.data.store import Store
from noncoder.data.tasks import Task
from noncoder.errors import InputError
from noncoder.evaluate import evaluate
from noncoder.evaluate.evaluation_stage import EvaluationStage
from noncoder.evaluate.influence import most_influential
from noncoder.metrics import Blocks, auroc
from noncoder.metrics.temperature import Temperatures
from noncoder.metrics.uncertainty import BootstrapDraws, Resampled
from noncoder.predictor import load
from noncoder.report.run_files import read_splits
from noncoder.runs.folder import EvaluateFolder
from noncoder.runs.results import SplitSummary
from tests.conftest import listing, make_store, random_genome
from tests.evaluate.made import WINDOW, T, few, labelled_store, predictor_of, truth

FILES = ["curves.npz", "logits.npy", "summary.json", "tasks.parquet", "tasks.tsv"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return labelled_store(tmp_path_factory.mktemp("store") / "s.zarr")


@pytest.fixture(scope="module")
def folder(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    evaluate([predictor_of(store)], store, "test", few(), folder)
    return folder


class TestFiles:
    def test_are_these(self, folder: Path) -> None:
        assert listing(folder) == FILES

    def test_logits_are_those_of_the_predictor(self, folder: Path, store: Store) -> None:
        logits = np.load(folder / "logits.npy")
        assert logits.flags.f_contiguous
        expected = predictor_of(store).predict_store(store, store.indices("test"))
        np.testing.assert_allclose(logits, expected, atol=1e-5)

    def test_the_table_is_that_of_the_plain_way(self, folder: Path, store: Store) -> None:
        table, logits, (labels, known) = pl.read_parquet(folder / "tasks.parquet"), np.load(folder / "logits.npy"), (
            truth(store, "test"))  # fmt: skip
        assert table["task"].to_list() == [f"t{i}" for i in range(T)]
        assert table["left_out"].to_list() == ["", "", "", "no positive", ""]
        assert table["train_positives"].to_list() == store.positives("train").tolist()
        for task, row in enumerate(table.iter_rows(named=True)):
            y, z = labels[known[:, task], task], logits[known[:, task], task]
            assert (row["windows"], row["positives"]) == (y.size, y.sum())
            p = 1 / (1 + np.exp(-z.astype(float)))
            assert row["log_loss"] == pytest.approx(log_loss(y, p, labels=[0, 1]), abs=1e-9)
            assert row["brier"] == pytest.approx(np.mean((p - y) ** 2), abs=1e-9)
            if task == 3:
                assert all(row[key] is None for key in ("auroc", "average_precision", "auroc_low", "best_f1"))
                continue
            assert row["auroc"] == pytest.approx(roc_auc_score(y, z), abs=1e-12)
            assert row["average_precision"] == pytest.approx(average_precision_score(y, z), abs=1e-12)
            assert row["auroc_low"] < row["auroc"] < row["auroc_high"]
            called = p >= row["best_f1_threshold"] - 1e-12
            assert row["best_f1"] == pytest.approx(2 * (y[called].sum()) / (called.sum() + y.sum()), abs=1e-9)

    def test_the_text_says_the_same(self, folder: Path) -> None:
        table = pl.read_parquet(folder / "tasks.parquet")
        text = pl.read_csv(folder / "tasks.tsv", separator="\t")
        assert text.columns == table.columns
        np.testing.assert_allclose(
            text["auroc"].cast(pl.Float64).to_numpy(), table["auroc"].to_numpy(), atol=1e-6, equal_nan=True
        )

    def test_the_summary_names_its_means(self, folder: Path, store: Store) -> None:
        summary = json.loads((folder / "summary.json").read_text())
        auroc = pl.read_parquet(folder / "tasks.parquet")["auroc"].to_numpy().astype(float)
        weights = store.positives("train")
        defined = ~np.isnan(auroc)
        assert (summary["tasks"], summary["scored"], summary["undefined"]) == (T, T - 1, ["t3"])
        assert summary["left_out"] == {"no positive": ["t3"]}
        assert summary["mean"]["auroc"] == pytest.approx(np.nanmean(auroc))
        assert summary["mean"]["tasks"] == T - 1
        assert summary["median"]["auroc"] == pytest.approx(np.nanmedian(auroc))
        assert summary["weighted"]["auroc"] == pytest.approx(np.average(auroc[defined], weights=weights[defined]))
        assert summary["weighted_as_report"]["auroc"] == pytest.approx(
            (np.nan_to_num(auroc) * weights).sum() / weights.sum()
        )
        assert summary["groups"]["even"]["tasks"] == 3
        assert summary["groups"]["even"]["auroc"] == pytest.approx(np.nanmean(auroc[::2]))
        low, high = summary["mean"]["interval"]["auroc"]
        assert low < summary["mean"]["auroc"] < high
        assert summary["bootstrap"]["blocks"] > 20
        assert summary["bootstrap"]["few"] is (summary["bootstrap"]["blocks"] < 50)
        labels, known = truth(store, "test")
        assert summary["prevalence"] == pytest.approx((labels * known).sum() / known.sum())

    def test_the_stretch_that_a_mean_hangs_on_most(self, folder: Path, store: Store) -> None:
        """A mean without each stretch, by leaving out its windows."""
        bootstrap = json.loads((folder / "summary.json").read_text())["bootstrap"]
        indices, logits, (labels, known) = store.indices("test"), np.load(folder / "logits.npy"), truth(store, "test")
        of = store.start[indices] // bootstrap["block"]
        without = {
            stretch: float(np.nanmean(auroc(logits[of != stretch], labels[of != stretch], known[of != stretch])))
            for stretch in np.unique(of)
        }
        whole = float(np.nanmean(auroc(logits, labels, known)))
        most = max(without, key=lambda stretch: abs(without[stretch] - whole))
        found = bootstrap["most_influential"]["auroc"]
        assert found["without"] == pytest.approx(without[most])
        assert found["change"] == pytest.approx(without[most] - whole)
        assert found["windows"] == (of == most).sum()
        bins = store.intervals(indices[of == most])
        assert found["stretch"] == f"a:{bins[0].start + 1:,}-{bins[-1].end:,}"

    def test_a_stretch_that_lowers_the_mean_counts_like_one_that_raises_it(self, store: Store) -> None:
        """Without the second of three stretches the AUROC falls by most, without the third the precision rises."""

        def drawn(*left_out: float) -> BootstrapDraws:
            return BootstrapDraws(np.array([0.5]), np.full((2, 1), 0.5), np.array(left_out)[:, None], True)

        indices = np.arange(6)
        way = SimpleNamespace(resampled=Resampled(drawn(0.6, 0.2, 0.5), drawn(0.45, 0.6, 0.8)))
        blocks = Blocks(np.repeat(np.arange(3, dtype=np.int32), 2), 100)
        measured: Any = SimpleNamespace(blocks=blocks, ways=[way], measures=SimpleNamespace(auroc=np.zeros(1)))
        found = most_influential(measured, store, indices)
        assert found is not None
        assert (found.auroc.change, found.auroc.without) == pytest.approx((-0.3, 0.2))
        assert (found.average_precision.change, found.average_precision.without) == pytest.approx((0.3, 0.8))
        starts = [store.intervals([row])[0].start + 1 for row in (2, 4)]
        shown = [one.stretch.split(":")[1].split("-")[0] for one in (found.auroc, found.average_precision)]
        assert shown == [f"{start:,}" for start in starts]

    def test_tasks_without_a_rank_are_in_no_mean_of_probabilities(self, folder: Path, store: Store) -> None:
        summary, table = json.loads((folder / "summary.json").read_text()), pl.read_parquet(folder / "tasks.parquet")
        ranked = ~np.isnan(table["auroc"].to_numpy().astype(float))
        assert ranked.sum() == T - 1
        weights = store.positives("train")[ranked]
        for name in ("log_loss", "brier"):
            values = table[name].to_numpy()[ranked]
            assert np.isfinite(table[name].to_numpy()).all()
            assert summary["mean"][name] == pytest.approx(values.mean())
            assert summary["median"][name] == pytest.approx(np.median(values))
            assert summary["weighted"][name] == pytest.approx(np.average(values, weights=weights))

    def test_the_loss_is_that_of_training(self, folder: Path, store: Store) -> None:
        labels, known = (torch.from_numpy(part.astype(np.float64)) for part in truth(store, "test"))
        logits = torch.from_numpy(np.load(folder / "logits.npy").astype(np.float64))
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, known, reduction="sum")
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["loss"] == pytest.approx(float(expected / known.sum()), abs=1e-9)
        assert summary["calibration"] is None  # nobody gave temperatures, and this is not the validation split

    def test_curves_have_a_row_a_task(self, folder: Path) -> None:
        with np.load(folder / "curves.npz", allow_pickle=False) as curves:
            assert {len(curves[name]) for name in curves.files} == {T}
            assert "reliability_predicted" in curves.files


class TestAveraging:
    def test_each_way_stands_beside_the_plain_one(self, store: Store, tmp_path: Path) -> None:
        first, second = predictor_of(store), predictor_of(store, 1, [4, 2, 0, 1, 3])
        config = few(shifts=(-7, 7), calibrate=False)
        summary = evaluate([first, second], store, "test", config, tmp_path).to_json()
        rows = summary["averaging"]
        assert [row["name"] for row in rows] == [
            "forward strand", "both strands", "both strands, 3 shifts", "both strands, 3 shifts of 2 models",
        ]  # fmt: skip
        assert rows[-1]["mean"] == {key: summary["mean"][key] for key in ("auroc", "average_precision")}
        assert rows[0]["difference"] == {"auroc": 0, "average_precision": 0, "interval": None}
        for row in rows[1:]:
            low, high = row["difference"]["interval"]["auroc"]
            assert low <= row["difference"]["auroc"] <= high
        alone = evaluate([first], store, "test", few(strands="forward"), tmp_path / "forward").to_json()
        assert not any("against the first" in line for line in evaluation_lines(SplitSummary(**alone)))
        assert alone["mean"]["auroc"] == pytest.approx(rows[0]["mean"]["auroc"], abs=1e-12)
        assert sorted([*FILES, "forward"]) == listing(tmp_path)

    @pytest.mark.parametrize(
        ("config", "why"),
        [
            (EvaluateConfig(resamples=0), "evaluate.resamples is 0"),
            (EvaluateConfig(block=10**6), "all windows lie in one genome block of 1,000,000 bp"),
        ],
    )
    def test_where_there_are_no_intervals_it_is_said_why(
        self, store: Store, tmp_path: Path, config: EvaluateConfig, why: str
    ) -> None:
        summary = evaluate([predictor_of(store)], store, "test", config, tmp_path).to_json()
        assert summary["bootstrap"] is None
        assert summary["no_intervals"] == why
        assert f"no intervals: {why}" in "\n".join(evaluation_lines(SplitSummary(**summary)))
        assert summary["mean"]["interval"] is None
        assert "auroc_low" not in pl.read_parquet(tmp_path / "tasks.parquet").columns


class TestStage:
    def stage(self, store: Store, folder: Path, **changes: Any) -> EvaluationStage:
        force = changes.pop("force", False)
        return EvaluationStage(EvaluateFolder(folder), [predictor_of(store)], store, few(**changes), force)

    def test_temperatures_come_from_validation(self, store: Store, tmp_path: Path) -> None:
        test = self.stage(store, tmp_path / "one").evaluate("test").to_json()
        assert listing(tmp_path / "one") == ["test"]  # validation was predicted, and left nothing
        both = self.stage(store, tmp_path / "two")
        valid, again = both.evaluate("valid").to_json(), both.evaluate("test").to_json()
        assert test["calibration"] == again["calibration"]
        assert valid["calibration"]["same_windows"]
        assert not test["calibration"]["same_windows"]
        # On the windows that they were fitted on they can only help.
        assert valid["calibration"]["after"]["log_loss"] < valid["calibration"]["before"]["log_loss"]
        table = pl.read_parquet(tmp_path / "two/test/tasks.parquet")
        z, (labels, known) = np.load(tmp_path / "two/test/logits.npy"), truth(store, "test")
        p = 1 / (1 + np.exp(-z[:, 0].astype(float) / table["temperature"][0]))
        assert table["log_loss_calibrated"][0] == pytest.approx(log_loss(labels[known[:, 0], 0], p[known[:, 0]]))

    def test_are_kept_with_the_predictor(self, store: Store, tmp_path: Path) -> None:
        stage = self.stage(store, tmp_path / "evaluate")
        predictor_of(store).save(tmp_path / "predictor")
        # Those of a network that knows nothing are all at the bound, whatever their order.
        stage.temperatures = Temperatures(np.array([0.5, 1.0, 2.0, 3.0, 9.0]), np.ones(T, dtype=bool), 1.0)
        stage.save_temperatures(tmp_path / "predictor")
        loaded, plain = load(tmp_path), predictor_of(store)
        codes = store.read_codes(store.indices("test")[:20])
        expected = 1 / (1 + np.exp(-plain.predict_logits(codes).astype(float) / stage.temperatures.values))
        np.testing.assert_allclose(loaded.predict(codes), expected, atol=1e-6)
        np.testing.assert_array_equal(loaded.predict_logits(codes), plain.predict_logits(codes))

    def test_only_those_of_the_predictor_alone_are_kept(self, store: Store, tmp_path: Path) -> None:
        ensemble = EvaluationStage(
            EvaluateFolder(tmp_path), [predictor_of(store), predictor_of(store, 1)], store, few()
        )
        with pytest.raises(InputError, match="temperatures of an ensemble do not fit the predictor alone"):
            ensemble.check_saving()
        with pytest.raises(InputError, match="temperatures of shifted windows"):
            self.stage(store, tmp_path, shifts=(5,)).check_saving()
        with pytest.raises(InputError, match="no temperatures to save: calibrate is false"):
            self.stage(store, tmp_path, calibrate=False).check_saving()
        unsplit = make_store(tmp_path / "u.zarr", {"a": "ACGT" * 20}, [("a", 0)], np.ones((1, 2), np.uint8),
                             window=WINDOW)  # fmt: skip
        with pytest.raises(InputError, match=r"u\.zarr has no validation split"):
            self.stage(unsplit, tmp_path).check_saving()
        self.stage(store, tmp_path).check_saving()

    def test_an_ensemble_that_was_moved_is_the_same(self, store: Store, tmp_path: Path) -> None:
        for place in ("here", "there"):
            config = few(ensemble=(tmp_path / place,))
            stage = EvaluationStage(
                EvaluateFolder(tmp_path / "e"), [predictor_of(store), predictor_of(store, 1)], store, config
            )
            stage.evaluate("test").to_json()  # the second time would be an error, were it another way of measuring
        other = EvaluationStage(
            EvaluateFolder(tmp_path / "e"), [predictor_of(store), predictor_of(store, 2)], store, config
        )
        before = (tmp_path / "e/test/logits.npy").read_bytes()
        other.evaluate("test").to_json()
        assert (tmp_path / "e/test/logits.npy").read_bytes() != before

    def test_what_was_measured_is_read(self, store: Store, tmp_path: Path) -> None:
        first = self.stage(store, tmp_path).evaluate("test").to_json()
        (tmp_path / "test/logits.npy").unlink()
        assert self.stage(store, tmp_path).evaluate("test").to_json() == json.loads(json.dumps(first))
        assert not (tmp_path / "test/logits.npy").exists()
        with pytest.raises(InputError, match=r'other settings: evaluate.strands was "both", now "forward"\n'):
            self.stage(store, tmp_path, strands="forward").evaluate("test").to_json()
        self.stage(store, tmp_path, strands="forward", force=True).evaluate("test").to_json()
        assert (tmp_path / "test/logits.npy").exists()

    @pytest.mark.parametrize("name", ["tasks.parquet", "curves.npz", "logits.npy", "summary.json", "made-from.json"])
    def test_what_is_damaged_is_measured_again(
        self, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
    ) -> None:
        first = self.stage(store, tmp_path).evaluate("test").to_json()
        content = bytearray((tmp_path / "test" / name).read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / "test" / name).write_bytes(content)
        if name in ("tasks.parquet", "curves.npz", "summary.json"):
            with pytest.raises(InputError, match=rf"{name} cannot be read"):
                read_splits(EvaluateFolder(tmp_path))
        usable = name in ("tasks.parquet", "curves.npz")
        assert (self.stage(store, tmp_path).own_logits("test") is not None) == usable
        again = self.stage(store, tmp_path).evaluate("test").to_json()
        assert f"test/{name}" in capsys.readouterr().err
        assert again | {"seconds": 0} == json.loads(json.dumps(first)) | {"seconds": 0}
        assert self.stage(store, tmp_path).evaluate("test").to_json() == json.loads(json.dumps(again))
        assert read_splits(EvaluateFolder(tmp_path))[0].summary == SplitSummary(**again)

    def test_damaged_logits_of_validation_are_predicted_again(self, store: Store, tmp_path: Path) -> None:
        self.stage(store, tmp_path).evaluate("valid").to_json()
        expected = self.stage(store, tmp_path).temperatures
        path = tmp_path / "valid/logits.npy"
        path.write_bytes(path.read_bytes()[:-300] + bytes(300))
        found = self.stage(store, tmp_path).temperatures
        assert expected is not None
        assert found is not None
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)
        assert listing(tmp_path) == ["valid"]

    def test_what_was_cut_short_does_not_pass_for_what_was_there(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = self.stage(store, tmp_path).evaluate("valid").to_json()

        def cut_off(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("noncoder.evaluate.measure", cut_off)
            with pytest.raises(KeyboardInterrupt):
                self.stage(store, tmp_path, strands="forward", force=True).evaluate("valid").to_json()
        assert not (tmp_path / "valid/summary.json").exists()  # the logits are others
        again = self.stage(store, tmp_path).evaluate("valid").to_json()
        assert again["mean"] == first["mean"]
        expected = predictor_of(store).predict_store(store, store.indices("valid"))
        np.testing.assert_allclose(np.load(tmp_path / "valid/logits.npy"), expected, atol=1e-5)

    def test_what_an_earlier_version_measured_is_measured_anew(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "test").mkdir()
        (tmp_path / "test/summary.json").write_text("{}")
        (tmp_path / "test/made-from.json").write_text(json.dumps({"config": {}, "store": "", "weights": None}))
        assert self.stage(store, tmp_path).evaluate("test").to_json()["split"] == "test"


class TestOtherStores:
    def test_tasks_that_the_model_does_not_know_are_named(self, store: Store, tmp_path: Path) -> None:
        predictor = predictor_of(store, order=[4, 1])
        summary = evaluate([predictor], store, "test", few(), tmp_path).to_json()
        assert (summary["tasks"], summary["unknown_to_the_model"]) == (2, ["t0", "t2", "t3"])
        assert "does not have: 3 (t0, t2, t3)" in "\n".join(evaluation_lines(SplitSummary(**summary)))

    def test_records_of_a_table_are_drawn_one_by_one(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        genome = random_genome(dict.fromkeys(map(str, range(60)), WINDOW), letters="ACGT")
        store = make_store(
            tmp_path / "t.zarr",
            genome,
            [(name, 0) for name in genome],
            rng.integers(0, 2, (60, 2), dtype=np.uint8),
            window=WINDOW,
            split=np.repeat([0, 2], [20, 40]).astype(np.uint8),
            coordinates=False,
        )
        summary = evaluate([predictor_of(store)], store, "test", few(), tmp_path / "out").to_json()
        assert (summary["bootstrap"]["blocks"], summary["bootstrap"]["block"]) == (40, WINDOW)

    def test_a_mistake_leaves_what_was_measured(self, store: Store, tmp_path: Path) -> None:
        EvaluationStage(EvaluateFolder(tmp_path), [predictor_of(store)], store, few(), False).evaluate("test").to_json()
        before = (tmp_path / "test/made-from.json").read_bytes()
        other = labelled_store(tmp_path / "o.zarr", names=["a", "b", "c", "d", "e"])
        with pytest.raises(InputError, match="lacks 5 of the model's 5 tasks"):
            EvaluationStage(EvaluateFolder(tmp_path), [predictor_of(store)], other, few(), True).evaluate(
                "test"
            ).to_json()
        assert (tmp_path / "test/made-from.json").read_bytes() == before


class TestBadInput:
    def test_a_model_that_is_averaged_with_itself(self, store: Store, tmp_path: Path) -> None:
        predictors = [predictor_of(store), predictor_of(store, 1), predictor_of(store, 1)]
        stage = EvaluationStage(EvaluateFolder(tmp_path), predictors, store, few())
        with pytest.raises(InputError, match="models 2 and 3 of the ensemble have the same weights"):
            stage.evaluate("test").to_json()

    def test_a_shift_that_leaves_the_window(self, store: Store, tmp_path: Path) -> None:
        evaluate([predictor_of(store)], store, "test", few(shifts=(-20, 20), calibrate=False), tmp_path / "half")
        with pytest.raises(InputError, match="a shift of -21 bp moves the middle of the window out of it"):
            evaluate([predictor_of(store)], store, "test", few(shifts=(20, -21)), tmp_path / "more")

    def test_a_store_without_some_tasks(self, store: Store, tmp_path: Path) -> None:
        predictor = predictor_of(store)
        predictor.tasks = (*predictor.tasks[:3], Task("Reb1"), Task("t44"))
        with pytest.raises(InputError, match=r"lacks 2 of the model's 5 tasks: Reb1, t44; it has 2 others: t3, t4"):
            evaluate([predictor], store, "test", few(), tmp_path)
        assert listing(tmp_path) == []

    def test_an_empty_split(self, tmp_path: Path) -> None:
        empty = make_store(
            tmp_path / "e.zarr", random_genome({"a": 500}), [("a", 0)], np.ones((1, 2), np.uint8), window=WINDOW
        )
        with pytest.raises(InputError, match="has no window in the split 'test'"):
            evaluate([predictor_of(empty)], empty, "test", few(), tmp_path / "out")

    def test_logits_that_are_no_numbers_name_their_task(self, store: Store, tmp_path: Path) -> None:
        predictor = predictor_of(store)
        with torch.no_grad():
            list(predictor.model.parameters())[-1][2] = torch.nan
        with pytest.raises(InputError, match=r"300 logits are NaN or infinite, in 1 tasks: 't2' \(300\)"):
            evaluate([predictor], store, "test", few(), tmp_path)


class TestPublished:
    def test_tasks_of_deepsea_stand_beside_the_literature(self, tmp_path: Path) -> None:
        names = ["K562|BRF1|None", "GM12878|CTCF|None", "H1-hESC|H3K4me3|None", "mine", "t4"]
        assert set(names[:3]) < set(task_scores()["task"])
        store = labelled_store(tmp_path / "named.zarr", names=names)
        summary = evaluate([predictor_of(store)], store, "test", few(), tmp_path / "out").to_json()
        published = summary["published"]
        assert not published["comparable"]
        assert published["why"] == [
            "3 of DeepSEA's 919 tasks", "2 other tasks, left out here", "300 windows; the test set has 227,512",
        ]  # fmt: skip
        assert {row["model"] for row in published["rows"]} > {"DeepSEA", "DanQ", "ChromDL", "ours"}
        ours = [row for row in published["rows"] if row["ours"] and row["table"] == "report"]
        assert ours[0]["auroc"] == pytest.approx(summary["weighted_as_report"]["auroc"])
        assert sorted([*FILES, "published-means.png", "published-tasks.png"]) == listing(tmp_path / "out")
        text = "\n".join(evaluation_lines(SplitSummary(**summary)))
        assert "The 2020 report's metric" in text
        assert "300 windows; the test set has 227,512" in text

    def test_an_ensemble_is_named_as_one(self, tmp_path: Path) -> None:
        names = ["K562|BRF1|None", "GM12878|CTCF|None", "H1-hESC|H3K4me3|None", "mine", "t4"]
        store = labelled_store(tmp_path / "named.zarr", names=names)
        two, config = [predictor_of(store), predictor_of(store, 1)], EvaluateConfig(resamples=0, shifts=(5,))
        published = evaluate(two, store, "test", config, tmp_path / "out").to_json()["published"]
        ours = {row["model"] for row in published["rows"] if row["ours"]}
        assert ours == {"ours, both strands, 2 shifts of 2 models"}

    def test_others_do_not(self, folder: Path) -> None:
        assert json.loads((folder / "summary.json").read_text())["published"] is None
