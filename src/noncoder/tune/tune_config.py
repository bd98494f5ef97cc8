"""How a study is made; each field is an option of `noncoder tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from noncoder.config import Section


class TuneConfig(Section):
    """A study: what is varied, how often, and how points are drawn and given up."""

    space: Path
    """The search space: YAML of recipe keys and what they may be."""
    trials: int = Field(20, ge=1)
    """Trials in all; the same command with more goes on."""
    budget: float | None = Field(None, gt=0)
    """Minutes after which no trial is started and the running one stops at its next validation."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """How points are drawn: `tpe`, near the good ones so far (its first ten at random); `random`; `grid`, every
    combination of choices and steps, shuffled."""
    pruner: Literal["halving", "median", "none"] = "halving"
    """Which trials are given up early: `halving`, all but the best third at a 27th, 9th and third of the validations;
    `median`, those below the median of the finished ones, once there are five; `none`."""
    fidelity: Literal["along", "restart"] = "along"
    """What an early score is: `along`, a validation on the way of the whole training; `restart`, the best of a training
    of its own over a ninth, then a third of the passes, each with its whole schedule."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Draws the points; the training seed of all trials is the recipe's."""
    storage: str | None = None
    """Address of a database that several machines share, such as postgresql://user@host/name; by default study.db in
    the study's folder."""
    cluster: str | None = None
    """Run the trials through Ray: the address of a cluster, `auto`, or `local`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.cluster is not None and self.pruner == "median":
            raise ValueError("with --cluster the pruner should be halving or none")
        return self
