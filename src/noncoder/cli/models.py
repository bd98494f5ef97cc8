"""Verbs on networks."""

from __future__ import annotations

import json
from typing import Any

import click

from noncoder.cli.options import as_json, emit
from noncoder.cli.verbs import Verb


@click.command(cls=Verb)
@click.argument("name", required=False)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--tasks", default=919, show_default=True, help="Number of tasks.")
@click.option("--window", default=1000, show_default=True, help="Width of the input, bp.")
@click.option("--depth", default=2, show_default=True, type=click.IntRange(1), help="Depth of nested layers to show.")
@as_json
def models(name: str | None, settings: tuple[str, ...], tasks: int, window: int, depth: int, as_json: bool) -> None:
    """List the models, or show the layers and settings of the model NAME, with some of its settings changed.

    NAME is one of the list, or path/to/file.py:Class for your own model; the file is then executed.

    \b
    Example:
      noncoder models
      noncoder models wideresnet-txl core=encoder core_layers=2
      noncoder models mynet.py:Net channels=64 --tasks 16
    """
    if name is None:
        _list(tasks, window, as_json)
        return
    from noncoder.config import read_settings
    from noncoder.errors import ConfigError
    from noncoder.models import check_model, layer_table, model_entry

    if "=" in name:
        raise ConfigError(f"{name!r} is not a model name", expected="a name, then settings: NAME KEY=VALUE …")
    changed = read_settings(settings)
    values = check_model(name, changed).model_dump(mode="json")
    rows = layer_table(name, tasks, window, changed, depth)
    shown = _entry(name) | {
        "n_parameters": sum(row.parameters for row in rows),
        "tasks": tasks,
        "window": window,
        "layers": [row._asdict() for row in rows],
        "settings": {
            key: {
                "value": values[key],
                "changed": key in changed,
                "about": " ".join((field.description or "").split()),
            }
            for key, field in model_entry(name).config.model_fields.items()
        },
    }
    emit(shown, _text(shown), as_json)


def _list(tasks: int, window: int, machine: bool) -> None:
    from noncoder.models import list_models

    rows = [_counted(name, tasks, window) for name in list_models()]
    width = max(len(row["name"]) for row in rows)
    numbers = ["-" if row["n_parameters"] is None else f"{row['n_parameters']:,}" for row in rows]
    lines = [
        f"{row['name']:{width}}  {number:>11}  {row['about']}\n{'':{width + 15}}{row['source']}"
        for row, number in zip(rows, numbers, strict=True)
    ]
    text = "\n".join([f"parameters for {tasks:,} tasks and {window:,} bp", *lines])
    emit({"models": rows, "tasks": tasks, "window": window}, text, machine)


def _counted(name: str, tasks: int, window: int) -> dict[str, Any]:
    from noncoder.errors import NoncoderError
    from noncoder.models import layer_table

    try:
        parameters = sum(row.parameters for row in layer_table(name, tasks, window))
        return _entry(name) | {"n_parameters": parameters}
    except NoncoderError as error:  # a package that fails does not break the list
        return {"name": name, "about": f"cannot be used: {error.found}", "source": "", "n_parameters": None}


def _entry(name: str) -> dict[str, Any]:
    from noncoder.models import model_entry

    entry = model_entry(name)
    return {"name": name, "about": entry.about, "source": entry.source}


def _text(shown: dict[str, Any]) -> str:
    table = [("layer", "", "gives", "parameters")]
    for row in shown["layers"]:
        shape: tuple[int, ...] = row["shape"] or ()
        if len(shape) == 3:  # an image of height one
            shape = (shape[0], shape[2])
        gives = " x ".join(map(str, shape)) or "-"
        table.append((row["name"], row["kind"], gives, f"{row['parameters']:,}" if row["parameters"] else ""))
    table.append(("all", "", "", f"{shown['n_parameters']:,}"))
    widths = [max(len(cells[i]) for cells in table) for i in range(4)]
    lines = [f"  {a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in table]
    settings = [
        f"{'*' if one['changed'] else ' '} {key}={json.dumps(one['value'])}  {one['about']}"
        for key, one in shown["settings"].items()
    ]
    changed = [one["changed"] for one in shown["settings"].values()]
    return "\n".join(
        [
            f"{shown['name']}: {shown['about']}",
            f"source: {shown['source']}",
            f"for {shown['tasks']:,} tasks and one sequence of {shown['window']:,} bp (convolutions give channels x",
            "positions, recurrent and attention layers positions x channels):",
            *lines,
            "settings (model.parameters in a recipe)" + (", * changed:" if any(changed) else ":"),
            *settings,
        ]
    )
