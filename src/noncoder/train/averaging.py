"""Averages of the weights, which are validated and kept in place of the last ones."""

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

_WINDOWS = 4096  # each has hundreds of positions: their mean and variance are known to a hundredth


def make_averaging(config: TrainConfig, training: Batches, steps: int) -> list[Callback]:
    """The recipe's average of the weights; none where there is none.

    Args:
        config: The recipe's section on training.
        training: The training windows, of which some are read for batch norms.
        steps: Optimiser steps in all.
    """
    if config.average:
        return [AveragedWeights(0, some_of(training), config.average)]
    if config.average_last:
        return [AveragedWeights(steps - max(1, round(config.average_last * steps)), some_of(training))]
    return []


def some_of(training: Batches, most: int = _WINDOWS) -> Batches:
    """Batches of training windows, evenly spaced over the split, read as in the first pass of a training."""
    n = training.indices.size
    chosen = training.indices[np.linspace(0, n, min(most, n), endpoint=False).astype(np.int64)]
    return Batches(
        training.store, chosen, training.batch_size, replace(training.draws, shuffle=False, weights=None, mix=0)
    )


class AveragedWeights(WeightAveraging):
    """A mean of the weights of many steps, which is validated and kept.

    An equal one over the last steps (stochastic weight averaging, Izmailov et al. 2018, arXiv:1803.05407), or an
    exponential moving one. Until its first step the weights themselves are validated and kept. Statistics of batch
    norms are not averaged: before each validation of averaged weights they are taken anew, over training windows.

    Args:
        first: The first optimiser step, from 0, after which weights enter the mean.
        windows: What batch norms see.
        decay: What an exponential mean keeps a step; None for an equal one.
    """

    def __init__(self, first: int, windows: Batches, decay: float | None = None) -> None:
        if decay is None:
            super().__init__(use_buffers=False)
        else:
            super().__init__(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
        self.first, self.windows = first, windows

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether the weights after this step enter the mean."""
        return step_idx is not None and step_idx >= self.first

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts the mean in the weights' place."""
        self._follow(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)
        if self._started() and isinstance(pl_module, TrainingModule):
            renew_batch_norms(pl_module, self.windows)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the mean."""
        self._follow(pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the mean in the weights' place."""
        self._follow(pl_module)
        super().on_train_end(trainer, pl_module)

    def _started(self) -> bool:
        return self._average_model is not None and bool(self._average_model.n_averaged > 0)

    def _follow(self, module: pl.LightningModule) -> None:
        """Makes the mean what the weights are, as long as none has entered it."""
        if self._average_model is not None and not self._started():
            self._average_model.module.load_state_dict(module.state_dict())


@torch.no_grad()
def renew_batch_norms(module: TrainingModule, windows: Batches) -> None:
    """Takes the statistics of a model's batch norms anew; dropout and all else stay as in validation.

    Args:
        module: What is trained, in evaluation mode.
        windows: What the batch norms see, from the first window on.
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
            norm.momentum = None  # the mean over all batches
            norm.train()
        for batch in windows:
            module.model(one_hot(batch.codes.to(module.device)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
