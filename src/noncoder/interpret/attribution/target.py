"""Target of an attribution: the mean logit of some tasks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noncoder.models import SequenceModel


@dataclass(frozen=True)
class Target:
    """Mean logit of some tasks of a model.

    Args:
        model: The model.
        tasks: Columns of the tasks.
    """

    model: SequenceModel
    tasks: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """Returns the mean logits (N,) of one-hot DNA, or of any float input of the same shape, (N, 4, L)."""
        logits: Tensor = self.model(x)
        return logits[:, list(self.tasks)].mean(dim=1)

    def gradient(self, x: Tensor) -> Tensor:
        """Returns the gradient with respect to x, (N, 4, L)."""
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self(x).sum(), x)[0]
