"""AUROC and average precision of every task on the device of the logits: on a GPU, many tasks per sort.

The results equal those of `noncoder.metrics.rank`: both count windows as integers, so AUROCs are bit-identical. Average
precisions differ only by the order of the float64 sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor

from noncoder.errors import InputError
from noncoder.metrics.ranking import Ranking

# Sorting 64-bit keys, with their positions and second copies of both, takes less than half of this. The values looked
# up for positives take the most, if all scores are of positives.
_BYTES_A_SCORE = 128
# Keys per sort: a GPU is saturated with far fewer, and positions stay within 32 bits.
_AT_ONCE = 1 << 27


class _Counted(NamedTuple):
    """For some tasks, (t,) each: twice the pairs ranked correctly, summed precision, positives, known labels."""

    twice_wins: Tensor
    precisions: Tensor
    positives: Tensor
    known: Tensor


@torch.no_grad()
def rank_on_device(
    logits: Tensor,
    labels: Any,
    known: Any = None,
    names: Sequence[str] = (),
    at_a_time: int | None = None,
) -> Ranking:
    """Computes AUROC and average precision of each task on the device of the logits; only (T,) numbers leave it.

    Scores, labels and tasks become one integer key, so a single sort orders many tasks; then only positives are looked
    up. The device needs float64, which Apple's lacks.

    Args:
        logits: (N, T) scores. float32, float64 and integers are ranked without loss; other types are ranked as
            float32.
        labels: (N, T), 0 or 1; a tensor on any device, or an array.
        known: (N, T), true where the label counts; None for all.
        names: Names of the tasks, for messages.
        at_a_time: Tasks per sort; None for as many as fit into the free memory.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a known label is neither 0 nor 1.
    """
    logits = logits.detach()
    labels, known = _there(labels, logits.device), None if known is None else _there(known, logits.device)
    _check_shapes(logits, labels, known)
    n, n_tasks = logits.shape
    step = at_a_time or _fitting(n, logits.device)
    counted = []
    for first in range(0, n_tasks, step):
        scores = _rows(logits, first, step)
        if scores.dtype not in (torch.float32, torch.float64):
            # float32 would tie integers above 2 ** 24.
            scores = scores.double() if scores.dtype in (torch.int32, torch.int64) else scores.float()
        if not scores.isfinite().all():
            _tell_not_finite(logits, names, step)
        mask = None if known is None else _rows(known, first, step) != 0
        truth = _truth(_rows(labels, first, step), mask, first, names)
        counted.append(_count(scores, truth, mask))
    return _ranking(counted)


def _there(table: Any, device: torch.device) -> Tensor:
    # A copy, because torch warns about read-only arrays.
    tensor = table.detach() if isinstance(table, Tensor) else torch.tensor(np.asarray(table))
    return tensor.to(device)


def _check_shapes(logits: Tensor, labels: Tensor, known: Tensor | None) -> None:
    shapes = {"labels": labels.shape} | ({} if known is None else {"known": known.shape})
    if logits.ndim != 2 or any(shape != logits.shape for shape in shapes.values()):
        told = "".join(f", {name} {tuple(shape)}" for name, shape in shapes.items())
        raise InputError(f"logits {tuple(logits.shape)}{told}", expected="one shape (N, T) for all")


def _fitting(n: int, device: torch.device) -> int:
    """Returns the number of tasks of n windows to sort at once."""
    at_once = _AT_ONCE
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # Torch holds memory in reserve that it gives to this process only.
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        at_once = min(at_once, free // _BYTES_A_SCORE)
    return max(1, at_once // max(1, n))


def _rows(table: Tensor, first: int, step: int) -> Tensor:
    return table[:, first : first + step].t().contiguous()


def _truth(given: Tensor, mask: Tensor | None, first: int, names: Sequence[str]) -> Tensor:
    truth = given == 1
    if given.dtype != torch.bool:
        wrong = ~truth & (given != 0)
        if mask is not None:
            wrong &= mask
        if wrong.any():
            task, window = wrong.nonzero()[0].tolist()
            raise InputError(
                f"the label {given[task, window].item():g} of {_name(names, first + task)} is neither 0 nor 1",
                expected="0 or 1; mark unknown labels in known",
            )
    return truth if mask is None else truth & mask


def _count(scores: Tensor, truth: Tensor, mask: Tensor | None) -> _Counted:
    """Returns the counts behind AUROC and average precision, for tasks in rows, (t, N)."""
    n_tasks, n = scores.shape
    # Task, score (32 bits) and label: a positive follows the negatives with the same score.
    keys = _ordered(scores)
    if mask is not None:
        # A sentinel above every score: every lookup ends before it.
        keys.masked_fill_(~mask, (1 << 32) - 1)
    keys += torch.arange(n_tasks, device=keys.device)[:, None] << 32
    keys = keys.bitwise_left_shift_(1).bitwise_or_(truth)
    positives = truth.sum(dim=1)
    counts = torch.full_like(positives, n) if mask is None else mask.sum(dim=1)
    per_task = positives.tolist()
    keys = keys.flatten().sort().values

    found = keys[keys.bitwise_and(1).bool()]
    task = found >> 33
    # Counts over all windows and over positives: below the score, and not above it. Both include earlier tasks.
    below = torch.searchsorted(keys, found - 1) - task * n
    not_above = torch.searchsorted(keys, found, right=True) - task * n
    earlier = (positives.cumsum(0) - positives)[task]
    below_positives = torch.searchsorted(found, found) - earlier
    not_above_positives = torch.searchsorted(found, found, right=True) - earlier
    twice_wins = (below - below_positives) + (not_above - not_above_positives)
    precision = (positives[task] - below_positives).double() / (counts[task] - below).double()
    return _Counted(_sums(twice_wins, per_task), _sums(precision, per_task), positives, counts)


def _ordered(scores: Tensor) -> Tensor:
    """Maps scores to int64 integers from 0 to below 2 ** 32 - 1 in the same order; equal scores give equal integers."""
    if scores.dtype == torch.float64:
        ranks: Tensor = torch.unique(scores, return_inverse=True)[1]
        return ranks
    # Adding 0 turns -0 into 0, which ties with it. The bits of negative numbers are in reverse order.
    bits = (scores + 0.0).view(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long() + (1 << 31)


def _sums(values: Tensor, lengths: list[int]) -> Tensor:
    # Tasks are summed one by one, because a scattered sum of floats is not reproducible on a GPU.
    return torch.stack([part.sum() for part in torch.split(values, lengths)])


def _ranking(counted: list[_Counted]) -> Ranking:
    if not counted:
        return Ranking(np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    twice_wins, precisions, positives, known = (torch.cat(parts).cpu().numpy() for parts in zip(*counted, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = twice_wins / (2 * positives * (known - positives))
        precision = np.where(positives < known, precisions / positives, np.nan)
    return Ranking(auroc, precision, positives, known)


def _tell_not_finite(logits: Tensor, names: Sequence[str], step: int) -> NoReturn:
    columns = range(0, logits.shape[1], step)
    wrong = torch.cat([(~logits[:, at : at + step].isfinite()).sum(dim=0) for at in columns])
    tasks = wrong.nonzero().flatten().tolist()
    listed = ", ".join(f"{_name(names, task)} ({wrong[task]:,})" for task in tasks[:5])
    raise InputError(
        f"{int(wrong.sum()):,} logits are NaN or infinite, in {len(tasks)} tasks: {listed}"
        + (", …" if len(tasks) > 5 else ""),
        expected="finite logits",
    )


def _name(names: Sequence[str], task: int) -> str:
    return repr(names[task]) if names else f"column {task}"


__all__ = ["rank_on_device"]
