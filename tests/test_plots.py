"""Figures hold the data they were given, and their SVG can stand beside others in one page."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

from noncoder import plots
from noncoder.plots import style
from noncoder.plots.training_curves import smoothed

RNG = np.random.default_rng(0)
COUNTS = RNG.integers(0, 500, 30)
GROUPS = ["DNase"] * 10 + ["TF"] * 15 + [""] * 5
SCORES = np.where(np.arange(30) == 3, np.nan, RNG.uniform(0.5, 1, 30))
LINE = np.linspace(0, 1, 50)
CURVE = plots.Curve(np.arange(50.0), 1 / (1 + LINE), np.array([10.0, 40.0]),
                    {"loss": np.array([0.9, 0.7]), "auroc": np.array([0.7, np.nan])})  # fmt: skip
FLOW = np.array([[1e-3, 0], [1e-4, np.nan], [1e-5, 1e-3]])

FIGURES: dict[str, Callable[[], Figure]] = {
    "positives": lambda: plots.plot_positives({"train": COUNTS, "valid": COUNTS // 10}, GROUPS),
    "balance": lambda: plots.plot_balance(COUNTS, 1000 - COUNTS),
    "frequency": lambda: plots.plot_frequency([0.001, 0.01, 0.1, 1], [3, 5, 0]),
    "labels": lambda: plots.plot_labels([50, 10, 4, 1]),
    "bases": lambda: plots.plot_bases({"A": 0.3, "C": 0.2, "G": 0.2, "T": 0.3, "N": 0.0}),
    "chromosomes": lambda: plots.plot_chromosomes(["I", "II"], {"train": [5, 0], "valid": [0, 0], "test": [0, 7]}),
    "gc": lambda: plots.plot_gc([0, 0.25, 0.5, 0.75, 1], {"train": [0, 6, 2, 0], "test": [0, 1, 1, 0]}),
    "cooccurrence": lambda: plots.plot_cooccurrence(np.eye(30) + 0.01, GROUPS),
    "task_chromosomes": lambda: plots.plot_task_chromosomes(["I", "II"], [COUNTS, COUNTS // 2], [900, 100]),
    "training": lambda: plots.plot_training(
        (np.arange(50), 1 / (1 + LINE)), [10, 40], {"loss": [0.9, 0.7], "auroc": [0.7, 0.8]}, "step", 1
    ),
    "throughput": lambda: plots.plot_throughput(LINE, 500 + LINE, "hours"),
    "roc": lambda: plots.plot_roc({"CTCF": (LINE, np.sqrt(LINE))}),
    "precision_recall": lambda: plots.plot_precision_recall({"CTCF": (LINE, 1 - LINE)}, {"CTCF": 0.1}),
    "history": lambda: plots.plot_history(range(5), [0.2, 0.1, 0.4, 0.3, 0.5], [1, 0, 1, 1, 0], "score"),
    "trial_curves": lambda: plots.plot_trial_curves(
        [([1, 2], [0.1, 0.3]), ([1], [0.1]), ([1, 2], [0.2, 0.4])], [1, 0, 1], 2, "score"
    ),
    "importance": lambda: plots.plot_importance(["train.learning_rate", "train.shift"], [0.8, 0.2]),
    "slices": lambda: plots.plot_slices(
        {"a": [0.1, 1, 0.01, None], "b": ["x", "y", "y", "y"], "c": [1, 2, 3, 4], "d": [True, False, True, True]},
        [0.1, 0.4, 0.3, 0.2],
        [1, 1, 1, 0],
        "score",
        {"b", "d"},
        {"a"},
    ),
    "distribution": lambda: plots.plot_distribution({"AUROC": SCORES, "average precision": SCORES / 2}, GROUPS),
    "auroc_by_positives": lambda: plots.plot_auroc_by_positives(COUNTS, SCORES, GROUPS),
    "against_published": lambda: plots.plot_against_published(
        {"AUROC": (SCORES[::-1], SCORES), "PR AUC": (SCORES, SCORES)}, [f"$task_{i}" for i in range(30)], GROUPS, "DanQ"
    ),
    "published_means": lambda: plots.plot_published_means(
        ["DanQ", "BigBird", "_ours"],
        [[0.9, 0.8], [np.nan, 0.9], [0.91, np.nan]],
        ["all", "TF"],
        [False, False, True],
        [True, False, True],
        "mean AUROC",
    ),
    "comparison": lambda: plots.plot_comparison({"$x": CURVE, "_y": CURVE}, "steps"),
    "efficiency": lambda: plots.plot_efficiency(
        {"passes": {"a": CURVE, "b": CURVE}, "hours": {"a": CURVE, "b": CURVE}}
    ),
    "learning_rate": lambda: plots.plot_learning_rate(np.arange(50), LINE, "steps"),
    "rate_test": lambda: plots.plot_rate_test(10**-LINE, 1 + LINE, 1 + LINE, {"steepest": 0.3}, 2.0),
    "gradient_flow": lambda: plots.plot_gradient_flow(["a.weight", "b.weight"], [1, 100, 1000], *[FLOW] * 4),
}


def bars(figure: Figure) -> NDArray[Any]:
    return np.array([bar.get_height() for box in figure.axes[0].containers for bar in cast(BarContainer, box)])


@pytest.mark.parametrize("name", FIGURES)
class TestEveryFigure:
    def test_can_be_saved(self, name: str, tmp_path: Path) -> None:
        plots.save_figure(FIGURES[name](), tmp_path / "figure.png")
        assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")

    def test_is_well_formed_svg_with_ids_of_its_own(self, name: str) -> None:
        svg = plots.figure_svg(FIGURES[name](), "here", 'a "label" & more')
        root = ET.fromstring(svg)
        assert root.attrib["aria-label"] == 'a "label" & more'
        assert "width" not in root.attrib
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert all(one.startswith("here-") for one in ids)
        assert set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', svg)) == set(ids)
        assert set(re.findall(r'class="([^"]+)"', svg)) <= set(re.findall(r"\.(here-s\d+)\{", svg))
        assert "http" not in svg

    def test_is_the_same_text_each_time(self, name: str) -> None:
        assert plots.figure_svg(FIGURES[name]()) == plots.figure_svg(FIGURES[name]())

    def test_leaves_the_settings_of_others_alone(self, name: str) -> None:
        before = dict(mpl.rcParams)
        plots.figure_svg(FIGURES[name]())
        assert dict(mpl.rcParams) == before


def test_different_figures_have_different_ids() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', plots.figure_svg(make()))) for make in FIGURES.values()]
    assert sum(map(len, ids)) == len(set().union(*ids)) > 0


def test_positives_of_many_tasks_are_one_outline_a_group() -> None:
    counts = RNG.integers(0, 9, 300)
    figure = plots.plot_positives({"train": counts, "valid": counts}, [f"g{i % 3}" for i in range(300)])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["train", "valid"]
    steps = [patch for patch in figure.axes[0].patches if isinstance(patch, StepPatch)]
    assert len(steps) == 3
    assert np.nansum([patch.get_data()[0] for patch in steps], axis=0).tolist() == counts.tolist()


def test_positives_of_few_tasks_are_bars_with_names() -> None:
    figure = plots.plot_positives({"train": [4, 0, 7]}, ["a", "b", "a"], ["one", "two", "three"])
    heights = bars(figure).reshape(2, 3)
    assert np.nansum(heights, axis=0).tolist() == [4, 0, 7]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["one", "two", "three"]


def test_history_shows_the_best_finished_trial_so_far() -> None:
    for lower, best in ((False, [0.2, 0.4, 0.4, 0.4]), (True, [0.2, 0.2, 0.2, 0.2])):
        axes = plots.plot_history(range(5), [0.2, 0.1, 0.4, 0.3, 0.5], [1, 0, 1, 1, 0], "score", lower).axes[0]
        given_up, finished, line = axes.lines
        assert np.asarray(given_up.get_xdata()).tolist() == [1, 4]
        assert np.asarray(finished.get_ydata()).tolist() == [0.2, 0.4, 0.3]
        assert np.asarray(line.get_xdata()).tolist() == [0, 2, 3, 4]
        assert np.asarray(line.get_ydata()).tolist() == best


def test_slices_leave_out_what_a_trial_had_no_value_of() -> None:
    a, b, c, d = FIGURES["slices"]().axes[:4]
    assert a.get_xscale() == "log"
    assert np.asarray(a.lines[0].get_xdata()).size == 0  # the trial that was given up had no value of it
    assert np.asarray(a.lines[1].get_xdata()).tolist() == [0.1, 1, 0.01]
    assert [label.get_text() for label in b.get_xticklabels()] == ["x", "y"]
    assert np.round(np.asarray(b.lines[1].get_xdata())).tolist() == [0, 1, 1]
    assert np.asarray(c.lines[0].get_xdata()).tolist() == [4]
    assert [label.get_text() for label in d.get_xticklabels()] == ["False", "True"]


def test_balance_is_sorted_by_positives() -> None:
    axes = FIGURES["balance"]().axes[0]
    negative, positive = (np.asarray(line.get_ydata()) for line in axes.lines)
    assert axes.get_yscale() == "log"
    assert positive[~np.isnan(positive)].tolist() == sorted(COUNTS[COUNTS > 0], reverse=True)
    assert np.nan_to_num(positive + negative)[: (COUNTS > 0).sum()].tolist() == [1000] * int((COUNTS > 0).sum())


def test_logarithmic_axes_say_plain_numbers() -> None:
    for figure in (plots.plot_balance([150, 180, 200], [900, 950, 800]), plots.plot_balance([1, 2], [10**6] * 2)):
        svg = plots.figure_svg(figure)
        assert "10^" not in svg
        assert "×" not in svg
        assert ">1k<" in re.sub(r"\s", "", svg)


def test_frequency_keeps_the_rare_line_in_sight() -> None:
    for edges in ([0.06, 0.08, 1], [0.0001, 0.001, 0.002]):
        low, high = plots.plot_frequency(edges, [1, 1]).axes[0].get_xlim()
        assert low < 0.05 < high


def test_frequency_has_a_bar_an_interval() -> None:
    assert bars(FIGURES["frequency"]()).tolist() == [3, 5, 0]


@pytest.mark.parametrize("windows", [[7], [50, 10, 4, 1], [0, 0, 3], np.arange(1000, 0, -1).tolist()])
def test_labels_count_every_window(windows: list[int]) -> None:
    heights = bars(plots.plot_labels(windows, most_bars=20))
    assert heights.sum() == sum(windows)
    assert heights[0] == windows[0]
    assert heights.size <= 22


def test_chromosomes_are_stacked_by_split() -> None:
    assert bars(FIGURES["chromosomes"]()).tolist() == [5, 0, 0, 0, 0, 7]


def test_gc_is_drawn_as_a_share_of_each_split() -> None:
    steps = [patch for patch in FIGURES["gc"]().axes[0].patches if isinstance(patch, StepPatch)]
    assert [patch.get_data()[0].tolist() for patch in steps] == [[0, 0.75, 0.25, 0], [0, 0.5, 0.5, 0]]


def pixels(figure: Figure) -> NDArray[Any]:
    """The colours of a heat map, red, green, blue and how much they cover."""
    return np.asarray(figure.axes[0].images[0].get_array())


def test_cooccurrence_covers_more_where_tasks_are_more_alike() -> None:
    covered = pixels(plots.plot_cooccurrence([[1, 0.2, 0], [0.2, 1, 0.05], [0, 0.05, 1]]))[..., 3]
    assert (covered == covered.T).all()
    assert covered[0, 2] == 0 < covered[1, 2] < covered[0, 1]
    assert set(np.diag(covered).tolist()) == {255}


@pytest.mark.parametrize("n", [1, 2])
def test_cooccurrence_of_few_tasks_can_be_drawn(n: int) -> None:
    assert "Jaccard" in plots.figure_svg(plots.plot_cooccurrence(np.eye(n), ["TF"] * n))


def test_task_chromosomes_tell_more_from_fewer() -> None:
    shown = pixels(plots.plot_task_chromosomes(["I", "II"], [[90, 50, 10], [10, 50, 90]], [500, 500]))
    assert (shown[0, 0] == shown[1, 2]).all()
    assert (shown[0, 2] == shown[1, 0]).all()
    assert shown[0, 0, 0] > shown[0, 2, 0]  # orange has more red than blue
    assert shown[0, 1, 3] == 0


def test_training_shows_the_validations_and_the_kept_weights() -> None:
    figure = FIGURES["training"]()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "AUROC"]
    _, valid, kept = figure.axes[0].lines
    assert np.asarray(valid.get_ydata()).tolist() == [0.9, 0.7]
    assert (np.asarray(kept.get_xdata()).tolist(), np.asarray(kept.get_ydata()).tolist()) == ([40], [0.7])


@pytest.mark.parametrize("n", [0, 1])
def test_training_that_has_just_begun_can_be_drawn(n: int) -> None:
    figure = plots.plot_training((np.ones(n), np.ones(n)), np.ones(n), {"loss": np.full(n, np.nan)}, "step")
    assert "step" in plots.figure_svg(figure)


def test_long_curves_are_averaged_in_blocks() -> None:
    x, y = style.thin(np.arange(1001.0), np.append(np.ones(1000), np.nan))
    assert 150 <= x.size <= 300
    assert y.tolist() == [1.0] * y.size
    assert x.mean() == pytest.approx(499.5)


def test_undefined_tasks_are_left_out_of_the_dots() -> None:
    for name in ("distribution", "auroc_by_positives"):
        axes = FIGURES[name]().axes[0]
        dots = np.concatenate([np.asarray(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"])
        expected = np.isfinite(SCORES) if name == "distribution" else np.isfinite(SCORES) & (COUNTS > 0)
        assert dots.size == expected.sum()


def test_the_median_is_marked() -> None:
    axes = FIGURES["distribution"]().axes[0]
    marks = [float(np.asarray(line.get_xdata())[0]) for line in axes.lines if line.get_marker() != "o"]
    assert marks == pytest.approx([np.nanmedian(SCORES[:10]), np.median(SCORES[10:25]), np.median(SCORES[25:])])


def test_groups_beyond_the_palette_share_grey() -> None:
    coloured = style.coloured([f"g{i % 9}" for i in range(90)], 90)
    assert len(coloured) == 6
    assert coloured["other"][1] == style.GREY
    assert sum(members.sum() for members, _ in coloured.values()) == 90


@pytest.mark.parametrize("name", ["$x^2$", "_hidden", "<script>", "a & b", "x" * 90])
def test_odd_names_are_shown_as_they_are(name: str) -> None:
    svg = plots.figure_svg(plots.plot_roc({name: (LINE, LINE)}))
    texts = ["".join(text.itertext()).strip() for text in ET.fromstring(svg).iter("text")]
    shown = name.removeprefix("_") if len(name) <= 32 else name[:31] + "…"
    assert shown in texts


def test_numbers_that_are_text_are_not_rounded() -> None:
    figure = plots.plot_throughput([0, 1], [1, 2], "0.123456 hours")
    assert "0.123456 hours" in plots.figure_svg(figure)


def test_a_thousand_dots_stay_small() -> None:
    figure = plots.plot_auroc_by_positives(np.arange(1, 1001), np.linspace(0.5, 1, 1000))
    assert len(plots.figure_svg(figure)) < 90_000


def test_smoothing_is_a_centred_running_mean() -> None:
    values = RNG.normal(size=200)
    smooth = smoothed(values)
    assert smooth[100] == pytest.approx(values[95:106].mean())
    assert smooth[0] == pytest.approx(values[:6].mean())
    assert smoothed([3.0, np.nan, 1.0]).tolist()[::2] == [3.0, 1.0]
    assert smoothed([]).size == 0


def test_efficiency_shows_loss_against_both_and_cuts_what_is_far_above() -> None:
    loss = np.array([9.0, 0.5, 0.45, 0.42, 0.41, 0.4, 0.4, 0.39, 0.39, 0.38, 0.38])
    curve = plots.Curve(np.arange(100.0), np.full(100, 0.4), np.arange(11.0), {"loss": loss})
    figure = plots.plot_efficiency(
        {"passes": {"a": curve}, "hours": {"a": curve._replace(valid_at=curve.valid_at / 2)}}
    )
    assert [axes.get_xlabel() for axes in figure.axes] == ["passes", "hours"]
    for axes, last in zip(figure.axes, (10, 5), strict=True):
        low, high = axes.get_ylim()
        assert low < 0.38 < 0.5 < high < 2
        training, validation, above = axes.lines
        assert np.asarray(validation.get_xdata())[-1] == last
        assert np.asarray(validation.get_ydata()).tolist() == loss.tolist()
        assert np.asarray(above.get_xdata()).tolist() == [0]  # a mark stands for the point that is cut off
        assert np.ptp(np.asarray(training.get_ydata())) < 1e-12


def test_gradient_flow_leaves_zeros_out_of_its_logarithms() -> None:
    bars, *lines, _ = FIGURES["gradient_flow"]().axes
    assert "step 1,000" in bars.get_title(loc="left")
    assert [label.get_text() for label in bars.get_xticklabels()] == ["a", "b"]
    for axes in lines:
        assert len(axes.lines) == 2
        assert np.isnan(np.asarray(axes.lines[1].get_ydata())).tolist() == [True, True, False]
