from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from noncoder.config import LossConfig
from noncoder.losses import (
    TrainingLoss,
    binary_cross_entropy,
    effective_number_weights,
    inverse_frequency_weights,
)

LAW = settings(deadline=None, max_examples=40)
LOGITS = arrays(np.float32, (5, 3), elements=st.floats(-15, 15, width=32))
LABELS = arrays(np.uint8, (5, 3), elements=st.integers(0, 1))


@LAW
@given(LOGITS, LABELS, arrays(np.bool_, (5, 3)))
def test_against_scikit_learn(logits: NDArray[np.float32], labels: NDArray[np.uint8], known: NDArray[np.bool_]) -> None:
    x, y, mask = torch.from_numpy(logits), torch.from_numpy(labels), torch.from_numpy(known)
    probs = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = log_loss(labels.ravel(), probs.ravel(), labels=[0, 1])
    assert float(binary_cross_entropy(x, y)) == pytest.approx(expected, abs=1e-5)
    if known.any():
        expected = log_loss(labels[known], probs[known], labels=[0, 1])
        assert float(binary_cross_entropy(x, y, mask)) == pytest.approx(expected, abs=1e-5)
    assert float(binary_cross_entropy(x, y, torch.ones_like(mask))) == pytest.approx(float(binary_cross_entropy(x, y)))


def test_what_is_unknown_has_no_gradient() -> None:
    logits = torch.randn(4, 2, requires_grad=True)
    known = torch.tensor([[True, False]] * 4)
    binary_cross_entropy(logits, torch.ones(4, 2), known).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0] != 0).all()
    assert (logits.grad[:, 1] == 0).all()


def test_nothing_known_is_zero_with_a_gradient_of_zero() -> None:
    logits = torch.randn(4, 2, requires_grad=True)
    loss = binary_cross_entropy(logits, torch.ones(4, 2), torch.zeros(4, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("label", [0, 1])
def test_large_logits_stay_finite_in_half_precision(label: int) -> None:
    logits = torch.tensor([[-300.0, 300.0]], dtype=torch.bfloat16)
    loss = binary_cross_entropy(logits, torch.full((1, 2), label, dtype=torch.uint8))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(150, rel=0.01)


def by_the_formula(logits: NDArray[Any], labels: NDArray[Any], c: LossConfig) -> NDArray[np.float64]:
    """The loss of each label as the papers write it, in double precision."""
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    y = labels * (1 - c.smoothing) + c.smoothing / 2
    if c.kind == "bce":
        positive, negative = -np.log(p), -np.log(1 - p)
    elif c.kind == "focal":
        positive, negative = -((1 - p) ** c.gamma) * np.log(p), -(p**c.gamma) * np.log(1 - p)
        if c.alpha is not None:
            positive, negative = c.alpha * positive, (1 - c.alpha) * negative
    else:
        q = np.maximum(p - c.margin, 0)
        positive = -((1 - p) ** c.gamma_positive) * np.log(p)
        negative = -(q**c.gamma_negative) * np.log(1 - q)
    loss: NDArray[np.float64] = c.positive_weight * y * positive + (1 - y) * negative
    return loss


LOSSES = [
    LossConfig(),
    LossConfig(positive_weight=8, smoothing=0.1),
    LossConfig(kind="focal"),
    LossConfig(kind="focal", gamma=0.5, alpha=None, smoothing=0.05),
    LossConfig(kind="focal", gamma=0, alpha=0.75, positive_weight=3),
    LossConfig(kind="asymmetric"),
    LossConfig(kind="asymmetric", gamma_positive=1, gamma_negative=0.5, margin=0.2, smoothing=0.1),
    LossConfig(kind="asymmetric", gamma_positive=0, gamma_negative=2, margin=0, positive_weight=2),
]


@pytest.mark.parametrize("config", LOSSES, ids=lambda c: c.kind)
class TestTrainingLoss:
    @settings(deadline=None, max_examples=15)
    @given(LOGITS, LABELS, arrays(np.bool_, (5, 3)), arrays(np.float32, (3,), elements=st.floats(0, 4, width=32)))
    def test_it_is_its_formula(
        self,
        config: LossConfig,
        logits: NDArray[np.float32],
        labels: NDArray[np.uint8],
        known: NDArray[np.bool_],
        weights: NDArray[np.float32],
    ) -> None:
        each = by_the_formula(logits, labels, config)
        x, y, mask, w = (torch.from_numpy(part) for part in (logits, labels, known, weights))
        assert float(TrainingLoss(config)(x, y)) == pytest.approx(each.mean(), rel=1e-4, abs=1e-6)
        weighted = each * weights
        expected = weighted[known].mean() if known.any() else 0
        assert float(TrainingLoss(config, w)(x, y, mask)) == pytest.approx(expected, rel=1e-4, abs=1e-6)

    def test_its_gradient_is_right(self, config: LossConfig) -> None:
        torch.manual_seed(0)
        logits = (3 * torch.randn(6, 4, dtype=torch.float64)).requires_grad_()
        labels = torch.randint(0, 2, (6, 4)).double()
        loss = TrainingLoss(config, torch.tensor([1.0, 2.0, 0.5, 0.0], dtype=torch.float64))
        assert torch.autograd.gradcheck(lambda x: loss.of_each(x, labels), logits)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_large_logits_have_a_loss_and_a_gradient(self, config: LossConfig, dtype: torch.dtype) -> None:
        logits = torch.tensor([[-300.0, -90.0, -20.0, 0.0, 20.0, 90.0, 300.0]], dtype=dtype, requires_grad=True)
        for label in (0, 1):
            loss = TrainingLoss(config)(logits, torch.full((1, 7), label, dtype=torch.uint8))
            assert loss.dtype == torch.float32
            (gradient,) = torch.autograd.grad(loss, logits)
            assert loss.isfinite()
            assert gradient.isfinite().all()
            assert (gradient <= 0).all() if label and not config.smoothing else True


def test_focal_without_fading_and_asymmetric_without_margin_are_the_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(8, 5), torch.randint(0, 2, (8, 5))
    plain = binary_cross_entropy(logits, labels)
    for config in (
        LossConfig(),
        LossConfig(kind="focal", gamma=0, alpha=None),
        LossConfig(kind="asymmetric", gamma_positive=0, gamma_negative=0, margin=0),
    ):
        torch.testing.assert_close(TrainingLoss(config)(logits, labels), plain)
    easy, hard = (
        TrainingLoss(LossConfig(kind="focal", alpha=None))(torch.tensor([[x]]), torch.ones(1, 1)) for x in (3.0, -3.0)
    )
    base = [binary_cross_entropy(torch.tensor([[x]]), torch.ones(1, 1)) for x in (3.0, -3.0)]
    assert easy / base[0] < 0.01 < 0.9 < hard / base[1]


def test_effective_numbers_go_from_none_to_inverse() -> None:
    positives = torch.tensor([0, 1, 10, 1000, 100_000])
    assert effective_number_weights(positives, 0).tolist() == pytest.approx([1] * 5)
    beta, n = 0.99, np.array([1, 1, 10, 1000, 100_000])
    expected = (1 - beta) / (1 - beta**n)
    assert effective_number_weights(positives, beta).tolist() == pytest.approx(expected / expected.mean(), rel=1e-5)
    nearly = effective_number_weights(positives[1:4], 1 - 1e-9)
    assert (nearly / nearly[0]).tolist() == pytest.approx([1, 0.1, 0.001], rel=1e-3)


def test_inverse_frequencies_are_capped_and_average_to_one() -> None:
    weights = inverse_frequency_weights(torch.tensor([0.5, 0.25, 0.1, 0.01, 0.0]), cap=10)
    assert (weights / weights[0]).tolist() == pytest.approx([1, 2, 5, 10, 10])
    assert weights.mean().item() == pytest.approx(1)


def test_smoothing_and_positive_weights_move_the_minimum() -> None:
    labels = torch.ones(1, 1)
    x = torch.linspace(-6, 6, 2401)
    smooth = TrainingLoss(LossConfig(smoothing=0.2)).of_each(x[:, None], labels.expand(2401, 1))
    assert torch.sigmoid(x[smooth.argmin()]).item() == pytest.approx(0.9, abs=1e-3)
    heavy = TrainingLoss(LossConfig(positive_weight=8))
    both = heavy.of_each(x[:, None], torch.ones(2401, 1)) + 8 * heavy.of_each(x[:, None], torch.zeros(2401, 1))
    assert x[both.argmin()].item() == pytest.approx(0, abs=1e-2)
