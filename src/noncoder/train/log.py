"""Logs of a training: CSV files, a progress bar, and one line per validation."""

from __future__ import annotations

import csv
import io
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from tqdm import tqdm

from noncoder.files import write_bytes
from noncoder.runs.folder import TrainFolder
from noncoder.train.module import TrainingModule
from noncoder.train.ranks import mean_over_ranks

LOG_COLUMNS = ("step", "epoch", "windows", "seconds", "loss", "learning_rate", "windows_per_second")
VALID_COLUMNS = ("step", "epoch", "windows", "seconds", "loss", "auroc", "average_precision", "tasks")


class CsvLog:
    """CSV file to which rows are appended; `start` removes the rows after the window from which a run resumes.

    If the disk is full, rows wait in memory until they can be written.

    Args:
        path: The file.
        columns: The names of its columns.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, columns
        self._waiting: list[Mapping[str, Any]] = []
        self._full = False
        self.rows: list[dict[str, str]] | None = None
        """All rows as written; None before `start` unless a checkpoint has restored them."""

    def start(self, windows: int) -> None:
        """Rewrites the file with the rows, of the checkpoint or else of the file, up to a number of windows."""
        # The last row is incomplete if the process was killed while writing it.
        rows = self.read() if self.rows is None else self.rows
        rows = self.rows = [row for row in rows if _is_row(row) and int(row["windows"]) <= windows]
        write_bytes(self.path, self._text(rows, header=True).encode())

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row, after the waiting rows."""
        self._waiting.append(row)
        self.rows = [*(self.rows or []), {c: str(_short(row[c])) for c in self.columns}]
        size: int | None = None
        try:
            with self.path.open("ab") as file:
                size = file.tell()
                file.write(self._text(self._waiting, header=False).encode())
        except OSError as error:
            if size is not None:
                with suppress(OSError):
                    os.truncate(self.path, size)  # removes a partly written row
            if not self._full:
                tqdm.write(
                    f"cannot write {self.path}: {error.strerror}; training continues, rows wait in memory", sys.stderr
                )
            self._full = True
        else:
            self._waiting.clear()
            self._full = False

    def read(self) -> list[dict[str, str]]:
        """Returns all rows, including waiting ones."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            waiting = [{c: str(_short(row[c])) for c in self.columns} for row in self._waiting]
            return [*csv.DictReader(file), *waiting]

    def _text(self, rows: Sequence[Mapping[str, Any]], header: bool) -> str:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns)
        if header:
            writer.writeheader()
        writer.writerows({c: _short(row[c]) for c in self.columns} for row in rows)
        return text.getvalue()


def describe_scores(auroc: float | None, average_precision: float | None) -> str:
    """Formats the scores of a validation; they are undefined if every task has one class only."""
    if auroc is None or math.isnan(auroc):
        return "AUROC and AP undefined"
    return f"AUROC {auroc:.4f}  AP {average_precision:.4f}"


def _is_row(row: Mapping[str, str | None]) -> bool:
    return None not in row.values() and str(row.get("windows")).isdigit()


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


class TrainingLog(pl.Callback):
    """Counts windows and seconds, also across resumptions, and writes log.csv and valid.csv.

    Args:
        folder: The folder of both logs.
        windows: Windows in the training split.
        total: Windows that the complete training reads.
        every: Batches between two rows of log.csv.
    """

    def __init__(self, folder: TrainFolder, windows: int, total: int, every: int) -> None:
        self.log_file = CsvLog(folder.log, LOG_COLUMNS)
        self.valid_file = CsvLog(folder.validations, VALID_COLUMNS)
        self.n_windows, self.total, self.every = windows, total, every
        self.batches = self.windows = 0
        self.seconds = 0.0
        self.validating = 0.0
        self._loss: list[torch.Tensor] = []
        self._bar: tqdm[Any] | None = None
        self._last: tuple[int, float] = (0, 0.0)
        self.rates: list[float] = []
        """Windows per second of each row that this process wrote."""

    def state_dict(self) -> dict[str, Any]:
        """Returns counts and rows for resuming; all processes must call it together."""
        loss = self._losses().tolist()
        return {"batches": self.batches, "windows": self.windows, "seconds": self._now(), "loss": loss,
                "validating": self.validating, "last": list(self._last),
                "rows": [self.log_file.rows, self.valid_file.rows]}  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores counts and rows."""
        self.batches, self.windows, self.seconds = state["batches"], state["windows"], state["seconds"]
        self._loss = [torch.tensor(loss) for loss in state["loss"]]
        self.validating, self._last = state["validating"], (state["last"][0], state["last"][1])
        # Not from the files, which may be damaged; checkpoints of earlier versions have no rows.
        self.log_file.rows, self.valid_file.rows = state.get("rows", [None, None])

    def on_train_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Opens the logs and the progress bar."""
        self._began = time.perf_counter()
        self._loss = [loss.to(trainer.strategy.root_device) for loss in self._loss]
        if not trainer.is_global_zero:
            return
        for file in (self.log_file, self.valid_file):
            file.start(self.windows)
        self._bar = tqdm(total=self.total, initial=self.windows, desc="training", unit="windows", disable=None)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the batch; writes a row after every `every` batches."""
        self.batches, self.windows = self.batches + 1, self.windows + batch.whole
        self._loss.append(module.mean_loss if isinstance(module, TrainingModule) else outputs["loss"].detach())
        if self._bar is not None:
            self._bar.update(batch.whole)
        if self.batches % self.every == 0:
            self._row(trainer)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Starts the clock of validation, whose time does not count as training."""
        self._validation_began = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Logs and prints the results of the validation."""
        if trainer.sanity_checking or not isinstance(module, TrainingModule):
            return
        self.validating += time.perf_counter() - self._validation_began
        if not trainer.is_global_zero:
            return
        row = self._position(trainer) | module.validation
        self.valid_file.add(row)
        self._send_to_loggers(trainer, {f"valid/{key}": row[key] for key in ("loss", "auroc", "average_precision")})
        line = (
            f"epoch {row['epoch']:.2f}  step {row['step']}  valid loss {row['loss']:.4f}  "
            f"{describe_scores(row['auroc'], row['average_precision'])}  ({row['tasks']} tasks)  "
            f"{self._speed():,.0f} windows/s"
        )
        if self._bar is not None:
            self._bar.set_postfix_str(describe_scores(row["auroc"], row["average_precision"]))
        tqdm.write(line, file=sys.stderr)

    def on_train_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Writes the last row and closes the progress bar."""
        if self._loss:
            self._row(trainer)
        self.seconds = self._now()
        del self._began
        self._close()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Closes the progress bar."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _losses(self) -> torch.Tensor:
        """Returns the losses of the batches since the last row, averaged over processes."""
        return mean_over_ranks(torch.stack(self._loss)) if self._loss else torch.zeros(0)

    def _now(self) -> float:
        return self.seconds + (time.perf_counter() - self._began if hasattr(self, "_began") else 0.0)

    def training_seconds(self) -> float:
        """Returns the seconds so far, without validations."""
        return self._now() - self.validating

    def _speed(self) -> float:
        return self.windows / max(1e-9, self.training_seconds())

    def _position(self, trainer: pl.Trainer) -> dict[str, float]:
        return {
            "step": trainer.global_step,
            "epoch": self.windows / self.n_windows,
            "windows": self.windows,
            "seconds": self._now(),
        }

    def _send_to_loggers(self, trainer: pl.Trainer, values: dict[str, float]) -> None:
        for logger in trainer.loggers:
            with suppress(OSError):  # the CSV logs report a full disk
                logger.log_metrics(values, step=trainer.global_step)

    def _row(self, trainer: pl.Trainer) -> None:
        windows, seconds = self._last
        now = self._now() - self.validating
        row = self._position(trainer) | {
            "loss": float(self._losses().mean()),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "windows_per_second": (self.windows - windows) / max(1e-9, now - seconds),
        }
        self._loss.clear()
        self._last = (self.windows, now)
        self.rates.append(row["windows_per_second"])
        if not trainer.is_global_zero:
            return
        self.log_file.add(row)
        self._send_to_loggers(trainer, {f"train/{key}": row[key] for key in LOG_COLUMNS[4:]})
        if self._bar is not None:
            self._bar.set_description(f"training, loss {row['loss']:.4f}", refresh=False)
