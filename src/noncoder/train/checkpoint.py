"""The checkpoint from which an interrupted training goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl


class LastCheckpoint(pl.Callback):
    """Saves every few optimiser steps; the file is complete or the one before.

    It never saves in a step that a validation follows: Lightning would take that validation for done when it resumes,
    and the best checkpoint could be another one.

    Args:
        path: The file.
        every: Optimiser steps between two saves, at least.
        batches_between_validations: Batches from one validation to the next.
    """

    def __init__(self, path: Path, every: int, batches_between_validations: int) -> None:
        self.path, self.every, self.between = path, every, batches_between_validations
        self.batches = self.saved = self.seen = 0

    def state_dict(self) -> dict[str, int]:
        """Where the last save was."""
        return {"batches": self.batches, "saved": self.saved, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on counting."""
        self.batches, self.saved, self.seen = state["batches"], state["saved"], state["seen"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves where it is time, between two optimiser steps."""
        self.batches += 1
        stepped = trainer.global_step > self.seen
        self.seen = trainer.global_step
        if stepped and self.seen - self.saved >= self.every and self.batches % self.between:
            self.saved = self.seen
            partial = self.path.with_name(f".{self.path.name}")
            trainer.save_checkpoint(partial)
            partial.replace(self.path)
