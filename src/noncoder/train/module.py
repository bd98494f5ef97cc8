"""What Lightning trains: the step, the validation, and what a checkpoint holds besides weights."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from noncoder.config import TrainConfig
from noncoder.data.loading import Batch, one_hot
from noncoder.losses import TrainingLoss, binary_cross_entropy
from noncoder.metrics import rank
from noncoder.models import SequenceModel
from noncoder.train.optim import make_optimizer
from noncoder.train.schedules import Schedule


class TrainingModule(pl.LightningModule):
    """A model in training.

    Args:
        model: The network.
        config: The recipe's section on training.
        steps: Optimiser steps in all.
        steps_per_pass: Optimiser steps a pass over the training split.
        compiled: How torch.compile compiles the model; "none" for not at all.
        task_weights: What the labels of each task count, (T,); None for 1.
    """

    def __init__(
        self,
        model: SequenceModel,
        config: TrainConfig,
        steps: int,
        steps_per_pass: float,
        compiled: str = "none",
        task_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.training_loss = TrainingLoss(config.loss, task_weights)
        self.model, self.settings, self.steps, self.steps_per_pass = model, config, steps, steps_per_pass
        self.run_model: nn.Module = model
        if compiled != "none":
            self.run_model = torch.compile(model, mode=compiled, dynamic=False)  # type: ignore[assignment]
        self._valid: list[tuple[Tensor, Tensor, Tensor | None]] = []
        self.validation: dict[str, float] = {}
        self._last_input: Tensor | None = None
        self._hook: RemovableHandle | None = None
        self._schedule: Schedule | None = None

    def on_fit_start(self) -> None:
        """Taps what enters the last layer, where it is penalised; models know nothing of it."""
        if self.settings.l1:
            self._hook = self.model.output.register_forward_pre_hook(self._keep_last_input)

    def on_fit_end(self) -> None:
        """Leaves the model as it was."""
        if self._hook is not None:
            self._hook.remove()
        self._last_input = None

    def _keep_last_input(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._last_input = inputs[0] if layer.training else None

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of a batch."""
        # The smaller last batch of a pass is not worth compiling for once more.
        run = self.run_model if batch.whole == self.settings.batch_size else self.model
        x, labels = batch.inputs()
        loss = self.training_loss(run(x), labels, batch.known)
        if self._last_input is not None:
            loss = loss + self.settings.l1 * self._last_input.float().abs().sum()
            self._last_input = None  # or it would keep the batch's graph until the next
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Collects the logits of a batch; validation reads the forward strand, in float32, whose ranks do not tie."""
        with torch.autocast(batch.codes.device.type, enabled=False):
            logits = self.model(one_hot(batch.codes)).cpu()
        known = None if batch.known is None else batch.known.cpu()
        self._valid.append((logits, batch.labels.cpu(), known))

    def on_validation_epoch_end(self) -> None:
        """Measures the whole split at once: a mean of batch-wise AUROCs would be another number."""
        logits, labels = (torch.cat([part[i] for part in self._valid]) for i in (0, 1))  # type: ignore[misc]
        masks = [part[2] for part in self._valid if part[2] is not None]
        known = torch.cat(masks) if masks else None
        self._valid.clear()
        ranking = rank(logits, labels, known)
        scored = ~np.isnan(ranking.auroc)
        self.validation = {
            "loss": float(binary_cross_entropy(logits, labels, known)),
            "auroc": float(np.mean(ranking.auroc[scored])) if scored.any() else float("nan"),
            "average_precision": float(np.mean(ranking.average_precision[scored])) if scored.any() else float("nan"),
            "tasks": int(scored.sum()),
        }
        # Early stopping and the best checkpoint need a number even where no task can be scored.
        by_loss = self.settings.monitor == "loss" or not scored.any()
        score = -self.validation["loss"] if by_loss else self.validation["average_precision"]
        self.log("score", score, logger=False)
        if self._schedule is not None:
            self._schedule.judge(score)

    def configure_optimizers(self) -> Any:
        """The optimiser, with the learning rate set before each of its steps."""
        optimizer = make_optimizer(self.model, self.settings)
        self._schedule = Schedule(optimizer, self.settings, self.steps, self.steps_per_pass)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self._schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the state of the random numbers, so that dropout goes on as it would have."""
        checkpoint["random_state"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the state of the random numbers."""
        torch.set_rng_state(checkpoint["random_state"].cpu())
