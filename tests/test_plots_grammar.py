"""Figures of grammar and design hold what they were given."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from noncoder import plots

RNG = np.random.default_rng(0)
MEAN = RNG.normal(0, 2, 12)
EFFECTS = (MEAN, MEAN - 0.5, MEAN + 0.5)
NONE = (MEAN, np.full(12, np.nan), np.full(12, np.nan))
STRANDS = dict.fromkeys(("++", "+-", "-+", "--"), EFFECTS)
NAMES = [f"task_{i}$" for i in range(12)]
BEST = np.maximum.accumulate(RNG.normal(0, 3, (9, 4)), axis=0)
LOGITS = RNG.normal(-3, 2, (4, 12))
START, DESIGN = "ACGTNACGTACGTACGTACG", "ACGTNACGTATGTACGTAAG"

FIGURES: dict[str, Callable[[], Figure]] = {
    "marginal": lambda: plots.plot_marginal(NAMES, EFFECTS, [RNG.normal(0, 2, 30)] * 12),
    "marginal_single_unit": lambda: plots.plot_marginal(NAMES, NONE),
    "positions": lambda: plots.plot_position_scan(
        {f"m{i}": (np.arange(12) * 9, EFFECTS) for i in range(8)}, 120, (40, 80)
    ),
    "spacing": lambda: plots.plot_spacing(np.arange(12), STRANDS, STRANDS, ("GATA3", "SPI1"), 5),
    "kmers": lambda: plots.plot_kmers([f"ACGT{i}" for i in range(12)], EFFECTS, most=5, screened=2080),
    "history": lambda: plots.plot_design_history({"guided": (np.arange(9), BEST)}, {"99.9% of windows": 3.0}, "logit"),
    "predictions": lambda: plots.plot_design_predictions(LOGITS, LOGITS + 3, NAMES, {NAMES[2]: "made high"}),
    "many_predictions": lambda: plots.plot_design_predictions(
        np.tile(LOGITS, 10), np.tile(LOGITS, 10) + 3, [f"t{i}" for i in range(120)], {"t7": "made high"}
    ),
    "sequence": lambda: plots.plot_design_sequence(START, DESIGN, [(2, 8, "A"), (5, 9, "B"), (5, 9, "B")], (5, 15)),
    "long_sequence": lambda: plots.plot_design_sequence(START * 20, DESIGN * 20),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_is_drawn_and_fits_into_a_page(name: str, tmp_path: Path) -> None:
    figure = FIGURES[name]()
    ET.fromstring(plots.figure_svg(figure, label=name))
    plots.save_figure(figure, tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").stat().st_size > 1000


def texts(axes: Axes) -> set[str]:
    return {text.get_text() for text in axes.texts}


def test_marginal_has_its_intervals() -> None:
    (axes,) = FIGURES["marginal"]().axes
    (intervals,) = [part for part in axes.collections if isinstance(part, LineCollection)]
    ends = np.array([segment[:, 0] for segment in map(np.asarray, intervals.get_segments())])
    assert np.allclose(ends, np.stack(EFFECTS[1:], axis=1))


def test_spacing_tells_orientations_apart() -> None:
    figure = FIGURES["spacing"]()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["GATA3→  SPI1→", "GATA3→  ←SPI1", "←GATA3  SPI1→", "←GATA3  ←SPI1"]


def test_kmers_show_the_first() -> None:
    (axes,) = FIGURES["kmers"]().axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"ACGT{i}" for i in range(5)]
    assert "of 2,080 k-mers" in axes.get_title(loc="left")


def test_sequence_counts_what_changed() -> None:
    (axes,) = FIGURES["sequence"]().axes
    assert axes.get_title(loc="left") == "2 of 20 bases changed"
    assert {"A", "B"} < texts(axes)
    assert len([text for text in axes.texts if text.get_text() == "N"]) == 2


def test_place_for_a_logo() -> None:
    drawn: list[Axes] = []
    figure = plots.plot_design_sequence(START, DESIGN, draw_logo=drawn.append)
    assert drawn == [figure.axes[0]]
    assert len(figure.axes) == 2
