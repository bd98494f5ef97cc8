"""Curves as points of SVG lines, few enough for a page with a thousand tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Curves are stored in thousandths, which are less than a pixel on a screen.
_GRID = 1000
# Ticks of the probability axes; labels are rare, so most predictions lie below 1%.
_LOWEST, _HIGHEST = 0.0005, 0.99
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9)
LEAST_EXPECTED = 5
"""Least expected numbers of positives and of negatives behind a dot of a task's reliability curve."""

Floats = NDArray[np.floating[Any]]


def embedded_curves(curves: Mapping[str, Floats]) -> dict[str, list[str | None]]:
    """Returns each task's curves as SVG paths, y downwards, in thousandths of the panel; None if undefined.

    Args:
        curves: Content of curves.npz, (T, P) or (T, B) each; the reliability may be missing.

    Returns:
        "roc" and "pr"; and, if they exist, "reliability" and "reliability_calibrated" as "x,y,n", with n the windows of
        neighbouring bins, which are merged until five positives and five negatives are expected in them.
    """
    found = {
        kind: [path_of(xs, ys) for xs, ys in zip(curves[x], curves[y], strict=True)]
        for kind, x, y in (("roc", "roc_fpr", "roc_tpr"), ("pr", "pr_recall", "pr_precision"))
    }
    for kind in ("reliability", "reliability_calibrated"):
        if f"{kind}_count" in curves:
            bins = (curves[f"{kind}_{what}"] for what in ("predicted", "observed", "count"))
            found[kind] = [_dots(*task) for task in zip(*bins, strict=True)]
    return found


def probability_ticks() -> list[tuple[str, int]]:
    """Labels of the probability axes and their positions, in thousandths."""
    at = _probability_at(np.array(_TICKS))
    return [(f"{tick:g}", int(place)) for tick, place in zip(_TICKS, at, strict=True)]


def _probability_at(probabilities: Floats) -> NDArray[np.int64]:
    """Converts to thousandths of an axis with even steps in the logit; values beyond its ends are clipped."""
    low, high = (np.log(p / (1 - p)) for p in (_LOWEST, _HIGHEST))
    inside = np.clip(probabilities.astype(np.float64), _LOWEST, _HIGHEST)
    place: NDArray[np.int64] = np.rint(_GRID * (np.log(inside / (1 - inside)) - low) / (high - low)).astype(np.int64)
    return place


def _dots(predicted: Floats, observed: Floats, count: Floats) -> str | None:
    there = np.isfinite(predicted) & np.isfinite(observed) & (count > 0)
    if not there.any():
        return None
    sums = np.stack([count, count * predicted, count * observed])[:, there].astype(np.float64)
    joined = np.add.reduceat(sums, _starts(sums[1], sums[0] - sums[1]), axis=1)
    n, (p, share) = joined[0], joined[1:] / joined[0]
    x, y = _probability_at(p), _GRID - _probability_at(share)
    return " ".join(f"{a},{b},{c:.0f}" for a, b, c in zip(x, y, n, strict=True))


def _starts(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> list[int]:
    """Returns the starts of bins merged until enough of both labels are expected; fewer would show only chance.

    The last bins are merged with those before them. Merging ignores the observed labels, so it is unbiased.
    """
    starts, p, q = [0], 0.0, 0.0
    for i, (more, less) in enumerate(zip(positives.tolist(), negatives.tolist(), strict=True)):
        if min(p, q) >= LEAST_EXPECTED:
            starts.append(i)
            p = q = 0.0
        p, q = p + more, q + less
    return starts[:-1] if len(starts) > 1 and min(p, q) < LEAST_EXPECTED else starts


def path_of(x: Floats, y: Floats) -> str | None:
    """Returns a curve as relative steps of an SVG path, half as long as its points; None if undefined.

    Args:
        x: From 0 to 1, (P,); points with NaN are left out.
        y: From 0 to 1, upwards, (P,).
    """
    whole = np.isfinite(x) & np.isfinite(y)
    if not whole.any():
        return None
    line = np.column_stack([x[whole], 1 - y[whole]]).astype(np.float64) * _GRID
    kept = line[_simplified(line)].round().astype(int)
    steps = np.diff(kept, axis=0)
    (left, top), rest = kept[0], steps[steps.any(axis=1)]
    # A minus sign separates two numbers as a space does.
    return re.sub(" -", "-", f"m{left} {top}l" + " ".join(f"{dx} {dy}" for dx, dy in rest.tolist())).removesuffix("l")


def _simplified(line: NDArray[np.float64], tolerance: float = 2.0) -> NDArray[np.bool_]:
    """Returns which points keep a line within a tolerance of itself (Ramer 1972; Douglas and Peucker 1973)."""
    keep = np.zeros(len(line), dtype=bool)
    keep[[0, -1]] = True
    spans = [(0, len(line) - 1)]
    while spans:
        a, b = spans.pop()
        if b - a < 2:
            continue
        chord, offset = line[b] - line[a], line[a + 1 : b] - line[a]
        length = float(np.hypot(*chord))
        away = np.abs(chord[0] * offset[:, 1] - chord[1] * offset[:, 0]) / length if length else np.hypot(*offset.T)
        far = int(away.argmax())
        if away[far] > tolerance:
            keep[a + 1 + far] = True
            spans += [(a, a + 1 + far), (a + 1 + far, b)]
    return keep
