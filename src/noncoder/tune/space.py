"""The search space: the keys of a recipe that vary, and their possible values.

A YAML file of recipe keys, each with a range, a list, or either with a condition:

    train.learning_rate: {low: 0.001, high: 0.03, log: true}
    train.batch_size: [64, 128, 256]
    train.optimizer: [adamw, sgd]
    train.momentum: {low: 0.8, high: 0.99, when: {train.optimizer: sgd}}
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noncoder.config import RunConfig, read_yaml, validate
from noncoder.errors import ConfigError, did_you_mean
from noncoder.models import check_model
from noncoder.tune.entries import Choices, Drawer, Range

# Keys by which a study compares trials, or which it keeps equal in all of them, and why.
_FIXED = {
    "seed": "the best of several seeds would be luck; all trials use the recipe's seed",
    "run": "each trial has its own folder",
    "train.monitor": "trials are compared by it",
    "train.validations": "trials are compared after equally many validations",
    "train.device": "it changes no score",
}
_SECTIONS = ("model", "train")


@dataclass(frozen=True)
class Space:
    """The entries of a search space by key, in the order of the file."""

    entries: dict[str, Range | Choices]
    origin: str

    def suggest(self, trial: Drawer) -> dict[str, Any]:
        """Draws a value for each key whose condition holds."""
        values: dict[str, Any] = {}
        for key, entry in self.entries.items():
            if entry.asked(values):
                values[key] = entry.draw(key, trial)
        return values

    def named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Converts values for storage in a study."""
        return {key: self.entries[key].name(value) for key, value in values.items()}

    def unnamed(self, names: Mapping[str, Any]) -> dict[str, Any]:
        """Converts stored values back."""
        return {key: entry.value(names[key]) for key, entry in self.entries.items() if key in names}

    def apply(self, config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
        """Returns the recipe with these values; drops the model's parameters if the model changes.

        Raises:
            ConfigError: The recipe does not allow them.
            UnknownNameError: There is no such model.
        """
        recipe = config.model_dump(mode="json")
        if values.get("model.name", config.model.name) != config.model.name:
            recipe["model"]["parameters"] = {}
        for key, value in values.items():
            *parents, last = key.split(".")
            section = recipe
            for parent in parents:
                if not isinstance(section.get(parent), dict):
                    section[parent] = {}
                section = section[parent]
            section[last] = value
        changed = validate(RunConfig, recipe, origin="these values together")
        check_model(changed.model.name, changed.model.parameters)
        return changed

    def check(self, config: RunConfig) -> None:
        """Sets each key alone to its values, together with its condition's values; reports values that do not fit.

        Raises:
            ConfigError: The recipe has no such key, or does not allow the first value.
        """
        for key, entry in self.entries.items():
            values = self._met(key) | {key: entry.first()}
            try:
                self.apply(config, values)
            except ConfigError as error:
                hint = error.hint or "see `when` in the guide on tuning if the key needs another key's value"
                found = error.found.removeprefix("these values together: ")
                raise ConfigError(f"{self.origin}: {found}", error.expected, hint) from None
            for other in entry.others():
                try:
                    self.apply(config, values | {key: other})
                except ConfigError as error:
                    # It may fit together with other values than the recipe's; a typing error never fits.
                    found = error.found.removeprefix("these values together: ")
                    print(f"{self.origin}: {key}={other} does not fit alone: {found}", file=sys.stderr)

    def _met(self, key: str) -> dict[str, Any]:
        """Returns values with which a key's condition, and the conditions of its keys, hold."""
        values: dict[str, Any] = {}
        for other, wanted in self.entries[key].when.items():
            values |= self._met(other) | {other: wanted[0] if isinstance(wanted, list) else wanted}
        return values

    def own_values(self, config: RunConfig) -> dict[str, Any] | None:
        """Returns the recipe's own values of the keys; none if one lies outside the space."""
        recipe = config.model_dump(mode="json")
        recipe["model"]["parameters"] = check_model(config.model.name, config.model.parameters).model_dump(mode="json")
        values: dict[str, Any] = {}
        for key, entry in self.entries.items():
            if not entry.asked(values):
                continue
            value: Any = recipe
            for part in key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if isinstance(entry, Range) and not entry.whole and isinstance(value, int):
                value = float(value)
            if not entry.holds(value):
                same = [choice for choice in entry.values() if self._is_own(config, key, choice)]
                if not same or isinstance(entry, Range):
                    return None
                value = same[0]
            values[key] = value
        return values

    def _is_own(self, config: RunConfig, key: str, choice: Any) -> bool:
        """Whether a choice means the recipe's value in another form, such as a name for a section of defaults."""
        try:
            return self.apply(config, {key: choice}) == config
        except ConfigError:
            return False

    def grid(self) -> list[dict[str, Any]]:
        """Returns every combination of the values.

        Raises:
            ConfigError: A range has neither integers nor steps.
        """
        for key, entry in self.entries.items():
            if not entry.values():
                raise ConfigError(f"{self.origin}: {key} has infinitely many values", hint="give a step, or choices")
        return list(self._combinations(list(self.entries), {}))

    def _combinations(self, keys: list[str], values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not keys:
            yield values
        elif self.entries[keys[0]].asked(values):
            for value in self.entries[keys[0]].values():
                yield from self._combinations(keys[1:], values | {keys[0]: value})
        else:
            yield from self._combinations(keys[1:], values)


def read_space(path: str | Path) -> Space:
    """Reads a search space.

    Raises:
        ConfigError: The file is missing or not YAML, or an entry is wrong.
    """
    path = Path(path)
    values = read_yaml(path, "search space")
    if not isinstance(values, dict) or not values:
        raise ConfigError(
            f"{path} holds no keys",
            expected="recipe keys, such as train.learning_rate: {low: 0.001, high: 0.1, log: true}",
        )
    entries: dict[str, Range | Choices] = {}
    for key, value in values.items():
        entries[str(key)] = _entry(str(path), str(key), value)
        _check_condition(str(path), str(key), entries)
    return Space(entries, str(path))


def _entry(origin: str, key: str, value: Any) -> Range | Choices:
    if key in _FIXED:
        raise ConfigError(f"{origin}: {key} cannot be tuned: {_FIXED[key]}", hint="leave it out")
    section = key.split(".")[0]
    if section not in _SECTIONS or "." not in key:
        near = did_you_mean(section, _SECTIONS)
        raise ConfigError(f"{origin}: {key} is not a key of a model or of training", "model.KEY or train.KEY", near)
    where = f"{origin}: {key}"
    if isinstance(value, list):
        return validate(Choices, {"choices": value}, where)
    if not isinstance(value, dict):
        raise ConfigError(
            f"{where} is {value!r}", "{low: …, high: …}, {choices: […]} or a list", "one value: KEY=VALUE"
        )
    unknown = [name for name in value if name not in {*Range.model_fields, *Choices.model_fields}]
    if unknown:
        known = {*Range.model_fields, *Choices.model_fields}
        raise ConfigError(
            f"{where} has an unknown key {unknown[0]!r}", ", ".join(known), did_you_mean(str(unknown[0]), known)
        )
    return validate(Choices, value, where) if "choices" in value else validate(Range, value, where)


def _check_condition(origin: str, key: str, entries: Mapping[str, Range | Choices]) -> None:
    for other, wanted in entries[key].when.items():
        before = [name for name in entries if name != key]
        if other not in before:
            raise ConfigError(
                f"{origin}: {key} depends on {other!r}, which is not an earlier key",
                hint=did_you_mean(other, before),
            )
        for value in wanted if isinstance(wanted, list) else [wanted]:
            if not entries[other].holds(value):
                raise ConfigError(f"{origin}: {key} depends on {other}={value}, which is not among its values")
