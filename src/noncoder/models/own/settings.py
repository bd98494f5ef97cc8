"""Derives the settings of a model from the signature of its class or function."""

from __future__ import annotations

import inspect
import json
import typing
import warnings
from collections.abc import Callable
from typing import Any

import pydantic
from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter

from noncoder.config import Section
from noncoder.errors import InputError

CONTRACT = "a class or function that is called as NAME(tasks=T, window=L, **parameters) and gives an nn.Module"


class _Closed(Section):
    model_config = ConfigDict(protected_namespaces=())


class _Open(Section):
    model_config = ConfigDict(protected_namespaces=(), extra="allow")


def settings_of(target: Callable[..., Any], name: str) -> type[Section]:
    """Returns the settings class of a class or function: its parameters besides `tasks` and `window`.

    A parameter `config` annotated with a `Section` provides that section's fields, as in the built-in models.
    Otherwise each parameter is a setting. A parameter whose default is not a JSON value keeps its default.

    Args:
        target: The class or function.
        name: Its name, for messages.

    Raises:
        InputError: It does not accept tasks and window, or a parameter cannot be a setting.
    """
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        raise InputError(f"{name} has no signature", expected=CONTRACT) from None
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
    absent = [word for word in ("tasks", "window") if word not in parameters or word in positional]
    if absent or positional:
        shown = ", ".join(map(str, parameters.values()))
        raise InputError(
            f"{name} is called as {name.rpartition(':')[2]}({shown})"
            + (f", without {' and '.join(absent)} by name" if absent else ""),
            expected=CONTRACT,
            hint="add a function: def make(tasks, window, **parameters): return …, and name that one",
        )
    hints = _hints(target)
    if takes_config(target):
        return typing.cast(type[Section], hints["config"])
    fields: dict[str, Any] = {}
    base: type[Section] = _Closed
    for parameter in parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            base = _Open
        elif parameter.name not in ("tasks", "window") and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.POSITIONAL_ONLY,
        ):
            required = parameter.default is parameter.empty
            if required or _is_plain(parameter.default):
                default = ... if required else parameter.default
                fields[parameter.name] = (_known(hints.get(parameter.name, Any)), default)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return pydantic.create_model(f"{name.rpartition(':')[2]}Settings", __base__=base, **fields)
    except (UserWarning, NameError, TypeError, ValueError) as error:
        raise InputError(f"{name}: a parameter cannot be a setting: {error}", hint="rename it") from error


def takes_config(target: Callable[..., Any]) -> bool:
    """Whether a class or function takes its settings as one `config`, annotated with a `Section`."""
    config = _hints(target).get("config")
    return isinstance(config, type) and issubclass(config, Section)


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(getattr(target, "__init__", None) if isinstance(target, type) else target)
    except (NameError, TypeError, AttributeError):  # annotations that cannot be resolved at run time
        return {}


def _known(annotation: Any) -> Any:
    """Returns the annotation, or Any if pydantic does not support it."""
    try:
        TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, pydantic.PydanticUserError):
        return Any
    return annotation


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
