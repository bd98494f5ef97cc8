"""The pages that are made from options, recipe keys and settings of models."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from pagetext import MADE, code, docstring, first_paragraph, table
from pydantic.fields import FieldInfo

from noncoder.cli import app
from noncoder.config import DesignConfig, GrammarConfig, RunConfig, Section
from noncoder.models import create_model, list_models, model_entry

# --- Verbs


def verbs_page() -> str:
    """Every verb with its arguments, options and examples."""
    text = [
        "# Verbs\n",
        MADE,
        "Every verb prints its help with `--help` and its result as JSON with `--json`. A user's mistake ends with "
        "exit code 2 and one message, Ctrl-C with 130, SIGTERM with 143. Nothing is overwritten without `--force`.\n",
        *(f"- [`{name}`](#{name.replace(' ', '-')}): {first_paragraph(verb.help)}" for name, verb in verbs()),
        "",
        *(_verb_section(name, verb) for name, verb in verbs()),
    ]
    return "\n".join(text)


def verbs(group: click.Group = app, before: str = "noncoder") -> Iterator[tuple[str, click.Command]]:
    """All verbs in the order in which the program registers them; those of a group with its name before theirs."""
    for name, verb in group.commands.items():
        if isinstance(verb, click.Group):
            yield from verbs(verb, f"{before} {name}")
        else:
            yield f"{before} {name}", verb


def _verb_section(name: str, verb: click.Command) -> str:
    arguments = [one for one in verb.params if isinstance(one, click.Argument)]
    options = [one for one in verb.params if isinstance(one, click.Option)]
    parts = [f"## {name}\n"]
    for paragraph in inspect.cleandoc(verb.help or "").split("\n\n"):
        if not paragraph.startswith("\b"):
            parts.append(" ".join(paragraph.split()) + "\n")
            continue
        lines = paragraph.splitlines()[1:]
        fence = "sh" if lines[0].startswith("Example") else "text"
        body = inspect.cleandoc("\n".join(["", *(lines[1:] if fence == "sh" else lines)]))
        parts.append(f"```{fence}\n{body}\n```\n")
    usage = " ".join([name, "[OPTIONS]", *(one.make_metavar(click.Context(verb)) for one in arguments)])
    rows = [(code(", ".join(one.opts)), code(_kind(one)), *_help(one)) for one in options]
    return "\n".join([*parts, f"`{usage}`\n", table(("option", "value", "what it does", "default"), rows)])


def _kind(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return " ".join(option.type.choices)
    metavar = option.metavar or option.type.name.upper()
    return metavar.strip("[]").replace("|", " ") + (" ..." if option.multiple else "")


def _help(option: click.Option) -> tuple[str, str]:
    """The help and the default of an option; options made from a section have the default in their help."""
    text, _, default = (option.help or "").removesuffix("]").partition("  [default: ")
    if not default and option.show_default and option.default not in (None, ()):
        default = str(option.default)
    return text if default else option.help or "", "required" if option.required else code(default)


# --- Recipes


def recipe_page() -> str:
    """Every key of a recipe."""
    text = [
        "# Recipe keys\n",
        MADE,
        "A recipe is a YAML file. A key can be set on the command line, such as `train.epochs=3`. The run's folder "
        "keeps the recipe with every key written out. The settings of the models are in [models](models.md).\n",
        *_sections(RunConfig, ""),
        *_settings("Settings of `noncoder grammar`", GrammarConfig),
        *_settings("Settings of `noncoder design`", DesignConfig),
    ]
    return "\n".join(text)


def _sections(section: type[Section], prefix: str) -> Iterator[str]:
    title = f"## {prefix.rstrip('.') or 'The recipe'}\n"
    yield f"{title}\n{docstring(section)}\n"
    inner = {name: _section_of(field) for name, field in section.model_fields.items()}
    rows = [_key(prefix, name, field) for name, field in section.model_fields.items() if inner[name] is None]
    rows += [
        (f"[`{prefix}{name}`](#{(prefix + name).replace('.', '')})", "section", _about(section.model_fields[name]), "")
        for name, below in inner.items()
        if below is not None
    ]
    yield table(("key", "value", "what it does", "default"), rows)
    for name, below in inner.items():
        if below is not None:
            yield from _sections(below, f"{prefix}{name}.")


def _settings(title: str, section: type[Section]) -> Iterator[str]:
    yield f"## {title}\n\n{docstring(section)}\n"
    yield table(
        ("setting", "value", "what it does", "default"),
        (_key("", name, field) for name, field in section.model_fields.items()),
    )


def _section_of(field: FieldInfo) -> type[Section] | None:
    for kind in (field.annotation, *typing.get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _key(prefix: str, name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    return code(prefix + name), _values(field), _about(field), _shown_default(field)


def _about(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _shown_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, tuple):
        return code(f"[{', '.join(map(str, value))}]")
    return code(str(value).lower() if isinstance(value, bool) else value)


def _values(field: FieldInfo) -> str:
    bounds = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = [
        f"{sign} {getattr(one, name)}" for one in field.metadata for name, sign in bounds.items() if hasattr(one, name)
    ]
    return ", ".join([_type(field.annotation), *limits])


def _type(kind: Any) -> str:
    names = {int: "integer", float: "number", bool: "true or false", str: "text", Path: "path", type(None): ""}
    if kind in names:
        return names[kind]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _type(inner[0])
    if origin is typing.Literal:
        return ", ".join(code(one) for one in inner)
    if origin is tuple:
        return f"list of {_type(inner[0])}" if inner[-1] is Ellipsis else " and ".join(map(_type, inner))
    if origin is dict:
        return "mapping"
    return " or ".join(filter(None, map(_type, inner))) if inner else str(kind)


# --- Models


def models_page() -> str:
    """Every model with its size, source and settings."""
    rows, sections = [], []
    for name in list_models():
        entry = model_entry(name)
        with torch.device("meta"):
            model = create_model(name, 919, 1000)
        size = sum(one.numel() for one in model.parameters())
        rows.append((f"[`{name}`](#{name})", f"{size:,}", entry.about, entry.source))
        fields = entry.config.model_fields.items()
        sections.append(
            f"## {name}\n\n"
            + table(("setting", "value", "what it does", "default"), (_key("", *one) for one in fields))
        )
    text = [
        "# Models and their settings\n",
        MADE,
        "Parameters are for 919 tasks and windows of 1,000 bp. A recipe gives settings under `model.parameters`. "
        "`noncoder models NAME` prints the layers of a model. [Explanation](../explanation/models.md).\n",
        table(("model", "parameters", "what it is", "source"), rows),
        *sections,
    ]
    return "\n".join(text)
