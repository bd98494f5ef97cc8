"""The mean of probabilities as a logit, and the strands that are averaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from noncoder.data.loading import one_hot, reverse_strand
from noncoder.models import SequenceModel
from noncoder.predictor.modes import restoring_modes

Strand = Literal["forward", "reverse"]
Strands = Literal["both", "forward", "reverse"]


class MeanProbability:
    """The mean of the probabilities of some passes over the same windows, as a logit.

    It is log(p1 + p2 + …) - log(q1 + q2 + …) with q = 1 - p, in logarithms throughout: float32 probabilities near 1
    would tie, and with them the ranks that AUROC needs. Of one pass it is that pass's logits, untouched.
    """

    def __init__(self) -> None:
        self._first: Tensor | None = None
        self._yes, self._no = torch.empty(0), torch.empty(0)
        self._passes = 0

    def add(self, logits: Tensor) -> None:
        """Takes in the logits (n, T) of a pass."""
        self._passes += 1
        if self._first is None:
            self._first = logits
            return
        if self._passes == 2:
            self._yes, self._no = F.logsigmoid(self._first), F.logsigmoid(-self._first)
        self._yes = torch.logaddexp(self._yes, F.logsigmoid(logits))
        self._no = torch.logaddexp(self._no, F.logsigmoid(-logits))

    def logits(self) -> Tensor:
        """The logits (n, T) of the mean probability of the passes until now, of which there is at least one."""
        assert self._first is not None
        return self._first if self._passes == 1 else self._yes - self._no


def strands_of(strands: Strands) -> tuple[Strand, ...]:
    """Which strands are read, the plain one first."""
    return ("forward", "reverse") if strands == "both" else (strands,)


def read_strand(model: SequenceModel, codes: Tensor, strand: Strand) -> Tensor:
    """Logits (n, T) of codes (n, L), read from one strand."""
    logits: Tensor = model(one_hot(codes if strand == "forward" else reverse_strand(codes)))
    return logits


def strand_logits(model: SequenceModel, codes: Tensor, strands: Strands) -> Tensor:
    """Logits (n, T) of codes (n, L) read from one strand, or the logit of the two strands' mean probability."""
    mean = MeanProbability()
    for strand in strands_of(strands):
        mean.add(read_strand(model, codes, strand))
    return mean.logits()


@contextmanager
def evaluating(*models: SequenceModel) -> Iterator[None]:
    """Within it models predict; afterwards each of their parts is in the mode that it was in."""
    with restoring_modes(*models), torch.inference_mode():
        for model in models:
            model.eval()
        yield
