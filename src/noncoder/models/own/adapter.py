"""A user's own network as a model, and a trial run that finds its parts."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from noncoder.config import Section
from noncoder.errors import InputError, NoncoderError
from noncoder.models.base import SequenceModel

_TRIED = 4


class OwnModel(SequenceModel):
    """A plain `nn.Module` as a `SequenceModel`; its weights are named "network.…".

    Args:
        network: (N, 4, L) -> (N, T).
        tasks: Number of tasks, T.
        window: Length of the input, L, bp.
        config: The network's settings.
    """

    def __init__(self, network: nn.Module, tasks: int, window: int, config: Section) -> None:
        super().__init__(tasks, window, config)
        self.network = network
        self._split = False

    @property
    def has_features(self) -> bool:
        """Whether the network has `features` and `head` with `head(features(x))` equal to its output."""
        return self._split

    def features(self, x: Tensor) -> Tensor:
        """The network's own features."""
        found: Tensor = self.network.features(x)  # type: ignore[operator]
        return found

    def head(self, features: Tensor) -> Tensor:
        """The network's own head, (N, T)."""
        logits: Tensor = self.network.head(features)  # type: ignore[operator]
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, T) of one-hot DNA (N, 4, L).

        Raises:
            InputError: The input has another shape.
        """
        self.check_input(x)
        # In training the network may do more than apply its two parts, such as dropout between them.
        if self._split and not self.training:
            return self.head(self.features(x))
        logits: Tensor = self.network(x)
        return logits

    def find_parts(self, x: Tensor, logits: Tensor) -> None:
        """Finds the last linear layer, and whether the network consists of features and head.

        Args:
            x: One-hot DNA (N, 4, L).
            logits: The network's output for it in evaluation mode.
        """
        outputs: list[tuple[nn.Linear, Tensor]] = []
        handles = [
            part.register_forward_hook(lambda part, _, output: outputs.append((part, output.clone())))
            for part in self.network.modules()
            if isinstance(part, nn.Linear)
        ]
        try:
            self.network(x)
        finally:
            for handle in handles:
                handle.remove()
        last = next((layer for layer, y in reversed(outputs) if torch.equal(y.flatten(), logits.flatten())), None)
        if last is not None and last.out_features in (1, self.tasks):
            self.__dict__["output"] = last  # a part of the network, so not registered as a part of this module
        if callable(getattr(self.network, "features", None)) and callable(getattr(self.network, "head", None)):
            with explained(f"head(features(x)) of {self.name}", self.name):
                both = self.head(self.features(x))
            self._split = isinstance(both, Tensor) and both.shape == logits.shape and torch.allclose(both, logits)


def adapt(network: Any, name: str, tasks: int, window: int, config: Section) -> SequenceModel:
    """Turns a user's own network into a model, after a trial run in evaluation mode.

    Args:
        network: The object that the user's class or function returned.
        name: The model's name.
        tasks: Number of tasks, T.
        window: Length of the input, L, bp.
        config: The network's settings.

    Raises:
        InputError: It is not an `nn.Module` of (N, 4, L) -> (N, T), or its outputs are probabilities.
    """
    if not isinstance(network, nn.Module):
        raise InputError(f"{name} made a {type(network).__name__}", expected="an nn.Module")
    model = network if isinstance(network, SequenceModel) else OwnModel(network, tasks, window, config)
    model.name, model.config = name, config
    codes = np.random.default_rng(0).integers(0, 4, (_TRIED, window))
    weight = next(iter(model.parameters()), None)
    if weight is None:
        raise InputError(f"{name} has no parameters", expected="a network that can be trained")
    x = torch.from_numpy(np.eye(4, dtype=np.float32)[codes].transpose(0, 2, 1).copy()).to(weight.device)
    modes = [(part, part.training) for part in model.modules()]
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            model.eval()
            with explained(f"{name} fails on one-hot DNA of shape {tuple(x.shape)}", name):
                logits = network(x)
            _check(logits, name, tasks)
            if isinstance(model, OwnModel):
                model.find_parts(x, logits)
    finally:
        for part, mode in modes:
            part.training = mode
    odd = [key for key, value in model.state_dict().items() if not isinstance(value, Tensor)]
    if odd:
        raise InputError(f"{name} keeps {odd[0]!r} in its state_dict, which is no tensor", expected="tensors alone")
    return model


def _check(logits: Any, name: str, tasks: int) -> None:
    if not isinstance(logits, Tensor) or logits.shape != (_TRIED, tasks) or not logits.is_floating_point():
        found = f"{logits.dtype} {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"{name} gives {found} for {_TRIED} windows and {tasks} tasks",
            expected=f"logits, a float tensor of shape ({_TRIED}, {tasks})",
        )
    if ((logits > 0) & (logits < 1)).all() and logits.numel() >= 4 * _TRIED and logits.std() > 0:
        raise InputError(
            f"{name} gives values between 0 and 1 only", expected="logits", hint="leave out the sigmoid at its end"
        )


@contextmanager
def explained(what: str, name: str) -> Iterator[None]:
    """Turns an error in a user's code into one message with its line.

    Args:
        what: What failed.
        name: The model's name, "path/to/file.py:Class" or of a package.

    Raises:
        InputError: The block raised an error.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, NoncoderError):
            raise
        file = name.rpartition(":")[0]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        place = f" ({file}, line {lines[-1]})" if lines else ""
        raise InputError(f"{what}{place}: {type(error).__name__}: {error}") from error
