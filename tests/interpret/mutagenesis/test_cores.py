"""Heads that evaluate changes, compared with `model.head` on complete changed features."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from noncoder.interpret.mutagenesis.change import Change
from noncoder.interpret.mutagenesis.cores import core_head
from noncoder.models import SequenceModel, create_model

WINDOW, TASKS = 240, 7
WIDE = {"width": 16, "expansion": 2, "hidden": 32, "core_layers": 2}
LSTM = {**WIDE, "core_layers": 1}
DANQ = {"kernels": 16, "units": 8, "hidden": 32}
SUPPORTED: list[tuple[str, dict[str, Any]]] = [
    ("danq", DANQ),
    ("danq", {**DANQ, "lstm_biases": 2}),
    ("danq", {**DANQ, "gates": "hard-sigmoid"}),
    ("danq", {**DANQ, "second_lstm": "forward"}),
    ("danq-jaspar", {**DANQ, "gates": "hard-sigmoid", "second_lstm": "forward"}),
    ("ncnet-brr", {"stem": 16, "widths": [8, 16], "units": 8, "hidden": 32}),
    ("wideresnet-lstm", LSTM),
    ("wideresnet-lstm", {**LSTM, "directions": "add"}),
    ("wideresnet-lstm", {**LSTM, "directions": "add", "skip": "add", "skip_norm": True}),
    ("wideresnet-lstm", {**LSTM, "skip": "none", "hidden": 0, "wvn": True}),
    ("wideresnet-lstm", {**LSTM, "skip_norm": True, "hidden": 0}),
    ("wideresnet-lstm", {**LSTM, "wvn": True}),
    ("wideresnet-txl", WIDE),
    ("wideresnet-txl", {**WIDE, "skip": "none", "memory": 7}),
    ("wideresnet-txl", {**WIDE, "skip": "add", "memory": 40, "same_length": False}),
    ("wideresnet-txl", {**WIDE, "skip": "add", "skip_norm": True, "memory": 0}),
    ("wideresnet-txl", {**WIDE, "skip_norm": True, "hidden": 0, "wvn": True, "memory": 20}),
    ("wideresnet-txl", {**WIDE, "hidden": 0, "skip": "none"}),
    ("wideresnet-txl", {**WIDE, "core_kernel": 4}),
    ("wideresnet-txl", {**WIDE, "core_kernel": 3, "memory": 3, "same_length": False}),
    ("wideresnet-txl", {**WIDE, "memory": 1, "wvn": True}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("wideresnet-lstm", {**WIDE, "core_layers": 2}),
    ("wideresnet-txl", {**WIDE, "bidirectional": True}),
    ("wideresnet-txl", {**WIDE, "core": "encoder"}),
    ("wideresnet-txl", {**WIDE, "core": "none"}),
    ("ncnet-rbr", {"widths": [8, 16], "units": 8, "hidden": 32}),
    ("chromdl", {"gru_units": 4, "separable": 12, "kernels": 8, "units": 8}),
    ("compact", {"channels": 16, "heads": 2}),
]


def make(name: str, parameters: dict[str, Any], dtype: torch.dtype = torch.float64) -> SequenceModel:
    """Returns a small model whose weights, biases and norms differ from their initial values."""
    torch.manual_seed(0)
    model = create_model(name, TASKS, WINDOW, parameters).eval().to(dtype).requires_grad_(False)
    for key, tensor in model.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and "bias_hh" not in key:
            tensor += 0.3 * torch.randn_like(tensor)
    return model


def features_of(model: SequenceModel, seed: int = 0) -> Tensor:
    """Features of a random sequence, (1, C, P)."""
    letters = torch.randint(0, 4, (1, WINDOW), generator=torch.manual_seed(seed))
    x = torch.nn.functional.one_hot(letters, 4).transpose(1, 2)
    return model.features(x.to(model.output.weight.dtype))


def random_change(features: Tensor, rows: int, width: int, seed: int = 1) -> Change:
    """Random changes, including both ends; some reach past the last position."""
    _, channels, positions = features.shape
    generator = torch.manual_seed(seed)
    start = torch.randint(0, positions, (rows,), generator=generator)
    start[:3] = torch.tensor([0, positions - 1, positions - 1])[:rows]
    values = torch.randn(rows, channels, width, generator=generator, dtype=features.dtype)
    return Change(start.sort().values, values)


def complete(features: Tensor, change: Change) -> Tensor:
    """Returns the complete changed features of every row, (b, C, P)."""
    whole = features.repeat(len(change.start), 1, 1)
    for row, (start, values) in enumerate(zip(change.start.tolist(), change.values, strict=True)):
        for offset in range(min(values.shape[1], features.shape[2] - start)):
            whole[row, :, start + offset] = values[:, offset]
    return whole


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("name", "parameters"), SUPPORTED)
def test_core_heads_equal_the_complete_head(
    name: str, parameters: dict[str, Any], dtype: torch.dtype, error: float
) -> None:
    model = make(name, parameters, dtype)
    head, features = core_head(model), features_of(model)
    assert head is not None
    state = head.begin(features)
    for rows, width in ((1, 1), (40, 1), (90, 3)):
        change = random_change(features, rows, width)
        kept = change.values.clone()
        expected = model.head(complete(features, change))
        scale = max(1.0, float(expected.abs().max()))
        assert (head.logits(state, change, range(TASKS)) - expected).abs().max() < error * scale
        assert (head.logits(state, change, [4, 1]) - expected[:, [4, 1]]).abs().max() < error * scale
        assert torch.equal(change.values, kept)


@pytest.mark.parametrize(("name", "parameters"), REFUSED)
def test_other_cores_have_no_core_head(name: str, parameters: dict[str, Any]) -> None:
    assert core_head(make(name, parameters)) is None
