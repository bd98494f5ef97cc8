"""Curves keep their shape in few bytes, and dots of reliability stand for enough windows."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from noncoder.report.curves import LEAST_EXPECTED, embedded_curves, path_of, probability_ticks


def points_of(path: str) -> NDArray[np.float64]:
    """Where a path of relative steps goes, (2, P)."""
    head, _, steps = path.removeprefix("m").partition("l")
    numbers = [float(number) for number in re.findall(r"-?\d+", f"{head} {steps}")]
    return np.cumsum(np.array(numbers).reshape(-1, 2), axis=0).T


class TestPaths:
    def test_stay_within_a_pixel_of_the_curve(self) -> None:
        x = np.sort(np.random.default_rng(0).random(400)).astype(np.float32)
        y = np.sqrt(x)
        path = path_of(x, y)
        assert path is not None
        px, py = points_of(path)
        assert np.abs(np.interp(1000 * x, px, py) - 1000 * (1 - y)).max() < 8
        assert px.size < 80

    @given(arrays(np.float64, st.integers(2, 60), elements=st.floats(0, 1)), st.integers(0, 9))
    def test_start_and_end_where_the_curve_does(self, y: NDArray[np.float64], seed: int) -> None:
        x = np.sort(np.random.default_rng(seed).random(y.size))
        path = path_of(x, y)
        assert path is not None
        walked = points_of(path)
        ends = np.array([x, 1 - y])[:, [0, -1]] * 1000
        assert np.abs(walked[:, [0, -1]] - ends).max() <= 0.5

    def test_keep_corners(self) -> None:
        path = path_of(np.array([0, 0, 0.5, 0.5, 1]), np.array([0, 0.5, 0.5, 1, 1]))
        assert path == "m0 1000l0-500 500 0 0-500 500 0"

    def test_skip_what_is_undefined(self) -> None:
        assert path_of(np.array([np.nan, np.nan]), np.array([0.0, 1.0])) is None
        assert path_of(np.array([0, np.nan, 1]), np.array([0, 0, 1.0])) == "m0 1000l1000-1000"

    def test_of_one_point_have_no_step(self) -> None:
        assert path_of(np.array([0.5, 0.5]), np.array([1.0, 1.0])) == "m500 0"


def dots(predicted: list[float], observed: list[float], count: list[float]) -> list[list[int]]:
    line = np.zeros((1, 2))
    bins = {"predicted": predicted, "observed": observed, "count": count}
    found = embedded_curves(
        dict.fromkeys(("roc_fpr", "roc_tpr", "pr_recall", "pr_precision"), line)
        | {f"reliability_{name}": np.array([values], dtype=float) for name, values in bins.items()}
    )["reliability"][0]
    return [] if found is None else [[int(number) for number in dot.split(",")] for dot in found.split(" ")]


def place(probability: float) -> float:
    ticks = dict(probability_ticks())
    low, high = np.log(0.001 / 0.999), np.log(0.9 / 0.1)
    share = (np.log(probability / (1 - probability)) - low) / (high - low)
    return float(ticks["0.001"] + share * (ticks["0.9"] - ticks["0.001"]))


class TestReliability:
    def test_axes_have_even_steps_in_the_logit(self) -> None:
        ticks = dict(probability_ticks())
        assert ticks["0.9"] - ticks["0.5"] == pytest.approx(ticks["0.5"] - ticks["0.1"], abs=1)

    def test_a_dot_stands_where_its_bin_is(self) -> None:
        ((x, y, n),) = dots([0.1], [0.5], [1000])
        assert x == pytest.approx(place(0.1), abs=1)
        assert 1000 - y == pytest.approx(place(0.5), abs=1)
        assert n == 1000

    def test_bins_with_few_expected_positives_are_joined_by_their_windows(self) -> None:
        # 1, 3, 2 and 40 positives are expected; the first three are joined.
        found = dots([0.001, 0.003, 0.004, 0.4], [0.0, 0.004, 0.002, 0.5], [1000, 1000, 500, 100])
        assert [n for _, _, n in found] == [2500, 100]
        assert found[0][0] == pytest.approx(place(6 / 2500), abs=1)
        assert 1000 - found[0][1] == pytest.approx(place(5 / 2500), abs=1)

    def test_the_last_bins_join_those_before_them(self) -> None:
        # Of the last bin half a negative is expected.
        assert [n for _, _, n in dots([0.3, 0.95], [0.3, 1.0], [100, 10])] == [110]

    def test_nothing_where_there_is_nothing(self) -> None:
        assert dots([np.nan], [np.nan], [0]) == []

    def test_a_share_of_none_stands_at_the_edge(self) -> None:
        assert dots([0.2], [0.0], [100])[0][1] == 1000

    @given(
        st.lists(st.tuples(st.floats(1e-6, 1 - 1e-6), st.floats(0, 1), st.integers(0, 10_000)), min_size=1, max_size=30)
    )
    def test_every_window_is_in_one_dot(self, bins: list[tuple[float, float, int]]) -> None:
        predicted, observed, count = (list(column) for column in zip(*sorted(bins), strict=True))
        found = dots(predicted, observed, [float(n) for n in count])
        assert sum(n for _, _, n in found) == sum(count)
        if len(found) > 1:
            assert min(n for _, _, n in found) >= 2 * LEAST_EXPECTED
