"""Makes the reference pages and architecture.md from the code: `make docs`.

Help texts, settings, paths and docstrings are the only source of these pages, so they cannot drift. A test compares the
pages with what this script makes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from docstring_pages import api_page, architecture_page, files_page
from settings_pages import models_page, recipe_page, verbs_page

DOCS = Path(__file__).parent
PAGES: dict[str, Callable[[], str]] = {
    "reference/verbs.md": verbs_page,
    "reference/recipe.md": recipe_page,
    "reference/run-files.md": files_page,
    "reference/models.md": models_page,
    "reference/api.md": api_page,
    "architecture.md": architecture_page,
}
"""The pages that are made from the code, by their path below docs/."""


def main(folder: Path) -> None:
    """Writes the pages.

    Args:
        folder: Where to; docs/ for the repository's own.
    """
    for name, make in PAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(make())
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
