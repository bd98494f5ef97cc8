"""Exact AUROC and average precision of many tasks as a torchmetrics module, for your own training loops.

    from noncoder.metrics.modules import TaskRanking

    self.ranking = TaskRanking(tasks=919)
    self.ranking.update(logits, labels)          # validation_step
    self.log_dict(self.ranking.compute())        # auroc, average_precision, tasks

It differs from torchmetrics' `MultilabelAUROC` and `MultilabelAveragePrecision` for a task without a positive or a
negative: here such a task is NaN and left out of averages, there it counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from noncoder.errors import InputError, UnknownNameError
from noncoder.metrics.gpu_ranking import rank_on_device
from noncoder.metrics.ranking import Ranking, rank

Average = Literal["mean", "median", "weighted"]
_AVERAGES = ("mean", "median", "weighted")
_UNKNOWN = 2


class TaskRanking(Metric):
    """AUROC and average precision of each task or averaged over tasks, from one state and one sort.

    Exact ranks need the scores and labels of all windows. A window takes five bytes per task, on the device of the
    logits, or in main memory with `compute_on_cpu`. With several processes, each gathers the windows of all.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    logits: list[Tensor]
    labels: list[Tensor]

    def __init__(
        self,
        tasks: int,
        average: Average | None = "mean",
        *,
        weights: ArrayLike | None = None,
        min_positives: int = 1,
        compute_on_cpu: bool = False,
        sync_on_compute: bool = True,
        process_group: Any = None,
    ) -> None:
        """Creates the metric without windows.

        Args:
            tasks: Columns of the logits, T.
            average: "mean" or "median" over the tasks that have a positive and a negative; "weighted", their mean
                with `weights` rescaled to sum to 1 over them; None for each task, (T,), NaN if undefined.
            weights: (T,), for "weighted": positives of each task in training.
            min_positives: Tasks with fewer positives are left out too.
            compute_on_cpu: As in torchmetrics: windows are kept and ranked in main memory; several processes then need
                a backend that gathers from there, such as gloo, but not NCCL.
            sync_on_compute: As in torchmetrics: use the windows of all processes.
            process_group: As in torchmetrics: the processes to use.

        Raises:
            UnknownNameError: There is no such average.
            InputError: Weights are missing, do not fit the tasks, or are negative or not finite.
        """
        super().__init__(compute_on_cpu=compute_on_cpu, sync_on_compute=sync_on_compute, process_group=process_group)
        if average is not None and average not in _AVERAGES:
            raise UnknownNameError("average", average, _AVERAGES)
        self.tasks, self.average, self.min_positives = tasks, average, min_positives
        self.weights = _checked(weights, tasks) if average == "weighted" else None
        self.add_state("logits", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor, known: Tensor | None = None) -> None:
        """Adds windows.

        Args:
            logits: (n, T) scores, ranked as float32.
            labels: (n, T), 0 or 1.
            known: (n, T), true where the label counts; None for all.

        Raises:
            InputError: Shapes differ, or a known label is neither 0 nor 1.
        """
        _check_shapes(logits, labels, known, self.tasks)
        mask = None if known is None else known != 0
        truth = labels == 1
        if labels.dtype != torch.bool:
            wrong = ~truth & (labels != 0)
            if mask is not None:
                wrong &= mask
            if wrong.any():
                raise InputError(
                    f"the label {labels[wrong][0].item():g} is neither 0 nor 1",
                    expected="0 or 1; mark unknown labels in known",
                )
        kept = truth.to(torch.uint8)
        # A copy, because the caller may write the next logits into the same memory.
        self.logits.append(logits.detach().to(torch.float32, copy=True))
        self.labels.append(kept if mask is None else kept.masked_fill_(~mask, _UNKNOWN))

    def sync(
        self,
        dist_sync_fn: Callable[..., Any] | None = None,
        process_group: Any = None,
        should_sync: bool = True,
        distributed_available: Callable[..., Any] | None = None,
    ) -> None:
        """Gathers the windows of all processes; a process without windows contributes an empty table."""
        if not self.logits:
            shape, device = (0, self.tasks), torch.device("cpu") if self.compute_on_cpu else self.device
            self.logits = [torch.empty(shape, dtype=torch.float32, device=device)]
            self.labels = [torch.empty(shape, dtype=torch.uint8, device=device)]
        super().sync(dist_sync_fn, process_group, should_sync, distributed_available)

    def compute(self) -> dict[str, Tensor]:
        """Returns `auroc` and `average_precision`, averages or (T,), and `tasks`, the number of scored tasks.

        Raises:
            InputError: A logit is NaN or infinite.
        """
        ranking = self._rank()
        scored = ~np.isnan(ranking.auroc) & (ranking.positives >= self.min_positives)
        return {
            "auroc": self._averaged(ranking.auroc, scored),
            "average_precision": self._averaged(ranking.average_precision, scored),
            "tasks": torch.tensor(int(scored.sum()), device=self.device),
        }

    def _rank(self) -> Ranking:
        logits, labels = dim_zero_cat(self.logits), dim_zero_cat(self.labels)
        known = labels != _UNKNOWN
        mask = None if known.all() else known
        if logits.is_cuda:
            return rank_on_device(logits, labels == 1, mask)
        return rank(logits.cpu(), (labels == 1).cpu(), None if mask is None else mask.cpu())

    def _averaged(self, values: NDArray[np.float64], scored: NDArray[np.bool_]) -> Tensor:
        if self.average is None:
            return self._tensor(np.where(scored, values, np.nan))
        values = values[scored]
        if self.average == "weighted":
            assert self.weights is not None
            weights = self.weights[scored]
            return self._tensor(values @ weights / weights.sum() if weights.any() else np.nan)
        if not values.size:
            return self._tensor(np.nan)
        return self._tensor(values.mean() if self.average == "mean" else np.median(values))

    def _tensor(self, values: Any) -> Tensor:
        # Apple's devices lack float64.
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.as_tensor(values, dtype=kind, device=self.device)


def _check_shapes(logits: Tensor, labels: Tensor, known: Tensor | None, tasks: int) -> None:
    shapes = {"labels": labels.shape} | ({} if known is None else {"known": known.shape})
    if logits.ndim != 2 or logits.shape[1] != tasks or any(shape != logits.shape for shape in shapes.values()):
        told = "".join(f", {name} {tuple(shape)}" for name, shape in shapes.items())
        raise InputError(f"logits {tuple(logits.shape)}{told}", expected=f"one shape (n, {tasks}) for all")


def _checked(weights: ArrayLike | None, tasks: int) -> NDArray[np.float64]:
    if weights is None:
        raise InputError("a weighted average without weights", expected="weights=, positives of each task in training")
    checked = np.asarray(weights.cpu() if isinstance(weights, Tensor) else weights).astype(np.float64)
    if checked.shape != (tasks,):
        raise InputError(f"weights {checked.shape}", expected=f"({tasks},), one per task")
    if not (np.isfinite(checked) & (checked >= 0)).all():
        raise InputError("a weight is negative, NaN or infinite", expected="positives of each task in training")
    return checked


__all__ = ["TaskRanking"]
