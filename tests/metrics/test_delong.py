from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import norm

from noncoder.errors import InputError, UnknownNameError
from noncoder.metrics import Columns
from noncoder.metrics.blocks import Blocks
from noncoder.metrics.delong import DeLongComparison, compare_tasks
from noncoder.metrics.multiple import adjust

LAW = settings(deadline=None, max_examples=80)

# 113 patients with an aneurysmal subarachnoid haemorrhage: whether the outcome was poor, the grade of the World
# Federation of Neurological Surgeons, and S100B in ng/ml times 100 (Turck et al., Intensive Care Med 36:107, 2010).
POOR = (
    "00001101001011001011101000000000100110110000000001100010001010011101101111000110100000010000000000001111110001000"
)
WFNS = (
    "11113254125255125225211112121134214541425511241125521251222151125214524414121421232421451154221113125225552445111"
)
S100B = [
    13, 14, 10, 4, 13, 10, 47, 16, 18, 10, 12, 10, 44, 71, 4, 8, 49, 4, 7, 33, 9, 9, 7, 11, 7, 17, 7, 11, 13, 19, 5,
    16, 41, 14, 34, 35, 48, 9, 96, 25, 50, 46, 16, 7, 43, 45, 11, 8, 9, 86, 52, 8, 6, 13, 207, 10, 14, 15, 7, 6, 77, 5,
    9, 30, 3, 9, 4, 23, 70, 9, 27, 71, 8, 26, 8, 16, 9, 13, 10, 8, 11, 33, 11, 28, 7, 10, 32, 22, 7, 5, 24, 38, 10, 15,
    8, 14, 10, 7, 4, 19, 56, 14, 58, 32, 82, 74, 15, 47, 17, 44, 15, 50, 48,
]  # fmt: skip


def column(values: Any) -> NDArray[np.float64]:
    return np.array(list(values), dtype=np.float64)[:, None]


def naive(a: NDArray[Any], b: NDArray[Any], truth: NDArray[np.bool_], of: NDArray[np.int32]) -> tuple[float, ...]:
    """Returns the difference, DeLong's and Obuchowski's variance of it as their papers write them, from all pairs."""
    m, n = truth.sum(), (~truth).sum()
    v10, v01, theta = [], [], []
    for score in (a, b):
        score = score.astype(np.float64)
        psi = np.sign(score[truth][:, None] - score[~truth]) / 2 + 0.5
        v10.append(psi.mean(axis=1))
        v01.append(psi.mean(axis=0))
        theta.append(psi.mean())
    contrast = np.array([1, -1])
    with np.errstate(invalid="ignore", divide="ignore"):
        independent = contrast @ (np.cov(v10) / m + np.cov(v01) / n) @ contrast if min(m, n) > 1 else np.nan
    names = np.unique(of)
    off = np.array(theta)[:, None]
    ten = np.array([(np.array(v10) - off)[:, of[truth] == name].sum(axis=1) for name in names])
    one = np.array([(np.array(v01) - off)[:, of[~truth] == name].sum(axis=1) for name in names])
    with_ten, with_one = np.unique(of[truth]).size, np.unique(of[~truth]).size
    if min(with_ten, with_one, names.size) < 2:
        return theta[0] - theta[1], independent, np.nan
    s10 = with_ten / ((with_ten - 1) * m) * ten.T @ ten
    s01 = with_one / ((with_one - 1) * n) * one.T @ one
    s11 = names.size / (names.size - 1) * ten.T @ one
    variance = s10 / m + s01 / n + (s11 + s11.T) / (m * n)
    return theta[0] - theta[1], independent, contrast @ variance @ contrast


@st.composite
def cases(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], Blocks]:
    n = draw(st.integers(2, 30))
    elements = draw(st.sampled_from([st.sampled_from([-1.0, 0.0, 0.5, 2.0]), st.floats(-80, 80, width=32)]))
    scores = draw(arrays(np.float32, (2, n, 1), elements=elements))
    labels, known = draw(arrays(np.bool_, (n, 1))), draw(arrays(np.bool_, (n, 1)))
    of = np.unique(draw(arrays(np.int32, n, elements=st.integers(0, 8))), return_inverse=True)[1].astype(np.int32)
    return scores[0], scores[1], labels, known, Blocks(of, 1)


class TestCompareTasks:
    def test_published_example(self) -> None:
        """Robin et al., BMC Bioinformatics 12:77 (2011): pROC's own tests give these figures for its data."""
        poor = column(POOR)
        found = compare_tasks(Columns(column(WFNS), poor), Columns(column(S100B), poor))
        np.testing.assert_allclose(found.auroc_a, 0.823678861788618, rtol=1e-12)
        np.testing.assert_allclose(found.independent.z, 2.20898359144091, rtol=1e-12)
        np.testing.assert_allclose(found.independent.p, 0.0271757822291882, rtol=1e-10)
        np.testing.assert_allclose(found.independent.low, 0.0104061769564846, rtol=1e-10)
        np.testing.assert_allclose(found.independent.high, 0.174214419249478, rtol=1e-10)
        variance = 0.00146991470882363 + 0.00266868245717244 - 2 * 0.00119615567376754
        np.testing.assert_allclose(found.independent.error**2, variance, rtol=1e-10)

    @LAW
    @given(cases())
    def test_parity_with_all_pairs(self, case: Any) -> None:
        a, b, labels, known, blocks = case
        found = compare_tasks(Columns(a, labels, known), Columns(b, labels, known), blocks)
        assert found.clustered is not None
        there = known[:, 0]
        truth = labels[there, 0]
        if truth.all() or not truth.any():
            assert np.isnan(found.difference[0])
            assert np.isnan(found.independent).all()
            return
        difference, *variances = naive(a[there, 0], b[there, 0], truth, blocks.of[there])
        np.testing.assert_allclose(found.difference, difference, rtol=0, atol=1e-12)
        for test, variance in zip((found.independent, found.clustered), variances, strict=True):
            if np.isnan(variance):
                assert np.isnan(test.p[0])
            elif variance > 1e-12:
                np.testing.assert_allclose(test.error**2, variance, rtol=1e-8)
                np.testing.assert_allclose(test.z, difference / np.sqrt(variance), rtol=1e-6, atol=1e-9)
                assert 0 <= test.p[0] <= 1
                assert test.low[0] <= difference + 1e-12
        np.testing.assert_allclose(
            found.independent.p, 2 * norm.sf(np.abs(found.independent.z)), rtol=1e-9, equal_nan=True
        )

    @LAW
    @given(cases())
    def test_the_other_way_round(self, case: Any) -> None:
        a, b, labels, known, blocks = case
        one, other = Columns(a, labels, known), Columns(b, labels, known)
        there, back = compare_tasks(one, other, blocks), compare_tasks(other, one, blocks)
        np.testing.assert_allclose(there.difference, -back.difference, rtol=0, atol=1e-14)
        np.testing.assert_allclose(there.independent.low, -back.independent.high, rtol=0, atol=1e-9)

    def test_a_window_a_block_is_delong(self) -> None:
        rng = np.random.default_rng(0)
        labels = rng.random((300, 2)) < 0.2
        a, b = (Columns(rng.normal(size=labels.shape) + labels, labels) for _ in "ab")
        found = compare_tasks(a, b, Blocks(np.arange(300, dtype=np.int32), 1))
        assert found.clustered is not None
        np.testing.assert_allclose(found.clustered.error, found.independent.error, rtol=1e-12)

    def test_a_model_with_itself(self) -> None:
        rng = np.random.default_rng(1)
        scores, labels = rng.normal(size=(90, 3)), rng.random((90, 3)) < [0.3, 0.5, 0]
        same = Columns(np.exp(scores), labels)  # another scale, the same ranking
        found = compare_tasks(Columns(scores, labels), same, Blocks(np.arange(90, dtype=np.int32) // 9, 1))
        assert found.clustered is not None
        for test in (found.independent, found.clustered):
            for values, expected in ((test.z, 0), (test.p, 1), (test.low, 0), (test.high, 0)):
                assert (values[:2] == expected).all()
                assert np.isnan(values[2])

    def test_perfect_against_upside_down_has_no_variance_to_test_with(self) -> None:
        labels = np.arange(20)[:, None] % 2 == 0
        found = compare_tasks(Columns(labels * 1.0, labels), Columns(labels * -1.0, labels))
        assert found.difference == 1
        assert np.isnan(found.independent.p)

    def test_bad_input(self) -> None:
        scores, labels = np.zeros((6, 2)), np.arange(12).reshape(6, 2) % 3 == 0
        one = Columns(scores, labels)
        with pytest.raises(InputError, match=r"\(6, 2\) of the one, \(5, 2\)"):
            compare_tasks(one, Columns(scores[:5], labels[:5]))
        with pytest.raises(InputError, match="labels of column 1 differ"):
            compare_tasks(one, Columns(scores, labels ^ [[False, True]]))
        with pytest.raises(InputError, match="known windows of column 0 differ"):
            compare_tasks(one, Columns(scores, labels, np.arange(12).reshape(6, 2) > 0))
        with pytest.raises(InputError, match="blocks of 5 windows"):
            compare_tasks(one, one, Blocks(np.zeros(5, dtype=np.int32), 1))


def null(n_blocks: int, share: float, tasks: int) -> DeLongComparison:
    """Two equally good models whose scores each have a shift in common in each block, more so of its positives."""
    rng = np.random.default_rng(0)
    shape = (n_blocks, 20, tasks)
    labels = rng.random(shape) < rng.beta(9 * share, 9 - 9 * share, (n_blocks, 1, tasks))
    common = rng.normal(size=shape) + 1.8 * labels

    def model() -> Columns:
        shift, of_positives = 0.5 * rng.normal(size=(2, n_blocks, 1, tasks))
        scores = common + shift + of_positives * labels + rng.normal(size=shape)
        return Columns(scores.reshape(-1, tasks), labels.reshape(-1, tasks))

    return compare_tasks(model(), model(), Blocks(np.repeat(np.arange(n_blocks), 20).astype(np.int32), 1))


class TestNull:
    @pytest.mark.parametrize(("n_blocks", "share"), [(50, 0.1), (200, 0.1), (200, 0.02)])
    def test_false_alarms(self, n_blocks: int, share: float) -> None:
        found = null(n_blocks, share, tasks=800)
        assert found.clustered is not None
        assert 0.025 < (found.clustered.p < 0.05).mean() < 0.07
        assert (found.independent.p < 0.05).mean() > 0.08
        assert abs(found.difference.mean()) < 0.01


class TestAdjust:
    def test_holm(self) -> None:
        np.testing.assert_allclose(adjust([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])

    def test_benjamini_hochberg(self) -> None:
        np.testing.assert_allclose(adjust([0.01, 0.04, 0.03, 0.005], "bh"), [0.02, 0.04, 0.04, 0.02])

    def test_bonferroni(self) -> None:
        np.testing.assert_allclose(adjust([0.01, 0.4, 0.03, 0.005], "bonferroni"), [0.04, 1, 0.12, 0.02])

    @LAW
    @given(arrays(np.float64, st.integers(0, 20), elements=st.floats(0, 1)))
    def test_laws(self, p: NDArray[np.float64]) -> None:
        holm, bh, bonferroni = adjust(p, "holm"), adjust(p, "bh"), adjust(p, "bonferroni")
        assert (p <= bh + 1e-15).all()
        assert (bh <= holm + 1e-15).all()
        assert (holm <= bonferroni + 1e-15).all()
        assert (bonferroni <= 1).all()
        order = np.argsort(p, kind="stable")
        assert (np.diff(holm[order]) >= 0).all()
        assert (np.diff(bh[order]) >= 0).all()
        with_gaps = np.insert(p, p.size // 2, np.nan)
        for method, expected in (("holm", holm), ("bh", bh), ("bonferroni", bonferroni)):
            found = adjust(with_gaps, method)  # type: ignore[arg-type]
            assert np.isnan(found[p.size // 2])
            assert np.array_equal(np.delete(found, p.size // 2), expected)

    def test_bad_input(self) -> None:
        with pytest.raises(UnknownNameError, match="holm"):
            adjust([0.1], "sidak")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="p-value"):
            adjust([1.1])
        assert np.isnan(adjust([np.nan, np.nan])).all()
