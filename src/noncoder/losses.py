"""Training losses on logits."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from noncoder.config import LossConfig


def binary_cross_entropy(logits: Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy over the known labels, in nats.

    Args:
        logits: (N, T).
        labels: (N, T), 0 or 1, of any type.
        known: (N, T), true where the label counts; None for everywhere.

    Returns:
        A scalar; 0 where no label is known.
    """
    return mean_of_known(F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none"), known)


def mean_of_known(losses: Tensor, known: Tensor | None) -> Tensor:
    """Returns the mean of losses (N, T) where `known`, of the same shape, is true; 0 if it is nowhere true."""
    if known is None:
        return losses.mean()
    return (losses * known).sum() / known.sum().clamp(min=1)


def focal(logits: Tensor, labels: Tensor, gamma: float, alpha: float | None) -> tuple[Tensor, Tensor]:
    """Focal loss (Lin et al. 2017, arXiv:1708.02002), split into the terms of the positive and the negative answer.

    -(1 - p)**gamma * log(p) for a positive and -p**gamma * log(1 - p) for a negative, times alpha and 1 - alpha.

    Args:
        logits: (N, T), float.
        labels: (N, T), from 0 to 1.
        gamma: How fast the loss decreases as a label is predicted better.
        alpha: Weight of positives; None for equal weights of 1.
    """
    no, yes = F.softplus(logits), F.softplus(-logits)  # -log(1 - p), -log(p)
    positive, negative = torch.exp(-gamma * no) * yes, torch.exp(-gamma * yes) * no
    if alpha is not None:
        positive, negative = alpha * positive, (1 - alpha) * negative
    return labels * positive, (1 - labels) * negative


def asymmetric(
    logits: Tensor, labels: Tensor, gamma_positive: float, gamma_negative: float, margin: float
) -> tuple[Tensor, Tensor]:
    """Asymmetric loss (Ridnik et al. 2021, arXiv:2009.14119), split into the terms of the positive and negative answer.

    -(1 - p)**gamma_positive * log(p) for a positive and -q**gamma_negative * log(1 - q) for a negative, where q is
    p - margin, or 0 below it.

    Args:
        logits: (N, T), float.
        labels: (N, T), from 0 to 1.
        gamma_positive: How fast the loss of a positive decreases as it is predicted better.
        gamma_negative: How fast the loss of a negative decreases as it is predicted better.
        margin: Subtracted from the probability of a negative.
    """
    no, yes = F.softplus(logits), F.softplus(-logits)
    positive = torch.exp(-gamma_positive * no) * yes
    if margin == 0:
        return labels * positive, (1 - labels) * torch.exp(-gamma_negative * yes) * no
    # Only above the margin: the gradient of a power below 1 is infinite at 0, and times 0 it would be NaN.
    above = torch.sigmoid(logits) > margin
    shown = torch.where(above, logits, 0.0)
    q = torch.sigmoid(shown) - margin
    q = torch.where(above, q, 0.5)
    negative = torch.where(above, -(q**gamma_negative) * torch.log(1 - q), 0.0)
    return labels * positive, (1 - labels) * negative


class TrainingLoss:
    """The loss of a recipe, in float32: the mean over the known labels of the weighted losses.

    Args:
        config: The recipe's section on the loss.
        task_weights: Weight of the labels of each task, (T,); None for 1.
    """

    def __init__(self, config: LossConfig, task_weights: Tensor | None = None) -> None:
        self.config, self.task_weights = config, task_weights

    def __call__(self, logits: Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
        """Returns a scalar; 0 if no label is known.

        Args:
            logits: (N, T).
            labels: (N, T), 0 or 1, or between them if windows were mixed.
            known: (N, T), true where the label counts; None for all.
        """
        return mean_of_known(self.of_each(logits.float(), labels.float()), known)

    def of_each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the weighted loss of each label, (N, T)."""
        c = self.config
        if self.task_weights is not None and self.task_weights.device != logits.device:
            self.task_weights = self.task_weights.to(logits.device)
        if c.smoothing:
            labels = labels * (1 - c.smoothing) + c.smoothing / 2
        if c.kind == "bce":
            weight = None if c.positive_weight == 1 else logits.new_full((), c.positive_weight)
            return F.binary_cross_entropy_with_logits(
                logits, labels, self.task_weights, reduction="none", pos_weight=weight
            )
        if c.kind == "focal":
            positive, negative = focal(logits, labels, c.gamma, c.alpha)
        else:
            positive, negative = asymmetric(logits, labels, c.gamma_positive, c.gamma_negative, c.margin)
        losses = c.positive_weight * positive + negative
        return losses if self.task_weights is None else losses * self.task_weights


def effective_number_weights(positives: Tensor, beta: float) -> Tensor:
    """Weights inversely proportional to the effective number of positives (Cui et al. 2019, arXiv:1901.05555).

    Args:
        positives: Positives of each task, (T,); zero counts as one.
        beta: From 0, equal weights, to almost 1, inversely proportional to the positives.

    Returns:
        float32 (T,), with mean 1.
    """
    log_beta = math.log(beta) if beta else -math.inf
    return _of_mean_one((1 - beta) / -torch.expm1(positives.double().clamp(min=1) * log_beta))


def inverse_frequency_weights(shares: Tensor, cap: float) -> Tensor:
    """Weights inversely proportional to the fraction of positives.

    Args:
        shares: Fraction of positives of each task, (T,); a task without positives gets the largest weight.
        cap: Largest ratio of the largest weight to the smallest.

    Returns:
        float32 (T,), with mean 1.
    """
    weights = 1 / shares.double().clamp(min=1e-12)
    return _of_mean_one(weights.clamp(max=cap * float(weights.min())))


def _of_mean_one(weights: Tensor) -> Tensor:
    return (weights / weights.mean()).float()
