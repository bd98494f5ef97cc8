"""Learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from noncoder.config import TrainConfig

_STATE = ("last_epoch", "_step_count", "_last_lr", "share", "best", "stale")


class Schedule(LambdaLR):
    """Sets the learning rate, and the momentum if the recipe cycles it, before each optimiser step.

    Args:
        optimizer: The optimiser, with the highest learning rate.
        config: The recipe's section on training.
        steps: Total optimiser steps.
        steps_per_epoch: Optimiser steps per epoch of the training split.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int, steps_per_epoch: float
    ) -> None:
        self._momentum = momentum_schedule(config, steps) if config.cycle_momentum else None
        self._plateau = config.decay == "plateau"
        self._patience, self._factor, self._floor = config.decay_patience, config.decay_factor, config.decay_floor or 0
        self.share, self.best, self.stale = 1.0, -math.inf, 0
        super().__init__(optimizer, learning_rate_factor(config, steps, steps_per_epoch))

    def record_score(self, score: float) -> None:
        """Lowers the learning rate at once after `decay_patience` validations without improvement; plateau only.

        Args:
            score: Score of the validation; higher is better.
        """
        if not self._plateau:
            return
        if score > self.best:
            self.best, self.stale = score, 0
            return
        self.stale += 1
        if self.stale >= self._patience:
            before = self.share
            self.stale, self.share = 0, max(self._floor, self.share * self._factor)
            for group in self.optimizer.param_groups:
                group["lr"] *= self.share / before

    def get_lr(self) -> list[Any]:
        """Returns the learning rate of each parameter group; also sets the momentum."""
        if self._momentum is not None:
            _set_momentum(self.optimizer, self._momentum(self.last_epoch))
        return [rate * self.share for rate in super().get_lr()]

    def state_dict(self) -> dict[str, Any]:
        """Returns the state; the recipe determines the schedule itself."""
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state."""
        for name, value in state.items():
            setattr(self, name, value)


def _set_momentum(optimizer: torch.optim.Optimizer, momentum: float) -> None:
    for group in optimizer.param_groups:
        if "momentum" in group:
            group["momentum"] = momentum
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])


def learning_rate_factor(config: TrainConfig, steps: int, steps_per_epoch: float) -> Callable[[int], float]:
    """Returns the factor for the highest learning rate at each optimiser step: warm-up and decay, or cycles.

    Args:
        config: The warm-up and the kind of decay.
        steps: Total optimiser steps.
        steps_per_epoch: Optimiser steps per epoch of the training split.
    """
    if config.decay == "one-cycle":
        return _one_cycle(config, steps)
    if config.decay == "cyclical":
        return _cyclical(config, steps_per_epoch)
    rise = config.warmup_steps or (max(1, round(config.warmup * steps)) if config.warmup else 0)
    # With `warmup`, the last warm-up step is below the highest rate, which the next step has; with `warmup_steps`, the
    # last warm-up step has the highest rate.
    top = config.warmup_steps or rise + 1

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / top
        along = min(1.0, (step - rise) / max(1, steps - rise))
        if config.decay == "cosine":
            return _half_cosine(1, 0, along)
        if config.decay == "linear":
            return 1 - along
        if config.decay == "step":
            return float(config.decay_factor ** (step // (config.decay_every * steps_per_epoch)))
        return 1 / (1 + config.decay_rate * step)  # decay_rate is 0 for constant and plateau

    return factor


def momentum_schedule(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """Returns the momentum at each optimiser step: it falls while the learning rate rises, then rises again."""
    high, low = config.cycle_momentum or (0.95, 0.85)
    return _up_and_down(high, low, high, config.cycle_rise, steps)


def _one_cycle(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """Returns a rise and a fall, each half a cosine (Smith & Topin 2018, arXiv:1708.07120)."""
    start = 1 / config.cycle_start
    return _up_and_down(start, 1.0, start / config.cycle_end, config.cycle_rise, steps)


def _up_and_down(start: float, middle: float, end: float, fraction: float, steps: int) -> Callable[[int], float]:
    """Returns a curve from `start` to `middle` over a fraction of the steps, then to `end` at the last step."""
    last = max(1, steps - 1)
    turn = max(0.0, fraction * steps - 1)

    def at(step: int) -> float:
        if step < turn:
            return _half_cosine(start, middle, step / turn)
        return _half_cosine(middle, end, min(1.0, (step - turn) / (last - turn)))

    return at


def _half_cosine(start: float, end: float, along: float) -> float:
    """Interpolates between two values along half a cosine."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * along))


def _cyclical(config: TrainConfig, steps_per_epoch: float) -> Callable[[int], float]:
    """Returns linear rises and falls between the lowest and the highest rate (Smith 2017, arXiv:1506.01186)."""
    floor = 0.25 if config.decay_floor is None else config.decay_floor
    period = config.cycle_passes * steps_per_epoch

    def factor(step: int) -> float:
        cycle, along = divmod(step / period, 1)
        height = 1 - abs(2 * along - 1)
        if config.cycle_shape == "triangular2":
            height /= 2**cycle
        return floor + (1 - floor) * height

    return factor
