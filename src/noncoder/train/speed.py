"""Placement of the store on the GPU, and the speed of training relative to the device's peak."""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

import lightning.pytorch as pl
import torch
from tqdm import tqdm

from noncoder.data.loading import Batches, bytes_on_device
from noncoder.train.log import TrainingLog


class Speed(NamedTuple):
    """Speed of a training.

    Attributes:
        windows_per_second: Windows per second, without validations.
        loading_seconds: Seconds that the process spent on reading windows.
        loading_share: Fraction of the training time spent on reading windows.
        operations: Floating-point operations of a training step per window.
        peak: Operations per second of a large matrix product in the same precision on the same devices; None if it was
            not measured.
    """

    windows_per_second: float
    loading_seconds: float
    loading_share: float
    operations: float
    peak: float | None

    @property
    def peak_share(self) -> float | None:
        """Fraction of the peak that training reached; None without a peak."""
        return self.windows_per_second * self.operations / self.peak if self.peak else None

    def text(self) -> str:
        """Returns the speed as one line of text."""
        rate = self.windows_per_second * self.operations
        line = f"{self.windows_per_second:,.0f} windows/s, {_si(rate)}FLOP/s"
        if self.peak:
            line += f", {self.peak_share:.0%} of the rate of a large matrix product"
        if (
            self.loading_share > 0.1 and self.loading_seconds > 10
        ):  # the first read of a store takes seconds in any case
            line += f"; training waited for windows to be read for {self.loading_share:.0%} of the time"
        return line


class Pace(pl.Callback):
    """Copies the store to the training GPU, which saves transfers of windows, and reports the speed at the end.

    Args:
        training: The batches to train on.
        validation: The batches to validate on; both share one copy on the device.
        counts: The log that counts windows and seconds.
        operations: Floating-point operations of a training step per window.
    """

    def __init__(self, training: Batches, validation: Batches, counts: TrainingLog, operations: float) -> None:
        self.training, self.validation, self.counts, self.operations = training, validation, counts, operations
        self.speed: Speed | None = None
        self._began = (0, 0.0)

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Copies the store to the device; reports if the GPU's memory is too small."""
        there = [batches.move(trainer.strategy.root_device) for batches in (self.training, self.validation)]
        if not all(there):
            size = bytes_on_device(self.training.store) / 1e9
            line = f"the store's {size:.1f} GB do not fit on the GPU: windows are copied to it from main memory"
            tqdm.write(line, file=sys.stderr)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Starts counting; the windows of an earlier, interrupted process are left out."""
        self._began = self.counts.windows, self.counts.training_seconds()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Computes and prints the speed."""
        windows, seconds = self.counts.windows - self._began[0], self.counts.training_seconds() - self._began[1]
        if not windows or trainer.global_rank:
            return
        device = trainer.strategy.root_device
        rates = sorted(self.counts.rates)
        # The median of the log's rows leaves out compilation and warm-up at the start.
        typical = rates[len(rates) // 2] if rates else windows / max(1e-9, seconds)
        peak = peak_rate(device, _dtype(str(trainer.precision))) * trainer.world_size if device.type == "cuda" else None
        waited = self.training.seconds
        self.speed = Speed(typical, waited, waited / max(1e-9, seconds), self.operations, peak)
        tqdm.write(self.speed.text(), file=sys.stderr)


def _dtype(precision: str) -> torch.dtype:
    return {"bf16": torch.bfloat16, "16-m": torch.float16}.get(precision[:4], torch.float32)


def peak_rate(device: torch.device, dtype: torch.dtype, repeats: int = 8) -> float:
    """Returns the operations per second of a large matrix product of random numbers, the practical peak of a device."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        _wait(device)
        began = time.perf_counter()
        a @ b
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * n**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _si(rate: float) -> str:
    return f"{rate / 1e12:.1f} T" if rate >= 1e12 else f"{rate / 1e9:.1f} G"
