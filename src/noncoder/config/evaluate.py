"""How a trained network is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from noncoder.config.base import Section


class EvaluateConfig(Section):
    """How the trained network is measured."""

    splits: tuple[Literal["train", "valid", "test"], ...] = ("valid", "test")
    """Which splits."""
    strands: Literal["both", "forward", "reverse"] = "both"
    """`both` averages the probabilities of the two strands; the forward strand alone is told beside it."""
    shifts: tuple[int, ...] = ()
    """Predictions are also averaged over windows moved by these many bp, e.g. [-10, 10], besides where they are."""
    ensemble: tuple[Path, ...] = ()
    """Further runs, or folders of predictors, with the same tasks, whose probabilities are averaged with this one's."""
    calibrate: bool = True
    """Whether a temperature a task is fitted on the validation split, and its effect told."""
    resamples: int = Field(1000, ge=0)
    """Resamples of the block bootstrap that gives the intervals; 0 for none."""
    block: int | None = Field(None, ge=1)
    """Length, bp, of the stretches of the genome that it draws; by default up to 1,000,000, such that there are 200 of
    them or more where the genome allows."""
    min_positives: int = Field(30, ge=1)
    """Means are also given over the tasks with at least this many positives in the split, and a task with fewer in the
    validation split takes the temperature that all share."""
    batch_size: int = Field(256, ge=1)
    """Windows a forward pass."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 0 in self.shifts or len(set(self.shifts)) < len(self.shifts):
            raise ValueError("shifts: should be whole numbers of bp other than 0, each once")
        if self.resamples == 1:
            raise ValueError("resamples: should be 0, for no intervals, or 2 or more")
        return self
