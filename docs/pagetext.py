"""Markdown that the pages are put together from."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

MADE = "<!-- Made by docs/make.py from the code: run `make docs`; edits here are lost. -->\n"
"""The first line below the title of a page that is made."""


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table; cells are on one line."""
    lines = [_row(head), _row("---" for _ in head), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"


def code(text: object) -> str:
    """Text in the type of code; empty for nothing."""
    return f"`{text}`" if str(text) else ""


def first_paragraph(text: str | None) -> str:
    """The first paragraph of a text, on one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def docstring(one: object) -> str:
    """The docstring of something; empty where it has none."""
    return inspect.getdoc(one) or ""
