"""The possible values of a key in a search space: a range of numbers, or one of several values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, Self

from pydantic import Field, field_validator, model_validator

from noncoder.config import Section

# YAML reads 1e-4, which has no decimal point, as text.
_EXPONENT = re.compile(r"[+-]?\d+[eE][+-]?\d+")


class Drawer(Protocol):
    """An object that draws values: an Optuna trial."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Draws an integer from a range that includes both ends."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Draws a number from a range."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Draws one of several values."""


def _exact(number: Any) -> Decimal:
    """Converts a number by its decimal text, so that steps of 0.1 add up exactly."""
    return Decimal(str(number))


class _Entry(Section):
    """Base class of ranges and choices."""

    when: dict[str, Any] = Field(default_factory=dict)
    """Vary the key only if these earlier keys have this value or one of these values."""

    def asked(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds for the values drawn so far."""
        return all(
            key in values and values[key] in (wanted if isinstance(wanted, list) else [wanted])
            for key, wanted in self.when.items()
        )


class Range(_Entry):
    """Numbers from low to high, both included; integers if all of its numbers are integers."""

    low: int | float
    """The lowest value."""
    high: int | float
    """The highest value."""
    log: bool = False
    """Draw uniformly on a logarithmic scale."""
    step: int | float | None = None
    """Distance between two values, counted from the lowest."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} should be below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} should be above 0 on a logarithmic scale")
        if self.log and self.step:
            raise ValueError("give either log or step")
        if self.step is not None and not 0 < _exact(self.step) <= _exact(self.high) - _exact(self.low):
            raise ValueError(f"step {self.step} should lie between 0 and high - low")
        return self

    @property
    def whole(self) -> bool:
        """Whether the values are integers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    @property
    def top(self) -> int | float:
        """The highest value that the steps reach."""
        if self.step is None:
            return self.high
        low, high, step = (_exact(number) for number in (self.low, self.high, self.step))
        top = low + (high - low) // step * step
        return int(top) if self.whole else float(top)

    def draw(self, key: str, trial: Drawer) -> Any:
        """Draws a value."""
        if self.whole:
            return trial.suggest_int(key, int(self.low), int(self.top), step=int(self.step or 1), log=self.log)
        return self.value(trial.suggest_float(key, self.low, self.top, step=self.step, log=self.log))

    def name(self, value: Any) -> Any:
        """Converts a value for storage in a study."""
        return value

    def value(self, name: Any) -> Any:
        """Converts a stored value back; 0.3 if steps of 0.1 add up to 0.30000000000000004."""
        if self.step is None or self.whole:
            return name
        low, step = _exact(self.low), _exact(self.step)
        return float(low + round((_exact(name) - low) / step) * step)

    def holds(self, value: Any) -> bool:
        """Whether the value is in the range."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.top:
            return False
        if self.whole and not isinstance(value, int):
            return False
        steps = (_exact(value) - _exact(self.low)) / _exact(self.step) if self.step else Decimal(0)
        return steps == steps.to_integral_value()

    def values(self) -> list[Any]:
        """Returns all values; empty for a range without steps."""
        if self.step is None and not self.whole:
            return []
        step = _exact(self.step or 1)
        n = int((_exact(self.top) - _exact(self.low)) / step) + 1
        numbers = [_exact(self.low) + i * step for i in range(n)]
        return [int(number) if self.whole else float(number) for number in numbers]

    def first(self) -> Any:
        """The lowest value."""
        return self.low if self.whole else float(self.low)

    def others(self) -> list[Any]:
        """Returns the highest value, which a recipe may not allow even if it allows the lowest."""
        return [self.top if self.whole else float(self.top)]


class Choices(_Entry):
    """One of several values, without an order."""

    choices: list[Any] = Field(min_length=1)
    """The values: any YAML values."""

    @field_validator("choices")
    @classmethod
    def _exponents(cls, choices: list[Any]) -> list[Any]:
        return [float(c) if isinstance(c, str) and _EXPONENT.fullmatch(c) else c for c in choices]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.names)) < len(self.choices):
            raise ValueError(f"choices {self.choices} should differ from each other")
        return self

    @property
    def names(self) -> list[Any]:
        """Converts the values for storage in a study, whose database supports only numbers, texts and booleans."""
        return [self.name(value) for value in self.choices]

    def draw(self, key: str, trial: Drawer) -> Any:
        """Draws a value."""
        return self.value(trial.suggest_categorical(key, self.names))

    def name(self, value: Any) -> Any:
        """Converts a value for storage in a study."""
        return json.dumps(value) if isinstance(value, list | dict) else value

    def value(self, name: Any) -> Any:
        """Converts a stored value back."""
        return self.choices[self.names.index(name)]

    def holds(self, value: Any) -> bool:
        """Whether the value is one of the choices."""
        return value in self.choices

    def values(self) -> list[Any]:
        """Returns all values."""
        return list(self.choices)

    def first(self) -> Any:
        """Returns the first value."""
        return self.choices[0]

    def others(self) -> list[Any]:
        """Returns all values but the first."""
        return self.choices[1:]
