"""The checkpoints of a training: those from which an interrupted one goes on, and those of the best validations."""

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

_ASK_EVERY = 8  # optimiser steps from one to the next in which several GPUs' processes agree on saving
_MEASURES = ("auroc", "average_precision", "loss")


class BestCheckpoints(pl.Callback):
    """Keeps the weights of the best validations, best-STEP.ckpt, and best.ckpt, another name for the best of them.

    A file that a checkpoint to go on from speaks of stays until none does: where training goes on from further back,
    the best so far is still there. A validation is better than another by the `score` that the module logs; of equal
    ones the first.

    Args:
        folder: Where they lie.
        keep: How many.
        storage: Writes them.
        weights_only: Leave out what training needs to go on: half or two thirds of a checkpoint. False where the
            weights that are validated are part of a callback's state, as averaged ones are.
    """

    def __init__(self, folder: TrainFolder, keep: int, storage: Storage, weights_only: bool) -> None:
        self.folder, self.keep, self.storage, self.weights_only = folder, keep, storage, weights_only
        self.scores: dict[int, float] = {}
        self.measured: dict[int, dict[str, float]] = {}
        """What the kept validations came to, to the six digits that the log has."""
        self._spoken_of: list[list[int]] = []

    def path(self, step: int) -> Path:
        """The file of the weights after a step."""
        return self.folder.best_of_step(step)

    @property
    def best(self) -> int:
        """The step of the best validation."""
        return max(self.scores, key=lambda step: (self.scores[step], -step))

    def state_dict(self) -> dict[str, Any]:
        """Which validations were the best, and which files earlier checkpoints speak of."""
        spoken_of = [list(self.scores), *self._spoken_of[:1]]
        return {"scores": dict(self.scores), "measured": dict(self.measured), "spoken_of": spoken_of}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on comparing."""
        self.scores, self._spoken_of = dict(state["scores"]), state["spoken_of"]
        self.measured = dict(state["measured"])

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Looks whether what is spoken of is there; removes what an earlier process left behind."""
        wrong = {}
        if trainer.is_global_zero:
            wrong = {step: why for step in self.scores if (why := damage(self.path(step)))}
            for step, why in wrong.items():
                print(f"{self.path(step)} is left out of the best: {why}", file=sys.stderr)
        for step in from_first(wrong):
            del self.scores[step]
        self._tidy(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Saves the weights where they are among the best."""
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
        """Another checkpoint to go on from is there, and the one two before is gone."""
        self._spoken_of = [list(self.scores), *self._spoken_of[:1]]
        self._tidy(trainer)

    def finish(self) -> None:
        """Writes what is still in memory alone, and removes all but the best.

        Raises:
            InputError: There is no room on the disk.
        """
        self.storage.finish()
        self._spoken_of = []
        self._point()
        self._remove()

    def _tidy(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            with suppress(OSError):  # of a full disk the storage has told
                self._point()
            self._remove()

    def _point(self) -> None:
        """Gives the best file its second name."""
        if not self.scores or not self.path(self.best).exists():
            return
        best = self.folder.best
        if best.exists() and best.samefile(self.path(self.best)):
            return
        with temporary(best) as made:
            try:
                os.link(self.path(self.best), made.path)
            except OSError:  # a file system without second names
                made.path.write_bytes(self.path(self.best).read_bytes())
            made.put()

    def _remove(self) -> None:
        stay = {self.path(step) for step in (*self.scores, *(s for steps in self._spoken_of for s in steps))}
        for path in {*self.folder.path.glob(self.folder.best_of_step("*").name), *self.storage.needed} - stay:
            self.storage.remove_checkpoint(path)
            self.storage.needed.discard(path)


class LastCheckpoint(pl.Callback):
    """Saves every few optimiser steps, and when told to end; each file is complete, and the one before stays.

    Saving takes at most about a hundredth of the time: where a model is so large that the steps until the next save
    would take less than a hundred times as long as a save, it waits. Saves of less than a tenth of a second, of which
    there are few in all, may take a twentieth.

    Ctrl-C, SIGTERM and SIGUSR1 (which SLURM sends before it takes the machine away) are heeded between two batches: an
    exception in the midst of one may end up in code that drops it. A second Ctrl-C ends the process at once. One
    process of many that is told to end takes the others along. A validation that is under way is ended first.

    It never saves in a step that a validation follows: Lightning would take that validation for done when it resumes,
    and the best checkpoint could be another one.

    Args:
        path: The file.
        previous: The name that the one before gets.
        every: Optimiser steps between two saves, at least.
        batches_between_validations: Batches from one validation to the next.
        best: What is told of each save.
        before_saving: Called before a save; what it raises keeps the checkpoint before.
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
        """The signal that interrupted it, if one did."""
        self._rest_until = 0.0
        self._asked = 0
        self._before: dict[int, Any] = {}

    def state_dict(self) -> dict[str, int]:
        """Where the last save was."""
        return {"batches": self.batches, "saved": self.saved, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on counting."""
        self.batches, self.saved, self.seen = state["batches"], state["saved"], state["seen"]

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Takes over the signals; Python allows that in the main thread only."""
        if trainer.is_global_zero:
            self._next.unlink(missing_ok=True)  # of a process that was killed before it had its name
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                self._before[number] = signal.signal(number, self._note_interrupt)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Gives the signals back."""
        self._give_back()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Gives the signals back."""
        self._give_back()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves where it is time, between two optimiser steps; then heeds an interrupt."""
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
        """Whether to end, and whether to save: all processes do the same, and ask each other in the same steps."""
        enough = self.seen - self.saved >= self.every
        if trainer.world_size == 1:
            return self.interrupted, enough and time.perf_counter() >= self._rest_until
        device = trainer.strategy.root_device
        if device.type == "cuda" and self.seen - self._asked < _ASK_EVERY:
            return False, False  # asking waits for the device
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
        written = from_first(new.exists())  # not where the disk is full
        if written and trainer.is_global_zero:
            # Killed between the two, it goes on from the one before.
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

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
