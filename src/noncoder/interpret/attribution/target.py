"""What is explained: the mean logit of some tasks of a model, which is left as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from noncoder.models import SequenceModel
from noncoder.predictor.modes import restoring_modes


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


@contextmanager
def differentiating(model: SequenceModel) -> Iterator[None]:
    """Within it gradients reach the input alone, in evaluation mode; afterwards the model is as it was before."""
    asked = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        with restoring_modes(model), torch.enable_grad():
            model.eval()
            model.requires_grad_(False)
            if next(model.parameters()).is_cuda:
                for module in model.modules():
                    if isinstance(module, nn.RNNBase) and not module.dropout:
                        module.training = True  # cuDNN has no backward pass otherwise; it is the same arithmetic
            yield
    finally:
        for parameter, wanted in asked:
            parameter.requires_grad_(wanted)


def subtract_mean(gradient: Tensor) -> Tensor:
    """Takes off the mean over the bases, (N, 4, L).

    Columns of one-hot DNA sum to one: along the mean a network sees no data, and its gradient there is noise
    (Majdandzic et al. 2023, doi:10.1186/s13059-023-02956-3).
    """
    return gradient - gradient.mean(dim=1, keepdim=True)
