"""The statistics of a store for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from noncoder.data.info import SPLITS


def explore_text(stats: Mapping[str, Any]) -> str:
    """A summary of the statistics for the terminal, a dozen lines at most.

    Args:
        stats: What `explore` returned.
    """
    about = stats["store"]
    shares = [share for share in stats["frequency"]["all"] if share is not None]
    bases = " ".join(f"{base} {_percent(share)}" for base, share in stats["bases"]["shares"].items())
    lines = [
        f"{about['name']}: {about['windows']:,} windows of {about['window']:,} bp, {about['tasks']:,} tasks",
        f"bases: {about['bases']:,} ({bases})",
        f"{'split':<7}{'windows':>12}{'positives':>14}{'of labels':>11}{'no positive':>13}",
    ]
    for split in SPLITS:
        row = stats["splits"][split]
        lines.append(
            f"{split:<7}{row['windows']:>12,}{row['positives']:>14,}"
            f"{_percent(row['positive_share']):>11}{_percent(row['all_negative_share']):>13}"
        )
    if shares:
        low, middle, high = (_percent(float(share)) for share in np.quantile(shares, [0, 0.5, 1]))
        lines.append(f"tasks: median {middle} positive ({low} to {high}), {stats['under_5_percent']['all']} under 5%")
    for split, lacking in stats["no_positive"].items():
        if lacking and split != "all" and stats["splits"][split]["windows"]:
            lines.append(f"no positive in {split}: {_some(lacking)}")
    if stats["unknown"]:
        lines.append(f"unknown labels: {stats['unknown']['labels']:,} ({_percent(stats['unknown']['share'])})")
    return "\n".join(lines)


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} tasks ({', '.join(names[:most])}{more})"


def _percent(share: float | None) -> str:
    if share is None:
        return "-"
    return "0%" if share == 0 else f"{share:.2%}" if share < 0.1 else f"{share:.1%}"
