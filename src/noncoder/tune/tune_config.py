"""Settings of a study; each field is an option of `noncoder tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from noncoder.config import Section


class TuneConfig(Section):
    """Settings of a study: the search space, its extent, and how points are drawn and trials stopped early."""

    space: Path
    """The search space: a YAML file of recipe keys and their possible values."""
    trials: int = Field(20, ge=1)
    """Total number of trials; the same command with a larger number continues the study."""
    budget: float | None = Field(None, gt=0)
    """Minutes after which no trial is started; the running trial stops at its next validation."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """How points are drawn: `tpe`, near the best ones so far (its first ten at random); `random`; `grid`, every
    combination of choices and steps, shuffled."""
    pruner: Literal["halving", "median", "none"] = "halving"
    """Which trials are stopped early: `halving`, all but the best third at a 27th, 9th and third of the validations;
    `median`, those below the median of the finished ones, once there are five; `none`."""
    fidelity: Literal["along", "restart"] = "along"
    """What an early score is: `along`, a validation during the whole training; `restart`, the best of a separate
    training over a ninth, then a third of the epochs, each with a complete schedule."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Random seed of the points; the training seed of all trials is the recipe's."""
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
