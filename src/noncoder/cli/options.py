"""Command-line options made from the sections of a recipe: one text for help, YAML and validation."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from noncoder.config import Section, split_list, validate
from noncoder.errors import ConfigError
from noncoder.files import plain_json

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound=Section)

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
force = click.option("--force", is_flag=True, help="Replace existing output.")


def _offer(context: click.Context, _: click.Parameter, paths: tuple[Path, ...]) -> None:
    if paths:
        from noncoder.models.own import offering

        context.with_resource(offering(paths))


model_source = click.option(
    "--model-source",
    multiple=True,
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_offer,
    help="Python file with a custom model; the file is executed. May be given several times.",
)


def section_options(
    section: type[Section],
    short: Mapping[str, str] | None = None,
    needed: bool = True,
    names: Mapping[str, Sequence[str]] | None = None,
) -> Callable[[F], F]:
    """Adds one option for each field of a section, with the field's docstring as help.

    Args:
        section: The section.
        short: Other option names, by field.
        needed: Require the fields that have no default; false where the command takes one of several sections. A field
            shared by two sections becomes one option, with the help of the lower decorator's section.
        names: Known values of fields whose type does not list them, by field; shown in the help.
    """

    def add(function: F) -> F:
        taken = {option.name for option in getattr(function, "__click_params__", ())}
        for name, field in reversed(section.model_fields.items()):
            if name in taken:
                continue
            flag = (short or {}).get(name, "--" + name.replace("_", "-"))
            several = _is_several(field.annotation)
            pair = getattr(field.annotation, "__origin__", None) is tuple and not several
            shown = (
                "" if field.is_required() or field.default in (None, ()) else f"  [default: {_shown(field.default)}]"
            )
            function = click.option(
                flag,
                name,
                multiple=several,
                nargs=2 if pair else 1,
                metavar=_choice(names[name]) if names and name in names else _metavar(field.annotation),
                required=needed and field.is_required(),
                help=" ".join((field.description or "").split()).replace("`", "") + shown,
            )(function)
        return function

    return add


def section_from(section: type[S], given: Mapping[str, Any], others: type[Section] | None = None) -> S:
    """Builds the section from the given options, with defaults for the rest.

    Args:
        section: The section.
        given: The options of the command.
        others: A section whose options cannot be combined with this one's.

    Raises:
        ConfigError: A value is wrong or missing, or an option belongs to the other section.
    """
    for name in others.model_fields if others else ():
        if name not in section.model_fields and given.get(name) not in (None, ()):
            raise ConfigError(f"--{name.replace('_', '-')} has no effect here", hint="leave it out; see --help")
    return validate(section, given_options(section, given), origin="the options")


def given_options(section: type[Section], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given options, by field; lists may be separated by commas.

    Args:
        section: The section.
        given: The options of the command.
    """
    values: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        value = given.get(name)
        if value is None or value == ():
            continue
        if _is_several(field.annotation) and not _holds(field.annotation, Path) and name not in ("peaks", "name"):
            value = [part for item in value for part in split_list(item)]
        values[name] = value
    return values


def emit(values: Mapping[str, Any], text: str, machine: bool) -> None:
    """Prints a result as JSON or as text."""
    click.echo(json.dumps(plain_json(values), indent=1, allow_nan=False) if machine else text)


def _is_several(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is tuple and annotation.__args__[-1] is Ellipsis


def _holds(annotation: Any, kind: type) -> bool:
    return kind in getattr(annotation, "__args__", (annotation,))


def _metavar(annotation: Any) -> str:
    if getattr(annotation, "__origin__", None) is typing.Literal:
        return _choice(annotation.__args__)
    kinds = annotation.__args__ if isinstance(annotation, types.UnionType) or hasattr(annotation, "__args__") else ()
    for kind, word in ((Path, "PATH"), (bool, "BOOL"), (int, "N"), (float, "X")):
        if kind in (annotation, *kinds):
            return word
    return "TEXT"


def _choice(names: Sequence[str]) -> str:
    return "[" + "|".join(names) + "]"


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
