"""A model as a table of its layers: what each gives, and how many parameters it has."""

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
    """A layer, or a part made of layers.

    Attributes:
        name: Its place in the model, e.g. "blocks.0".
        kind: Its class, e.g. "Conv1d".
        shape: What it gives for one sequence; None where only its weights are used.
        parameters: How many numbers in it training changes.
    """

    name: str
    kind: str
    shape: Shape | None
    parameters: int


def layer_table(
    name: str, tasks: int, window: int = 1000, parameters: Mapping[str, Any] | None = None, depth: int = 2
) -> list[LayerRow]:
    """The layers of a model, in the order in which they are called; no weights are made for a built-in model.

    Args:
        name: As in `create_model`.
        tasks: How many tasks, T.
        window: How many bp it reads, L.
        parameters: Its own settings; defaults for the rest.
        depth: How far parts are taken apart; a part that is taken apart has no row of its own.

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
    # What is not called itself goes with its part, or first: it is an embedding, or queries.
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
    """Floating-point operations of a forward pass of one window; no weights are made for a built-in model.

    A multiplication and an addition are two. Matrix products, convolutions, attention and recurrent layers count; what
    is done element by element does not: it costs bytes rather than operations. A training step, forward and backward,
    takes three times as many.

    Args:
        name: As in `create_model`.
        tasks: How many tasks, T.
        window: How many bp it reads, L.
        parameters: Its own settings; defaults for the rest.
        bins: Windows whose features are computed together, as `RegionModel` does; 1 for each by itself.
        step: Distance between neighbouring windows then, bp.

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
        recurrent.append(counter.get_total_flops())  # what the counter has seen within counts once
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
    """A model in evaluation mode on the meta device, which knows shapes alone; a user's own has its numbers."""
    entry = model_entry(name)
    with (
        torch.device("cpu" if entry.origin is not None else "meta"),
        torch.random.fork_rng(devices=[], enabled=entry.origin is not None),
        torch.no_grad(),
    ):
        model = build(entry, tasks, window, parameters).eval()
        for part in model.modules():
            if isinstance(part, nn.RNNBase) and entry.origin is None:
                part.forward = _recurrent_shape(part)  # without numbers it would run step by step, for seconds
        yield model


def _parts(
    module: nn.Module, depth: int, shapes: dict[str, Shape], before: str = ""
) -> Iterator[tuple[str, nn.Module]]:
    for name, part in module.named_children():
        place, children = before + name, dict(part.named_children())
        if isinstance(part, nn.ModuleList):  # a list is no layer: it is not called itself
            yield from _parts(part, depth, shapes, f"{place}.")
        # A part with parameters of its own would lose them if only its children had rows.
        elif depth == 1 or not children or any(True for _ in part.parameters(recurse=False)):
            yield place, part
        else:
            if place in shapes and not any(f"{place}.{child}" in shapes for child in children):
                # It takes its children's weights and calls none of them: what it gives is the last one's.
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
