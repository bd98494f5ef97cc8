"""The section of a recipe on changes to training windows."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from noncoder.config.base import Section

KINDS = ("inversion", "translocation", "insertion", "deletion", "mutation")

# `evoaug` are the strengths in the README of the authors' package, github.com/p-koo/evoaug, which inverts nothing.
_PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "evoaug": {"translocation": 20, "insertion": 20, "deletion": 20, "mutation": 0.05, "least": 2},
}


class AugmentConfig(Section):
    """Evolution-inspired changes to training windows (Lee et al. 2023, EvoAug, doi:10.1186/s13059-023-02941-w).

    `augment: evoaug` stands for the strengths in the README of its authors. Labels stay as they are.
    """

    inversion: int = Field(0, ge=0)
    """A stretch of up to this many bp becomes its reverse complement; 0 for none."""
    translocation: int = Field(0, ge=0)
    """The window is rotated by up to this many bp either way; 0 for none."""
    insertion: int = Field(0, ge=0)
    """Up to this many random bases come in between two, and as many leave at the ends; 0 for none."""
    deletion: int = Field(0, ge=0)
    """Up to this many bp are left out, and as many random bases come in at the ends; 0 for none."""
    mutation: float = Field(0, ge=0, le=1)
    """Share of the bases that become another; 0 for none."""
    least: int = Field(1, ge=0)
    """The fewest of the changes above that a window gets."""
    most: int = Field(2, ge=1)
    """The most that it gets: a number from `least` to this is drawn, then so many changes without replacement."""
    finetune: float = Field(0, ge=0, lt=1)
    """Share of the passes, the last ones, without any change: EvoAug's second stage."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The changes that are made, in the order in which they are."""
        return tuple(kind for kind in KINDS if getattr(self, kind))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("least", "most", "finetune"):
            if not self.kinds and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} says nothing without a change: give one of {', '.join(KINDS)}")
        if self.least > self.most:
            raise ValueError(f"least {self.least} is more than most, {self.most}")
        return self


def read_preset(value: Any) -> Any:
    """The settings that a name stands for; what is no name stays.

    Raises:
        ValueError: There is no such name.
    """
    if not isinstance(value, str):
        return value
    if value not in _PRESETS:
        raise ValueError("should be a section, 'evoaug' or 'none'")
    return _PRESETS[value]
