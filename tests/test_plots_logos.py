"""Logos and figures of attributions hold the numbers that they were given, in few paths."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from numpy.typing import ArrayLike, NDArray

from noncoder import plots
from noncoder.errors import InputError
from noncoder.plots.logos import BASE_COLOURS, BASES, draw_logo
from noncoder.sequence.motifs import Motif

RNG = np.random.default_rng(0)
PPM = RNG.dirichlet(np.full(4, 0.3), 9).T
CODES = RNG.integers(0, 5, 300, dtype=np.uint8)
VALUES = RNG.normal(size=300) * np.exp(-(((np.arange(300) - 200) / 15) ** 2))
EFFECTS = np.where(np.arange(4)[:, None] == CODES, 0, RNG.normal(size=(4, 300)))
HITS = [plots.Hit(195, 206, "$CTCF_1$"), plots.Hit(200, 206, "_x", "-"), plots.Hit(10, 20, "far")]

FIGURES: dict[str, Callable[[], Figure]] = {
    "information": lambda: plots.plot_information_logo(PPM, "$CTCF"),
    "contribution": lambda: plots.plot_contribution_logo(EFFECTS[:, :40]),
    "contribution of nothing": lambda: plots.plot_contribution_logo(np.zeros((4, 3))),
    "window": lambda: plots.plot_window(
        CODES, VALUES, HITS, {"Grad-CAM": np.abs(VALUES), "none": np.zeros(300)}, None, (50, 250), ("chr_$1", 1000)
    ),
    "bare window": lambda: plots.plot_window(CODES, np.zeros(300)),
    "short window": lambda: plots.plot_window(CODES[:30], VALUES[:30]),
    "heat map": lambda: plots.plot_heat_map(np.stack([VALUES, -VALUES]), (50, 250)),
    "heat map of nothing": lambda: plots.plot_heat_map(np.zeros((1, 20))),
    "mutations": lambda: plots.plot_mutations(CODES, EFFECTS, None, ("chr1", 1000)),
    "untried mutations": lambda: plots.plot_mutations(CODES[:9], np.full((4, 9), np.nan)),
    "agreement": lambda: plots.plot_agreement([VALUES, VALUES**2], [VALUES, -(VALUES**2)], ("Grad-CAM", "ISM")),
    "agreement of nothing": lambda: plots.plot_agreement(np.zeros((2, 9)), np.ones((2, 9)), ("a", "b")),
}


def letters(axes: Axes) -> dict[str, list[tuple[float, float, float]]]:
    """Base to left side, lower and upper end of its letters, of a logo in axes."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for base, colour in BASE_COLOURS.items():
        for patch in axes.patches:
            if isinstance(patch, PathPatch) and patch.get_facecolor()[:3] == to_rgb(colour):
                path = patch.get_path()
                kept = path.codes != path.CLOSEPOLY
                # Every letter of a base has as many points; those that steer a curve leave its box by 5% of it.
                points = np.asarray(path.vertices)[kept].reshape(-1, POINTS[base], 2)
                found[base] = [(one[:, 0].min(), one[:, 1].min(), one[:, 1].max()) for one in points]
    return found


def drawn(heights: ArrayLike) -> dict[str, list[tuple[float, float, float]]]:
    axes = Figure().add_subplot()
    draw_logo(axes, heights)
    assert len(axes.patches) <= 4
    return letters(axes)


def points_of(base: str) -> int:
    axes = Figure().add_subplot()
    draw_logo(axes, np.eye(4)[:, [BASES.index(base)]])
    path = next(patch for patch in axes.patches if isinstance(patch, PathPatch)).get_path()
    return int(np.count_nonzero(path.codes != path.CLOSEPOLY))


POINTS = {base: points_of(base) for base in BASES}


def boxes(svg: str) -> dict[str, NDArray[np.float64]]:
    """Base to the box of each letter of an inline logo: left, top, right and bottom of where its steps lead."""
    found = {}
    for base, colour in BASE_COLOURS.items():
        paths = re.findall(rf'<path fill="var\(--c\d,{colour}\)" d="([^"]+)"', svg)
        if paths:
            found[base] = np.array([_box(letter) for letter in re.findall(r"M[^M]+", paths[0])])
    return found


def _box(letter: str) -> list[float]:
    at = start = np.zeros(2)
    corners = []
    for kind, text in re.findall(r"([MmlhvazZ])([^MmlhvazZ]*)", letter):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", text)]
        if kind == "z":
            at = start
        elif kind == "h":
            at = at + np.array([numbers[0], 0])
        elif kind == "v":
            at = at + np.array([0, numbers[0]])
        else:
            at = at * (kind != "M") + numbers[-2:]
        if kind in "Mm":
            start = at
        corners.append(at)
        if kind == "a" and numbers[3] == 1:
            # Most of an ellipse: both ends lie at the same x, so that its middle is half way between them.
            middle = (np.array(corners[-1]) + corners[-2]) / 2
            corners += [middle + np.array([0, side]) for side in (numbers[1], -numbers[1])]
    x, y = np.array(corners).T
    return [x.min(), y.min(), x.max(), y.max()]


class TestHeights:
    def test_of_information_sum_to_it(self) -> None:
        heights = plots.information_heights(PPM)
        np.testing.assert_allclose(heights.sum(axis=0), Motif("x", PPM).information)
        np.testing.assert_allclose(heights / heights.sum(axis=0), PPM)

    def test_of_a_sequence_are_at_its_bases(self) -> None:
        heights = plots.observed_heights([0, 3, 4, 1], [1.0, -2, 3, 4])
        np.testing.assert_array_equal(heights, [[1, 0, 0, 0], [0, 0, 0, 4], [0, 0, 0, 0], [0, -2, 0, 0]])

    @pytest.mark.parametrize("shape", [(3, 5), (4, 0), (4,), (5, 4)])
    def test_of_another_shape_are_refused(self, shape: tuple[int, ...]) -> None:
        for draw in (plots.information_heights, plots.logo_svg, plots.plot_contribution_logo):
            with pytest.raises(InputError, match="rows A, C, G, T"):
                draw(np.ones(shape))


class TestLogo:
    def test_stacks_what_is_positive_up_and_what_is_negative_down_the_largest_outermost(self) -> None:
        found = drawn(np.array([[1.0, 0, np.nan], [2, -1, 0], [-1, -3, 0], [-0.5, 0, 5]]))
        assert {base: [ends[1:] for ends in boxes] for base, boxes in found.items()} == {
            "A": [(0.0, 1.0)],
            "C": [pytest.approx((1, 3), abs=0.1), pytest.approx((-1, 0), abs=0.05)],
            "G": [pytest.approx((-1.5, -0.5), abs=0.05), pytest.approx((-4, -1), abs=0.15)],
            "T": [(-0.5, 0.0), (0.0, 5.0)],
        }

    def test_has_every_letter_in_its_place(self) -> None:
        found = drawn(plots.observed_heights(CODES, np.ones(300)))
        for code, base in enumerate(BASES):
            np.testing.assert_allclose([box[0] // 1 for box in found[base]], np.flatnonzero(code == CODES))

    def test_a_long_one_is_four_paths(self) -> None:
        figure = plots.plot_contribution_logo(RNG.normal(size=(4, 1000)))
        assert len(figure.axes[0].patches) == 4

    def test_below_zero_letters_hang_upside_down(self) -> None:
        axes = Figure().add_subplot()
        draw_logo(axes, np.array([[1.0, -1], [0, 0], [0, 0], [0, 0]]))
        (patch,) = axes.patches
        assert isinstance(patch, PathPatch)
        y = np.asarray(patch.get_path().vertices)[:, 1].reshape(2, -1)
        np.testing.assert_allclose(y[0], -y[1])

    def test_axes_hold_it_and_say_the_unit(self) -> None:
        axes = plots.plot_information_logo(PPM).axes[0]
        assert axes.get_ylim() == (0, 2)
        assert axes.get_ylabel() == "information, bits"
        axes = plots.plot_contribution_logo(np.array([[3.0], [2], [-1], [0]]), 7).axes[0]
        assert axes.get_ylim() == (-1, 5)
        assert axes.get_xlim() == (6.5, 7.5)
        assert "logit" in axes.get_ylabel()

    def test_colours_stay_apart_for_who_confuses_red_and_green(self) -> None:
        # Machado et al. 2009, doi:10.1109/TVCG.2009.113: full protanopia and deuteranopia, on linear RGB.
        kinds = [
            [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        ]
        linear = np.array([to_rgb(colour) for colour in BASE_COLOURS.values()]) ** 2.2
        for kind in kinds:
            seen = np.clip(linear @ np.array(kind).T, 0, 1) ** (1 / 2.2)
            apart = np.linalg.norm(seen[:, None] - seen, axis=2)
            assert apart[~np.eye(4, dtype=bool)].min() > 0.2


class TestInlineLogo:
    def test_is_a_path_a_base_with_colours_of_the_page(self) -> None:
        root = ET.fromstring(plots.logo_svg(plots.information_heights(PPM), 2, 'a "b" <c>'))
        assert [child.tag for child in root] == ["path"] * 4
        assert [child.attrib["fill"][:8] for child in root] == ["var(--c2", "var(--c0", "var(--c4", "var(--c1"]
        assert root.attrib["aria-label"] == 'a "b" <c>'

    @given(arrays(np.float64, (4, 6), elements=st.floats(-1, 1)))
    @settings(max_examples=60, deadline=None)
    def test_letters_have_their_heights_and_places(self, heights: NDArray[np.float64]) -> None:
        low, high = np.minimum(heights, 0).sum(0).min(), np.maximum(heights, 0).sum(0).max()
        if high - low < 0.1:
            return
        found = boxes(plots.logo_svg(heights))
        for row, base in enumerate(BASES):
            at = np.flatnonzero(np.abs(np.rint(heights[row] / (high - low) * 100)) >= 3)
            assert len(found.get(base, [])) == at.size
            if at.size:
                left, top, _, bottom = found[base].T
                np.testing.assert_array_equal(left // 20, at)
                assert left.min() >= 0
                np.testing.assert_allclose(bottom - top, np.abs(heights[row, at]) / (high - low) * 100, atol=2.5)
                assert top.min() >= -2
                assert bottom.max() <= 102

    def test_full_height_stands_for_what_it_is_told(self) -> None:
        heights = np.zeros((4, 1))
        heights[0] = 1
        ((_, top, _, bottom),) = boxes(plots.logo_svg(heights, 2))["A"]
        assert (top, bottom) == (50, 100)

    def test_of_nothing_has_no_letter(self) -> None:
        assert "<path" not in plots.logo_svg(np.full((4, 5), np.nan))

    def test_is_small(self) -> None:
        assert len(plots.logo_svg(plots.information_heights(RNG.dirichlet(np.full(4, 0.3), 20).T), 2)) < 3000


@pytest.mark.parametrize("name", FIGURES)
class TestEveryFigure:
    @pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
    def test_can_be_saved(self, name: str, ending: str, tmp_path: Path) -> None:
        plots.save_figure(FIGURES[name](), tmp_path / f"figure.{ending}")
        begin = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[ending]
        assert (tmp_path / f"figure.{ending}").read_bytes().startswith(begin)

    def test_is_well_formed_svg_with_ids_of_its_own(self, name: str) -> None:
        svg = plots.figure_svg(FIGURES[name](), "here", "label")
        ET.fromstring(svg)
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert all(one.startswith("here-") for one in ids)

    def test_is_the_same_text_each_time_and_leaves_settings_alone(self, name: str) -> None:
        before = dict(mpl.rcParams)
        assert plots.figure_svg(FIGURES[name]()) == plots.figure_svg(FIGURES[name]())
        assert dict(mpl.rcParams) == before


class TestWindow:
    def test_shows_the_strongest_stretch_as_letters_and_the_places_of_the_genome(self) -> None:
        figure = plots.plot_window(CODES, VALUES, place=("chr1", 1000))
        whole, zoom = figure.axes[1], figure.axes[-1]
        assert whole.get_xlim() == (1000, 1300)
        low, high = zoom.get_xlim()
        assert high - low == 100
        assert low < 1200 < high
        assert zoom.get_xlabel() == "chr1, bp"
        here = slice(int(low) - 1000, int(high) - 1000)
        heights = np.where(CODES[here] < 4, VALUES[here], 0)
        # What would be a hairline is left out.
        assert sum(map(len, letters(zoom).values())) == np.count_nonzero(np.abs(heights) > 0.008 * np.ptp(heights))

    def test_names_hits_with_their_strand(self) -> None:
        texts = [text.get_text() for axes in FIGURES["window"]().axes for text in axes.texts]
        assert texts.count(r"\$CTCF_1\$ →") == 2
        assert texts.count("x ←") == 2
        assert texts.count("far →") == 1

    def test_crowded_hits_are_marked_if_not_named(self) -> None:
        named = plots.plot_window(CODES, VALUES, [plots.Hit(100 + i, 110 + i, f"motif{i}") for i in range(20)]).axes[0]
        assert len(named.lines) == 20
        assert 3 <= len(named.texts) < 20

    def test_areas_have_the_values_as_heights(self) -> None:
        figure = plots.plot_window(CODES, VALUES, tracks={"track": np.abs(VALUES) * 7})
        for axes, values in ((figure.axes[1], VALUES), (figure.axes[2], np.abs(VALUES) * 7)):
            heights = np.zeros(300)
            for patch in axes.patches:
                if isinstance(patch, PathPatch):
                    x, y = np.asarray(patch.get_path().vertices).T
                    at = np.searchsorted(x, np.arange(300) + 0.5) - 1
                    heights += np.where(np.arange(300) < x[-1], y[np.maximum(at, 0)], 0) * (at >= 0)
            np.testing.assert_allclose(heights, values, atol=np.ptp(values) / 60)


class TestStrongest:
    def test_has_the_strong_bases_in_its_middle(self) -> None:
        values = np.zeros(500)
        values[[240, 259]] = -1, 1
        assert plots.strongest(values) == (200, 300)
        assert plots.strongest(values[::-1], 20) == (240, 260)

    def test_stays_in_the_window(self) -> None:
        assert plots.strongest([9.0, 0, 0, 0], 3) == (0, 3)
        assert plots.strongest([0, 0, 0, 9.0], 3) == (1, 4)
        assert plots.strongest([np.nan, 1.0], 100) == (0, 2)


class TestMutagenesis:
    def test_matrix_is_centred_at_zero_and_marks_the_bases(self) -> None:
        map_ = plots.plot_mutations([0, 1, 4], [[0, 2, 0], [-4, 0, 0], [0, 0, 0], [0, 0, 0]]).axes[1]
        pixels = np.asarray(map_.images[0].get_array())
        blue, orange = (np.round(255 * np.array(to_rgb(colour))) for colour in ("#0072b2", "#d55e00"))
        np.testing.assert_array_equal(pixels[1, 0], [*blue, 255])
        assert pixels[0, 1, :3].tolist() == orange.tolist()
        assert abs(int(pixels[0, 1, 3]) - 128) <= 3
        (patch,) = (patch for patch in map_.patches if isinstance(patch, PathPatch))
        centres = np.asarray(patch.get_path().vertices).reshape(2, 5, 2)[:, :4].mean(axis=1)
        np.testing.assert_allclose(centres, [[0.5, 0.5], [1.5, 1.5]])


class TestHeatMap:
    def test_keeps_the_strongest_of_positions_that_share_a_column(self) -> None:
        values = np.zeros((2, 1000))
        values[0, 500], values[1, 3] = -3, 1
        map_ = plots.plot_heat_map(values, (400, 600)).axes[1]
        pixels = np.asarray(map_.images[0].get_array())
        assert pixels.shape == (2, 250, 4)
        assert [tuple(at) for at in np.argwhere(pixels[..., 3] > 0)] == [(0, 125), (1, 0)]
        assert map_.get_xlim() == (-500, 500)
