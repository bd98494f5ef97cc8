"""What is explained: the mean logit of some tasks of a model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noncoder.models import SequenceModel


@dataclass(frozen=True)
class Target:
    """The mean logit of some tasks.

    Args:
        model: The model.
        tasks: Columns of the tasks.
    """

    model: SequenceModel
    tasks: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """(N,) of one-hot DNA, or what is like it, (N, 4, L)."""
        logits: Tensor = self.model(x)
        return logits[:, list(self.tasks)].mean(dim=1)

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient by x, (N, 4, L)."""
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self(x).sum(), x)[0]


def subtract_mean(gradient: Tensor) -> Tensor:
    """Takes off the mean over the bases, (N, 4, L).

    Columns of one-hot DNA sum to one: along the mean a network sees no data, and its gradient there is noise
    (Majdandzic et al. 2023, doi:10.1186/s13059-023-02956-3).
    """
    return gradient - gradient.mean(dim=1, keepdim=True)
