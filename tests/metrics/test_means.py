from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from noncoder.metrics import Mean, group_means, named_means, why_undefined
from tests.metrics.cases import LAW

VALUES = arrays(np.float64, 7, elements=st.floats(0, 1) | st.just(np.nan))
COUNTS = arrays(np.int64, 7, elements=st.integers(0, 9))


def plain(values: NDArray[np.float64], weights: NDArray[np.int64]) -> float:
    defined = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[defined], weights=weights[defined])) if defined.any() else float("nan")


class TestMean:
    @LAW
    @given(VALUES, COUNTS)
    def test_weighted_is_that_over_the_defined(self, values: NDArray[np.float64], weights: NDArray[np.int64]) -> None:
        mean = Mean(weights.astype(float))
        assert mean.of(values) == pytest.approx(plain(values, weights), abs=1e-12, nan_ok=True)
        assert mean.tasks(values) == (~np.isnan(values) & (weights > 0)).sum()

    @LAW
    @given(VALUES, COUNTS)
    def test_as_the_report_took_it(self, values: NDArray[np.float64], weights: NDArray[np.int64]) -> None:
        mean = named_means(np.zeros(7), weights, 1)["weighted_as_report"]
        if not (~np.isnan(values) & (weights > 0)).any():
            assert np.isnan(mean.of(values))
            return
        assert mean.of(values) == pytest.approx(np.sum(np.nan_to_num(values) * (weights / weights.sum())), abs=1e-12)
        assert mean.of(values) <= plain(values, weights) + 1e-12

    @LAW
    @given(arrays(np.float64, (5, 7), elements=st.floats(0, 1) | st.just(np.nan)), COUNTS)
    def test_of_many_rows_is_that_of_each(self, rows: NDArray[np.float64], weights: NDArray[np.int64]) -> None:
        for rule in ("left out", "zero"):
            mean = Mean(weights.astype(float), rule)
            np.testing.assert_allclose(mean.of(rows), [mean.of(row) for row in rows], atol=1e-12)

    def test_each_says_what_it_is_over(self) -> None:
        values = np.array([0.5, 0.7, np.nan, 0.9])
        means = named_means([100, 5, 0, 40], [10, 30, 60, 0], 30)
        assert {name: mean.tasks(values) for name, mean in means.items()} == {
            "mean": 3, "mean_min_positives": 2, "weighted": 2, "weighted_as_report": 2,
        }  # fmt: skip
        found = {name: float(mean.of(values)) for name, mean in means.items()}
        assert found == pytest.approx(
            {"mean": 0.7, "mean_min_positives": 0.7, "weighted": 0.65, "weighted_as_report": 0.26}
        )

    def test_groups(self) -> None:
        means = group_means({"TF": [0, 2], "DNase": [1]}, 4)
        values = [0.5, 0.7, np.nan, 0.9]
        assert {name: (float(mean.of(values)), mean.tasks(values)) for name, mean in means.items()} == {
            "TF": (0.5, 1), "DNase": (0.7, 1),
        }  # fmt: skip

    def test_why_a_task_is_in_none(self) -> None:
        assert why_undefined([0, 0, 3, 2], [0, 9, 3, 9]) == ["no known label", "no positive", "no negative", ""]
