"""Gradient ascent on sequences that stay one-hot in every forward pass.

Each sequence has a table of weights (4, L). The model reads its most likely bases, and the gradient is taken as if it
had read the probabilities (the straight-through estimator: Bengio, Léonard & Courville, arXiv:1308.3432; for sequences:
Linder & Seelig, arXiv:2005.11275). With Gumbel noise the bases are drawn (Jang, Gu & Poole, arXiv:1611.01144; for edits
of a given sequence: Schreiber, Lu & Noble's Ledidi, doi:10.1101/2020.05.21.109686).
"""

from __future__ import annotations

import torch
from torch import Tensor

from noncoder.data.loading import one_hot
from noncoder.interpret.design.problem import Problem

_HEAD_START = 2.0  # initial weight of the start's base above the others
_COOLEST = 0.2  # final temperature; the initial one is 1


def straight_through(problem: Problem, learning_rate: float) -> None:
    """Ascent on the most likely sequence."""
    _ascend(problem, learning_rate, noisy=False)


def gumbel(problem: Problem, learning_rate: float) -> None:
    """Ascent on sequences drawn with Gumbel noise that decreases."""
    _ascend(problem, learning_rate, noisy=True)


def _ascend(problem: Problem, learning_rate: float, noisy: bool) -> None:
    first = one_hot(problem.starts)
    weights = (_HEAD_START * first + 0.01 * _normal(first, problem)).requires_grad_()
    optimizer = torch.optim.Adam([weights], lr=learning_rate, betas=(0.9, 0.99))
    begun = problem.spent
    while problem.affords(2):
        done = (problem.spent - begun) / max(1.0, problem.limit - begun)
        temperature = 1 - (1 - _COOLEST) * done
        noise = _gumbel(first, problem) * temperature if noisy else torch.zeros_like(first)
        soft = torch.softmax((weights + noise) / (temperature if noisy else 1.0), dim=1)
        codes = _most_likely(problem, soft.detach())
        x = one_hot(codes) + soft - soft.detach()
        # A position that may not change has no gradient either.
        x = torch.where(problem.allowed[:, None], x, first)
        scores = problem.score_through(x)
        (slopes,) = torch.autograd.grad(-scores.sum(), weights)
        problem.offer(codes, scores.detach())
        weights.grad = slopes
        optimizer.step()


def _most_likely(problem: Problem, soft: Tensor) -> Tensor:
    """Returns the bases (R, L) of probabilities (R, 4, L), restricted to allowed changes from the start."""
    chance, base = soft.max(dim=1)
    codes = torch.where(problem.allowed, base.to(problem.starts.dtype), problem.starts)
    started = soft.gather(1, problem.starts.clamp(max=3)[:, None].long())[:, 0]
    return problem.trim(codes, problem.rows, chance - started)


def _normal(like: Tensor, problem: Problem) -> Tensor:
    return torch.randn(like.shape, generator=problem.generator).to(like.device)


def _gumbel(like: Tensor, problem: Problem) -> Tensor:
    uniform = torch.rand(like.shape, generator=problem.generator).clamp(1e-9, 1 - 1e-7)
    return -torch.log(-torch.log(uniform)).to(like.device)
