"""The head that pools positions by attention: what lies before and behind a mutation is summed once a sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from noncoder.interpret.mutagenesis.change import Change
from noncoder.models.layers.pooling import AttentionPool


class Side(NamedTuple):
    """Sums over the positions before each, or from each on, scaled by the exponential of the sequence's highest score.

    They are kept in float64, whose range bears any difference of scores.

    Attributes:
        vectors: Of the vectors times the exponentials of their scores, (P + 1, H, C).
        weights: Of the exponentials, (P + 1, H).
        highest: The highest score, (P + 1, H); minus infinity where there is no position.
    """

    vectors: Tensor
    weights: Tensor
    highest: Tensor

    def at(self, positions: Tensor) -> Side:
        """Those of some positions."""
        return Side(*(tensor[positions] for tensor in self))


class PoolState(NamedTuple):
    """The sums on both sides of each position, and the highest score of each head, (H,)."""

    before: Side
    behind: Side
    highest: Tensor


class AttentionHead:
    """Attention pooling and what follows it.

    Args:
        pool: The pooling.
        tail: From what is pooled (b, H C) and tasks to logits (b, tasks).
    """

    def __init__(self, pool: AttentionPool, tail: Callable[[Tensor, Sequence[int]], Tensor]) -> None:
        self.pool, self.tail = pool, tail

    def begin(self, features: Tensor) -> PoolState:
        """The sums on both sides of each position, from features (1, C, P)."""
        x = features[0].t()
        scores = (self.pool.query(x).float() + self.pool.bias(x.shape[0])).double()
        highest = scores.amax(dim=0)
        behind = _before(x.flip(0), scores.flip(0), highest)
        return PoolState(_before(x, scores, highest), Side(*(tensor.flip(0) for tensor in behind)), highest)

    def logits(self, state: PoolState, change: Change, tasks: Sequence[int]) -> Tensor:
        """Logits (b, tasks)."""
        values = change.values.transpose(1, 2)
        positions = state.before.weights.shape[0] - 1
        at = change.start[:, None] + torch.arange(values.shape[1], device=values.device)
        outside = at >= positions
        scores = self.pool.query(values).float() + self.pool.bias(positions)[at.clamp(max=positions - 1)]
        scores = scores.double().masked_fill_(outside[:, :, None], float("-inf"))
        before = state.before.at(change.start)
        behind = state.behind.at((change.start + values.shape[1]).clamp(max=positions))
        highest = torch.maximum(torch.maximum(before.highest, behind.highest), scores.amax(dim=1))
        scale = (state.highest - highest).exp_()
        weights = scores.sub_(highest[:, None]).exp_()  # (b, w, H)
        total = (before.weights + behind.weights).mul_(scale).add_(weights.sum(dim=1))
        share = (scale / total).to(values.dtype)
        weights = weights.div_(total[:, None]).to(values.dtype)
        pooled = (before.vectors + behind.vectors).to(values.dtype).mul_(share[:, :, None])
        # What is past the end may be any number, infinity too: its weight of 0 would not still it.
        whole = int(torch.searchsorted(change.start, positions - values.shape[1], right=True))
        cut = values[whole:].masked_fill(outside[whole:, :, None], 0)
        for rows, these in ((slice(whole), values[:whole]), (slice(whole, None), cut)):
            pooled[rows].baddbmm_(weights[rows].transpose(1, 2), these)
        return self.tail(pooled.flatten(1), tasks)


def _before(x: Tensor, scores: Tensor, highest: Tensor) -> Side:
    """Sums over the positions before each, of vectors (P, C) and scores (P, H)."""
    weights = (scores - highest).exp_()
    vectors = weights[:, :, None] * x.double()[:, None]
    nothing = scores.new_full((1, scores.shape[1]), float("-inf"))
    return Side(
        torch.cat([torch.zeros_like(vectors[:1]), vectors.cumsum(dim=0)]),
        torch.cat([torch.zeros_like(weights[:1]), weights.cumsum(dim=0)]),
        torch.cat([nothing, scores.cummax(dim=0).values]),
    )
