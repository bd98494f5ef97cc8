"""Recipe section on the training loss."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from noncoder.config.section import Section, refuse_idle

_OF_KINDS = {
    "gamma": ("focal",),
    "alpha": ("focal",),
    "gamma_positive": ("asymmetric",),
    "gamma_negative": ("asymmetric",),
    "margin": ("asymmetric",),
}
_OF_WEIGHTS = {"beta": ("effective-number",), "cap": ("inverse-frequency",), "weights_file": ("file",)}


class LossConfig(Section):
    """Training loss; the kind alone may replace the section, as in `loss: focal`."""

    kind: Literal["bce", "focal", "asymmetric"] = "bce"
    """Loss of a label: binary cross-entropy, or a loss that down-weights labels already predicted well: `focal`
    (arXiv:1708.02002) or, for negatives more than for positives, `asymmetric` (arXiv:2009.14119)."""
    gamma: float = Field(2, ge=0)
    """How fast a label's loss decreases as its prediction improves; focal."""
    alpha: float | None = Field(0.25, gt=0, lt=1)
    """Weight of positives; negatives have 1 minus this; null for no weights; focal."""
    gamma_positive: float = Field(0, ge=0)
    """How fast a positive's loss decreases as its prediction improves; asymmetric."""
    gamma_negative: float = Field(4, ge=0)
    """How fast a negative's loss decreases as its prediction improves; asymmetric."""
    margin: float = Field(0.05, ge=0, lt=1)
    """Subtracted from the probability of a negative, whose loss is zero below this value; asymmetric."""
    positive_weight: float = Field(1, gt=0)
    """Factor for the loss of every positive."""
    task_weights: Literal["equal", "effective-number", "inverse-frequency", "file"] = "equal"
    """Weights of the tasks, 1 on average: `equal`; by the effective number of the task's positives in training
    (`effective-number`, arXiv:1901.05555); inversely proportional to their fraction (`inverse-frequency`); or read
    from `weights_file` (`file`), not rescaled to an average of 1."""
    beta: float = Field(0.999, ge=0, lt=1)
    """The effective number of n positives is (1 - beta**n) / (1 - beta); effective-number."""
    cap: float = Field(10, ge=1)
    """Largest ratio of a task's weight to the smallest one; inverse-frequency."""
    weights_file: Path | None = None
    """TSV file with the columns task and weight; tasks missing from it have the weight 1; file."""
    smoothing: float = Field(0, ge=0, lt=1)
    """Label smoothing: labels move towards 0.5 by half of this, to 0.05 and 0.95 for 0.1."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_idle(self, self.kind, _OF_KINDS)
        refuse_idle(self, self.task_weights, _OF_WEIGHTS)
        if self.task_weights == "file" and self.weights_file is None:
            raise ValueError("task_weights file needs a weights_file")
        return self
