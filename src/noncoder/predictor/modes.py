"""Training and evaluation mode of a model's parts, put back to what they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def restoring_modes(*modules: nn.Module) -> Iterator[None]:
    """Within it modes may change; afterwards each part of the modules is in the mode that it was in, whatever happens.

    A model need not be in one mode throughout: a frozen part is in evaluation mode while the rest is trained.
    """
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
