"""The base class of all models, and the record of a model by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from noncoder.config import Section
from noncoder.errors import InputError


class ModelOrigin(Protocol):
    """Where a model that is not built in comes from: a file or a package."""

    def describe(self) -> Mapping[str, Any]:
        """Describes the origin for a predictor's folder, as JSON values."""

    def check(self, described: Mapping[str, Any]) -> None:
        """Checks that the origin is the one that a predictor's folder describes."""


class SequenceModel(nn.Module):
    """Base class of the built-in models: one-hot DNA (N, 4, L) to logits (N, T).

    Args:
        tasks: Number of tasks, T.
        window: Length of the input, L, bp.
        config: The model's settings.
    """

    output: nn.Linear
    """The last layer. Its bias, (T,) or (1,), is set from the share of positives before training."""
    origin: ModelOrigin | None = None
    """Where the model comes from; None if it is built in."""
    feature_step: int | None = None
    """Distance between neighbouring positions of `features`, bp, if the trunk is convolutional: then it can read a
    longer sequence, and position i depends on the bases around `feature_step * i`. None if `features` needs a whole
    window."""

    def __init__(self, tasks: int, window: int, config: Section | None = None) -> None:
        super().__init__()
        self.tasks, self.window, self.config = tasks, window, Section() if config is None else config
        self.name = ""

    @property
    def has_features(self) -> bool:
        """Whether the model consists of `features` and `head`."""
        return type(self).features is not SequenceModel.features and type(self).head is not SequenceModel.head

    def features(self, x: Tensor) -> Tensor:
        """Output of the layers before the head for one-hot DNA (N, 4, L)."""
        raise NotImplementedError

    def head(self, features: Tensor) -> Tensor:
        """Logits (N, T) from features."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, T) of one-hot DNA (N, 4, L).

        Raises:
            InputError: The input has another shape.
        """
        self.check_input(x)
        return self.head(self.features(x))

    def check_input(self, x: Tensor) -> None:
        """Checks that an input is (N, 4, L).

        Raises:
            InputError: It has another shape.
        """
        if x.ndim != 3 or x.shape[1] != 4 or x.shape[2] != self.window:
            raise InputError(
                f"an input of shape {tuple(x.shape)}",
                expected=f"one-hot DNA (N, 4, {self.window}), the window of {self.name or 'the model'}",
            )


def last_layer(model: nn.Module) -> nn.Linear | None:
    """The linear layer whose output is the logits; None if the model names none."""
    found = getattr(model, "output", None)
    return found if isinstance(found, nn.Linear) else None


@dataclass(frozen=True)
class Entry:
    """A registered model.

    Args:
        name: Its name.
        build: Builds the model from the number of tasks, the window and its settings.
        config: Class of its settings.
        about: Description in one line.
        source: The publication or file that it follows.
        origin: Where it comes from; None if it is built in.
    """

    name: str
    build: Callable[[int, int, Any], SequenceModel]
    config: type[Section]
    about: str
    source: str
    origin: ModelOrigin | None = None
