"""The statistics of a store for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from noncoder.data.info import SPLITS


def explore_text(stats: Mapping[str, Any]) -> str:
    """Returns a summary of the statistics for the terminal, at most about twenty lines.

    Args:
        stats: Result of `explore`.
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
    few = stats["few_positives"]
    for split in SPLITS:
        if few["tasks"][split] and stats["splits"][split]["windows"]:
            lines.append(f"fewer than {few['min_positives']} positives in {split}: {_some(few['tasks'][split])}")
    if stats["unknown"]:
        lines.append(f"unknown labels: {stats['unknown']['labels']:,} ({_percent(stats['unknown']['share'])})")
    pairs = stats["cooccurrence"]["pairs"] if stats["cooccurrence"] else []
    if pairs:
        alike = ", ".join(f"{' and '.join(pair['tasks'])} {pair['jaccard']:.2f}" for pair in pairs[:3])
        lines.append(f"tasks most alike (Jaccard index): {alike}")
    return "\n".join([*lines, *_sequence(stats)])


def _sequence(stats: Mapping[str, Any]) -> list[str]:
    """Returns lines on the windows' sequence: GC, N, and the overlap of splits."""
    present = [split for split in SPLITS if stats["splits"][split]["windows"]]
    made_of, leaking = stats["composition"], stats["leakage"]["splits"]
    lines = ["GC of the windows: " + ", ".join(f"{split} {_percent(made_of[split]['gc'])}" for split in present)]
    if made_of["all"]["any_n"]:
        lines.append(
            f"windows with N: {made_of['all']['any_n']:,} ({_percent(made_of['all']['any_n_share'])}), "
            f"more than half: {made_of['all']['half_n']:,}"
        )
    if len(present) > 1 and not any(leaking[split]["any"] for split in present):
        lines.append("no window overlaps, equals or nearly equals one of another split, as far as this can be tested")
    unjudged = sum(leaking[split]["not_judged"] for split in present)
    if len(present) > 1 and unjudged:
        lines.append(f"windows too short, or with too much N, for the search of near-duplicates: {unjudged:,}")
    for split in present:
        row = leaking[split]
        if row["any"]:
            lines.append(
                f"{split} windows with a partner in another split: {row['any']:,} ({_percent(row['any_share'])}): "
                f"{row['overlapping']:,} overlap one, {row['duplicates']:,} equal one, "
                f"{row['near_duplicates']:,} nearly equal one"
            )
    return lines


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} tasks ({', '.join(names[:most])}{more})"


def _percent(share: float | None) -> str:
    if share is None:
        return "-"
    return "0%" if share == 0 else f"{share:.2%}" if share < 0.1 else f"{share:.1%}"
