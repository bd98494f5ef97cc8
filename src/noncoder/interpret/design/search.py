"""Searches among real sequences by a few substitutions at a time, each of which is measured."""

from __future__ import annotations

import torch
from torch import Tensor

from noncoder.data.loading import one_hot
from noncoder.interpret.design.problem import NOWHERE, Problem

_TOGETHER = (2, 4, 8, 16, 32, 64, 128)  # numbers of the most promising substitutions that are tried together
_KICK = 8  # random substitutions when there is no more progress
_PATIENCE = 3  # steps without progress before that


def greedy(problem: Problem) -> None:
    """Repeatedly makes the best single substitution, until none is better or the next step exceeds the limit.

    This is common in-silico evolution: exact, and with three evaluations per base and step the most expensive method.
    """
    current, scores = problem.starts.clone(), problem.scores.clone()
    while problem.affords(3 * float(problem.allowed.sum()) / len(current)):
        chosen, best = current.clone(), scores.clone()
        for row in range(len(current)):
            moved = _all_single(problem, current[row], row)
            if len(moved):
                found = problem.score(moved, problem.rows[row].expand(len(moved)))
                if found.max() > best[row]:
                    chosen[row], best[row] = moved[found.argmax()], found.max()
        stuck = bool((best <= scores).all())
        current, scores = chosen, best
        problem.offer(current, scores)
        if stuck:
            return


def sampled(problem: Problem, candidates: int) -> None:
    """Makes the best of some random substitutions of the best sequence if it is better; needs no gradient."""
    rows = problem.rows.repeat_interleave(candidates)
    while problem.affords(candidates):
        moved = _random_moves(problem, problem.best[rows], 1, rows)
        found, moved = _best_of(problem, moved, rows)
        problem.offer(moved, found)


def guided(problem: Problem, candidates: int) -> None:
    """Measures the substitutions with the most promising gradients, singly and together, and makes the best.

    The gradient costs two evaluations and ranks all 3 L substitutions (as in Gibbs-with-gradients: Grathwohl, Swersky,
    Hashemi, Duvenaud & Maddison, arXiv:2102.04509). Substitutions are then measured, so no step lowers the score. If
    nothing is better, the tried positions are skipped; after some such steps the search continues from random
    substitutions of the best sequence.
    """
    current, scores = problem.starts.clone(), problem.scores.clone()
    tried = torch.zeros_like(problem.allowed)
    idle = torch.zeros_like(problem.rows)
    room = int(problem.allowed.sum(dim=1).min())
    most = room if problem.most_edits is None else min(room, problem.most_edits)
    together = [size for size in _TOGETHER if size <= most]
    cost = 2 + candidates + len(together)
    while problem.affords(cost):
        moved, at = _promising(problem, current, tried, (candidates, together))
        found, moved = _best_of(problem, moved, problem.rows.repeat_interleave(candidates + len(together)))
        better = found > scores
        current, scores = torch.where(better[:, None], moved, current), torch.where(better, found, scores)
        problem.offer(current, scores)
        tried.scatter_(1, at[:, :candidates], value=True)
        tried[better] = False
        idle = torch.where(better, 0, idle + 1)
        lost = idle >= _PATIENCE
        if lost.any() and problem.affords(1 + cost):
            kicked = _random_moves(problem, problem.best, _KICK, problem.rows)
            current = torch.where(lost[:, None], kicked, current)
            scores = torch.where(lost, problem.score(current, problem.rows), scores)
            problem.offer(current, scores)
            tried[lost], idle[lost] = False, 0


def _all_single(problem: Problem, codes: Tensor, row: int) -> Tensor:
    """Returns all allowed single substitutions of codes (L,), (m, L)."""
    position = problem.allowed[row].nonzero()[:, 0].repeat_interleave(4)
    base = torch.arange(4, dtype=codes.dtype, device=codes.device).repeat(len(position) // 4)
    new = base != codes[position]
    position, base = position[new], base[new]
    moved = codes.repeat(len(position), 1)
    moved[torch.arange(len(position), device=codes.device), position] = base
    if problem.most_edits is None:
        return moved
    return moved[(moved != problem.starts[row]).sum(dim=1) <= problem.most_edits]


def _random_moves(problem: Problem, codes: Tensor, size: int, rows: Tensor) -> Tensor:
    """Returns codes (m, L) with substitutions at up to `size` positions; if too many, any edits are reverted."""
    draw = torch.rand(codes.shape, generator=problem.generator).to(codes.device)
    draw = draw.masked_fill(~problem.allowed[rows], NOWHERE)
    at = draw.topk(min(size, codes.shape[1]), dim=1)
    shift = torch.randint(1, 4, at.indices.shape, generator=problem.generator).to(codes.device)
    old = codes.gather(1, at.indices)
    new = torch.where(at.values > NOWHERE, ((old + shift) % 4).to(codes.dtype), old)
    moved = codes.scatter(1, at.indices, new)
    return problem.trim(moved, rows, torch.rand(codes.shape, generator=problem.generator).to(codes.device))


def _promising(problem: Problem, current: Tensor, tried: Tensor, sizes: tuple[int, list[int]]) -> tuple[Tensor, Tensor]:
    """Returns versions of R sequences with the substitutions of the steepest gradients.

    Args:
        problem: The design problem.
        current: Codes (R, L).
        tried: Positions to skip, (R, L).
        sizes: Number of substitutions to try singly, c, and numbers to try together, s sets of the first ones.

    Returns:
        Codes (R * (c + s), L), sequence by sequence, and the positions sorted by promise, (R, largest of c and s).
    """
    candidates, together = sizes
    x, slopes = one_hot(current), problem.slopes(current)
    present = (slopes * x).sum(dim=1)
    gain, base = (slopes - present[:, None]).masked_fill(x > 0, NOWHERE).max(dim=1)
    gain = gain.masked_fill(~problem.allowed | tried, NOWHERE)
    first = slopes.gather(1, problem.starts.clamp(max=3)[:, None].long())[:, 0]
    best = gain.topk(min(max(candidates, *together, 1), current.shape[1]), dim=1)
    new = base.gather(1, best.indices).to(current.dtype)
    # A substitution that is not allowed is not made.
    new = torch.where(best.values > NOWHERE, new, current.gather(1, best.indices))
    versions, worths = [], []
    # The value of an edit is the loss that the gradient predicts for reverting it; new edits are the most valuable.
    worth = present - first
    groups = [slice(i, i + 1) for i in range(candidates)] + [slice(0, size) for size in together]
    for group in groups:
        versions.append(current.scatter(1, best.indices[:, group], new[:, group]))
        worths.append(worth.scatter(1, best.indices[:, group], float("inf")))
    moved, worth = (torch.stack(part, dim=1).flatten(0, 1) for part in (versions, worths))
    return problem.trim(moved, problem.rows.repeat_interleave(len(groups)), worth), best.indices


def _best_of(problem: Problem, moved: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the highest score (R,) among the versions of each sequence, and that version (R, L)."""
    scores, which = problem.score(moved, rows).view(len(problem.starts), -1).max(dim=1)
    return scores, moved.view(len(problem.starts), -1, moved.shape[1])[problem.rows, which]
