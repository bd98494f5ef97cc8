"""Figures of calibration hold what they were given."""

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from noncoder import plots

NAN = float("nan")
BINS = ([0.001, 0.1, NAN, 0.5, 0.9], [0.0, 0.2, NAN, 0.5, 1.0], [1000, 100, 0, 10, 5])


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


class TestReliability:
    def test_stands_in_the_logit_and_counts_below(self) -> None:
        above, below = plots.plot_reliability({"as predicted": BINS}).axes
        x, y = (np.asarray(values) for values in above.lines[1].get_data())
        np.testing.assert_allclose(x, [logit(p) for p in (0.001, 0.1, 0.5, 0.9)])
        np.testing.assert_allclose(y[1:3], [logit(0.2), 0])
        # None and all of a bin stand at the panel's edges.
        assert (y[0], y[3]) == pytest.approx(above.get_ylim())
        np.testing.assert_allclose(np.asarray(below.lines[0].get_ydata()), [1000, 100, 10, 5])
        assert "0.1" in [label.get_text() for label in below.get_xticklabels()]

    def test_of_both_is_told_apart(self) -> None:
        above, _ = plots.plot_reliability({"as predicted": BINS, "calibrated": BINS}).axes
        colours = {line.get_color() for line in above.lines[1:]}
        assert len(colours) == 2
        legend = above.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["as predicted", "calibrated"]

    def test_of_empty_bins_is_empty(self) -> None:
        assert plots.plot_reliability({"as predicted": ([NAN], [NAN], [0])}).axes


class TestTemperatures:
    def test_are_a_dot_a_task_beside_a_line_at_one(self) -> None:
        (axes,) = plots.plot_temperatures([1.2, NAN, 0.8], ["TF", "TF", "DNase"]).axes
        dots = np.concatenate([np.asarray(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"])
        assert sorted(dots.tolist()) == [0.8, 1.2]
        assert [1, 1] in [list(np.asarray(line.get_xdata())) for line in axes.lines]


@pytest.mark.parametrize(
    "figure",
    [
        plots.plot_reliability({"as predicted": BINS, "calibrated": BINS}),
        plots.plot_temperatures([1.2, NAN, 0.8], ["TF", "$x_1$", "_y"]),
        plots.plot_differences(([0.9], [0.8]), ([0.05], [0.15]), [0.01], ("$a", "_b"), "AUROC"),
    ],
)
def test_every_figure_is_svg_with_ids_of_its_own_and_leaves_settings_alone(figure: Figure) -> None:
    before = dict(mpl.rcParams)
    svg = plots.figure_svg(figure, "here", "what")
    assert ET.fromstring(svg).attrib["aria-label"] == "what"
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(one.startswith("here-") for one in ids)
    assert dict(mpl.rcParams) == before
