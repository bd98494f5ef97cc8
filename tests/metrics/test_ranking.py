from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from noncoder.errors import InputError
from noncoder.metrics import auroc, average_precision, calibration, curves, rank
from tests.metrics.cases import LAW, Drawn, cases, naive


class TestRank:
    @LAW
    @given(cases())
    def test_parity_with_scikit_learn(self, drawn: Drawn) -> None:
        ranking = rank(*drawn)
        np.testing.assert_allclose(ranking.auroc, naive(roc_auc_score, drawn), rtol=0, atol=1e-12)
        np.testing.assert_allclose(ranking.average_precision, naive(average_precision_score, drawn), rtol=0, atol=1e-12)
        assert ranking.auroc.dtype == ranking.average_precision.dtype == np.float64
        assert np.array_equal(ranking.known, drawn[2].sum(axis=0))
        assert np.array_equal(ranking.positives, (drawn[1].astype(bool) & drawn[2]).sum(axis=0))

    @pytest.mark.parametrize("rate", [0.5, 0.01])
    def test_parity_on_many_windows(self, rate: float) -> None:
        rng = np.random.default_rng(0)
        labels = (rng.random((20_000, 3)) < rate).astype(np.uint8)
        logits = (rng.normal(size=labels.shape) + labels).astype(np.float32).round(2)
        drawn = (logits, labels, rng.random(labels.shape) < 0.9)
        np.testing.assert_allclose(auroc(*drawn), naive(roc_auc_score, drawn), rtol=0, atol=1e-12)
        np.testing.assert_allclose(average_precision(*drawn), naive(average_precision_score, drawn), rtol=0, atol=1e-12)

    @LAW
    @given(cases(), st.sampled_from(["rank", "double", "exp"]))
    def test_monotone_maps_change_nothing(self, drawn: Drawn, name: str) -> None:
        logits, labels, known = drawn
        mapped: NDArray[np.floating[Any]]
        if name == "rank":
            mapped = np.unique(logits, return_inverse=True)[1].reshape(logits.shape).astype(np.float32)
        elif name == "double":
            mapped = logits.astype(np.float64) * 2 + 7
        else:
            mapped = np.exp(logits.astype(np.float64))
        before, after = rank(logits, labels, known), rank(mapped, labels, known)
        # Only where the map keeps the scores apart is it one that changes nothing.
        kept = [np.unique(mapped[:, t]).size == np.unique(logits[:, t]).size for t in range(logits.shape[1])]
        np.testing.assert_array_equal(before.auroc[kept], after.auroc[kept])
        np.testing.assert_array_equal(before.average_precision[kept], after.average_precision[kept])

    @LAW
    @given(cases())
    def test_a_flip_of_the_scores_turns_the_area_over(self, drawn: Drawn) -> None:
        logits, labels, known = drawn
        np.testing.assert_allclose(auroc(-logits, labels, known), 1 - auroc(logits, labels, known), rtol=0, atol=1e-12)

    @LAW
    @given(cases(), st.randoms(use_true_random=False))
    def test_the_order_of_the_windows_does_not_matter(self, drawn: Drawn, random: Any) -> None:
        order = list(range(len(drawn[0])))
        random.shuffle(order)
        for before, after in zip(rank(*drawn), rank(*(part[order] for part in drawn)), strict=True):
            np.testing.assert_array_equal(before, after)

    @LAW
    @given(cases())
    def test_what_is_unknown_does_not_count(self, drawn: Drawn) -> None:
        logits, labels, known = drawn
        other = np.where(known, logits, logits[::-1] + 1).astype(np.float32)
        for before, after in zip(rank(*drawn), rank(other, np.where(known, labels, 1), known), strict=True):
            np.testing.assert_array_equal(before, after)

    def test_undefined_is_nan_and_counted(self) -> None:
        labels = np.array([[0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 1]])
        known = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0]])
        ranking = rank(np.arange(12.0).reshape(3, 4), labels, known)
        assert np.isnan(ranking.auroc).tolist() == [True, True, False, True]
        assert np.isnan(ranking.average_precision).tolist() == [True, True, False, True]
        assert ranking.positives.tolist() == [0, 3, 1, 0]
        assert ranking.known.tolist() == [3, 3, 2, 0]

    def test_constant_scores(self) -> None:
        labels = np.array([[1], [0], [0], [0]])
        assert auroc(np.ones((4, 1)), labels).tolist() == [0.5]
        assert average_precision(np.ones((4, 1)), labels).tolist() == [0.25]

    def test_a_single_positive(self) -> None:
        labels = np.eye(5, dtype=bool)[:, 3:4]
        assert auroc(np.arange(5.0)[:, None], labels).tolist() == [0.75]
        assert average_precision(np.arange(5.0)[:, None], labels).tolist() == [0.5]

    def test_signed_zeros_tie(self) -> None:
        assert auroc(np.array([[0.0], [-0.0]]), np.array([[1], [0]])).tolist() == [0.5]

    def test_large_float32_logits_that_a_sigmoid_would_tie(self) -> None:
        logits = np.array([[30.0], [20.0], [18.0], [25.0]], dtype=np.float32)
        labels = np.array([[1], [1], [0], [0]])
        assert np.unique(1 / (1 + np.exp(-logits))).size == 1
        assert auroc(logits, labels).tolist() == [0.75]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
    def test_tensors(self, dtype: torch.dtype) -> None:
        logits = torch.tensor([[0.5], [1.5], [-2.0]], dtype=dtype, requires_grad=True)
        assert auroc(logits, torch.tensor([[0], [1], [1]]), torch.tensor([[True], [True], [False]])).tolist() == [1.0]

    def test_half_precision_and_integers(self) -> None:
        for dtype in (np.float16, np.int64):
            assert auroc(np.array([[3], [1], [2]], dtype=dtype), [[1], [0], [0]]).tolist() == [1.0]

    def test_whole_numbers_that_float32_would_tie(self) -> None:
        logits = (1 << 24) + np.array([[1], [0], [3], [2]])
        assert auroc(logits, np.array([[1], [0], [1], [1]])).tolist() == [1.0]

    def test_nothing(self) -> None:
        assert auroc(np.zeros((0, 2)), np.zeros((0, 2))).shape == (2,)
        assert np.isnan(auroc(np.zeros((0, 2)), np.zeros((0, 2)))).all()
        assert auroc(np.zeros((3, 0)), np.zeros((3, 0))).shape == (0,)


@pytest.mark.parametrize("measure", [auroc, average_precision, rank, curves, calibration])
class TestBadInput:
    @pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
    def test_logits_not_finite(self, measure: Callable[..., Any], wrong: float) -> None:
        logits = np.zeros((4, 3))
        logits[1, 2] = logits[2, 2] = wrong
        with pytest.raises(InputError, match=r"2 logits are NaN or infinite, in 1 tasks: column 2 \(2\)"):
            measure(logits, np.zeros((4, 3)))

    @pytest.mark.parametrize(
        "shapes", [((3, 2), (3, 3), None), ((3,), (3,), None), ((3, 2), (3, 2), (2, 3)), ((3, 2), (2,), None)]
    )
    def test_shapes(self, measure: Callable[..., Any], shapes: tuple[Any, Any, Any]) -> None:
        logits, labels, known = (None if shape is None else np.zeros(shape) for shape in shapes)
        with pytest.raises(InputError, match=r"logits \(3.*labels"):
            measure(logits, labels, known)

    @pytest.mark.parametrize("wrong", [2, -1, 0.5, np.nan])
    def test_labels(self, measure: Callable[..., Any], wrong: float) -> None:
        labels = np.array([[0.0], [1.0], [wrong]])
        with pytest.raises(InputError, match="is neither 0 nor 1") as caught:
            measure(np.zeros((3, 1)), labels)
        assert "mark unknown labels in known" in caught.value.expected
        measure(np.zeros((3, 1)), labels, [[1], [1], [0]])
