"""Lightning module of a training: training step, validation, optimiser and schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from noncoder.config import TrainConfig
from noncoder.data.loading import Batch, one_hot
from noncoder.losses import TrainingLoss, binary_cross_entropy
from noncoder.metrics import rank
from noncoder.models import SequenceModel
from noncoder.train.optim import decaying, make_optimizer
from noncoder.train.ranks import from_first, gather_on_first, weight_of_part, weight_of_sum
from noncoder.train.schedules import Schedule

# Results of a validation batch: logits, labels, and the mask of known labels or None, each (n, T).
_Part = tuple[Tensor, Tensor, Tensor | None]


class TrainingModule(pl.LightningModule):
    """Model in training.

    Args:
        model: The network.
        config: The recipe's section on training.
        steps: Total optimiser steps.
        steps_per_epoch: Optimiser steps per epoch of the training split.
        compiled: Mode of torch.compile; "none" for no compilation.
        task_weights: Weight of each task in the loss, (T,); None for 1.
        network: Network to train instead of `model`, with the same weights: the model on regions. None for the model.
    """

    network: nn.Module
    """Network that computes the logits of a training batch."""
    run_model: nn.Module
    """The network, compiled if `compiled` is not "none"."""

    def __init__(
        self,
        model: SequenceModel,
        config: TrainConfig,
        steps: int,
        steps_per_epoch: float,
        compiled: str = "none",
        task_weights: Tensor | None = None,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.training_loss = TrainingLoss(config.loss, task_weights)
        self.model, self.settings, self.steps, self.steps_per_epoch = model, config, steps, steps_per_epoch
        # Not registered as submodules: they share the model's weights, and a checkpoint with a compiled module could
        # not be resumed without compilation on another device.
        self.__dict__["network"] = self.__dict__["run_model"] = model if network is None else network
        if compiled != "none":
            # Without CUDA graphs: in Lightning's loop their replay overwrites tensors that the backward pass needs.
            mode = "max-autotune-no-cudagraphs" if compiled == "max-autotune" else compiled
            self.__dict__["run_model"] = torch.compile(self.network, mode=mode, dynamic=False)
        # Stored here because FSDP may flatten every parameter later.
        self._decays = decaying(model)
        self._valid: list[_Part] = []
        self.validation: dict[str, float] = {}
        self._last_input: Tensor | None = None
        self._hook: RemovableHandle | None = None
        self._schedule: Schedule | None = None
        self.weight_in_step = 1.0
        """Weight of the batch's loss in its optimiser step."""
        self.mean_loss = torch.zeros(())
        """Loss of the last batch; its mean over processes is the loss of the complete batch."""
        self.on_gradient_norm: Callable[[Tensor], None] = lambda norm: None
        """Called with the norm of the gradient before each step."""

    def on_fit_start(self) -> None:
        """With an L1 penalty, hooks the input of the last layer, so that models need no code for it."""
        if self.settings.l1:
            self._hook = self.model.output.register_forward_pre_hook(self._keep_last_input)

    def on_fit_end(self) -> None:
        """Removes the hook."""
        if self._hook is not None:
            self._hook.remove()
        self._last_input = None

    def _keep_last_input(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._last_input = inputs[0] if layer.training else None

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Returns the loss of this process's part of a batch, times the batch's weight in the optimiser step."""
        # The last batch of an epoch has another size, for which compiling again is not worthwhile.
        run = self.run_model if batch.full else self.network
        x, labels, known = batch.inputs()
        loss = self.training_loss(run(x), labels, known) * weight_of_part(batch)
        if self._last_input is not None:
            loss = loss + self.settings.l1 * weight_of_sum(batch) * self._last_input.float().abs().sum()
            self._last_input = None  # otherwise it keeps the batch's graph in memory until the next batch
        self.mean_loss = loss.detach()
        return loss * self.weight_in_step

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the gradient and calls `on_gradient_norm` with its norm, which clipping needs anyway."""
        if isinstance(self.trainer.strategy, FSDPStrategy):  # no process has the complete gradient
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        self.on_gradient_norm(norm)  # before clipping, which would make all gradients non-finite if one is
        if gradient_clip_val:
            nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, norm)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Stores the logits of a batch, computed on the forward strand in float32 to avoid ties in the ranking."""
        with torch.autocast(batch.codes.device.type, enabled=False):
            logits = self.model(one_hot(batch.codes)).cpu()
        known = None if batch.known is None else batch.known.cpu()
        self._valid.append((logits, batch.labels.cpu(), known))

    def on_validation_epoch_end(self) -> None:
        """Computes the metrics over the complete split, because a mean of AUROCs of batches is a different number.

        The first process gathers the logits of all processes in the order of a single process, computes the metrics and
        broadcasts them.
        """
        collected, self._valid = gather_on_first(self._valid), []
        parts = [part for batch in zip(*collected, strict=True) for part in batch]
        self.validation = from_first(_measure(parts) if parts else {})
        # Early stopping and the best checkpoint need a score even if AUROC is undefined for all tasks.
        by_loss = self.settings.monitor == "loss" or not self.validation["tasks"]
        score = -self.validation["loss"] if by_loss else self.validation["average_precision"]
        self.log("score", score, logger=False)
        if self._schedule is not None:
            self._schedule.record_score(score)

    def configure_optimizers(self) -> Any:
        """Returns the optimiser and the schedule, which sets the learning rate before each step."""
        optimizer = make_optimizer(self.model, self.settings, self._decays)
        self._schedule = Schedule(optimizer, self.settings, self.steps, self.steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self._schedule, "interval": "step"}}


def _measure(parts: list[_Part]) -> dict[str, float]:
    logits, labels = (torch.cat([part[i] for part in parts]) for i in (0, 1))  # type: ignore[misc]
    known = None
    if any(part[2] is not None for part in parts):
        known = torch.cat([torch.ones_like(part[1], dtype=torch.bool) if part[2] is None else part[2]
                           for part in parts])  # fmt: skip
    ranking = rank(logits, labels, known)
    scored = ~np.isnan(ranking.auroc)
    return {
        "loss": float(binary_cross_entropy(logits, labels, known)),
        "auroc": float(np.mean(ranking.auroc[scored])) if scored.any() else float("nan"),
        "average_precision": float(np.mean(ranking.average_precision[scored])) if scored.any() else float("nan"),
        "tasks": int(scored.sum()),
    }
