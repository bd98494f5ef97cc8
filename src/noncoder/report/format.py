"""Formats numbers for readers; a missing value is a dash."""

from __future__ import annotations

import math
import re
from typing import Any

from jinja2 import Undefined
from markupsafe import Markup


def _missing(value: Any) -> bool:
    return value is None or isinstance(value, Undefined) or (isinstance(value, float) and math.isnan(value))


def count(value: Any) -> str:
    """Formats an integer with commas."""
    return "–" if _missing(value) else f"{round(value):,}"


def metric(value: Any) -> str:
    """Formats a score with three digits."""
    return "–" if _missing(value) else f"{value:.3f}"


def score(value: Any) -> str:
    """Formats a score with four digits, for comparisons of runs."""
    return "–" if _missing(value) else f"{value:.4f}"


def interval(ends: Any) -> str:
    """Formats the ends of an interval of scores; empty if one is missing."""
    if _missing(ends) or any(_missing(end) for end in ends):
        return ""
    return "{:.3f}–{:.3f}".format(*ends)


def minus(value: Any, other: Any) -> float | None:
    """Returns a difference, if both values exist."""
    return None if _missing(value) or _missing(other) else value - other


def signed(value: Any) -> str:
    """Formats a difference of scores with its sign."""
    return "–" if _missing(value) else f"{value:+.4f}".replace("-", "−")


def p_value(value: Any) -> str:
    """Formats a p value with two digits."""
    return "–" if _missing(value) else "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def number(value: Any) -> str:
    """Formats a number with three digits."""
    return "–" if _missing(value) else f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def percent(value: Any) -> str:
    """Formats a fraction as a percentage."""
    if _missing(value):
        return "–"
    digits = 2 if abs(value) < 0.01 else 1 if abs(value) < 0.995 else 2
    return "0%" if value == 0 else "< 0.01%" if abs(value) < 5e-5 else f"{value:.{digits}%}"


def times(value: Any) -> str:
    """Formats a ratio."""
    if _missing(value):
        return "–"
    return f"{value:,.0f}×" if value >= 10 else f"{value:.1f}×"


def duration(seconds: Any) -> str:
    """Formats seconds as seconds, minutes or hours."""
    if _missing(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def yaml_value(value: Any) -> str:
    """Formats a value as in a recipe."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def clock(seconds: Any) -> str:
    """Formats seconds for comparison: tenths below a minute, 5:13 below an hour, 2:05:13 above."""
    if _missing(seconds) or seconds < 60:
        return "–" if _missing(seconds) else f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02} h" if hours else f"{minutes}:{whole % 60:02} min"


def large(value: Any) -> str:
    """Formats a large number in millions or billions."""
    if _missing(value):
        return "–"
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {word}"
    return f"{value:,}"


def exact(value: Any, name: str = "v") -> Markup:
    """Returns an attribute of a table cell with the unrounded number, for sorting."""
    return Markup("") if _missing(value) else Markup(f' data-{name}="{value:.6g}"')


def aspect(svg: str) -> str:
    """Returns width over height of a figure, which reserves its space while it is not laid out."""
    found = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg)
    return f"{float(found[1]) / float(found[2]):.4f}" if found else "auto"


def by_kind(value: Any, kind: str) -> str:
    """Formats a value of the explorer's table by its column's kind; the page's script formats in the same way."""
    if kind == "text":
        return "" if _missing(value) else str(value)
    return {"count": count, "share": percent, "times": times, "metric": metric, "fine": score}[kind](value)


FILTERS = {
    "count": count,
    "metric": metric,
    "score": score,
    "interval": interval,
    "minus": minus,
    "signed": signed,
    "p_value": p_value,
    "number": number,
    "percent": percent,
    "times": times,
    "duration": duration,
    "clock": clock,
    "large": large,
    "yaml": yaml_value,
    "kind": by_kind,
    "aspect": aspect,
    "exact": exact,
}
"""Names of these functions in the templates."""
