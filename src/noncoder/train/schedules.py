"""The course of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from noncoder.config import TrainConfig

_STATE = ("last_epoch", "_step_count", "_last_lr", "share", "best", "stale")


class Schedule(LambdaLR):
    """Sets the learning rate, and where the recipe says so the momentum, before each optimiser step.

    Args:
        optimizer: Whose; its learning rate is the highest.
        config: The recipe's section on training.
        steps: Optimiser steps in all.
        steps_per_pass: Optimiser steps a pass over the training split.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int, steps_per_pass: float
    ) -> None:
        self._momentum = momentum_course(config, steps) if config.cycle_momentum else None
        self._plateau = config.decay == "plateau"
        self._patience, self._factor, self._floor = config.decay_patience, config.decay_factor, config.decay_floor or 0
        self.share, self.best, self.stale = 1.0, -math.inf, 0
        super().__init__(optimizer, learning_rate_factor(config, steps, steps_per_pass))

    def judge(self, score: float) -> None:
        """Lowers the learning rate, at once, where the last few validations were no better; plateau alone.

        Args:
            score: What validation came to; higher is better.
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
        """The learning rate of each group; sets the momentum on the way."""
        if self._momentum is not None:
            _set_momentum(self.optimizer, self._momentum(self.last_epoch))
        return [rate * self.share for rate in super().get_lr()]

    def state_dict(self) -> dict[str, Any]:
        """Where it stands; the course itself comes from the recipe."""
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from where `state_dict` was taken."""
        for name, value in state.items():
            setattr(self, name, value)


def _set_momentum(optimizer: torch.optim.Optimizer, momentum: float) -> None:
    for group in optimizer.param_groups:
        if "momentum" in group:
            group["momentum"] = momentum
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])


def learning_rate_factor(config: TrainConfig, steps: int, steps_per_pass: float) -> Callable[[int], float]:
    """The share of the highest learning rate at each optimiser step: a linear rise, then the chosen fall; or cycles.

    Args:
        config: The warm-up, and the kind of decay.
        steps: Optimiser steps in all.
        steps_per_pass: Optimiser steps a pass over the training split.
    """
    if config.decay == "one-cycle":
        return _one_cycle(config, steps)
    if config.decay == "cyclical":
        return _cyclical(config, steps_per_pass)
    rise = config.warmup_steps or (max(1, round(config.warmup * steps)) if config.warmup else 0)
    # A share of the steps ends below the full rate, so that the rate's highest comes once; a number of steps at it.
    top = config.warmup_steps or rise + 1

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / top
        along = min(1.0, (step - rise) / max(1, steps - rise))
        if config.decay == "cosine":
            return _bend(1, 0, along)
        if config.decay == "linear":
            return 1 - along
        if config.decay == "step":
            return float(config.decay_factor ** (step // (config.decay_every * steps_per_pass)))
        return 1 / (1 + config.decay_rate * step)  # constant where the decay's rate is zero, as it is by default

    return factor


def momentum_course(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """The momentum at each optimiser step: from the highest to the lowest while the learning rate rises, and back."""
    high, low = config.cycle_momentum or (0.95, 0.85)
    return _up_and_down(high, low, high, config.cycle_rise, steps)


def _one_cycle(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """A rise and a longer fall, each half a cosine (Smith & Topin 2018, arXiv:1708.07120)."""
    start = 1 / config.cycle_start
    return _up_and_down(start, 1.0, start / config.cycle_end, config.cycle_rise, steps)


def _up_and_down(start: float, middle: float, end: float, share: float, steps: int) -> Callable[[int], float]:
    """From `start` at the first step to `middle` at the last of a share of the steps, to `end` at the last of all."""
    last = max(1, steps - 1)
    turn = max(0.0, share * steps - 1)

    def at(step: int) -> float:
        if step < turn:
            return _bend(start, middle, step / turn)
        return _bend(middle, end, min(1.0, (step - turn) / (last - turn)))

    return at


def _bend(start: float, end: float, along: float) -> float:
    """Half a cosine between two values."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * along))


def _cyclical(config: TrainConfig, steps_per_pass: float) -> Callable[[int], float]:
    """Straight up and down between the lowest and the highest (Smith 2017, arXiv:1506.01186)."""
    floor = 0.25 if config.decay_floor is None else config.decay_floor
    period = config.cycle_passes * steps_per_pass

    def factor(step: int) -> float:
        cycle, along = divmod(step / period, 1)
        height = 1 - abs(2 * along - 1)
        if config.cycle_shape == "triangular2":
            height /= 2**cycle
        return floor + (1 - floor) * height

    return factor
