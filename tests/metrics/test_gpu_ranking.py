from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.metrics import Ranking, rank
from noncoder.metrics.gpu_ranking import rank_on_device
from tests.metrics.cases import LAW, Drawn, cases

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")),
]
on_devices = pytest.mark.parametrize("device", DEVICES)


def rank_there(
    device: str, logits: NDArray[Any], labels: NDArray[Any], known: NDArray[Any] | None = None, **options: Any
) -> Ranking:
    mask = None if known is None else torch.tensor(known, device=device)
    return rank_on_device(torch.tensor(logits, device=device), torch.tensor(labels, device=device), mask, **options)


def assert_same(found: Ranking, expected: Ranking) -> None:
    np.testing.assert_array_equal(found.auroc, expected.auroc)  # to the last bit
    np.testing.assert_allclose(found.average_precision, expected.average_precision, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.positives, expected.positives)
    np.testing.assert_array_equal(found.known, expected.known)
    assert [part.dtype for part in found] == [np.float64, np.float64, np.int64, np.int64]


def many(n: int, dtype: Any = np.float32) -> Drawn:
    """Rare and common positives, a task of ties, one without a positive, and unknown labels."""
    rng = np.random.default_rng(3)
    rates = [0.001, 0.02, 0.3, 0.97, 0.0, 0.1]
    labels = (rng.random((n, len(rates))) < rates).astype(np.uint8)
    logits = (rng.normal(-4, 2, size=labels.shape) + 1.5 * labels).astype(dtype)
    logits[:, 5] = logits[:, 5].round(1)
    return logits, labels, rng.random(labels.shape) < 0.9


@on_devices
class TestParity:
    @LAW
    @given(cases(), st.integers(1, 5))
    def test_with_the_cpu(self, device: str, drawn: Drawn, at_a_time: int) -> None:
        assert_same(rank_there(device, *drawn, at_a_time=at_a_time), rank(*drawn))

    @LAW
    @given(cases())
    def test_without_a_mask_and_in_double_precision(self, device: str, drawn: Drawn) -> None:
        logits, labels, _ = drawn
        assert_same(rank_there(device, logits.astype(np.float64), labels), rank(logits, labels))

    @pytest.mark.parametrize("at_a_time", [None, 4])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
    def test_on_many_windows(self, device: str, dtype: Any, at_a_time: int | None) -> None:
        drawn = many(30_000, dtype)
        assert_same(rank_there(device, *drawn, at_a_time=at_a_time), rank(*drawn))

    def test_each_time_the_same(self, device: str) -> None:
        drawn = many(5_000)
        for part, again in zip(rank_there(device, *drawn), rank_there(device, *drawn), strict=True):
            np.testing.assert_array_equal(part, again)

    def test_doubles_that_floats_would_tie(self, device: str) -> None:
        logits = 1 + np.array([[3.0], [1.0], [2.0], [0.0]]) * 1e-12
        found = rank_there(device, logits, np.array([[1], [0], [1], [0]]))
        assert found.auroc.tolist() == [1.0]

    def test_whole_numbers_that_float32_would_tie(self, device: str) -> None:
        found = rank_there(device, (1 << 24) + np.array([[1], [0], [3], [2]]), np.array([[1], [0], [1], [1]]))
        assert found.auroc.tolist() == [1.0]

    def test_extremes_of_float32(self, device: str) -> None:
        big = np.finfo(np.float32).max
        tiny = np.finfo(np.float32).smallest_subnormal
        logits = np.array([[big], [-big], [tiny], [-tiny], [0.0], [-0.0], [1.0], [-1.0]], dtype=np.float32)
        labels = np.array([[1], [0], [0], [1], [1], [0], [0], [1]])
        known = np.array([[1], [1], [1], [1], [1], [1], [1], [0]])
        assert_same(rank_there(device, logits, labels, known), rank(logits, labels, known))

    def test_tables_from_elsewhere(self, device: str) -> None:
        logits, labels, known = many(500)
        labels.flags.writeable = False
        expected = rank(logits, labels, known)
        column_by_column = torch.tensor(logits.T.copy(), device=device).T
        assert_same(rank_on_device(column_by_column, labels, known.tolist()), expected)
        there = torch.tensor(logits, device=device, requires_grad=True)
        assert_same(rank_on_device(there, torch.tensor(labels.astype(bool)), torch.tensor(known).float()), expected)

    @pytest.mark.parametrize("shape", [(0, 2), (3, 0), (0, 0)])
    def test_nothing(self, device: str, shape: tuple[int, int]) -> None:
        nothing = np.zeros(shape, dtype=np.float32)
        assert_same(rank_there(device, nothing, nothing), rank(nothing, nothing))

    def test_unused_memory_is_enough_for_a_task(self, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("noncoder.metrics.gpu_ranking._AT_ONCE", 1)
        drawn = many(300)
        assert_same(rank_there(device, *drawn), rank(*drawn))


@on_devices
class TestBadInput:
    @pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("at_a_time", [None, 1])
    def test_logits_not_finite(self, device: str, wrong: float, at_a_time: int | None) -> None:
        logits = np.zeros((4, 8))
        logits[1:3, 2] = logits[0, 7] = wrong
        told = r"3 logits are NaN or infinite, in 2 tasks: column 2 \(2\), column 7 \(1\)"
        with pytest.raises(InputError, match=told):
            rank_there(device, logits, np.zeros((4, 8)), at_a_time=at_a_time)
        with pytest.raises(InputError, match=r"'c' \(2\), 'h' \(1\)"):
            rank_there(device, logits, np.zeros((4, 8)), names="abcdefgh")
        with pytest.raises(InputError, match=r"in 8 tasks: .*, …"):
            rank_there(device, np.full((4, 8), wrong), np.zeros((4, 8)))

    @pytest.mark.parametrize(
        "shapes", [((3, 2), (3, 3), None), ((3,), (3,), None), ((3, 2), (3, 2), (2, 3)), ((3, 2), (2,), None)]
    )
    def test_shapes(self, device: str, shapes: tuple[Any, Any, Any]) -> None:
        logits, labels, known = (None if shape is None else torch.zeros(shape, device=device) for shape in shapes)
        assert logits is not None
        with pytest.raises(InputError, match=r"logits \(3.*labels"):
            rank_on_device(logits, labels, known)

    @pytest.mark.parametrize("wrong", [2, -1, 0.5, np.nan])
    @pytest.mark.parametrize("at_a_time", [None, 1])
    def test_labels(self, device: str, wrong: float, at_a_time: int | None) -> None:
        labels = np.zeros((3, 4))
        labels[2, 3] = wrong
        logits = np.zeros((3, 4))
        with pytest.raises(InputError, match=f"the label {wrong} of column 3 is neither 0 nor 1") as caught:
            rank_there(device, logits, labels, at_a_time=at_a_time)
        assert "mark unknown labels in known" in caught.value.expected
        assert rank_there(device, logits, labels, labels == 0).known.tolist() == [3, 3, 3, 2]


def test_metrics_come_without_torch() -> None:
    heavy = "{'torch', 'torchmetrics', 'lightning'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, noncoder.metrics; sys.exit(str({heavy}) if {heavy} else 0)"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
