"""The optimiser and the course of its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from noncoder.config import TrainConfig
from noncoder.train.optimizers import KerasRMSprop


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The recipe's optimiser; where it sets a largest norm, weights are held to it after every step.

    AdamW decays the matrices and kernels named `weight`, apart from the gradient; biases, norms and other parameters do
    not decay. The others add the decay of all parameters to the gradient (L2), as the code of the papers that use them
    does.
    """
    optimizer = _make(model, config)
    if config.max_norm:
        weights = [part.weight for part in model.modules() if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear)]
        optimizer.register_step_post_hook(lambda *_: limit_norms(weights, config.max_norm))
    return optimizer


def _make(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    rate, decay = config.learning_rate, config.weight_decay
    params = [p for p in model.parameters() if p.requires_grad]
    if config.optimizer == "sgd":
        return torch.optim.SGD(params, rate, config.momentum, config.dampening, decay)
    if config.optimizer == "keras-rmsprop":
        return KerasRMSprop(params, rate, config.rho, config.epsilon or 1e-6, decay)
    epsilon = config.epsilon or 1e-8
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(params, rate, config.rho, epsilon, decay)
    if config.optimizer == "adam":
        return torch.optim.Adam(params, rate, config.betas, epsilon, decay, config.amsgrad)
    return torch.optim.AdamW(_decay_groups(model, decay), rate, config.betas, epsilon, amsgrad=config.amsgrad)


def _decay_groups(model: nn.Module, decay: float) -> list[dict[str, float | list[nn.Parameter]]]:
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for name, p in named if name.endswith("weight") and p.ndim > 1]
    others = [p for name, p in named if not (name.endswith("weight") and p.ndim > 1)]
    return [{"params": params, "weight_decay": share} for params, share in ((decayed, decay), (others, 0.0)) if params]


@torch.no_grad()
def limit_norms(weights: Iterable[Tensor], most: float) -> None:
    """Shortens, in place, the weights (units, ...) into each output unit that are longer than `most`."""
    for weight in weights:
        weight.renorm_(2, 0, most)


def learning_rate_factor(config: TrainConfig, steps: int, steps_per_pass: float) -> Callable[[int], float]:
    """The share of the highest learning rate at each optimiser step: a linear rise, then the chosen fall.

    Args:
        config: The warm-up, and the kind of decay.
        steps: Optimiser steps in all.
        steps_per_pass: Optimiser steps a pass over the training split.
    """
    rise = config.warmup_steps or (max(1, round(config.warmup * steps)) if config.warmup else 0)
    # A share of the steps ends below the full rate, so that the rate's highest comes once; a number of steps at it.
    top = config.warmup_steps or rise + 1

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / top
        along = min(1.0, (step - rise) / max(1, steps - rise))
        if config.decay == "cosine":
            return 0.5 * (1 + math.cos(math.pi * along))
        if config.decay == "linear":
            return 1 - along
        if config.decay == "step":
            return float(config.decay_factor ** (step // (config.decay_every * steps_per_pass)))
        return 1 / (1 + config.decay_rate * step)  # constant where the decay's rate is zero, as it is by default

    return factor
