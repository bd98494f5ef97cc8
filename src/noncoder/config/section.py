"""Base class of the sections of a recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from noncoder.errors import InputError
from noncoder.machine import check_name

# Commas separate the items of a list, but not the digits of a region such as chr7:1,001-2,000.
_LISTED = re.compile(r"[^,:]+:\s*[\d,]*\d\s*-\s*[\d,]*\d\s*(?=,|$)|[^,]+")


def split_list(text: str) -> list[str]:
    """Splits a comma-separated list and strips blanks from its items."""
    return [item for part in _LISTED.findall(text) if (item := part.strip())]


# pydantic accepts true as 1.
_NUMBERS = (int, float, int | None, float | None)


class Section(BaseModel):
    """A frozen section of a recipe; unknown keys are errors.

    A field's docstring is also its help on the command line and its comment in a written recipe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_booleans_as_numbers(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for name, value in values.items():
                field = cls.model_fields.get(name)
                if isinstance(value, bool) and field is not None and field.annotation in _NUMBERS:
                    raise ValueError(f"{name}: should be a number, not {str(value).lower()}")
        return values

    @model_validator(mode="after")
    def _possible_paths(self) -> Self:
        for name, value in self:
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, Path):
                    try:
                        check_name(one)
                    except InputError as error:
                        raise ValueError(f"{name}: {error.found}") from error
        return self


def refuse_idle(section: Section, chosen: str, settings: Mapping[str, tuple[str, ...]]) -> None:
    """Refuses settings that have no effect with the chosen kind.

    Args:
        section: The settings.
        chosen: The chosen kind.
        settings: For each setting, the kinds that use it.

    Raises:
        ValueError: A setting has no effect and is not at its default.
    """
    for name, kinds in settings.items():
        if chosen not in kinds and getattr(section, name) != type(section).model_fields[name].default:
            raise ValueError(f"{name} has no effect with {chosen}, only with {' and '.join(kinds)}")
