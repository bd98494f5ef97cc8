"""Figures of our scores beside published ones: what is named, and that no two names lie on each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from numpy.typing import NDArray

from noncoder import plots
from noncoder.plots import style

RNG = np.random.default_rng(0)
THEIRS = RNG.uniform(0.7, 0.95, 200)
NAMES = [f"cell{i}|assay|None" for i in range(200)]


def numbers(axes: Axes) -> list[Annotation]:
    return [text for text in axes.texts if isinstance(text, Annotation)]


def lists(axes: Axes) -> list[list[str]]:
    return [text.get_text().split("\n") for text in axes.texts if not isinstance(text, Annotation)]


def boxes(figure: Figure, axes: Axes) -> list[Any]:
    FigureCanvasAgg(figure).draw()
    # An annotation's own method counts its line too.
    return [Text.get_window_extent(text) for text in axes.texts if text.get_text()]


def test_the_best_and_worst_movers_are_named_with_what_they_gain() -> None:
    ours = THEIRS + 0.001 * np.sin(np.arange(200.0))
    ours[[3, 50]] += [0.04, 0.03]
    ours[[7, 60, 9]] += [-0.05, -0.04, np.nan]
    figure = plots.plot_against_published({"AUROC": (THEIRS, ours)}, NAMES, model="DanQ", top=2)
    (axes,) = figure.axes
    best, worst = lists(axes)
    assert [line.split() for line in best[1:]] == [["1", "+0.040", NAMES[3]], ["2", "+0.030", NAMES[50]]]
    assert [line.split()[2] for line in worst[1:]] == [NAMES[7], NAMES[60]]
    at = [number.xy for number in numbers(axes)]
    np.testing.assert_allclose(at, [(THEIRS[i], ours[i]) for i in (3, 50, 7, 60)])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("AUROC, DanQ", "AUROC, ours")


@pytest.mark.parametrize("spread", [0.0, 1e-4, 0.05])
@pytest.mark.parametrize("names", [NAMES, [f"MMMMMMMM-{name}-of-no-end" for name in NAMES]], ids=["short", "long"])
def test_no_name_lies_on_another(spread: float, names: list[str]) -> None:
    ours = THEIRS.copy()
    theirs = THEIRS.copy()
    for chosen, sign in ((range(5), 1), (range(5, 10), -1)):
        theirs[chosen] = 0.85 + spread * RNG.uniform(-1, 1, 5)
        ours[chosen] = theirs[chosen] + sign * 0.08
    figure = plots.plot_against_published({"AUROC": (theirs, ours)}, names, top=5)
    places = boxes(figure, figure.axes[0])
    assert len(places) == 12
    for i, one in enumerate(places):
        assert not any(one.overlaps(other) for other in places[i + 1 :])
    for number in numbers(figure.axes[0]):
        x, y = number.get_position()
        assert 0 < x < 1
        assert 0 < y < 1


@pytest.mark.parametrize(
    "scores",
    [np.full(1, np.nan), np.array([0.9]), np.array([0.9, np.nan, 0.8])],
    ids=["nothing", "one", "some"],
)
def test_few_or_equal_scores_can_be_drawn(scores: NDArray[np.float64]) -> None:
    figure = plots.plot_against_published({"AUROC": (scores, scores)}, NAMES[: scores.size], ["TF"] * scores.size)
    assert plots.figure_svg(figure)
    assert not numbers(figure.axes[0])


def test_means_are_hollow_where_they_cannot_be_compared() -> None:
    values = np.array([[0.93, 0.94], [np.nan, 0.96], [0.95, np.nan]])
    figure = plots.plot_published_means(
        ["DanQ", "BigBird", "ours"], values, ["all", "TF"], [False, False, True], [True, False, False], "mean AUROC"
    )
    drawn: dict[tuple[float, float], tuple[str, bool]] = {}
    for column, axes in enumerate(figure.axes):
        for line in axes.lines:
            if line.get_marker() == "o":
                for x, row in zip(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True):
                    assert values[int(row), column] == x
                    drawn[int(row), column] = str(line.get_color()), line.get_markerfacecolor() != "none"
    blue, orange = style.PALETTE[:2]
    assert drawn == {(0, 0): (blue, True), (0, 1): (blue, True), (1, 1): (blue, False), (2, 0): (orange, False)}
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["DanQ", "BigBird", "ours"]
    assert to_rgba(labels[2].get_color()) == to_rgba(orange)


def test_the_best_of_the_comparable_others_is_marked() -> None:
    figure = plots.plot_published_means(
        ["a", "b", "c", "ours"], [[0.8], [0.9], [0.95], [0.99]], ["all"], [0, 0, 0, 1], [1, 1, 0, 1], "mean"
    )
    (mark,) = [line for line in figure.axes[0].lines if line.get_marker() != "o"]
    assert np.asarray(mark.get_xdata()).tolist() == [0.9, 0.9]
