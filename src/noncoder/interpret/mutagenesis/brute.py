"""Logits of mutated versions of a sequence, each computed in full: the reference, which every model allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from noncoder.interpret.mutagenesis.edits import Edits
from noncoder.models.registry import SequenceModel
from noncoder.predictor.inference import as_input, read_strand


class Brute:
    """A model that reads whole sequences.

    Args:
        model: The model, in evaluation mode.
        batch_size: Sequences at a time.
    """

    def __init__(self, model: SequenceModel, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size

    def whole(self, codes: NDArray[np.uint8]) -> Tensor:
        """Logits (n, T) of sequences (n, L)."""
        return read_strand(self.model, as_input(self.model, codes), "forward")

    def logits(self, codes: NDArray[np.uint8], edits: Edits, tasks: Sequence[int]) -> Iterator[tuple[Edits, Tensor]]:
        """The mutations of codes (L,), a batch at a time, with their logits (m, tasks)."""
        columns = list(tasks)
        for part in edits.batches(self.batch_size):
            yield part, self.whole(part.apply(codes))[:, columns]
