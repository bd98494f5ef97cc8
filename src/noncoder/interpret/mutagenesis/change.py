"""Changes of a model's features by mutations, and the protocol of heads that turn changes into logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Change(NamedTuple):
    """Features of b mutated versions of one sequence, at the positions where they differ from the sequence's own.

    Attributes:
        start: First changed position of each version, int64 (b,), ascending, between 0 and P - 1.
        values: Features of each version at the w positions from `start` on, (b, C, w); values past the end are
            ignored.
    """

    start: Tensor
    values: Tensor


def splice_rows(features: Tensor, change: Change) -> Tensor:
    """Returns complete features (b, P, C) of mutated versions, from the features of the sequence (P, C)."""
    (length, channels), width = features.shape, change.values.shape[2]
    rows = features.new_empty(len(change.start), length + width, channels)
    rows[:, :length] = features
    at = change.start[:, None] + torch.arange(width, device=features.device)
    rows.scatter_(1, at[:, :, None].expand(-1, -1, channels), change.values.transpose(1, 2))
    return rows[:, :length]


class Head(Protocol):
    """Layers of a model after its features, which evaluate changes at less cost than complete features."""

    def begin(self, features: Tensor) -> Any:
        """Computes the state of the unmutated sequence from its features (1, C, P)."""
        ...

    def logits(self, state: Any, change: Change, tasks: Sequence[int]) -> Tensor:
        """Returns logits of the mutated versions, (b, len(tasks)).

        Args:
            state: State of the sequence, from `begin`.
            change: Its mutated versions.
            tasks: Columns of the requested logits.
        """
        ...
