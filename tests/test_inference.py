"""One way to ask a model: the same answer in any batches, of any strands, and the model is left as it was."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from noncoder.models import SequenceModel, create_model
from noncoder.predictor.inference import as_input, ask, batches, differentiating, evaluating, strand_logits
from noncoder.sequence.encoding import reverse_complement
from tests.models.test_models import SMALL

WINDOW, N = 200, 7


def make_model(name: str = "danq") -> SequenceModel:
    torch.manual_seed(0)
    return create_model(name, 5, WINDOW, SMALL[name])


def codes() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 5, (N, WINDOW), dtype=np.uint8)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_batches_are_all_rows_once(size: int) -> None:
    rows = np.arange(N)
    parts = [rows[part] for part in batches(N, size)]
    assert np.concatenate(parts).tolist() == rows.tolist()
    assert max(part.size for part in parts) <= size


@pytest.mark.parametrize("size", [1, 3, 50])
def test_batches_do_not_change_the_answer(size: int) -> None:
    model, x = make_model(), codes()
    blocks = (x[rows] for rows in batches(N, size))
    np.testing.assert_allclose(
        ask(model, blocks, N, strands="forward"), ask(model, [x], N, strands="forward"), atol=1e-6
    )


def test_both_strands_is_the_mean_of_their_probabilities() -> None:
    model, x = make_model(), codes()
    forward, reverse, both = (ask(model, [x], N, strands=strands) for strands in ("forward", "reverse", "both"))
    np.testing.assert_allclose(sigmoid(both), (sigmoid(forward) + sigmoid(reverse)) / 2, atol=1e-6)
    np.testing.assert_allclose(reverse, ask(model, [reverse_complement(x)], N, strands="forward"), atol=1e-6)


def test_tasks_are_columns_in_the_order_that_is_asked_for() -> None:
    model, x = make_model(), codes()
    np.testing.assert_array_equal(ask(model, [x], N, [3, 0]), ask(model, [x], N)[:, [3, 0]])


def test_nothing_is_asked_of_no_windows() -> None:
    assert ask(make_model(), [], 0, [1]).shape == (0, 1)


def test_the_input_has_the_type_of_the_weights() -> None:
    model = make_model().double()
    assert as_input(model, codes()).dtype == torch.float64
    assert ask(model, [codes()], N).dtype == np.float32


def parts(model: nn.Module) -> list[bool]:
    return [part.training for part in model.modules()] + [weight.requires_grad for weight in model.parameters()]


def mixed(model: SequenceModel) -> SequenceModel:
    """Some parts frozen, some in evaluation mode."""
    model.train()
    for part in list(model.modules())[2::3]:
        part.training = False
    next(model.parameters()).requires_grad_(False)
    return model


@pytest.mark.parametrize("name", ["compact", "danq", "wideresnet-lstm"])
def test_every_part_is_restored_after_an_error_in_the_middle(name: str) -> None:
    model = mixed(make_model(name))
    before = parts(model)

    def failing() -> Iterator[NDArray[np.uint8]]:
        yield codes()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(model, failing(), 2 * N)
    assert parts(model) == before
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_a_gradient_reaches_the_input_alone() -> None:
    model = mixed(make_model())
    before, x = parts(model), as_input(model, codes()).requires_grad_()
    with torch.no_grad(), differentiating(model):
        assert not any(part.training for part in model.modules())
        strand_logits(model, x, "both").sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert all(weight.grad is None for weight in model.parameters())
    assert parts(model) == before


def test_mutagenesis_within_a_gradient_puts_both_back() -> None:
    """As `ism` does as an attribution: evaluating inside of differentiating."""
    model = mixed(make_model())
    before = parts(model)
    with differentiating(model):
        inside = parts(model)
        with evaluating(model):
            assert torch.is_inference_mode_enabled()
        assert parts(model) == inside
        assert torch.is_grad_enabled()
    assert parts(model) == before
