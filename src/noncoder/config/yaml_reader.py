"""Reads YAML from users within limits: a file of a few lines cannot use up memory or time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from noncoder.errors import ConfigError
from noncoder.kinds import did_you_mean_path, kind_of, what_is_there
from noncoder.machine import check_name

MOST_BYTES = 1_000_000
"""Largest file that is read, bytes."""
MOST_DEPTH = 50
"""Deepest nesting of values."""
MOST_VALUES = 20_000
"""Most values in a text; values behind an alias count each time."""

_LONGEST_NUMBER = 1_000
_FORBIDDEN = re.compile("[\0\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses deep nesting, large expansions, and keys set twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        self._count += 1
        if self._depth > MOST_DEPTH:
            raise yaml.YAMLError(f"values are nested more than {MOST_DEPTH} deep")
        if self._count > MOST_VALUES:
            raise _too_many()
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _expanded(node, {}) > MOST_VALUES:
            raise _too_many()
        return node


def _too_many() -> yaml.YAMLError:
    return yaml.YAMLError(f"there are more than {MOST_VALUES:,} values; those behind an alias count each time")


def parse_yaml(text: str, origin: str) -> Any:
    """Parses a YAML text.

    Args:
        text: The text.
        origin: Where it comes from, for the message.

    Raises:
        ConfigError: It is not YAML, is nested too deep, or expands to too many values.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{origin} has {len(text):,} characters", expected=f"at most {MOST_BYTES:,}")
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, RecursionError) as error:
        raise ConfigError(f"{origin} is not valid YAML: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()


def read_yaml(path: Path, what: str) -> Any:
    """Reads a YAML file.

    Args:
        path: The file.
        what: The expected kind of file, such as "recipe", for the message.

    Raises:
        ConfigError: The file is missing (the message gives the nearest existing name), cannot be read, or is not YAML
            within the limits.
        InputError: The path is not a possible file name.
    """
    check_name(path)
    try:
        found = kind_of(path)
        if path.is_dir() or (found and found.use and found.name != "a recipe"):
            is_there, use = what_is_there(path)
            raise ConfigError(f"{path} {is_there or 'is a folder'}", expected=f"a {what}, a YAML file", hint=use)
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ConfigError(f"{path} has {size:,} bytes", expected=f"a {what}, of at most {MOST_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"the {what} {path} does not exist", expected="a YAML file", hint=did_you_mean_path(path)
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not text in UTF-8: {error.reason} at byte {error.start}", expected=f"a {what}, a YAML file"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", expected=f"a {what}, a YAML file") from error
    return parse_yaml(text, str(path))


def _expanded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Number of values in a node, with those behind its aliases."""
    known = sizes.get(id(node))
    if known is not None:
        if not known:
            raise yaml.YAMLError("an alias refers to a value that contains it")
        return known
    sizes[id(node)] = 0  # being counted
    total = 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(_expanded(one, sizes) for one in node.value)
    elif isinstance(node, yaml.MappingNode):
        total += sum(_expanded(key, sizes) + _expanded(value, sizes) for key, value in node.value)
        _check_keys(node)
    elif _FORBIDDEN.search(node.value):
        raise yaml.YAMLError(f"{node.value[:80]!a} holds a character that text should not contain")
    elif len(node.value) > _LONGEST_NUMBER and node.tag.endswith((":int", ":float")):
        raise yaml.YAMLError(f"the number {node.value[:20]}… has {len(node.value):,} digits")
    sizes[id(node)] = total
    return total


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                raise yaml.YAMLError(f"the key {key.value!r} is given twice, again in line {key.start_mark.line + 1}")
            seen.add(key.value)
