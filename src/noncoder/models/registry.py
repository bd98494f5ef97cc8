"""The models by name: built-in ones, those of installed packages, and those of a user's own files.

A new built-in model is one file in this folder with one decorator; it then passes through the test suite of all models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from noncoder.config import Section, validate
from noncoder.errors import InputError, UnknownNameError
from noncoder.models.base import Entry, SequenceModel, last_layer
from noncoder.models.own import file_entry, is_file_name, name_source, package_entry, package_models

_ENTRIES: dict[str, Entry] = {}

M = TypeVar("M", bound=type[SequenceModel])


def register(name: str, config: type[Section], about: str, source: str) -> Callable[[M], M]:
    """Registers a model class, which takes (tasks, window, config), under a name."""

    def add(model: M) -> M:
        if name in _ENTRIES:
            raise ValueError(f"two models are called {name!r}")
        _ENTRIES[name] = Entry(name, model, config, about, source)
        return model

    return add


def list_models() -> list[str]:
    """Returns the names of all models, built in and from installed packages, sorted."""
    return sorted({*_ENTRIES, *package_models()})


def model_entry(name: str) -> Entry:
    """Returns the entry of a model by its name.

    Args:
        name: One of `list_models()`, or "path/to/file.py:Class", which runs the file. A built-in model takes precedence
            over a model of the same name in a package.

    Raises:
        UnknownNameError: There is no such model; the message offers the nearest name.
        InputError: The file or the package is missing, fails, or holds no such model.
    """
    if name in _ENTRIES:
        return _ENTRIES[name]
    if is_file_name(name):
        return file_entry(name_source(name))
    return installed_entry(name)


def installed_entry(name: str) -> Entry:
    """Returns the entry of a built-in model or of a model in an installed package; runs no file.

    Raises:
        UnknownNameError: There is no such model; the message offers the nearest name.
        InputError: The package fails.
    """
    entry = _ENTRIES.get(name) or package_entry(name)
    if entry is None:
        raise UnknownNameError("model", name, list_models())
    return entry


def check_model(name: str, parameters: Mapping[str, Any]) -> Section:
    """Checks the settings of a model without building it, and returns them.

    Raises:
        UnknownNameError: There is no such model.
        ConfigError: A setting is unknown or wrong.
        InputError: The file or the package of the model fails.
    """
    return validate(model_entry(name).config, parameters, origin=f"model {name}")


def create_model(
    name: str, tasks: int, window: int = 1000, parameters: Mapping[str, Any] | None = None
) -> SequenceModel:
    """Builds a model with newly initialized weights.

    It is a `torch.nn.Module` that takes one-hot DNA `(N, 4, L)`, float, channels A, C, G, T, where N is four zeros,
    and gives logits `(N, T)`. Weights are drawn from PyTorch's global random state. Every built-in model compiles as
    one graph, `torch.compile(model, fullgraph=True)`. PyTorch compiles models with an LSTM or GRU (all but compact,
    deepsea and wideresnet-txl) only after `torch._dynamo.config.allow_rnn = True`.

        >>> import noncoder, torch
        >>> model = noncoder.create_model("compact", tasks=3, window=200, parameters={"channels": 16})
        >>> x = torch.eye(4)[torch.randint(4, (8, 200))].transpose(1, 2)
        >>> x.shape, model(x).shape
        (torch.Size([8, 4, 200]), torch.Size([8, 3]))

    Args:
        name: One of `list_models()`, or "path/to/file.py:Class" for your own model, which runs the file.
        tasks: Number of tasks, T.
        window: Length of the input, L, bp.
        parameters: The model's settings by name; defaults for the rest. `noncoder models NAME` lists them.

    Raises:
        UnknownNameError: There is no such model.
        ConfigError: A setting is unknown or wrong.
        InputError: The window is too short for the model, or your own model fails.
    """
    return build(model_entry(name), tasks, window, parameters or {})


def build(entry: Entry, tasks: int, window: int, parameters: Mapping[str, Any]) -> SequenceModel:
    """Builds a model with newly initialized weights from its entry; see `create_model` for arguments and errors."""
    config = validate(entry.config, parameters, origin=f"model {entry.name}")
    if tasks < 1:
        raise InputError(f"{tasks} tasks", expected="at least one task")
    model = entry.build(tasks, window, config)
    model.name = entry.name
    return model


def build_empty(entry: Entry, tasks: int, window: int, parameters: Mapping[str, Any]) -> SequenceModel:
    """Builds a model whose weights will be loaded; draws no weights if possible.

    Args:
        entry: Entry of the model.
        tasks: Number of tasks, T.
        window: Length of the input, L, bp.
        parameters: The model's settings.

    Raises:
        ConfigError: A setting is unknown or wrong.
        InputError: The window is too short for the model, or a user's own model fails.
    """
    if entry.origin is None:
        with torch.device("meta"):
            model = build(entry, tasks, window, parameters)
        stored = model.state_dict()
        if all(name in stored for name, _ in model.named_buffers()):
            return model.to_empty(device="cpu")
    # Buffers that are not stored must be computed.
    return build(entry, tasks, window, parameters)


def count_parameters(model: nn.Module) -> int:
    """Returns the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def set_prior_bias(model: SequenceModel, prevalence: Tensor) -> bool:
    """Sets the last bias to the logit of each task's share of positives, (T,).

    Training then starts at the loss of the base rates (as in arXiv:1901.05555). Shares of 0 and 1 count as one in a
    million. A model whose tasks share one bias (DeepATT) gets the logit of the mean share.

    Returns:
        Whether the model has a last linear layer with a bias; a model without one is unchanged.
    """
    output = last_layer(model)
    if output is None or output.bias is None:
        return False
    p, bias = prevalence.double().clamp(1e-6, 1 - 1e-6), output.bias
    if bias.numel() < p.numel():
        p = p.mean().expand_as(bias)
    with torch.no_grad():
        bias.copy_(torch.log(p / (1 - p)))
    return True


__all__ = [
    "Entry",
    "SequenceModel",
    "build",
    "build_empty",
    "check_model",
    "count_parameters",
    "create_model",
    "installed_entry",
    "last_layer",
    "list_models",
    "model_entry",
    "register",
    "set_prior_bias",
]
