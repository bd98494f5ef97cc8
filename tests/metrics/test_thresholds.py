"""Measures at thresholds against the plain way over every distinct score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_recall_curve

from noncoder.metrics import Columns, measure_columns
from tests.metrics.cases import LAW, Drawn, cases

RECALLS = (0.1, 0.5, 0.9, 1.0)


def tasks(drawn: Drawn) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    logits, labels, known = drawn
    return [(logits[known[:, t], t], labels[known[:, t], t]) for t in range(logits.shape[1])]


def scored(truth: NDArray[Any]) -> bool:
    return bool(0 < truth.sum() < truth.size)


def report_pr_area(scores: NDArray[Any], truth: NDArray[Any]) -> float:
    """Precision and recall at every distinct score from the highest, a first point (0, 0), and trapezoids."""
    recall, precision = [0.0], [0.0]
    for threshold in np.unique(scores)[::-1]:
        called = scores >= threshold
        recall.append(truth[called].sum() / truth.sum())
        precision.append(truth[called].mean())
    return float(np.trapezoid(precision, recall))


class TestMeasures:
    @LAW
    @given(cases())
    def test_the_area_by_trapezoids_is_that_of_the_report(self, drawn: Drawn) -> None:
        found = measure_columns(Columns(*drawn)).pr_auc_trapezoid
        for area, (scores, truth) in zip(found, tasks(drawn), strict=True):
            expected = report_pr_area(scores, truth) if scored(truth) else np.nan
            assert area == pytest.approx(expected, abs=1e-12, nan_ok=True)

    @LAW
    @given(cases())
    def test_no_threshold_has_a_better_f1(self, drawn: Drawn) -> None:
        found = measure_columns(Columns(*drawn))
        for f1, logit, (scores, truth) in zip(found.best_f1, found.best_f1_logit, tasks(drawn), strict=True):
            if not scored(truth):
                assert np.isnan(f1)
                assert np.isnan(logit)
                continue
            every = {float(level): f1_score(truth, scores >= level) for level in np.unique(scores)}
            assert f1 == pytest.approx(max(every.values()), abs=1e-12)
            # It is reached at the threshold told, and at none above that.
            assert every[float(logit)] == pytest.approx(f1, abs=1e-12)
            assert all(other < f1 + 1e-12 for level, other in every.items() if level > logit)
            assert not any(other > f1 - 1e-12 for level, other in every.items() if level > logit)

    @LAW
    @given(cases())
    def test_precision_at_recall(self, drawn: Drawn) -> None:
        found = measure_columns(Columns(*drawn), RECALLS).precision_at_recall
        assert found.shape == (drawn[0].shape[1], len(RECALLS))
        for row, (scores, truth) in zip(found, tasks(drawn), strict=True):
            if not scored(truth):
                assert np.isnan(row).all()
                continue
            precision, recall, _ = precision_recall_curve(truth, scores)
            for wanted, got in zip(RECALLS, row, strict=True):
                # scikit-learn's last point, recall 0 and precision 1, stands for no threshold.
                assert got == pytest.approx(precision[:-1][recall[:-1] >= wanted - 1e-9].max(), abs=1e-12)

    def test_the_reports_area_lies_below_the_average_precision_of_a_perfect_ranking(self) -> None:
        found = measure_columns(Columns(np.array([[3.0], [2.0], [1.0], [0.0]]), np.array([[1], [1], [0], [0]])))
        assert found.average_precision.tolist() == [1.0]
        assert found.pr_auc_trapezoid.tolist() == [0.75]  # the first point (0, 0) takes half of the first step

    def test_scores_far_from_all_others(self) -> None:
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(3000, 1))
        logits[:2, 0] = 1e38, -1e38
        labels = rng.random((3000, 1)) < 0.3
        labels[:2, 0] = True
        plain = measure_columns(Columns(np.argsort(np.argsort(logits, axis=0), axis=0).astype(float), labels))
        for dtype in (np.float32, np.float64):
            assert measure_columns(Columns(logits.astype(dtype), labels)).auroc == pytest.approx(plain.auroc, abs=1e-12)

    def test_the_widest_range_there_is(self) -> None:
        largest = np.finfo(np.float64).max
        logits, labels = np.array([[-largest], [0.0], [largest], [1.0]]), np.array([[0], [1], [1], [1]])
        assert measure_columns(Columns(logits, labels)).auroc.tolist() == [1.0]

    def test_of_no_tasks(self) -> None:
        found = measure_columns(Columns(np.zeros((3, 0)), np.zeros((3, 0))))
        assert found.auroc.shape == (0,)
        assert found.precision_at_recall.shape == (0, 3)
        assert found.curves.roc_fpr.shape == (0, 120)
