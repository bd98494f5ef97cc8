from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MultilabelAUROC

from noncoder.errors import InputError, UnknownNameError
from noncoder.metrics import Mean, rank
from noncoder.metrics.modules import TaskRanking
from tests.metrics.cases import LAW, Drawn, cases
from tests.metrics.test_gpu_ranking import many


def tensors(drawn: Drawn) -> list[Tensor]:
    return [torch.tensor(table) for table in drawn]


def fed(metric: Any, drawn: Drawn, cuts: list[int]) -> Any:
    """The metric after updates with parts of the windows, some of them empty."""
    edges = [0, *sorted(min(cut, len(drawn[0])) for cut in cuts), len(drawn[0])]
    for first, last in pairwise(edges):
        metric.update(*(table[first:last] for table in tensors(drawn)))
    return metric


def assert_measures(found: Any, drawn: Drawn) -> None:
    """What a module without average says of the drawn windows."""
    ranking = rank(*drawn)
    assert found["auroc"].dtype == found["average_precision"].dtype == torch.float64
    np.testing.assert_array_equal(found["auroc"], ranking.auroc)
    np.testing.assert_allclose(found["average_precision"], ranking.average_precision, rtol=0, atol=1e-12)
    assert found["tasks"] == np.isfinite(ranking.auroc).sum()


class TestValues:
    @LAW
    @given(cases(), st.lists(st.integers(0, 40), max_size=4))
    def test_batches_make_the_whole(self, drawn: Drawn, cuts: list[int]) -> None:
        assert_measures(fed(TaskRanking(drawn[0].shape[1], average=None), drawn, cuts).compute(), drawn)

    @LAW
    @given(cases(), st.data(), st.integers(1, 4))
    def test_averages(self, drawn: Drawn, data: st.DataObject, least: int) -> None:
        n_tasks = drawn[0].shape[1]
        weights = data.draw(st.lists(st.integers(0, 5), min_size=n_tasks, max_size=n_tasks))
        ranking = rank(*drawn)
        scored = np.isfinite(ranking.auroc) & (ranking.positives >= least)
        for name, values in (("auroc", ranking.auroc), ("average_precision", ranking.average_precision)):
            values = np.where(scored, values, np.nan)
            expected = {
                "mean": np.nanmean(values) if scored.any() else np.nan,
                "median": np.nanmedian(values) if scored.any() else np.nan,
                "weighted": float(Mean(np.asarray(weights, dtype=float)).of(values)),
                None: values,
            }
            for average, value in expected.items():
                metric = TaskRanking(n_tasks, average, weights=weights, min_positives=least)  # type: ignore[arg-type]
                found = fed(metric, drawn, []).compute()
                np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-12)
                assert found["tasks"] == scored.sum()

    def test_torchmetrics_counts_a_task_without_positives_as_0(self) -> None:
        logits = torch.tensor([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]])
        labels = torch.tensor([[1, 0], [0, 0], [0, 0]])
        with pytest.warns(UserWarning, match="No positive samples"):
            assert MultilabelAUROC(2)(logits, labels) == 0.5
        assert TaskRanking(2)(logits, labels)["auroc"] == 1.0
        np.testing.assert_array_equal(TaskRanking(2, average=None)(logits, labels)["auroc"], [1.0, np.nan])

    def test_agrees_with_torchmetrics_where_all_tasks_are_defined(self) -> None:
        # Without its task of tied logits: torch's sigmoid, which torchmetrics applies, does not keep them tied.
        logits, labels = (torch.tensor(table[:, :4]) for table in many(2_000)[:2])
        theirs = MultilabelAUROC(4, average=None)(logits, labels)
        ours = TaskRanking(4, average=None)(logits, labels)["auroc"]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_other_precisions(self, dtype: torch.dtype) -> None:
        logits = torch.tensor([[0.5], [1.5], [-2.0]], dtype=dtype, requires_grad=True)
        found = TaskRanking(1)(logits, torch.tensor([[0.0], [1.0], [1.0]]), torch.tensor([[1], [1], [0]]))["auroc"]
        assert found == 1.0
        assert not found.requires_grad


class TestState:
    def test_forward_gives_the_batch_and_keeps_it(self) -> None:
        drawn, metric = many(300), TaskRanking(6, average=None)
        halves = [[table[:150] for table in drawn], [table[150:] for table in drawn]]
        for half in halves:
            assert_measures(metric(*tensors(half)), half)  # type: ignore[arg-type]
        assert_measures(metric.compute(), drawn)

    def test_reset(self) -> None:
        drawn, metric = many(200), TaskRanking(6, average=None)
        metric.update(torch.randn(50, 6), torch.ones(50, 6))
        metric.reset()
        assert_measures(fed(metric, drawn, [70]).compute(), drawn)

    @pytest.mark.parametrize("how", ["clone", "deepcopy", "pickle"])
    def test_copies_go_their_own_way(self, how: str) -> None:
        drawn = many(200)
        first, second = ([table[rows] for table in drawn] for rows in (slice(0, 120), slice(120, 200)))
        metric = fed(TaskRanking(6, average=None), first, [])  # type: ignore[arg-type]
        other = {
            "clone": lambda: metric.clone(),
            "deepcopy": lambda: copy.deepcopy(metric),
            "pickle": lambda: pickle.loads(pickle.dumps(metric)),
        }[how]()
        other.update(*tensors(second))  # type: ignore[arg-type]
        assert_measures(other.compute(), drawn)
        assert_measures(metric.compute(), first)  # type: ignore[arg-type]

    def test_merge(self) -> None:
        drawn = many(200)
        parts = [fed(TaskRanking(6, average=None), [table[rows] for table in drawn], [])  # type: ignore[arg-type]
                 for rows in (slice(0, 120), slice(120, 200))]  # fmt: skip
        parts[0].merge_state(parts[1])
        assert_measures(parts[0].compute(), drawn)

    def test_state_dict(self) -> None:
        drawn, metric = many(200), TaskRanking(6, average=None)
        assert fed(metric, drawn, [30]).state_dict() == {}  # as torchmetrics' own: windows are not saved unless asked
        metric.persistent(True)
        other = TaskRanking(6, average=None)
        other.persistent(True)
        other.load_state_dict(metric.state_dict())
        other._update_count = 1  # which torchmetrics does not save; it would warn
        assert_measures(other.compute(), drawn)

    def test_a_buffer_that_is_written_again(self) -> None:
        logits, labels, known = tensors(many(100))
        metric = TaskRanking(6, average=None)
        metric.update(logits, labels, known)
        for table in (logits, labels, known):
            table.zero_()
        assert_measures(metric.compute(), many(100))

    def test_no_windows(self) -> None:
        metric = TaskRanking(3)
        metric.update(torch.zeros(0, 3), torch.zeros(0, 3))
        found = metric.compute()
        assert found["auroc"].isnan()
        assert found["average_precision"].isnan()
        with pytest.warns(UserWarning, match="before the ``update`` method"):
            found = TaskRanking(3, average=None).compute()
        assert found["auroc"].isnan().tolist() == [True] * 3

    def test_in_main_memory(self) -> None:
        drawn = many(100)
        metric = fed(TaskRanking(6, average=None, compute_on_cpu=True), drawn, [40])
        assert {table.device.type for table in metric.logits + metric.labels} == {"cpu"}
        assert_measures(metric.compute(), drawn)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
    @pytest.mark.parametrize("compute_on_cpu", [False, True])
    def test_on_a_gpu(self, compute_on_cpu: bool) -> None:
        drawn, metric = many(5_000), TaskRanking(6, average=None, compute_on_cpu=compute_on_cpu).cuda()
        for first in range(0, 5_000, 1_000):
            metric.update(*(table[first : first + 1_000].cuda() for table in tensors(drawn)))
        assert metric.logits[0].is_cuda is not compute_on_cpu
        found = metric.compute()
        assert all(value.is_cuda for value in found.values())
        assert_measures({name: value.cpu() for name, value in found.items()}, drawn)


def test_beside_others() -> None:
    drawn = many(500)
    both = MetricCollection({"all": TaskRanking(6, average=None), "mean": TaskRanking(6)}, prefix="valid/")
    for first in range(0, 500, 100):
        both.update(*(table[first : first + 100] for table in tensors(drawn)))
    found, ranking = both.compute(), rank(*drawn)
    assert found["valid/mean_auroc"].item() == pytest.approx(np.nanmean(ranking.auroc), abs=1e-12)
    np.testing.assert_array_equal(found["valid/all_auroc"], ranking.auroc)


class Linear(lightning.LightningModule):
    """A model of one layer that logs its ranking as users of Lightning do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(5, 3)
        self.ranking = TaskRanking(3)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        x, labels = batch
        return torch.nn.functional.binary_cross_entropy_with_logits(self.layer(x), labels)

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        x, labels = batch
        logits = self.layer(x)
        self.ranking.update(logits, labels)

    def on_validation_epoch_end(self) -> None:
        self.log_dict({name: value.float() for name, value in self.ranking.compute().items()})
        self.ranking.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")  # Lightning advises on workers
def test_in_lightning(tmp_path: Path) -> None:
    torch.manual_seed(1)
    x = torch.randn(64, 5)
    labels = (x[:, :3] + torch.randn(64, 3) > 1).float()
    batches: Any = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, labels), batch_size=16)
    model = Linear()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, batches, batches)
    ranking = rank(model.layer(x), labels)
    assert trainer.callback_metrics["auroc"].item() == pytest.approx(ranking.auroc.mean(), abs=1e-6)
    assert trainer.callback_metrics["average_precision"].item() == pytest.approx(
        ranking.average_precision.mean(), abs=1e-6
    )
    assert not model.ranking.update_called


def test_over_processes(tmp_path: Path) -> None:
    logits, labels, known = many(300)
    cuts = np.array([[0, 110, 300], [0, 300, 300], [0, 0, 0]])  # uneven, one without windows, none with any
    np.savez(tmp_path / "windows.npz", logits=logits, labels=labels, known=known, cuts=cuts)
    command = [sys.executable, "-W", "ignore", "-m", "tests.metrics.together", str(tmp_path)]
    processes = [subprocess.Popen([*command, str(process)]) for process in range(2)]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    for number in range(2):
        found = torch.load(tmp_path / f"{number}.pt")
        for measures in found[:4]:  # the second of each pair after more: windows of others do not stay
            assert_measures(measures, (logits, labels, known))
        assert all(measures["auroc"].isnan().all() for measures in found[4:])


class TestBadInput:
    @pytest.mark.parametrize(
        "shapes",
        [((3, 3), (3, 3), None), ((3, 2), (3, 1), None), ((2,), (2,), None), ((3, 2), (3, 2), (2, 3))],
    )
    def test_shapes(self, shapes: tuple[Any, Any, Any]) -> None:
        tables = [None if shape is None else torch.zeros(shape) for shape in shapes]
        with pytest.raises(InputError, match=r"logits \([23],.*labels"):
            TaskRanking(2).update(*tables)  # type: ignore[arg-type]

    @pytest.mark.parametrize("wrong", [2, -1, 0.5, np.nan])
    def test_labels(self, wrong: float) -> None:
        labels, metric = torch.tensor([[0.0, 1.0], [1.0, wrong]]), TaskRanking(2)
        with pytest.raises(InputError, match=f"the label {wrong} is neither 0 nor 1"):
            metric.update(torch.zeros(2, 2), labels)
        metric.update(torch.zeros(2, 2), labels, torch.tensor([[1, 1], [1, 0]]))
        assert metric.labels[0].tolist() == [[0, 1], [1, 2]]

    def test_logits_not_finite(self) -> None:
        metric = TaskRanking(2)
        metric.update(torch.tensor([[0.0, np.nan]]), torch.zeros(1, 2))
        with pytest.raises(InputError, match=r"in 1 tasks: column 1 \(1\)"):
            metric.compute()

    def test_averages(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'median'"):
            TaskRanking(2, average="meddian")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="without weights"):
            TaskRanking(2, average="weighted")
        with pytest.raises(InputError, match=r"weights \(3,\)"):
            TaskRanking(2, average="weighted", weights=[1, 2, 3])
        for wrong in (-1, np.nan, np.inf):
            with pytest.raises(InputError, match="negative, NaN or infinite"):
                TaskRanking(2, average="weighted", weights=torch.tensor([1, wrong]))
