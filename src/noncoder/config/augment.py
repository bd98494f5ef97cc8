"""Recipe section on augmentation of training windows."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from noncoder.config.section import Section

KINDS = ("inversion", "translocation", "insertion", "deletion", "mutation")

# `evoaug`: the strengths in the README of the authors' package, github.com/p-koo/evoaug, which uses no inversions.
_PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "evoaug": {"translocation": 20, "insertion": 20, "deletion": 20, "mutation": 0.05, "least": 2},
}


class AugmentConfig(Section):
    """Evolution-inspired augmentation of training windows (Lee et al. 2023, EvoAug, doi:10.1186/s13059-023-02941-w).

    `augment: evoaug` selects the strengths in the README of its authors. Labels do not change.
    """

    inversion: int = Field(0, ge=0)
    """Longest interval, bp, that is replaced by its reverse complement; 0 for none."""
    translocation: int = Field(0, ge=0)
    """Longest rotation of the window, bp, in either direction; 0 for none."""
    insertion: int = Field(0, ge=0)
    """Most random bases, bp, inserted at one position; as many are removed at the ends; 0 for none."""
    deletion: int = Field(0, ge=0)
    """Most bases, bp, deleted at one position; as many random bases are added at the ends; 0 for none."""
    mutation: float = Field(0, ge=0, le=1)
    """Fraction of the bases that are substituted; 0 for none."""
    least: int = Field(1, ge=0)
    """Fewest of the changes above that a window gets."""
    most: int = Field(2, ge=1)
    """Most changes that a window gets: a number from `least` to `most` is drawn, then so many changes without
    replacement."""
    finetune: float = Field(0, ge=0, lt=1)
    """Fraction of the epochs, at the end of training, without augmentation: EvoAug's second stage."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The enabled changes, in the order in which they are applied."""
        return tuple(kind for kind in KINDS if getattr(self, kind))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("least", "most", "finetune"):
            if not self.kinds and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect without a change: give one of {', '.join(KINDS)}")
        if self.least > self.most:
            raise ValueError(f"least {self.least} is more than most, {self.most}")
        return self


def read_preset(value: Any) -> Any:
    """Returns the settings of a preset; a value that is not a text is returned unchanged.

    Raises:
        ValueError: There is no preset of this name.
    """
    if not isinstance(value, str):
        return value
    if value not in _PRESETS:
        raise ValueError("should be a section, 'evoaug' or 'none'")
    return _PRESETS[value]
