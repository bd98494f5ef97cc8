"""What mutations do to a model's logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noncoder.sequence.tracks import mutation_importance


@dataclass(frozen=True)
class Mutations:
    """Effects of mutations on logits, of n sequences and K tasks.

    An effect is the mutated sequence's logit minus the sequence's own. Outside of the region that was asked for it is
    NaN.

    Attributes:
        codes: The sequences, uint8 (n, L).
        tasks: The columns of the model's logits, in the order of K.
        region: The positions that were mutated, half-open.
        reference: Logits of the sequences, float32 (n, K).
        substitutions: Effect of each base in place of the one that is there, float32 (n, 4, L, K); 0 for the latter.
            All four replace an N.
        deletions: Effect of leaving out each base, (n, L, K): what is on its right moves left, an N enters at the
            right end.
        insertions: Effect of each base put before each position, (n, 4, L, K): what is from there on moves right, the
            last base falls off.
        strategy: What was used, and why.
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
        """How much the base that is there adds, float32 (n, L, K); see `noncoder.sequence.tracks.mutation_importance`.

        0 at an N, and NaN outside of the region.
        """
        by_task = mutation_importance(self.codes[:, None], self.substitutions.transpose(0, 3, 1, 2))
        return by_task.transpose(0, 2, 1).astype(np.float32, copy=False)
