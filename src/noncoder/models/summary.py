"""A model as a table of its layers, with output shapes and numbers of parameters; operations per window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from noncoder.models.regions import RegionModel
from noncoder.models.registry import SequenceModel, build, count_parameters, model_entry

Shape = tuple[int, ...]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class LayerRow(NamedTuple):
    """A layer, or a part that consists of layers.

    Attributes:
        name: Name in the model, e.g. "blocks.0".
        kind: Class, e.g. "Conv1d".
        shape: Output shape for one sequence; None if the layer is not called and only its weights are used.
        parameters: Number of trainable parameters.
    """

    name: str
    kind: str
    shape: Shape | None
    parameters: int


def layer_table(
    name: str, tasks: int, window: int = 1000, parameters: Mapping[str, Any] | None = None, depth: int = 2
) -> list[LayerRow]:
    """Lists the layers of a model in the order of their calls; allocates no weights of a built-in model.

    Args:
        name: As in `create_model`.
        tasks: Number of tasks, T.
        window: Length of the input, L, bp.
        parameters: The model's settings; defaults for the rest.
        depth: Levels to which parts are expanded; an expanded part has no row of its own.

    Raises:
        NoncoderError: There is no such model or setting, or the window is too short.
    """
    shapes: dict[str, Shape] = {}  # in the order of the calls
    with _probed(name, tasks, window, parameters or {}) as model:
        for place, part in model.named_modules():
            part.register_forward_hook(_note(shapes, place))
        model(torch.zeros(1, 4, window))
    order = {place: i for i, place in enumerate(shapes)}
    parts = list(_parts(model, depth, shapes))
    rows = [LayerRow(place, type(part).__name__, shapes.get(place), count_parameters(part)) for place, part in parts]
    # Parts that are not called, such as embeddings or queries, are placed with their parent, or first.
    del order[""]
    rows.sort(key=lambda row: order.get(row.name, order.get(row.name.rpartition(".")[0], -1)))
    loose = count_parameters(model) - sum(row.parameters for row in rows)
    return [*rows, LayerRow("(others)", "Parameter", None, loose)] if loose else rows


def count_operations(
    name: str,
    tasks: int,
    window: int = 1000,
    parameters: Mapping[str, Any] | None = None,
    bins: int = 1,
    step: int = 200,
) -> float:
    """Counts the floating-point operations of a forward pass per window; allocates no weights of a built-in model.

    A multiplication and an addition are two operations. Matrix products, convolutions, attention and recurrent layers
    count. Elementwise operations do not: memory traffic, not arithmetic, determines their time. A training step,
    forward and backward, takes three times as many operations.

    Args:
        name: As in `create_model`.
        tasks: Number of tasks, T.
        window: Length of the input, L, bp.
        parameters: The model's settings; defaults for the rest.
        bins: Neighbouring windows whose features are computed together, as in `RegionModel`; 1 for single windows.
        step: Distance between these windows, bp.

    Raises:
        NoncoderError: There is no such model or setting, the window is too short, or the model reads windows alone.
    """
    recurrent: list[int] = []
    counter = FlopCounterMode(display=False)

    def begin(layer: nn.RNNBase, inputs: Any) -> None:
        recurrent.append(-counter.get_total_flops())

    def end(layer: nn.RNNBase, inputs: Any, output: Any) -> None:
        directions, units, width = 1 + layer.bidirectional, layer.hidden_size, layer.input_size
        weights = _GATES[layer.mode] * units * directions
        weights *= width + units + (layer.num_layers - 1) * (directions + 1) * units
        recurrent.append(counter.get_total_flops())  # operations that the counter saw inside count once
        recurrent.append(-2 * inputs[0].shape[1 if layer.batch_first else 0] * weights)

    with _probed(name, tasks, window, parameters or {}) as model:
        for part in model.modules():
            if isinstance(part, nn.RNNBase):
                part.register_forward_pre_hook(begin)
                part.register_forward_hook(end)
        network = model if bins == 1 else RegionModel(model, bins, step)
        with counter:
            network(torch.zeros(1, 4, window + (bins - 1) * step))
    return (int(counter.get_total_flops()) - sum(recurrent)) / bins


@contextmanager
def _probed(name: str, tasks: int, window: int, parameters: Mapping[str, Any]) -> Iterator[SequenceModel]:
    """A model in evaluation mode on the meta device, which has shapes only; a user's own model has real weights."""
    entry = model_entry(name)
    with (
        torch.device("cpu" if entry.origin is not None else "meta"),
        torch.random.fork_rng(devices=[], enabled=entry.origin is not None),
        torch.no_grad(),
    ):
        model = build(entry, tasks, window, parameters).eval()
        for part in model.modules():
            if isinstance(part, nn.RNNBase) and entry.origin is None:
                part.forward = _recurrent_shape(part)  # on the meta device it would run step by step, for seconds
        yield model


def _parts(
    module: nn.Module, depth: int, shapes: dict[str, Shape], before: str = ""
) -> Iterator[tuple[str, nn.Module]]:
    for name, part in module.named_children():
        place, children = before + name, dict(part.named_children())
        if isinstance(part, nn.ModuleList):  # a list is never called itself
            yield from _parts(part, depth, shapes, f"{place}.")
        # If only its children had rows, a part's own parameters would be lost.
        elif depth == 1 or not children or any(True for _ in part.parameters(recurse=False)):
            yield place, part
        else:
            if place in shapes and not any(f"{place}.{child}" in shapes for child in children):
                # The part uses the weights of its children without calling them: its output is the last child's.
                shapes[f"{place}.{list(children)[-1]}"] = shapes[place]
            yield from _parts(part, depth - 1, shapes, f"{place}.")


def _note(shapes: dict[str, Shape], place: str) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) and output else output
        if isinstance(tensor, Tensor):
            shapes[place] = tuple(tensor.shape[1:])

    return hook


def _recurrent_shape(layer: nn.RNNBase) -> Any:
    directions = 2 if layer.bidirectional else 1

    def forward(x: Tensor, state: Any = None) -> tuple[Tensor, None]:
        return x.new_empty(*x.shape[:2], directions * layer.hidden_size), None

    return forward
