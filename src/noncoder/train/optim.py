"""The optimiser and the course of its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from noncoder.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; the matrices and kernels named `weight` decay, biases, norms and other parameters do not."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for name, p in named if name.endswith("weight") and p.ndim > 1]
    others = [p for name, p in named if not (name.endswith("weight") and p.ndim > 1)]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate)


def learning_rate_factor(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """The share of the highest learning rate at each optimiser step: a linear rise, then the chosen fall to zero.

    Args:
        config: The warm-up's share of the steps, and the kind of decay.
        steps: Optimiser steps in all.
    """
    rise = max(1, round(config.warmup * steps)) if config.warmup else 0

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        along = min(1.0, (step - rise) / max(1, steps - rise))
        if config.decay == "cosine":
            return 0.5 * (1 + math.cos(math.pi * along))
        return 1 - along if config.decay == "linear" else 1.0

    return factor
