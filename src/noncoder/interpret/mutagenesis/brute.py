"""Logits of mutated versions of a sequence, each computed in full: the reference, which every model allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.interpret.mutagenesis.edits import Edits
from noncoder.models.registry import SequenceModel


class Brute:
    """A model that reads whole sequences.

    Args:
        model: The model, in evaluation mode.
        batch_size: Sequences at a time.
        device: Where its weights are.
        dtype: Their type.
    """

    def __init__(self, model: SequenceModel, batch_size: int, device: torch.device, dtype: torch.dtype) -> None:
        self.model, self.batch_size = model, batch_size
        self.bases = torch.arange(4, device=device, dtype=torch.uint8)[:, None]
        self.dtype = dtype

    def whole(self, codes: NDArray[np.uint8]) -> Tensor:
        """Logits (n, T) of sequences (n, L)."""
        x = torch.from_numpy(codes).to(self.bases.device)[:, None] == self.bases
        logits: Tensor = self.model(x.to(self.dtype))
        return logits

    def logits(self, codes: NDArray[np.uint8], edits: Edits, tasks: Sequence[int]) -> Iterator[tuple[Edits, Tensor]]:
        """Part after part of the mutations of codes (L,) with their logits (m, tasks)."""
        columns = list(tasks)
        for part in edits.batches(self.batch_size):
            yield part, self.whole(part.apply(codes))[:, columns]
