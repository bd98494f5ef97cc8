"""Mutations of one sequence, as positions and bases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from noncoder.predictor.inference import batches
from noncoder.sequence.encoding import N_CODE

Kind = Literal["substitution", "deletion", "insertion"]


@dataclass(frozen=True)
class Edits:
    """Mutations of one kind, ordered by position.

    Attributes:
        kind: Kind of the mutations.
        position: Mutated positions, int64 (m,).
        base: New base at each position, uint8 (m,); `N_CODE` for deletions.
    """

    kind: Kind
    position: NDArray[np.int64]
    base: NDArray[np.uint8]

    def __len__(self) -> int:
        return self.position.size

    def take(self, rows: NDArray[np.int64] | slice) -> Edits:
        """Returns some of the mutations."""
        return Edits(self.kind, self.position[rows], self.base[rows])

    def apply(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the mutated sequences (m, L) of codes (L,)."""
        length, at = codes.size, np.arange(codes.size)
        if self.kind == "substitution":
            mutated = np.repeat(codes[None], len(self), axis=0)
        elif self.kind == "deletion":
            padded = np.append(codes, np.uint8(N_CODE))
            return padded[at + (at >= self.position[:, None])]
        else:
            mutated = codes[np.clip(at - (at > self.position[:, None]), 0, length - 1)]
        mutated[np.arange(len(self)), self.position] = self.base
        return mutated

    def batches(self, size: int) -> Iterator[Edits]:
        """Yields batches of at most `size` mutations, in order."""
        return (self.take(rows) for rows in batches(len(self), size))


def list_edits(kind: Kind, codes: NDArray[np.uint8], region: tuple[int, int]) -> Edits:
    """Returns all mutations of one kind of codes (L,) within a half-open region; an N has four substitutions."""
    position = np.arange(*region)
    if kind == "deletion":
        return Edits(kind, position, np.full(position.size, N_CODE, dtype=np.uint8))
    position = np.repeat(position, 4)
    base = np.tile(np.arange(4, dtype=np.uint8), position.size // 4)
    if kind == "substitution":
        other = codes[position] != base
        position, base = position[other], base[other]
    return Edits(kind, position, base)


def shifted(codes: NDArray[np.uint8], kind: Kind) -> NDArray[np.uint8]:
    """Returns the sequence that mutated versions equal after the mutation: itself, or itself shifted by one base."""
    if kind == "substitution":
        return codes
    filling = np.full(1, N_CODE, dtype=np.uint8)
    parts = (codes[1:], filling) if kind == "deletion" else (filling, codes[:-1])
    return np.concatenate(parts)
