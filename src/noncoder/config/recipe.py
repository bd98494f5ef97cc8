"""Reads, overrides and writes recipes as YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from noncoder.config.section import Section
from noncoder.config.sections import RunConfig
from noncoder.config.validation import nearest_keys, shortened, validate
from noncoder.config.yaml_reader import parse_yaml, read_yaml
from noncoder.errors import ConfigError


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads a recipe and applies `key.key=value` overrides, whose values are parsed as YAML.

    Raises:
        ConfigError: The file is missing or not YAML, or a key or value is wrong.
    """
    path = Path(path)
    values = read_yaml(path, "recipe")
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no sections", expected="keys such as run, data, model and train")
    _override_all(values, overrides)
    return validate(RunConfig, values, origin=str(path))


def read_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """Parses `key=value` texts as in a recipe.

    Raises:
        ConfigError: A text has no equals sign, or its value is not YAML.
    """
    values: dict[str, Any] = {}
    _override_all(values, overrides)
    return values


def _override_all(values: dict[str, Any], overrides: Sequence[str]) -> None:
    given: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.partition("=")
        for other in given:
            # The second would silently replace the first, or a part of it.
            if key == other or other.startswith(f"{key}."):
                raise ConfigError(
                    f"{shortened(other)} is given twice: {shortened(given[other], 60)!r}, then {shortened(value, 60)!r}"
                    + ("" if key == other else f" for all of {key}"),
                    expected="each key once",
                )
        given[key] = value
        _override(values, override)


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        near = nearest_keys(override.rpartition(".")[2], RunConfig)
        hint = f"did you mean {near[0]}=…?" if near else ""
        raise ConfigError(f"{shortened(override)!r} sets nothing", "KEY=VALUE, such as train.epochs=3", hint)
    *parents, last = key.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if inner is None:
            inner = values[parent] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{key!r}: {parent} is a value, not a section")
        values = inner
    values[last] = parse_yaml(text, f"{shortened(override)!r}: the value")


def write_recipe(config: RunConfig) -> str:
    """Writes the recipe as YAML with every key, each with its docstring as a comment; reading it gives the same."""
    return "\n".join(_lines(config, 0)) + "\n"


class _Quoting(yaml.SafeDumper):
    """Writes every text in double quotes, in which YAML can express any character on one line."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _lines(section: Section, depth: int) -> list[str]:
    indent, lines = "  " * depth, []
    for name, about in type(section).model_fields.items():
        value = getattr(section, name)
        lines.append(f"{indent}# {' '.join((about.description or '').split())}")
        if isinstance(value, Section):
            lines += [f"{indent}{name}:", *_lines(value, depth + 1)]
        else:
            text = yaml.dump(
                _plain(value), Dumper=_Quoting, default_flow_style=True, allow_unicode=True, width=math.inf
            )
            lines.append(f"{indent}{name}: {text.removesuffix('...' + chr(10)).strip()}")
    return lines
