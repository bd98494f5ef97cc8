"""Brute force: the model runs on every mutated sequence. Every model supports it; it is the reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from noncoder.interpret.mutagenesis.edits import Edits
from noncoder.models.registry import SequenceModel
from noncoder.predictor.inference import as_input, read_strand


class Brute:
    """Runs a model on complete mutated sequences.

    Args:
        model: Model in evaluation mode.
        batch_size: Sequences per batch.
    """

    def __init__(self, model: SequenceModel, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size

    def predict(self, codes: NDArray[np.uint8]) -> Tensor:
        """Returns logits (n, T) of sequences (n, L)."""
        return read_strand(self.model, as_input(self.model, codes), "forward")

    def logits(self, codes: NDArray[np.uint8], edits: Edits, tasks: Sequence[int]) -> Iterator[tuple[Edits, Tensor]]:
        """Yields batches of the mutations of codes (L,) with their logits (m, tasks)."""
        columns = list(tasks)
        for part in edits.batches(self.batch_size):
            yield part, self.predict(part.apply(codes))[:, columns]
