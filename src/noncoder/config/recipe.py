"""Recipes as YAML: read, override, write."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from noncoder.config.base import Section
from noncoder.config.sections import RunConfig
from noncoder.config.validation import validate
from noncoder.errors import ConfigError, did_you_mean


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads a recipe and applies `key.key=value` overrides, whose values are read as YAML.

    Raises:
        ConfigError: The file is missing or no YAML, or a key or value is wrong.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        near = did_you_mean(path.name, (file.name for file in path.parent.glob("*.yaml")))
        raise ConfigError(f"the recipe {path} does not exist", expected="a YAML file", hint=near) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is no readable YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no sections", expected="keys such as run, data, model and train")
    for override in overrides:
        _override(values, override)
    return validate(RunConfig, values, origin=str(path))


def read_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """Values from `key=value` texts, read as in a recipe.

    Raises:
        ConfigError: A text has no equals sign, or its value is no YAML.
    """
    values: dict[str, Any] = {}
    for override in overrides:
        _override(values, override)
    return values


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"{override!r} sets nothing", expected="key=value, such as train.epochs=3")
    *parents, last = key.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if inner is None:
            inner = values[parent] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{key!r}: {parent} is a value, not a section")
        values = inner
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r}: the value is no YAML ({error})") from error


def write_recipe(config: RunConfig) -> str:
    """The recipe as YAML with every key, each with its docstring as a comment; reading it back gives the same."""
    return "\n".join(_lines(config, 0)) + "\n"


class _Quoting(yaml.SafeDumper):
    """Writes every text in double quotes, in which YAML can say any character on one line."""


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
