"""Effects of mutations on a model's logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noncoder.sequence.tracks import mutation_importance


@dataclass(frozen=True)
class Mutations:
    """Effects of mutations of n sequences on the logits of K tasks.

    An effect is the logit of the mutated sequence minus the logit of the sequence. It is NaN outside the mutated
    region.

    Attributes:
        codes: Sequences, uint8 (n, L).
        tasks: Columns of the model's logits, in the order of K.
        region: Half-open range of the mutated positions.
        reference: Logits of the sequences, float32 (n, K).
        substitutions: Effect of replacing the present base by each base, float32 (n, 4, L, K); 0 for the present base.
            All four bases replace an N.
        deletions: Effect of deleting each base, (n, L, K): the bases on its right move left, and an N fills the right
            end.
        insertions: Effect of inserting each base before each position, (n, 4, L, K): the bases from there on move
            right, and the last base is lost.
        strategy: Strategy that computed the effects, and why.
    """

    codes: NDArray[np.uint8]
    tasks: tuple[int, ...]
    region: tuple[int, int]
    reference: NDArray[np.float32]
    substitutions: NDArray[np.float32]
    deletions: NDArray[np.float32] | None
    insertions: NDArray[np.float32] | None
    strategy: str

    @property
    def hypothetical(self) -> NDArray[np.float32]:
        """Effects of the four bases at each position minus their mean, float32 (n, 4, L, K)."""
        mean: NDArray[np.float32] = self.substitutions.mean(axis=1, keepdims=True)
        return self.substitutions - mean

    @property
    def importance(self) -> NDArray[np.float32]:
        """Importance of the present base, float32 (n, L, K); see `noncoder.sequence.tracks.mutation_importance`.

        0 at an N, and NaN outside the region.
        """
        by_task = mutation_importance(self.codes[:, None], self.substitutions.transpose(0, 3, 1, 2))
        return by_task.transpose(0, 2, 1).astype(np.float32, copy=False)
