from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noncoder.metrics import curves, rank
from tests.metrics.cases import LAW, Drawn, cases


class TestCurves:
    def test_the_corner_between_tied_negatives_and_tied_positives_is_drawn(self) -> None:
        logits, labels = np.array([[1.0], [1], [0], [0], [0]]), np.array([[0], [0], [1], [1], [1]])
        drawn = curves(logits, labels, points=60)
        assert (1, 0) in set(zip(drawn.roc_fpr[0], drawn.roc_tpr[0], strict=True))

    @LAW
    @given(cases(), st.integers(60, 200))
    def test_begin_end_and_never_turn_back(self, drawn: Drawn, points: int) -> None:
        drawn_curves, ranking = curves(*drawn, points=points), rank(*drawn)
        for task, area in enumerate(ranking.auroc):
            x, y, recall, precision = (part[task] for part in drawn_curves)
            assert x.shape == recall.shape == (points,)
            if np.isnan(area):
                assert all(np.isnan(part[task]).all() for part in drawn_curves)
                continue
            assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
            assert (np.diff(x) >= 0).all()
            assert (np.diff(y) >= 0).all()
            assert (np.diff(recall) >= 0).all()
            assert recall[-1] == 1
            assert ((precision >= 0) & (precision <= 1)).all()
            # Between thresholds that are a single negative apart, the drawn line cuts corners by half a step at most.
            negatives = ranking.known[task] - ranking.positives[task]
            assert abs(np.trapezoid(y, x) - area) <= 0.5 / negatives + 2 / (points // 2)
            # As there are fewer positives than points, every step of the recall is among them.
            steps = np.diff(recall.astype(np.float64), prepend=0)
            assert steps @ precision == pytest.approx(ranking.average_precision[task], abs=1e-5)

    def test_areas_on_many_windows(self) -> None:
        rng = np.random.default_rng(1)
        labels = (rng.random((5_000, 2)) < [0.3, 0.02]).astype(np.uint8)
        logits = (rng.normal(size=labels.shape) + 1.5 * labels).astype(np.float32)
        drawn, ranking = curves(logits, labels, points=120), rank(logits, labels)
        for task in range(2):
            area = np.trapezoid(drawn.roc_tpr[task], drawn.roc_fpr[task])
            assert area == pytest.approx(ranking.auroc[task], abs=0.01)
            steps = np.diff(drawn.pr_recall[task].astype(np.float64), prepend=0)
            assert steps @ drawn.pr_precision[task] == pytest.approx(ranking.average_precision[task], abs=0.02)
