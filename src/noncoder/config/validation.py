"""Builds sections from plain values, with messages that say what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from noncoder.config.section import Section
from noncoder.errors import ConfigError, did_you_mean

S = TypeVar("S", bound=Section)


def validate(section: type[S], values: Mapping[str, Any], origin: str) -> S:
    """Builds a section from plain values.

    Args:
        section: The class.
        values: Its keys and values.
        origin: Where they come from, for the message.

    Raises:
        ConfigError: A key is unknown (with the nearest one) or missing, or its value is wrong; all problems are
            reported.
    """
    try:
        return section.model_validate(_tuples(section, values))
    except ValidationError as error:
        problems = [_problem(section, dict(detail)) for detail in error.errors()]
        raise ConfigError(f"{origin}: " + "\n".join(problems)) from None


def _problem(section: type[Section], detail: dict[str, Any]) -> str:
    where = [str(part) for part in detail["loc"]]
    key = ".".join(where)
    if detail["type"] == "extra_forbidden":
        parent: type[BaseModel] = section
        for part in where[:-1]:
            parent = _section_of(parent, part) or parent
        elsewhere = nearest_keys(where[-1], section) if len(where) == 1 or where[-1] not in parent.model_fields else []
        near = did_you_mean(where[-1], parent.model_fields)
        if elsewhere and not near:
            near = f"did you mean {' or '.join(map(repr, elsewhere))}?"
        known = ", ".join(parent.model_fields)
        return f"there is no key {key[:100]!r}" + (f"; {near}" if near else f"; known here: {known}")
    if detail["type"] == "missing":
        return f"the key {key!r} is missing"
    message, value = detail["msg"].removeprefix("Value error, "), detail["input"]
    given = "" if isinstance(value, dict | Section) else f", not {shortened(repr(value))}"
    message = message.replace("input is not a valid path for <class 'pathlib.Path'>", "should be a path")
    if isinstance(value, str):
        near = did_you_mean(value, re.findall(r"'([^']*)'", message))
        given += f"; {near}" if near else ""
    return f"{key}: {message[0].lower() + message[1:]}{given}" if key else message


def nearest_keys(name: str, section: type[Section]) -> list[str]:
    """Up to three dotted keys of a section, nested ones included, that end with a name; else with the nearest name.

    Args:
        name: The last part of a key, or of an option.
        section: The class.
    """
    keys = dotted_keys(section)
    last = {key.rpartition(".")[2] for key in keys}
    wanted = name.strip("-").replace("-", "_").casefold()
    if wanted not in last:
        wanted = next((one for one in last if did_you_mean(wanted, last) == f"did you mean {one!r}?"), "")
    return [key for key in keys if key.rpartition(".")[2] == wanted][:3]


def dotted_keys(section: type[BaseModel], before: str = "") -> list[str]:
    """Every key of a section and of its nested sections, such as `train.epochs`."""
    keys = []
    for name in section.model_fields:
        inner = _section_of(section, name)
        keys.append(before + name)
        keys += dotted_keys(inner, f"{before}{name}.") if inner else []
    return keys


def shortened(text: str, most: int = 200) -> str:
    """Shortens a long text for a message."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def _section_of(parent: type[BaseModel], name: str) -> type[Section] | None:
    annotation = parent.model_fields[name].annotation if name in parent.model_fields else None
    for option in getattr(annotation, "__args__", (annotation,)):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None


def _tuples(section: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Makes a single value a list where several are allowed, and an empty section its defaults."""
    result: dict[str, Any] = {}
    for key, value in dict(values).items():
        inner = _section_of(section, str(key))
        if inner is not None and value is None and not section.model_fields[key].default:
            continue
        if inner is not None and isinstance(value, Mapping | None):
            value = _tuples(inner, value or {})
        elif str(key) in section.model_fields and _takes_several(section, str(key)) and isinstance(value, str | int):
            value = [str(value)]
        elif str(key) in section.model_fields and _takes_several(section, str(key)) and isinstance(value, list):
            # YAML reads the chromosome 7 as a number.
            value = [str(one) if type(one) is int else one for one in value]
        result[key] = value
    return result


def _takes_several(section: type[BaseModel], key: str) -> bool:
    annotation: Any = section.model_fields[key].annotation
    return getattr(annotation, "__origin__", None) is tuple and annotation.__args__[-1] is Ellipsis
