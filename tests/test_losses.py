from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from noncoder.losses import binary_cross_entropy

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
