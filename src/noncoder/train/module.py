"""What Lightning trains: the step, the validation, and what a checkpoint holds besides weights."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from noncoder.config import TrainConfig
from noncoder.data.loading import Batch, one_hot
from noncoder.losses import binary_cross_entropy
from noncoder.metrics import rank
from noncoder.models import SequenceModel
from noncoder.train.optim import learning_rate_factor, make_optimizer


class TrainingModule(pl.LightningModule):
    """A model in training.

    Args:
        model: The network.
        config: The recipe's section on training.
        steps: Optimiser steps in all.
    """

    def __init__(self, model: SequenceModel, config: TrainConfig, steps: int) -> None:
        super().__init__()
        self.model, self.settings, self.steps = model, config, steps
        self.run_model: nn.Module = torch.compile(model) if config.compile else model  # type: ignore[assignment]
        self._valid: list[tuple[Tensor, Tensor, Tensor | None]] = []
        self.validation: dict[str, float] = {}

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of a batch."""
        return binary_cross_entropy(self.run_model(one_hot(batch.codes)), batch.labels, batch.known)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Collects the logits of a batch; validation reads the forward strand, in float32, whose ranks do not tie."""
        with torch.autocast(batch.codes.device.type, enabled=False):
            logits = self.run_model(one_hot(batch.codes)).cpu()
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
        self.log(
            "score", self.validation["average_precision"] if scored.any() else -self.validation["loss"], logger=False
        )

    def configure_optimizers(self) -> Any:
        """AdamW, with the learning rate set before each optimiser step."""
        optimizer = make_optimizer(self.model, self.settings)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_factor(self.settings, self.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the state of the random numbers, so that dropout goes on as it would have."""
        checkpoint["random_state"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the state of the random numbers."""
        torch.set_rng_state(checkpoint["random_state"].cpu())
