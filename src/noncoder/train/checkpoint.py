"""Checkpoints of a training: those that an interrupted training resumes from, and those of the best validations."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from noncoder.machine import Stopped
from noncoder.runs.folder import TrainFolder
from noncoder.temporary import temporary
from noncoder.train.module import TrainingModule
from noncoder.train.ranks import any_rank, from_first
from noncoder.train.storage import Storage, damage, sync_folder

_ASK_EVERY = 8  # optimiser steps between two agreements on saving among the processes of several GPUs
_MEASURES = ("auroc", "average_precision", "loss")


class BestCheckpoints(pl.Callback):
    """Keeps the weights of the best validations as best-STEP.ckpt, and a link to the best of them as best.ckpt.

    A file stays as long as a checkpoint to resume from refers to it: if training resumes from an earlier checkpoint,
    its best weights still exist. Validations are compared by the `score` that the module logs; of equal scores the
    first is better.

    Args:
        folder: The folder of the checkpoints.
        keep: Number of validations to keep.
        storage: Writer of the checkpoints.
        weights_only: Leave out the state needed to resume, which is half to two thirds of a checkpoint. Must be False
            if the validated weights are part of a callback's state, as averaged weights are.
    """

    def __init__(self, folder: TrainFolder, keep: int, storage: Storage, weights_only: bool) -> None:
        self.folder, self.keep, self.storage, self.weights_only = folder, keep, storage, weights_only
        self.scores: dict[int, float] = {}
        self.measured: dict[int, dict[str, float]] = {}
        """Results of the kept validations by step, to six digits as in the log."""
        self._referenced: list[list[int]] = []

    def path(self, step: int) -> Path:
        """Returns the path of the weights after a step."""
        return self.folder.best_of_step(step)

    @property
    def best(self) -> int:
        """The step of the best validation."""
        return max(self.scores, key=lambda step: (self.scores[step], -step))

    def state_dict(self) -> dict[str, Any]:
        """Returns the best validations and the steps of the files that earlier checkpoints refer to."""
        referenced = [list(self.scores), *self._referenced[:1]]
        return {"scores": dict(self.scores), "measured": dict(self.measured), "spoken_of": referenced}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the best validations."""
        self.scores, self._referenced = dict(state["scores"]), state["spoken_of"]
        self.measured = dict(state["measured"])

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Checks the files that the state refers to; removes files left by an earlier process."""
        wrong = {}
        if trainer.is_global_zero:
            wrong = {step: why for step in self.scores if (why := damage(self.path(step)))}
            for step, why in wrong.items():
                print(f"{self.path(step)} is not used as a best checkpoint: {why}", file=sys.stderr)
        for step in from_first(wrong):
            del self.scores[step]
        self._tidy(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Saves the weights if the validation is among the best."""
        score, step = float(trainer.callback_metrics["score"]), trainer.global_step
        score = score if score == score else float("-inf")  # NaN compares with nothing
        if len(self.scores) < self.keep or score > min(self.scores.values()):
            self.storage.needed.add(self.path(step))
            trainer.save_checkpoint(self.path(step), self.weights_only)
            self.scores[step] = score
            row = module.validation if isinstance(module, TrainingModule) else {}
            self.measured[step] = {key: float(f"{row[key]:.6g}") for key in _MEASURES if key in row}
            if len(self.scores) > self.keep:
                del self.scores[min(self.scores, key=lambda step: (self.scores[step], -step))]
        self._tidy(trainer)

    def saved(self, trainer: pl.Trainer) -> None:
        """Updates the references after a new checkpoint to resume from replaced the one two saves before."""
        self._referenced = [list(self.scores), *self._referenced[:1]]
        self._tidy(trainer)

    def finish(self) -> None:
        """Writes checkpoints that are only in memory, and removes all but the best.

        Raises:
            InputError: The disk is full.
        """
        self.storage.finish()
        self._referenced = []
        self._point()
        self._remove()

    def _tidy(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            with suppress(OSError):  # the storage has already reported a full disk
                self._point()
            self._remove()

    def _point(self) -> None:
        """Links best.ckpt to the best checkpoint."""
        if not self.scores or not self.path(self.best).exists():
            return
        best = self.folder.best
        if best.exists() and best.samefile(self.path(self.best)):
            return
        with temporary(best) as made:
            try:
                os.link(self.path(self.best), made.path)
            except OSError:  # a file system without hard links
                made.path.write_bytes(self.path(self.best).read_bytes())
            made.put()

    def _remove(self) -> None:
        stay = {self.path(step) for step in (*self.scores, *(s for steps in self._referenced for s in steps))}
        for path in {*self.folder.path.glob(self.folder.best_of_step("*").name), *self.storage.needed} - stay:
            self.storage.remove_checkpoint(path)
            self.storage.needed.discard(path)


class LastCheckpoint(pl.Callback):
    """Saves a checkpoint every few optimiser steps and on an interrupt; files are complete, and the previous one stays.

    Saving takes at most about 1 percent of the time: after a save, the next one waits for a hundred times as long as
    the save took. For saves shorter than a tenth of a second the limit is 5 percent.

    Ctrl-C, SIGTERM and SIGUSR1 (which SLURM sends before it ends a job) take effect between two batches, because code
    within a batch may suppress an exception. A second Ctrl-C ends the process at once. An interrupt of one process
    stops all processes of the training. A running validation is completed first.

    No checkpoint is saved in a step that a validation follows: Lightning would skip that validation on resuming, and
    the best checkpoint could differ.

    Args:
        path: Path of the checkpoint.
        previous: Path that the previous checkpoint is moved to.
        every: Minimum number of optimiser steps between two saves.
        batches_between_validations: Batches from one validation to the next.
        best: The best checkpoints, which are notified of each save.
        before_saving: Called before a save; if it raises, the previous checkpoint stays.
    """

    def __init__(
        self,
        path: Path,
        previous: Path,
        every: int,
        batches_between_validations: int,
        best: BestCheckpoints,
        before_saving: Callable[[], None] = lambda: None,
    ) -> None:
        self.path, self.previous, self.every, self.between = path, previous, every, batches_between_validations
        self.best, self.before_saving = best, before_saving
        self.batches = self.saved = self.seen = 0
        self.interrupted = False
        self._next = path.with_name(f".{path.name}")
        self.number: int = signal.SIGINT
        """The signal that interrupted the training, if any."""
        self._rest_until = 0.0
        self._asked = 0
        self._before: dict[int, Any] = {}

    def state_dict(self) -> dict[str, int]:
        """Returns the counts of batches and steps, and the step of the last save."""
        return {"batches": self.batches, "saved": self.saved, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the counts."""
        self.batches, self.saved, self.seen = state["batches"], state["saved"], state["seen"]

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Installs the signal handlers; Python allows this in the main thread only."""
        if trainer.is_global_zero:
            self._next.unlink(missing_ok=True)  # left by a process that was killed while saving
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                self._before[number] = signal.signal(number, self._note_interrupt)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Restores the signal handlers."""
        self._restore_handlers()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Restores the signal handlers."""
        self._restore_handlers()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves after an optimiser step if due or interrupted; raises `Stopped` if interrupted."""
        self.batches += 1
        stepped = trainer.global_step > self.seen
        self.seen = trainer.global_step
        if not stepped or not self.batches % self.between:
            return
        interrupted, due = self._agree(trainer)
        if interrupted or due:
            self._save(trainer)
        if interrupted:
            raise Stopped(number=self.number)

    def _agree(self, trainer: pl.Trainer) -> tuple[bool, bool]:
        """Returns whether to stop and whether to save; the same in all processes, which agree in the same steps."""
        enough = self.seen - self.saved >= self.every
        if trainer.world_size == 1:
            return self.interrupted, enough and time.perf_counter() >= self._rest_until
        device = trainer.strategy.root_device
        if device.type == "cuda" and self.seen - self._asked < _ASK_EVERY:
            return False, False  # an agreement waits for the device
        self._asked = self.seen
        interrupted = any_rank(self.interrupted, device)
        rested = enough and not any_rank(trainer.is_global_zero and time.perf_counter() < self._rest_until, device)
        return interrupted, rested

    def _save(self, trainer: pl.Trainer) -> None:
        self.before_saving()
        self.saved = self.seen
        began = time.perf_counter()
        new = self._next
        if trainer.is_global_zero:
            new.unlink(missing_ok=True)
        trainer.save_checkpoint(new)
        written = from_first(new.exists())  # False if the disk is full
        if written and trainer.is_global_zero:
            # If the process is killed between the two renames, training resumes from the previous checkpoint.
            if self.path.exists():
                self.path.replace(self.previous)
            new.replace(self.path)
            sync_folder(self.path.parent)
        if written:
            self.best.saved(trainer)
        now = time.perf_counter()
        took = now - began
        self._rest_until = now + (100 if took > 0.1 else 20) * took

    def _note_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted and number == signal.SIGINT:
            raise Stopped
        self.interrupted, self.number = True, number

    def _restore_handlers(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
