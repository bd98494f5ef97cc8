"""Attention to a memory of zeros: slots before the first position whose score depends on their distance alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_CACHED = 1 << 17  # scores that a CPU's cache holds


class _LogSumExp(torch.autograd.Function):
    """log Σ exp(a @ b + c) over the last axis, without the copies of a @ b that autograd would keep."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        products = torch.bmm(a, b)
        scores = products.to(torch.promote_types(products.dtype, torch.float32))
        scores.view(scores.shape[0], -1, *c.shape).add_(c)
        # For a query that sees no slot, all scores are minus infinity: the result is too, not NaN.
        highest = scores.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
        total = scores.sub_(highest).exp_().sum(dim=-1, keepdim=True)
        # Autocast, which made the product's type, is off in the backward pass.
        ctx.save_for_backward(a.to(products.dtype), b.to(products.dtype), scores, total)
        ctx.types = a.dtype, b.dtype
        return total.log() + highest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        a, b, weights, total = ctx.saved_tensors
        by_score = (weights * (gradient / total.clamp(min=torch.finfo(total.dtype).tiny))).to(a.dtype)
        by_a, by_b = torch.bmm(by_score, b.transpose(1, 2)), torch.bmm(a.transpose(1, 2), by_score)
        return by_a.to(ctx.types[0]), by_b.to(ctx.types[1]), None


def zero_memory_score(rows: Tensor, position: Tensor, blocked: Tensor) -> Tensor:
    """The score of all slots of zero memory as one key.

    Args:
        rows: Scaled queries, (H, N * L, D).
        position: The projected sinusoids of the distances of the slots, (H, D, R').
        blocked: 0, or minus infinity where a query does not see a slot, (L, R').

    Returns:
        (H, N * L, 1); for a query that sees none, so low that the softmax gives it nothing.
    """
    if torch.compiler.is_compiling():  # the compiler fuses the plain formula itself
        scores = (rows @ position).view(rows.shape[0], -1, *blocked.shape).float() + blocked
        # A query that sees none would have a gradient of NaN from minus infinity.
        summed = scores.clamp(min=torch.finfo(scores.dtype).min).logsumexp(dim=-1, keepdim=True)
        return summed.flatten(1, 2).to(rows.dtype)
    score: Tensor = _LogSumExp.apply(rows, position, blocked)  # type: ignore[no-untyped-call]
    return score.to(rows.dtype)


def attend_beside_slots(
    query: Tensor, rows: Tensor, key: Tensor, value: Tensor, position: Tensor, blocked: Tensor
) -> Tensor:
    """Attention to keys, and to slots before them whose content and value are zero.

    A few sequences at a time, so that their scores stay in the cache.

    Args:
        query: For the content, scaled, (H, N, L, D).
        rows: For the positions, scaled, (H, N, L, D).
        key: (H, N, K, D).
        value: (H, N, K, D).
        position: The projected sinusoids of all distances, (H, D, S + K + 1).
        blocked: 0, or minus infinity where a query does not see a slot or key, (L, S + K).

    Returns:
        (H, N, L, D).
    """
    heads, batch, length, _ = query.shape
    seen, keys = blocked.shape[1], key.shape[2]
    several = min(batch, max(1, _CACHED // blocked.numel()))
    near = query.new_empty(several * length, seen + 1)
    content = query.new_empty(several, length, keys)
    scores, weights = query.new_empty(2, several, length, seen)
    found = query.new_empty(query.shape)
    for h in range(heads):
        for at in range(0, batch, several):
            some = slice(at, at + several)
            n = len(rows[h, some])
            torch.mm(rows[h, some].flatten(0, 1), position[h], out=near[: n * length])
            by_key = skew(near[: n * length].view(1, n, length, -1), seen)[0]
            torch.add(by_key, blocked, out=scores[:n])
            torch.bmm(query[h, some], key[h, some].transpose(1, 2), out=content[:n])
            scores[:n, :, -keys:] += content[:n]
            torch.softmax(scores[:n], dim=-1, out=weights[:n])
            torch.bmm(weights[:n, :, -keys:], value[h, some], out=found[h, some])
    return found


def skew(scores: Tensor, keys: int) -> Tensor:
    """Scores by distance, (H, N, L, R), to scores by key, (H, N, L, keys), without a copy.

    Row i begins L - 1 - i columns further on, which is where the next element of a view with rows one shorter lies.
    What lies ahead of the lowest distance is another row's: it has to be masked.
    """
    heads, batch, length, width = scores.shape
    flat = scores.flatten(2)[..., length - 1 : length - 1 + length * (width - 1)]
    return flat.view(heads, batch, length, width - 1)[..., :keys]
