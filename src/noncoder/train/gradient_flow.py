"""Records of the gradients of all layers at chosen optimiser steps."""

from __future__ import annotations

import math
import sys
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor, nn

from noncoder import plots
from noncoder.config import WatchConfig
from noncoder.errors import NoncoderError
from noncoder.runs.folder import TrainFolder
from noncoder.train.flow import GRADIENT_COLUMNS, read_flow
from noncoder.train.log import CsvLog, TrainingLog
from noncoder.train.progress import EndLoggers, show_figure

# A figure takes a second or two, too long for trainings of a few seconds as in a hyperparameter search.
_MANY_STEPS = 100


class GradientFlow(pl.Callback):
    """Records the size of every parameter's gradient, weights and update at chosen optimiser steps, and plots them.

    Gradients are those of the complete step: after the last backward pass of its batches, unscaled, before clipping.
    Nothing is computed in other steps. Nothing is recorded with FSDP, where no process has a complete parameter.

    Args:
        counted: The log that counts windows; must come before this callback.
        folder: The folder of the table and the figure.
        every: Optimiser steps between two records; "log" for steps 1, 2, 5, 10, 20, 50 and so on.
    """

    def __init__(self, counted: TrainingLog, folder: TrainFolder, every: int | Literal["log"]) -> None:
        self.counted, self.folder, self.every = counted, folder, every
        self.file = CsvLog(folder.gradients, GRADIENT_COLUMNS)
        self._names: list[str] = []
        self._before: list[Tensor] = []
        self._sizes: list[Tensor] = []

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Removes the rows after the step from which training resumes."""
        if isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy):
            self.every = 0
        if trainer.is_global_zero:
            self.file.start(self.counted.windows)

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: Any, optimizer: torch.optim.Optimizer) -> None:
        """In a chosen step, measures the gradients and keeps a copy of the weights until the optimiser has run."""
        if not is_due(trainer.global_step + 1, self.every):
            return
        model: nn.Module = module.model
        named = [(name, p) for name, p in model.named_parameters() if p.grad is not None]
        self._names = [name for name, _ in named]
        grads = [p.grad for _, p in named if p.grad is not None]
        self._before = [p.detach().clone() for _, p in named]
        ones = torch._foreach_norm(grads, 1), torch._foreach_norm(self._before, 1)
        self._sizes = [torch.stack(part).float() for part in (ones[0], torch._foreach_norm(grads, torch.inf), ones[1])]

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After a chosen step, writes its rows and sends them to the loggers."""
        if not self._before:
            return
        params = dict(module.model.named_parameters())
        updates = torch._foreach_sub([params[name].detach() for name in self._names], self._before)
        # One transfer for all numbers, because each transfer waits for the device.
        sizes = torch.stack([*self._sizes, torch.stack(torch._foreach_norm(updates, 1)).float()]).cpu()
        shapes = [one.shape for one in self._before]
        self._before, self._sizes = [], []
        if not trainer.is_global_zero:
            return
        rows = [
            _row(name, shape, numbers)
            for name, shape, numbers in zip(self._names, shapes, sizes.T.tolist(), strict=True)
        ]
        place = {
            "step": trainer.global_step,
            "epoch": self.counted.windows / self.counted.n_windows,
            "windows": self.counted.windows,
        }
        for row in rows:
            self.file.add(place | row)
        for logger in trainer.loggers:
            for kind in ("gradient_mean", "weight_mean", "update_ratio"):
                values = {f"{kind}/{row['parameter']}": row[kind] for row in rows}
                logger.log_metrics({k: v for k, v in values.items() if math.isfinite(v)}, step=trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Plots the records; under 100 steps only if the recipe gives an interval in steps."""
        if trainer.is_global_zero and (self.every != "log" or trainer.global_step >= _MANY_STEPS):
            try:
                self.draw(trainer)
            except (OSError, NoncoderError) as error:
                # The training is done but its result is not saved yet, so a failed plot must not end it.
                print(f"cannot plot the gradient flow: {error}", file=sys.stderr)

    def draw(self, trainer: pl.Trainer) -> None:
        """Writes the figure and sends it to the loggers."""
        flow = read_flow(self.file.path)
        if flow is None:
            return
        figure = plots.plot_gradient_flow(*flow)
        picture = self.folder.gradients_figure
        for ending in (".png", ".svg"):
            plots.save_figure(figure, picture.with_suffix(ending))
        for logger in trainer.loggers:
            show_figure(logger, figure, picture, trainer.global_step)


def make_watchers(counted: TrainingLog, folder: TrainFolder, watch: WatchConfig) -> list[pl.Callback]:
    """Returns the callbacks of the recipe's section `train.watch`; they must come after the log."""
    flow = [GradientFlow(counted, folder, watch.gradients_every)] if watch.gradients_every else []
    return [*flow, EndLoggers()]


def is_due(step: int, every: int | Literal["log"]) -> bool:
    """Returns whether an optimiser step, counted from 1, is recorded."""
    if every == "log":
        return str(step).rstrip("0") in ("1", "2", "5")
    return every > 0 and step % every == 0


def _row(name: str, shape: torch.Size, numbers: list[float]) -> dict[str, Any]:
    gradient, most, weight, update = numbers
    n = max(1, shape.numel())
    return {
        "parameter": name,
        "dims": len(shape),
        "gradient_mean": gradient / n,
        "gradient_max": most,
        "weight_mean": weight / n,
        "update_ratio": update / weight if weight else math.nan,
    }
