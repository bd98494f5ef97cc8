"""Averages of the weights, which are validated and saved instead of the latest weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from noncoder.config import TrainConfig
from noncoder.data.loading import Batches, one_hot
from noncoder.predictor.inference import restoring_modes
from noncoder.train.module import TrainingModule

_WINDOWS = 4096  # hundreds of positions each, which gives mean and variance to about 1 percent


def make_averaging(config: TrainConfig, training: Batches, steps: int) -> list[Callback]:
    """Returns the callback that averages the weights; an empty list if the recipe sets no average.

    Args:
        config: The recipe's section on training.
        training: The training windows; some are read for the batch-norm statistics.
        steps: Total optimiser steps.
    """
    if config.average:
        return [AveragedWeights(0, some_of(training), config.average)]
    if config.average_last:
        return [AveragedWeights(steps - max(1, round(config.average_last * steps)), some_of(training))]
    return []


def some_of(training: Batches, most: int = _WINDOWS) -> Batches:
    """Returns batches of training windows, evenly spaced over the split and read as in the first epoch."""
    n = training.indices.size
    chosen = training.indices[np.linspace(0, n, min(most, n), endpoint=False).astype(np.int64)]
    return Batches(
        training.store, chosen, training.batch_size, replace(training.draws, shuffle=False, weights=None, mix=0)
    )


class AveragedWeights(WeightAveraging):
    """Mean of the weights over many steps, which is validated and saved.

    Either an equal mean over the last steps (stochastic weight averaging, Izmailov et al. 2018, arXiv:1803.05407) or an
    exponential moving average. Before the first averaged step, the current weights are validated and saved. Batch-norm
    statistics are not averaged: they are recomputed from training windows before each validation of averaged weights.

    Args:
        first: The first optimiser step, from 0, whose weights enter the mean.
        windows: The windows from which batch-norm statistics are recomputed.
        decay: Decay per step of the exponential moving average; None for an equal mean.
    """

    def __init__(self, first: int, windows: Batches, decay: float | None = None) -> None:
        if decay is None:
            super().__init__(use_buffers=False)
        else:
            super().__init__(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
        self.first, self.windows = first, windows

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Returns whether the weights after this step enter the mean."""
        return step_idx is not None and step_idx >= self.first

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Loads the mean into the model."""
        self._follow(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)
        if self._started() and isinstance(pl_module, TrainingModule):
            renew_batch_norms(pl_module, self.windows)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the mean to the checkpoint."""
        self._follow(pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the mean in the model."""
        self._follow(pl_module)
        super().on_train_end(trainer, pl_module)

    def _started(self) -> bool:
        return self._average_model is not None and bool(self._average_model.n_averaged > 0)

    def _follow(self, module: pl.LightningModule) -> None:
        """Sets the mean to the current weights until the first weights have entered it."""
        if self._average_model is not None and not self._started():
            self._average_model.module.load_state_dict(module.state_dict())


@torch.no_grad()
def renew_batch_norms(module: TrainingModule, windows: Batches) -> None:
    """Recomputes the statistics of a model's batch norms; all other layers stay in evaluation mode.

    Args:
        module: The training module, in evaluation mode.
        windows: The windows to compute the statistics from, starting with the first.
    """
    norms = [part for part in module.model.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    windows.move(module.device)
    windows.load_state_dict({"epoch": 0, "position": 0})
    with restoring_modes(module), torch.autocast(module.device.type, enabled=False):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch then averages over all batches
            norm.train()
        for batch in windows:
            module.model(one_hot(batch.codes.to(module.device)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
