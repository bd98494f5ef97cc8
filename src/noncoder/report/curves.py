"""Curves as the points of SVG lines, few enough that a page holds those of a thousand tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Curves are stored in thousandths, which on a screen is less than a pixel.
_GRID = 1000
# What the axes of probabilities show; labels are rare, so most of what a model says lies below 1%.
_LOWEST, _HIGHEST = 0.0005, 0.99
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9)
LEAST_EXPECTED = 5
"""Positives and negatives that a dot of a task's reliability stands for at least, as predicted."""

Floats = NDArray[np.floating[Any]]


def embedded_curves(curves: Mapping[str, Floats]) -> dict[str, list[str | None]]:
    """Each task's curves as SVG paths, y downwards, in thousandths of the panel; None where undefined.

    Args:
        curves: What curves.npz holds, (T, P) or (T, B) each; the reliability may be missing.

    Returns:
        "roc" and "pr"; and, where there are any, "reliability" and "reliability_calibrated" as "x,y,n", n the windows
        of neighbouring bins that were joined until five positives and five negatives are expected in them.
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
    """Labels of the axes of probabilities and where they stand, in thousandths."""
    at = _probability_at(np.array(_TICKS))
    return [(f"{tick:g}", int(place)) for tick, place in zip(_TICKS, at, strict=True)]


def _probability_at(probabilities: Floats) -> NDArray[np.int64]:
    """Thousandths of an axis of even steps in the logit; what lies beyond its ends stands at them."""
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
    """Where bins start that are joined until enough of both are expected, for fewer show chance alone.

    The last ones join those before them. What is observed has no say in it, so it favours no side.
    """
    starts, p, q = [0], 0.0, 0.0
    for i, (more, less) in enumerate(zip(positives.tolist(), negatives.tolist(), strict=True)):
        if min(p, q) >= LEAST_EXPECTED:
            starts.append(i)
            p = q = 0.0
        p, q = p + more, q + less
    return starts[:-1] if len(starts) > 1 and min(p, q) < LEAST_EXPECTED else starts


def path_of(x: Floats, y: Floats) -> str | None:
    """A curve as the steps of an SVG path, which take half the bytes of its points; None where undefined.

    Args:
        x: From 0 to 1, (P,); a point with NaN is left out.
        y: Likewise, upwards.
    """
    whole = np.isfinite(x) & np.isfinite(y)
    if not whole.any():
        return None
    line = np.column_stack([x[whole], 1 - y[whole]]).astype(np.float64) * _GRID
    kept = line[_simplified(line)].round().astype(int)
    steps = np.diff(kept, axis=0)
    (left, top), rest = kept[0], steps[steps.any(axis=1)]
    # A minus sign parts two numbers as well as a blank does.
    return re.sub(" -", "-", f"m{left} {top}l" + " ".join(f"{dx} {dy}" for dx, dy in rest.tolist())).removesuffix("l")


def _simplified(line: NDArray[np.float64], tolerance: float = 2.0) -> NDArray[np.bool_]:
    """Which points keep a line within a tolerance of itself (Ramer 1972; Douglas and Peucker 1973)."""
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
