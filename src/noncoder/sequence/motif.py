"""A motif as a position probability matrix, (4, w) with the rows A, C, G, T."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.sequence.encoding import decode

UNIFORM = (0.25, 0.25, 0.25, 0.25)


@dataclass(frozen=True, eq=False)
class Motif:
    """A motif; one whose columns are not probabilities cannot be built.

    Args:
        name: Name without spaces, e.g. "CTCF".
        ppm: Probability of A, C, G and T (rows) at each position, (4, w); columns sum to 1. Kept as a read-only copy.
        id: Identifier, e.g. JASPAR's "MA0139.2".

    Raises:
        InputError: The name or id is empty or contains a space, or `ppm` is not such a matrix.
    """

    name: str
    ppm: NDArray[np.float64]
    id: str | None = None

    def __post_init__(self) -> None:
        for label, text in (("name", self.name), ("id", self.id)):
            if text is not None and (not text or re.search(r"\s", text)):
                raise InputError(f"{text!r} as the {label} of a motif", expected="text without spaces")
        ppm = np.array(self.ppm, dtype=np.float64)
        if ppm.ndim != 2 or ppm.shape[0] != 4 or ppm.shape[1] == 0:
            raise InputError(
                f"motif {self.name}: a matrix of shape {ppm.shape}", expected="(4, w) with rows A, C, G, T"
            )
        # Written so that NaN fails too.
        wrong = np.flatnonzero(~((ppm >= 0).all(axis=0) & (np.abs(ppm.sum(axis=0) - 1) < 1e-6)))
        if wrong.size:
            column = ", ".join(f"{value:g}" for value in ppm[:, wrong[0]])
            raise InputError(
                f"motif {self.name}: column {wrong[0] + 1} is {column}",
                expected="four probabilities that sum to 1",
                hint="divide counts by their column sums",
            )
        ppm.flags.writeable = False
        object.__setattr__(self, "ppm", ppm)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Motif):
            return NotImplemented
        return (self.name, self.id) == (other.name, other.id) and np.array_equal(self.ppm, other.ppm)

    def __hash__(self) -> int:
        return hash((self.name, self.id, self.width))

    @property
    def width(self) -> int:
        """Width, bp."""
        return int(self.ppm.shape[1])

    @property
    def consensus(self) -> str:
        """The most probable base of each position."""
        return decode(self.ppm.argmax(axis=0).astype(np.uint8))

    @property
    def information(self) -> NDArray[np.float64]:
        """Information content of each position against equal base frequencies, bits, (w,): 0 to 2."""
        logs = np.log2(self.ppm, out=np.zeros_like(self.ppm), where=self.ppm > 0)
        return np.asarray(2 + (self.ppm * logs).sum(axis=0))

    @property
    def total_information(self) -> float:
        """Information content of all positions together, bits."""
        return float(self.information.sum())

    def reverse_complement(self) -> Motif:
        """Returns the reverse complement of the motif."""
        return Motif(self.name, self.ppm[::-1, ::-1], self.id)

    def pwm(self, pseudocount: float = 0.01, background: Sequence[float] = UNIFORM) -> NDArray[np.float64]:
        """Returns log-odds against a background, bits, (4, w).

        Args:
            pseudocount: Weight of the background that is mixed into each column; with 0, a base with probability 0
                scores minus infinity.
            background: Frequencies of A, C, G and T.

        Raises:
            InputError: The pseudocount is negative, or the background is not four positive numbers that sum to 1.
        """
        expected = np.asarray(background, dtype=np.float64)
        if expected.shape != (4,) or not (expected > 0).all() or abs(expected.sum() - 1) > 1e-6:
            raise InputError(f"the background {background}", expected="four positive frequencies that sum to 1")
        if not pseudocount >= 0:
            raise InputError(f"a pseudocount of {pseudocount}", expected="0 or more")
        expected = expected[:, None]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log2((self.ppm + pseudocount * expected) / (1 + pseudocount) / expected))

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.uint8]:
        """Draws n instances, each position by its probabilities: codes, uint8 (n, w)."""
        bounds = np.cumsum(self.ppm, axis=0)[:3]
        codes: NDArray[np.uint8] = (rng.random((n, 1, self.width)) >= bounds).sum(axis=1, dtype=np.uint8)
        return codes
