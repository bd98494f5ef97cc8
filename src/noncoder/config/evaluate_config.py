"""Recipe section on evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from noncoder.config.section import Section


class EvaluateConfig(Section):
    """Settings of evaluation."""

    splits: tuple[Literal["train", "valid", "test"], ...] = ("valid", "test")
    """Splits to evaluate."""
    strands: Literal["both", "forward", "reverse"] = "both"
    """`both` averages the probabilities of the two strands; the forward strand alone is reported as well."""
    shifts: tuple[int, ...] = ()
    """Shifts, bp, e.g. [-10, 10]: predictions are averaged over the window and its shifted copies."""
    ensemble: tuple[Path, ...] = ()
    """Further runs, or folders of predictors, with the same tasks; their probabilities are averaged with this run's."""
    calibrate: bool = True
    """Fit a temperature for each task on the validation split and report its effect."""
    resamples: int = Field(1000, ge=0)
    """Resamples of the block bootstrap for confidence intervals; 0 for none."""
    block: int | None = Field(None, ge=1)
    """Length, bp, of the genome blocks that the bootstrap draws; by default up to 1,000,000, and short enough for at
    least 200 blocks where the genome allows."""
    min_positives: int = Field(30, ge=1)
    """Means are also reported over the tasks with at least this many positives in the split. A task with fewer in the
    validation split uses the temperature shared by all tasks."""
    batch_size: int = Field(256, ge=1)
    """Windows per forward pass."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 0 in self.shifts or len(set(self.shifts)) < len(self.shifts):
            raise ValueError("shifts: should be whole numbers of bp other than 0, each once")
        if self.resamples == 1:
            raise ValueError("resamples: should be 0, for no intervals, or 2 or more")
        return self
