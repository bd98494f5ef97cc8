"""The models by name.

A new one is a file in this folder and one decorator; the test suite of all models is then its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from noncoder.config import Section, validate
from noncoder.errors import InputError, UnknownNameError


class SequenceModel(nn.Module):
    """What every model is: one-hot DNA in, a logit a task out.

    Args:
        tasks: How many tasks, T.
        window: How many bp it reads, L.
        config: Its own settings.
    """

    output: nn.Linear
    """The last layer; its bias, (T,) or one for all tasks, can be set from the share of positives."""

    def __init__(self, tasks: int, window: int, config: Section) -> None:
        super().__init__()
        self.tasks, self.window, self.config = tasks, window, config
        self.name = ""

    def features(self, x: Tensor) -> Tensor:
        """What the layers before the head make of one-hot DNA (N, 4, L)."""
        raise NotImplementedError

    def head(self, features: Tensor) -> Tensor:
        """Logits (N, T) from features."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, T) of one-hot DNA (N, 4, L)."""
        return self.head(self.features(x))


@dataclass(frozen=True)
class Entry:
    """A registered model: its name, class, settings, a line about it, and the source it follows."""

    name: str
    build: Callable[[int, int, Any], SequenceModel]
    config: type[Section]
    about: str
    source: str


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
    """The names of all models, sorted."""
    return sorted(_ENTRIES)


def model_entry(name: str) -> Entry:
    """What is registered under a name.

    Raises:
        UnknownNameError: Nothing is; the message offers the nearest name.
    """
    if name not in _ENTRIES:
        raise UnknownNameError("model", name, _ENTRIES)
    return _ENTRIES[name]


def check_model(name: str, parameters: Mapping[str, Any]) -> Section:
    """The settings of a model, checked without building it.

    Raises:
        UnknownNameError: There is no such model.
        ConfigError: A setting is unknown or wrong.
    """
    return validate(model_entry(name).config, parameters, origin=f"model {name}")


def create_model(
    name: str, tasks: int, window: int = 1000, parameters: Mapping[str, Any] | None = None
) -> SequenceModel:
    """Builds a model with fresh weights.

    Args:
        name: One of `list_models()`.
        tasks: How many tasks, T.
        window: How many bp it reads, L.
        parameters: Its own settings, by name; defaults for the rest.

    Raises:
        UnknownNameError: There is no such model.
        ConfigError: A setting is unknown or wrong.
        InputError: The window is too short for the model.
    """
    config = check_model(name, parameters or {})
    if tasks < 1:
        raise InputError(f"{tasks} tasks", expected="at least one task")
    model = model_entry(name).build(tasks, window, config)
    model.name = name
    return model


def count_parameters(model: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def set_prior_bias(model: SequenceModel, prevalence: Tensor) -> None:
    """Sets the last bias to the logit of each task's share of positives, (T,).

    Training then starts from the loss of the base rates, not of a coin toss (the idea of arXiv:1901.05555). Shares of
    0 and 1 count as one in a million. A model whose tasks share one bias (DeepATT) gets that of the mean share.
    """
    p = prevalence.double().clamp(1e-6, 1 - 1e-6)
    bias = model.output.bias
    if bias.numel() < p.numel():
        p = p.mean().expand_as(bias)
    with torch.no_grad():
        bias.copy_(torch.log(p / (1 - p)))
