"""Figures of designed sequences: course of the score, predictions, and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from noncoder.plots.style import FEW_TASKS, GREY, INK, PALETTE, STYLE, add_legend, make_panels, plain_text

_BASES = "ACGT"
_COLOURS = (PALETTE[2], PALETTE[0], PALETTE[4], PALETTE[1])
_MOST = 60  # positions up to which letters are readable


@mpl.rc_context(STYLE)
def plot_design_history(
    histories: Mapping[str, tuple[ArrayLike, ArrayLike]],
    reference: Mapping[str, float] | None = None,
    label: str = "score",
) -> Figure:
    """The best score so far by number of evaluations: mean over the sequences, and their range as a band.

    Args:
        histories: Evaluations per sequence (H,) and best scores (H, R) by name, such as a method.
        reference: Scores that are drawn as a line, by name, such as "99.9% of windows".
        label: Label of the score.
    """
    figure, (axes,) = make_panels(1, 1, width=6.4, height=3.6)
    for i, (name, (evaluations, best)) in enumerate(histories.items()):
        at, scores = np.asarray(evaluations, dtype=float), np.asarray(best, dtype=float)
        colour = PALETTE[i % len(PALETTE)]
        axes.fill_between(at, scores.min(axis=1), scores.max(axis=1), color=colour, alpha=0.15, linewidth=0)
        axes.plot(at, scores.mean(axis=1), color=colour, label=plain_text(name))
    for name, value in (reference or {}).items():
        axes.axhline(value, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(name, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8.5)
    axes.set(xlabel="evaluations a sequence", ylabel=label)
    add_legend(axes, list(histories))
    return figure


@mpl.rc_context(STYLE)
def plot_design_predictions(
    before: ArrayLike, after: ArrayLike, names: Sequence[str], chosen: Mapping[str, str]
) -> Figure:
    """The mean logit of each task before and after, with the range over the sequences as a line.

    If there are many tasks, only the chosen ones are named; the others are dots sorted by their logit after.

    Args:
        before: Logits of the starts, (R, T).
        after: Logits of the designed sequences, (R, T).
        names: Names of the tasks, T.
        chosen: Role of chosen tasks in the design, such as "made high", by task.
    """
    first, last = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    order = np.argsort(-last.mean(axis=0), kind="stable")
    few = len(names) <= FEW_TASKS
    figure, (axes,) = make_panels(1, 1, width=6.8, height=1.2 + 0.24 * len(names) if few else 4.6)
    rows = np.arange(len(names))
    size = 5.5 if few else 3
    for values, colour, label in ((first, GREY, "before"), (last, PALETTE[0], "after")):
        shown = values[:, order]
        axes.hlines(rows, shown.min(axis=0), shown.max(axis=0), color=colour, alpha=0.5, linewidth=1.6 if few else 0.8)
        axes.plot(shown.mean(axis=0), rows, "o", color=colour, markersize=size, markeredgewidth=0, label=label)
    said = {names[i]: row for row, i in enumerate(order)}
    for name, role in chosen.items():
        axes.axhspan(said[name] - 0.5, said[name] + 0.5, color=PALETTE[1], alpha=0.15, linewidth=0)
        if not few:
            text = f"{plain_text(name)} ({role})"
            axes.annotate(text, (0.01, said[name]), xycoords=("axes fraction", "data"), va="center", fontsize=8.5)
    labels = [plain_text(names[i]) + (f" ({chosen[names[i]]})" if names[i] in chosen else "") for i in order]
    axes.set_yticks(rows if few else [], labels if few else [])
    axes.set(xlabel="logit", ylabel="" if few else f"{len(names)} tasks", ylim=(len(names) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    add_legend(axes, ["before", "after"])
    return figure


@mpl.rc_context(STYLE)
def plot_design_sequence(
    start: str,
    sequence: str,
    hits: Sequence[tuple[int, int, str]] = (),
    bin: tuple[int, int] | None = None,
    draw_logo: Callable[[Axes], None] | None = None,
) -> Figure:
    """Differences between a designed sequence and its start, with motif hits; letters if they are readable.

    Args:
        start: The initial sequence, L bases.
        sequence: The designed sequence.
        hits: Start, end and name of its motif hits.
        bin: First base and end of the labelled bin.
        draw_logo: Draws on an additional panel at the top, whose x-axis is the position, such as an attribution's logo.
    """
    length = len(sequence)
    # A palindrome has hits on both strands at one position.
    places = list(dict.fromkeys(hits))
    rows = _free_rows(places)
    ratios = (1,) if draw_logo is None else (1.2, 1)
    height = 1.5 + 0.24 * max(rows, default=0) + 1.6 * (len(ratios) - 1)
    figure, panels = make_panels(len(ratios), 1, height=height, sharex=True, gridspec_kw={"height_ratios": ratios})
    if draw_logo is not None:
        draw_logo(panels[0])
    axes = panels[-1]
    if bin is not None:
        axes.axvspan(*bin, color=GREY, alpha=0.15, linewidth=0)
    for row, text in enumerate((start, sequence)):
        _draw_bases(axes, text, row)
    differs = np.flatnonzero(np.array(list(start)) != np.array(list(sequence)))
    axes.vlines(differs + 0.5, 0.38, 0.62, color=INK, linewidth=0.8)
    for (first, last, name), row in zip(places, rows, strict=True):
        at = 1.75 + 0.7 * row
        axes.plot([first, last], [at, at], color=INK, linewidth=2.4, solid_capstyle="butt")
        axes.annotate(plain_text(name, 16), ((first + last) / 2, at), ha="center", va="bottom", fontsize=7.5,
                      xytext=(0, 1.5), textcoords="offset points")  # fmt: skip
    axes.set_yticks([0, 1], ["start", "design"])
    axes.set(xlim=(0, length), ylim=(-0.5, 2.1 + 0.7 * (max(rows, default=-1) + 1) - 0.35), xlabel="position, bp")
    axes.set_title(f"{differs.size} of {length} bases changed")
    axes.grid(visible=False)
    return figure


def _draw_bases(axes: Axes, text: str, row: int) -> None:
    """Draws a sequence as coloured cells, with its letters if there are few."""
    cells = np.full((1, len(text), 4), 0.0)
    for base, colour in zip(_BASES, _COLOURS, strict=True):
        cells[0, np.array(list(text)) == base] = mpl.colors.to_rgba(colour, 0.85)
    axes.imshow(cells, extent=(0, len(text), row - 0.36, row + 0.36), aspect="auto", interpolation="nearest",
                origin="lower")  # fmt: skip
    if len(text) <= _MOST:
        for at, base in enumerate(text):
            axes.text(at + 0.5, row, base, ha="center", va="center", fontsize=8, color="white")


def _free_rows(hits: Sequence[tuple[int, int, str]], room: int = 60) -> list[int]:
    """Returns a row for each hit such that names do not overlap; hits within `room` bp get different rows."""
    ends: list[int] = []
    rows = [0] * len(hits)
    for i in sorted(range(len(hits)), key=lambda i: hits[i][0]):
        first = hits[i][0]
        row = next((row for row, end in enumerate(ends) if end + room <= first), len(ends))
        ends[row : row + 1] = [hits[i][1]]
        rows[i] = row
    return rows
