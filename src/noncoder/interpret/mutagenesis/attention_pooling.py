"""Head with attention pooling; sums over the positions before and after a mutation are computed once per sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from noncoder.interpret.mutagenesis.change import Change
from noncoder.models.layers.pooling import AttentionPool


class Side(NamedTuple):
    """Sums over all positions before each position, or from each position on.

    Exponentials are relative to the sequence's highest score. The sums are float64, whose range suffices for any
    difference of scores.

    Attributes:
        vectors: Sums of the vectors times the exponentials of their scores, (P + 1, H, C).
        weights: Sums of the exponentials, (P + 1, H).
        highest: Highest score, (P + 1, H); minus infinity where there is no position.
    """

    vectors: Tensor
    weights: Tensor
    highest: Tensor

    def at(self, positions: Tensor) -> Side:
        """Returns the sums at some positions."""
        return Side(*(tensor[positions] for tensor in self))


class PoolState(NamedTuple):
    """Sums on both sides of each position, and the highest score of each attention head, (H,)."""

    before: Side
    after: Side
    highest: Tensor


class AttentionHead:
    """Attention pooling and the layers after it.

    Args:
        pool: The pooling layer.
        tail: Computes logits (b, tasks) from pooled vectors (b, H C) and tasks.
    """

    def __init__(self, pool: AttentionPool, tail: Callable[[Tensor, Sequence[int]], Tensor]) -> None:
        self.pool, self.tail = pool, tail

    def begin(self, features: Tensor) -> PoolState:
        """Computes the sums on both sides of each position from features (1, C, P)."""
        x = features[0].t()
        scores = (self.pool.query(x).float() + self.pool.bias(x.shape[0])).double()
        highest = scores.amax(dim=0)
        after = _sums_before(x.flip(0), scores.flip(0), highest)
        return PoolState(_sums_before(x, scores, highest), Side(*(tensor.flip(0) for tensor in after)), highest)

    def logits(self, state: PoolState, change: Change, tasks: Sequence[int]) -> Tensor:
        """Returns logits (b, tasks)."""
        values = change.values.transpose(1, 2)
        positions = state.before.weights.shape[0] - 1
        at = change.start[:, None] + torch.arange(values.shape[1], device=values.device)
        outside = at >= positions
        scores = self.pool.query(values).float() + self.pool.bias(positions)[at.clamp(max=positions - 1)]
        scores = scores.double().masked_fill_(outside[:, :, None], float("-inf"))
        before = state.before.at(change.start)
        after = state.after.at((change.start + values.shape[1]).clamp(max=positions))
        highest = torch.maximum(torch.maximum(before.highest, after.highest), scores.amax(dim=1))
        scale = (state.highest - highest).exp_()
        weights = scores.sub_(highest[:, None]).exp_()  # (b, w, H)
        total = (before.weights + after.weights).mul_(scale).add_(weights.sum(dim=1))
        share = (scale / total).to(values.dtype)
        weights = weights.div_(total[:, None]).to(values.dtype)
        pooled = (before.vectors + after.vectors).to(values.dtype).mul_(share[:, :, None])
        # Values past the end can be infinite, and 0 * infinity is NaN: a weight of 0 is not enough.
        inside = int(torch.searchsorted(change.start, positions - values.shape[1], right=True))
        cut = values[inside:].masked_fill(outside[inside:, :, None], 0)
        for rows, vectors in ((slice(inside), values[:inside]), (slice(inside, None), cut)):
            pooled[rows].baddbmm_(weights[rows].transpose(1, 2), vectors)
        return self.tail(pooled.flatten(1), tasks)


def _sums_before(x: Tensor, scores: Tensor, highest: Tensor) -> Side:
    """Sums vectors (P, C), weighted by scores (P, H), over all positions before each position."""
    weights = (scores - highest).exp_()
    vectors = weights[:, :, None] * x.double()[:, None]
    lowest = scores.new_full((1, scores.shape[1]), float("-inf"))
    return Side(
        torch.cat([torch.zeros_like(vectors[:1]), vectors.cumsum(dim=0)]),
        torch.cat([torch.zeros_like(weights[:1]), weights.cumsum(dim=0)]),
        torch.cat([lowest, scores.cummax(dim=0).values]),
    )
