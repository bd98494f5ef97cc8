"""Names of the attribution methods for help texts, read without importing the methods, which would load torch."""

from __future__ import annotations

import re
from pathlib import Path

_REGISTERED = re.compile(r'^@register\(\s*"([^"]+)"', re.MULTILINE)


def method_names() -> list[str]:
    """Returns the names that the files of `noncoder.interpret.attribution` register, sorted."""
    folder = Path(__file__).parent / "attribution"
    return sorted(name for file in folder.glob("*.py") for name in _REGISTERED.findall(file.read_text("utf-8")))
