"""What a mutation changes in a model's features, and what turns such changes into logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Change(NamedTuple):
    """The features of b mutated versions of one sequence, where they differ from its own.

    Attributes:
        start: First changed position of each, int64 (b,), ascending, between 0 and P - 1.
        values: Features at the positions from `start` to `start + w` of each, (b, C, w); those past the end are
            ignored.
    """

    start: Tensor
    values: Tensor


class Head(Protocol):
    """The part of one model after its features, which evaluates changes at less cost than all of the features."""

    def begin(self, features: Tensor) -> Any:
        """What is kept of the unmutated sequence, from its features (1, C, P)."""
        ...

    def logits(self, state: Any, change: Change, tasks: Sequence[int]) -> Tensor:
        """Logits of the mutated versions, (b, len(tasks)).

        Args:
            state: What `begin` gave for the sequence.
            change: Its mutated versions.
            tasks: Columns of the logits that are asked for.
        """
        ...
