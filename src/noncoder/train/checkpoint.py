"""The checkpoint from which an interrupted training goes on."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl


class LastCheckpoint(pl.Callback):
    """Saves every few optimiser steps, and when interrupted; the file is complete or the one before.

    Saving takes at most about a twentieth of the time: where a model is so large that the steps until the next save
    would take less than twenty times as long as a save, it waits.

    Ctrl-C is heeded between two batches: an exception in the midst of one may end up in code that drops it. A second
    Ctrl-C ends the process at once.

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
        self.interrupted = False
        self._rest_until = 0.0
        self._before: Any = None

    def state_dict(self) -> dict[str, int]:
        """Where the last save was."""
        return {"batches": self.batches, "saved": self.saved, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on counting."""
        self.batches, self.saved, self.seen = state["batches"], state["saved"], state["seen"]

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Takes over Ctrl-C; Python allows that in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note_interrupt)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Gives Ctrl-C back."""
        self._give_back()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Gives Ctrl-C back."""
        self._give_back()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Heeds an interrupt; the checkpoint before stays."""
        if self.interrupted:
            raise KeyboardInterrupt

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves where it is time, between two optimiser steps; then heeds an interrupt."""
        self.batches += 1
        stepped = trainer.global_step > self.seen
        self.seen = trainer.global_step
        rested = time.perf_counter() >= self._rest_until
        due = self.interrupted or (self.seen - self.saved >= self.every and rested)
        if stepped and due and self.batches % self.between:
            self.saved = self.seen
            began = time.perf_counter()
            partial = self.path.with_name(f".{self.path.name}")
            trainer.save_checkpoint(partial)
            partial.replace(self.path)
            now = time.perf_counter()
            self._rest_until = now + 20 * (now - began)
            if self.interrupted:
                raise KeyboardInterrupt

    def _note_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def _give_back(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
