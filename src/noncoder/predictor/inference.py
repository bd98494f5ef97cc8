"""Applies a model: restores modes, and handles batches, strands, tasks and progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from noncoder.bars import progress_bar
from noncoder.data.loading import one_hot
from noncoder.models import SequenceModel

Codes = NDArray[np.uint8]
Strand = Literal["forward", "reverse"]
Strands = Literal["both", "forward", "reverse"]


@contextmanager
def restoring_modes(*modules: nn.Module) -> Iterator[None]:
    """Restores the training or evaluation mode of each sub-module on exit.

    Modes may differ within a model: a frozen part can be in evaluation mode while the rest is trained.
    """
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients inside the block; modes are restored on exit."""
    with restoring_modes(*models), torch.inference_mode():
        for model in models:
            model.eval()
        yield


@contextmanager
def differentiating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode with gradients for the input only; modes and `requires_grad` are restored on exit.

    On a GPU, cuDNN has a backward pass for recurrent layers in training mode only. Without dropout both modes compute
    the same, so these layers are put into training mode; recurrent layers with dropout run without cuDNN.
    """
    asked = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    recurrent = [module for module in model.modules() if isinstance(module, nn.RNNBase)] if _on_gpu(model) else []
    droppers = [module for module in recurrent if module.dropout]
    plain_kernels = torch.backends.cudnn.flags(enabled=False) if droppers else nullcontext()
    try:
        with restoring_modes(model), torch.enable_grad(), plain_kernels:
            model.eval()
            model.requires_grad_(False)
            for module in recurrent:
                module.training = not droppers
            yield
    finally:
        for parameter, wanted in asked:
            parameter.requires_grad_(wanted)


class MeanProbability:
    """The mean of the probabilities of several forward passes over the same windows, as a logit.

    It is log(p1 + p2 + …) - log(q1 + q2 + …) with q = 1 - p, computed in logarithms: float32 probabilities near 1 would
    tie, and so would the ranks that AUROC needs. The mean of one pass is that pass's logits, unchanged.
    """

    def __init__(self) -> None:
        self._first: Tensor | None = None
        self._yes, self._no = torch.empty(0), torch.empty(0)
        self._passes = 0

    def add(self, logits: Tensor) -> None:
        """Adds the logits (n, T) of a forward pass."""
        self._passes += 1
        if self._first is None:
            self._first = logits
            return
        if self._passes == 2:
            self._yes, self._no = F.logsigmoid(self._first), F.logsigmoid(-self._first)
        self._yes = torch.logaddexp(self._yes, F.logsigmoid(logits))
        self._no = torch.logaddexp(self._no, F.logsigmoid(-logits))

    def logits(self) -> Tensor:
        """Returns the logits (n, T) of the mean probability so far; requires at least one pass."""
        assert self._first is not None
        return self._first if self._passes == 1 else self._yes - self._no


def strands_of(strands: Strands) -> tuple[Strand, ...]:
    """Returns the strands to read, the forward strand first."""
    return ("forward", "reverse") if strands == "both" else (strands,)


def read_strand(model: SequenceModel, x: Tensor, strand: Strand) -> Tensor:
    """Returns logits (n, T) of one-hot sequences (n, 4, L), read on one strand."""
    logits: Tensor = model(x if strand == "forward" else x.flip(1, 2))
    return logits


def strand_logits(model: SequenceModel, x: Tensor, strands: Strands) -> Tensor:
    """Returns logits (n, T) of one-hot sequences (n, 4, L); for "both", the logit of the strands' mean probability.

    Gradients flow through if enabled.
    """
    mean = MeanProbability()
    for strand in strands_of(strands):
        mean.add(read_strand(model, x, strand))
    return mean.logits()


def device_of(model: nn.Module) -> torch.device:
    """Returns the device of a model's weights; the CPU for a model without weights."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def as_input(model: nn.Module, codes: Codes) -> Tensor:
    """Converts codes (n, L) to one-hot (n, 4, L) on the model's device, with the dtype of its weights."""
    weight = next((parameter for parameter in model.parameters() if parameter.is_floating_point()), None)
    placed = torch.from_numpy(np.ascontiguousarray(codes)).to(device_of(model))
    return one_hot(placed, torch.float32 if weight is None else weight.dtype)


def batches(n: int, size: int) -> Iterator[slice]:
    """Yields slices of the rows 0 to n in order, each of at most `size` rows."""
    return (slice(at, min(n, at + size)) for at in range(0, n, size))


def ask(
    model: SequenceModel,
    blocks: Iterable[Codes],
    n: int,
    tasks: Sequence[int] | None = None,
    strands: Strands = "both",
    doing: str = "predicting",
) -> NDArray[np.float32]:
    """Returns logits (n, K) of n windows, in evaluation mode, without gradients, with a progress bar.

    Args:
        model: The model, used on its device; modes are restored afterwards.
        blocks: Codes, uint8 (b, L) each, n rows in total; each block is one forward pass per strand.
        n: Number of windows.
        tasks: Columns of the logits, K; None for all T.
        strands: The strands that are read; "both" gives the logit of the mean probability.
        doing: Label of the progress bar.
    """
    columns = slice(None) if tasks is None else list(tasks)
    logits = np.empty((n, model.tasks if tasks is None else len(tasks)), dtype=np.float32)
    at = 0
    with evaluating(model), progress_bar(total=n, desc=doing, unit="windows") as bar:
        for block in blocks:
            part = strand_logits(model, as_input(model, block), strands)[:, columns]
            logits[at : at + len(block)] = part.float().cpu().numpy()
            at += len(block)
            bar.update(len(block))
    return logits


def _on_gpu(model: nn.Module) -> bool:
    return device_of(model).type == "cuda"
