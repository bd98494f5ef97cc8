"""Reference implementation: mutated sequences made and predicted one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from noncoder.models import SequenceModel, create_model
from noncoder.models.deepsea import DeepSea
from noncoder.sequence.encoding import one_hot

TASKS = 5
SMALL: dict[str, dict[str, Any]] = {
    "chromdl": {"gru_units": 4, "separable": 12, "kernels": 8, "units": 8},
    "compact": {"channels": 16, "heads": 2},
    "danq": {"kernels": 16, "units": 8, "hidden": 32},
    "danq-jaspar": {"kernels": 16, "units": 8, "hidden": 32},
    "deepatt": {"kernels": 16, "units": 8, "attention": 16, "hidden": 16},
    "deepsea": {"hidden": 16},
    "ncnet-brr": {"stem": 16, "widths": [8, 16, 32], "units": 8, "hidden": 32},
    "ncnet-rbr": {"widths": [8, 16], "units": 8, "hidden": 32},
    "wideresnet-lstm": {"width": 16, "expansion": 2, "hidden": 32},
    "wideresnet-txl": {"width": 16, "expansion": 2, "core_layers": 2, "hidden": 32},
}


def small_model(name: str, window: int, parameters: dict[str, Any] | None = None) -> SequenceModel:
    """Returns a model whose weights, biases and means differ from their initial values, so that mistakes show."""
    torch.manual_seed(0)
    model = create_model(name, TASKS, window, {**SMALL.get(name, {}), **(parameters or {})})
    if isinstance(model, DeepSea):
        _make_narrow(model)
    model.double().eval()
    scatter_weights(model)
    return model


def _make_narrow(model: DeepSea) -> None:
    """Narrows DeepSEA, whose widths are not settings: thousands of sequences take minutes at full width."""
    for at, channels in ((0, (4, 6)), (4, (6, 8)), (8, (8, 10))):
        model.convolutions[at] = nn.Conv1d(*channels, 8)
    dense = model.hidden[1]
    assert isinstance(dense, nn.Linear)
    model.hidden[1] = nn.Linear(dense.in_features // 960 * 10, dense.out_features)


def scatter_weights(model: nn.Module) -> None:
    with torch.no_grad():
        for part in model.modules():
            for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
                if name == "running_var":
                    tensor.uniform_(0.5, 2)
                elif name in ("running_mean", "bias") or (name == "weight" and tensor.dim() == 1):
                    tensor.add_(torch.randn_like(tensor) * 0.2)
    query = getattr(getattr(model, "attention", None), "query", None)
    if query is not None:  # compact initialises them to zero
        nn.init.normal_(query.weight)


def random_codes(n: int, window: int, seed: int = 0, unknown: bool = True) -> NDArray[np.uint8]:
    """Random sequences; the first one has Ns at both ends and inside."""
    codes = np.random.default_rng(seed).integers(0, 4, (n, window), dtype=np.uint8)
    if unknown:
        codes[0, [0, window // 3, window // 3 + 1, window - 1]] = 4
    return codes


def substituted(codes: list[int], at: int, base: int) -> list[int]:
    return [*codes[:at], base, *codes[at + 1 :]]


def deleted(codes: list[int], at: int) -> list[int]:
    return [*codes[:at], *codes[at + 1 :], 4]


def inserted(codes: list[int], at: int, base: int) -> list[int]:
    return [*codes[:at], base, *codes[at:]][: len(codes)]


def logits_of(model: SequenceModel, sequences: list[list[int]]) -> NDArray[np.float64]:
    x = as_x(np.array(sequences, dtype=np.uint8))
    with torch.no_grad():
        return np.concatenate([model(part).numpy() for part in x.split(100)])


def as_x(codes: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(one_hot(codes, np.float64))


def effects_of(model: SequenceModel, codes: NDArray[np.uint8]) -> tuple[NDArray[np.float64], ...]:
    """Effects of all substitutions (n, 4, L, T), deletions (n, L, T) and insertions (n, 4, L, T)."""
    found: list[list[NDArray[np.float64]]] = [[], [], []]
    for row in codes.tolist():
        length = len(row)
        own = logits_of(model, [row])
        made = [
            [substituted(row, at, base) for base in range(4) for at in range(length)],
            [deleted(row, at) for at in range(length)],
            [inserted(row, at, base) for base in range(4) for at in range(length)],
        ]
        for kind, sequences in enumerate(made):
            effects = logits_of(model, sequences) - own
            found[kind].append(effects if kind == 1 else effects.reshape(4, length, -1))
    return tuple(np.stack(part) for part in found)
