"""Learning-rate range test: the loss while the learning rate rises from far too low to far too high.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from noncoder import plots
from noncoder.config import RunConfig
from noncoder.data.selection import trained_tasks
from noncoder.data.store import open_store
from noncoder.errors import ConfigError, InputError
from noncoder.files import only_writer, write_bytes
from noncoder.machine import needing_memory
from noncoder.models import check_model
from noncoder.runs.folder import RangeTestFolder
from noncoder.runs.results import RangeTest
from noncoder.train.device import choose_accelerator, choose_precision, products_of_float32
from noncoder.train.fit import quieten
from noncoder.train.module import TrainingModule
from noncoder.train.prepare import prepare
from noncoder.train.seeding import BatchByBatch

# The test ends when the running mean of the loss is this many times its minimum.
_DIVERGED = 4.0
# Standard deviation of the smoothing as a fraction of the steps.
_SMOOTHING = 0.025
_LEAST_STEPS = 20

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Ramp:
    """The learning rates to try, evenly spaced on a logarithmic scale.

    Args:
        lowest: The first learning rate.
        highest: The last learning rate.
        steps: Number of learning rates, each used for one optimiser step.

    Raises:
        ConfigError: There are fewer than 20 steps, or the highest rate is not above the lowest.
    """

    lowest: float = 1e-6
    highest: float = 10.0
    steps: int = 300

    def __post_init__(self) -> None:
        if not 0 < self.lowest < self.highest:
            raise ConfigError(
                f"the learning rates are {self.lowest:g} to {self.highest:g}", expected="0 < lowest < highest"
            )
        if self.steps < _LEAST_STEPS:
            raise ConfigError(f"{self.steps} steps are too few for a range test", expected=f"at least {_LEAST_STEPS}")

    @property
    def rates(self) -> Floats:
        """Learning rate of each step, (steps,)."""
        return np.geomspace(self.lowest, self.highest, self.steps)


def find_learning_rate(config: RunConfig, out: Path, ramp: Ramp, force: bool = False) -> RangeTest:
    """Trains the recipe's model from its initial weights at rising rates; writes result.json, .png and .txt.

    Optimiser, loss, batches, accumulation, clipping and precision are those of the recipe; its schedule is not used.
    Only `out` is written. The same seed gives the same result on a CPU.

    Args:
        config: The recipe.
        out: The folder of the results.
        ramp: The learning rates.
        force: Replace existing results.


    Raises:
        InputError: Results already exist, the store has no training split, or the loss of the first step is not finite.
        ConfigError: The model or the device does not exist.
        StoreError: The store is missing or damaged.
    """
    if RangeTestFolder(out).result.exists() and not force:
        raise InputError(f"{out} already holds a range test", hint="give another --out, or --force to replace it")
    check_model(config.model.name, config.model.parameters)
    with only_writer(out):
        return _find(config, out, ramp)


def _find(config: RunConfig, out: Path, ramp: Ramp) -> RangeTest:
    test = _run(config, ramp)
    rates, losses = ramp.rates[: len(test.losses)], np.array(test.losses)
    if not losses.size:
        raise InputError(
            "the loss of the first step is not finite", hint="check the recipe's train.loss and train.precision"
        )
    result = RangeTest(
        learning_rate=config.train.learning_rate, optimizer=config.train.optimizer, seed=config.seed,
        **suggest(rates, losses), diverged=test.diverged,
        rates=rates.tolist(), losses=losses.tolist(), smoothed=smooth(losses).tolist(),
    )  # fmt: skip
    folder = RangeTestFolder(out)
    result.write(folder.result)
    write_bytes(folder.text, (range_test_text(result) + "\n").encode())
    plots.save_figure(_figure(result), folder.figure)
    return result


def smooth(losses: Floats) -> Floats:
    """Returns a centred Gaussian mean, which does not shift the curve."""
    if losses.size < 2:
        return losses
    smoothed: Floats = gaussian_filter1d(losses, max(1.0, _SMOOTHING * losses.size), mode="nearest")
    return smoothed


def suggest(rates: Floats, losses: Floats) -> dict[str, float | None]:
    """Suggests two learning rates from the smoothed losses up to their minimum.

    Args:
        rates: The learning rate of each step, (n,), evenly spaced on a logarithmic scale.
        losses: The loss of each step, (n,).

    Returns:
        "steepest": where the loss falls fastest by the logarithm of the rate; "tenth": a tenth of the rate of the least
        loss. None for both where the loss never falls, or by no more than single steps differ from the curve.
    """
    smoothed = smooth(losses)
    least = int(np.argmin(smoothed)) if smoothed.size else 0
    if least < 2 or smoothed[: least + 1].max() - smoothed[least] < np.std((losses - smoothed)[: least + 1]):
        return {"steepest": None, "tenth": None}
    slope = np.gradient(smoothed, np.log(rates))[:least]
    return {"steepest": float(rates[int(np.argmin(slope))]), "tenth": float(rates[least]) / 10}


def range_test_text(result: RangeTest) -> str:
    """Formats a result for a terminal."""
    steps, rates = len(result.rates), result.rates
    head = f"{steps} steps with {result.optimizer} at learning rates from {rates[0]:.2g} to {rates[-1]:.2g}"
    if result.steepest is None or result.tenth is None:
        return f"{head}: the loss does not clearly fall; try more --steps, larger batches or another --lowest"
    end = "stopped where the loss diverged" if result.diverged else "the loss never diverged: try a higher --highest"
    return "\n".join([
        f"{head}; {end}",
        f"  steepest descent           {result.steepest:.2g}",
        f"  a tenth of the minimum's   {result.tenth:.2g}",
        f"  the recipe's               {result.learning_rate:.2g}",
        f"try train.learning_rate={max(result.steepest, result.tenth):.1g} and half of it",
    ])  # fmt: skip


def _run(config: RunConfig, ramp: Ramp) -> _RangeTest:
    settings = config.train
    prepared = prepare(config, trained_tasks(open_store(config.store), config.train))
    test = _RangeTest(ramp.rates)
    accelerator = choose_accelerator(settings)
    with warnings.catch_warnings(), products_of_float32(settings):
        quieten()
        trainer = pl.Trainer(
            accelerator=accelerator, devices=1, precision=choose_precision(settings, accelerator),
            max_steps=ramp.steps, max_epochs=-1, accumulate_grad_batches=settings.accumulate,
            gradient_clip_val=settings.clip or None, callbacks=[BatchByBatch(prepared.passes, config.seed, 0), test],
            logger=False, limit_val_batches=0, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        doing = f"training {config.model.name} in batches of {settings.batch_size} windows"
        try:
            with needing_memory(doing, f"a train.batch_size below {settings.batch_size}, or a smaller model"):
                trainer.fit(prepared.module, prepared.passes)
        except SystemExit:
            # Lightning turns Ctrl-C into SystemExit.
            raise KeyboardInterrupt from None
    return test


class _RangeTest(pl.Callback):
    """Sets the learning rate of every step, stores its loss, and stops when the loss has diverged."""

    def __init__(self, rates: Floats) -> None:
        self.rates, self.diverged = rates, False
        self.losses: list[float] = []
        self._parts: list[torch.Tensor] = []
        self._shares: list[float] = []
        self._mean = _RunningMean()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stores the ratios of the learning rates of parameter groups, which the test keeps."""
        rates = [group.get("initial_lr", group["lr"]) for group in _groups(trainer)]
        self._shares = [rate / max(rates) for rate in rates]
        self._bar = tqdm(total=len(self.rates), desc="range test", unit="steps", disable=None)

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Overrides the schedule."""
        rate = float(self.rates[min(trainer.global_step, len(self.rates) - 1)])
        for group, share in zip(_groups(trainer), self._shares, strict=True):
            group["lr"] = rate * share

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After an optimiser step, stores its loss and stops if the loss has diverged."""
        assert isinstance(module, TrainingModule)
        self._parts.append(module.mean_loss)
        if trainer.global_step == len(self.losses):
            return
        loss = float(torch.stack(self._parts).mean())
        self._parts.clear()
        self._bar.update()
        if not math.isfinite(loss) or self._mean.add(loss) > _DIVERGED * self._mean.least:
            self.diverged = trainer.should_stop = True
        if math.isfinite(loss):
            self.losses.append(loss)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Closes the progress bar."""
        self._bar.close()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Closes the progress bar."""
        self._bar.close()


class _RunningMean:
    """Exponential running mean and its minimum so far."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0
        self.least = math.inf

    def add(self, value: float) -> float:
        """Adds a value and returns the mean."""
        self._sum, self._weight = 0.8 * self._sum + value, 0.8 * self._weight + 1
        mean = self._sum / self._weight
        self.least = min(self.least, mean)
        return mean


def _groups(trainer: pl.Trainer) -> list[dict[str, Any]]:
    return [group for optimizer in trainer.optimizers for group in optimizer.param_groups]


def _figure(result: RangeTest) -> Figure:
    shown = {
        "steepest descent": result.steepest,
        "a tenth of the minimum's": result.tenth,
        "the recipe's": result.learning_rate,
    }
    marks = {label: rate for label, rate in shown.items() if rate is not None}
    smoothed = np.array(result.smoothed)
    low, start = float(smoothed.min()), float(smoothed[0])
    # The diverging losses would flatten the rest of the curve.
    top = min(float(np.max(result.losses)), low + 2 * max(start - low, 0.1 * abs(low)))
    return plots.plot_rate_test(result.rates, result.losses, smoothed, marks, top)
