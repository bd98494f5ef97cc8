"""The section of a recipe on the training loss."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from noncoder.config.base import Section, refuse_idle

_OF_KINDS = {
    "gamma": ("focal",),
    "alpha": ("focal",),
    "gamma_positive": ("asymmetric",),
    "gamma_negative": ("asymmetric",),
    "margin": ("asymmetric",),
}
_OF_WEIGHTS = {"beta": ("effective-number",), "cap": ("inverse-frequency",), "weights_file": ("file",)}


class LossConfig(Section):
    """What training makes small; a kind alone may stand for the section, `loss: focal`."""

    kind: Literal["bce", "focal", "asymmetric"] = "bce"
    """The loss of a label: binary cross-entropy, or one in which labels that are predicted well already count less,
    `focal` (arXiv:1708.02002) or, for negatives more than for positives, `asymmetric` (arXiv:2009.14119)."""
    gamma: float = Field(2, ge=0)
    """How fast a label's loss fades as it is predicted better; focal."""
    alpha: float | None = Field(0.25, gt=0, lt=1)
    """What positives count; negatives count 1 minus this; null for both as they are; focal."""
    gamma_positive: float = Field(0, ge=0)
    """How fast a positive's loss fades as it is predicted better; asymmetric."""
    gamma_negative: float = Field(4, ge=0)
    """How fast a negative's loss fades as it is predicted better; asymmetric."""
    margin: float = Field(0.05, ge=0, lt=1)
    """Taken off the probability of a negative, whose loss is zero below it; asymmetric."""
    positive_weight: float = Field(1, gt=0)
    """What the loss of every positive is multiplied by."""
    task_weights: Literal["equal", "effective-number", "inverse-frequency", "file"] = "equal"
    """What the labels of each task count, on average 1: as many as others; by the effective number of the task's
    positives in training (arXiv:1901.05555); in inverse proportion to their share; or, not brought to an average, as
    `weights_file` says."""
    beta: float = Field(0.999, ge=0, lt=1)
    """With n positives their effective number is (1 - beta**n) / (1 - beta); effective-number."""
    cap: float = Field(10, ge=1)
    """How many times the smallest weight of a task the largest may be; inverse-frequency."""
    weights_file: Path | None = None
    """TSV with the columns task and weight; tasks that it leaves out have the weight 1; file."""
    smoothing: float = Field(0, ge=0, lt=1)
    """Label smoothing: labels are drawn in by half of this, to 0.05 and 0.95 for 0.1."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_idle(self, self.kind, _OF_KINDS)
        refuse_idle(self, self.task_weights, _OF_WEIGHTS)
        if self.task_weights == "file" and self.weights_file is None:
            raise ValueError("task_weights file needs a weights_file")
        return self
