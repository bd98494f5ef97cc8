from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from noncoder.errors import InputError
from noncoder.metrics import Columns, Mean, rank
from noncoder.metrics.blocks import Blocks, genome_blocks, resample_weights
from noncoder.metrics.resampling import reweighted
from noncoder.metrics.uncertainty import (
    BootstrapDraws,
    Resampled,
    bootstrap,
    difference,
    freedom_of,
    interval,
    p_value,
)

LAW = settings(deadline=None, max_examples=60)


def blocks_of(of: Any) -> Blocks:
    return Blocks(np.unique(np.asarray(of), return_inverse=True)[1].astype(np.int32), 1)


def simulate(
    n_blocks: int, size: int, share: float, effect: float, tasks: int, seed: int = 0
) -> tuple[Columns, Blocks, tuple[float, float]]:
    """Windows whose labels and scores have a part in common in each block; and the population's measures.

    A block's share of positives is beta distributed, its scores are shifted by a standard normal deviate, and positives
    score higher by the effect: a binormal ROC curve.
    """
    rng = np.random.default_rng(seed)
    rates = rng.beta(share * 9, (1 - share) * 9, (n_blocks, 1, tasks))
    labels = rng.random((n_blocks, size, tasks)) < rates
    scores = rng.normal(size=labels.shape) + rng.normal(size=rates.shape) + effect * labels
    apart, grid = effect / np.sqrt(2), np.linspace(-9, 9, 20_001)
    called = share * norm.sf(grid) / (share * norm.sf(grid) + (1 - share) * norm.sf(grid + apart))
    truth = float(norm.cdf(effect / 2)), float(np.trapezoid(called * norm.pdf(grid), grid))
    flat = (n_blocks * size, tasks)
    columns = Columns(scores.reshape(flat).astype(np.float32), labels.reshape(flat))
    return columns, blocks_of(np.repeat(np.arange(n_blocks), size)), truth


def coverage(draws: BootstrapDraws, truth: float) -> float:
    found = interval(draws)
    return float(((found.low <= truth) & (truth <= found.high)).mean())


class TestBlocks:
    @LAW
    @given(arrays(np.int64, st.integers(1, 50), elements=st.integers(-50, 5_000)), st.integers(1, 300))
    def test_windows_share_a_block_where_they_start_in_one_stretch(self, start: NDArray[np.int64], length: int) -> None:
        blocks = genome_blocks(start, 10, length)
        same = start[:, None] // length == start // length
        assert np.array_equal(blocks.of[:, None] == blocks.of, same)
        assert np.array_equal(np.unique(blocks.of), np.arange(blocks.n))
        assert blocks.of.dtype == np.int32

    def test_the_length_is_halved_until_there_are_enough(self) -> None:
        assert genome_blocks(np.arange(0, 300_000_000, 1000), 1000).length == 1_000_000
        short = genome_blocks(np.arange(0, 12_000_000, 200), 1000)
        assert short.length == 31_250
        assert short.n == 384
        assert genome_blocks(np.arange(0, 100_000, 200), 1000).length == 15_625  # ten windows' widths and no less
        assert genome_blocks([0, 5], 300_000).length == 3_000_000

    @pytest.mark.parametrize(("start", "window", "length"), [([], 10, 5), ([[1]], 10, 5), ([1], 0, 5), ([1], 1, 0)])
    def test_bad_input(self, start: Any, window: int, length: int) -> None:
        with pytest.raises(InputError):
            genome_blocks(start, window, length)

    def test_as_many_are_drawn_as_there_are_and_evenly(self) -> None:
        weights = resample_weights(40, 2_000, seed=3)
        assert (weights.sum(axis=1) == 40).all()
        assert (weights >= 0).all()
        assert np.array_equal(weights, resample_weights(40, 2_000, seed=3))
        assert not np.array_equal(weights, resample_weights(40, 2_000, seed=4))
        assert abs((weights == 0).mean() - (1 - 1 / 40) ** 40) < 0.01
        assert np.abs(weights.mean(axis=0) - 1).max() < 0.1


FEW = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 3.0])
MANY = st.floats(-80, 80, width=32)


@st.composite
def cases(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], Blocks, NDArray[np.int16]]:
    shape = draw(st.integers(1, 30)), draw(st.integers(1, 3))
    scores = draw(
        arrays(draw(st.sampled_from([np.float32, np.float64])), shape, elements=draw(st.sampled_from([FEW, MANY])))
    )
    labels, known = draw(arrays(np.bool_, shape)), draw(arrays(np.bool_, shape))
    blocks = blocks_of(draw(arrays(np.int32, shape[0], elements=st.integers(0, 6))))
    weights = draw(arrays(np.int16, (draw(st.integers(1, 4)), blocks.n), elements=st.integers(0, 5)))
    return scores, labels, known, blocks, weights


class TestReweighted:
    @LAW
    @given(cases())
    def test_weights_are_repeated_windows(self, case: Any) -> None:
        scores, labels, known, blocks, weights = case
        found = reweighted(Columns(scores, labels, known), blocks, weights)
        for r, task in np.ndindex(found.auroc.shape):
            rows = np.repeat(np.arange(len(scores)), np.where(known[:, task], weights[r][blocks.of], 0))
            truth, score = labels[rows, task], scores[rows, task]
            both = 0 < truth.sum() < truth.size
            expected = [f(truth, score) if both else np.nan for f in (roc_auc_score, average_precision_score)]
            np.testing.assert_allclose([m[r, task] for m in found], expected, rtol=0, atol=1e-12)

    def test_many_windows_and_more_sets_than_lanes(self) -> None:
        rng = np.random.default_rng(1)
        labels = rng.random((5_000, 2)) < [0.01, 0.3]
        scores = (rng.normal(size=labels.shape) + labels).round(2)
        blocks = blocks_of(rng.integers(0, 40, 5_000))
        weights = resample_weights(40, 300)
        found = reweighted(Columns(scores, labels), blocks, weights)
        assert found.auroc.shape == (300, 2)
        for r in (0, 127, 128, 299):
            repeated = np.repeat(np.arange(5_000), weights[r][blocks.of])
            plain = rank(scores[repeated], labels[repeated])
            np.testing.assert_allclose(found.auroc[r], plain.auroc, rtol=0, atol=1e-12)
            np.testing.assert_allclose(found.average_precision[r], plain.average_precision, rtol=0, atol=1e-12)

    @pytest.mark.parametrize(("of", "n_weights"), [([0, 1], 2), ([0, 1, 1], 3)])
    def test_blocks_of_others(self, of: list[int], n_weights: int) -> None:
        columns = Columns(np.zeros((3, 1)), np.zeros((3, 1)))
        with pytest.raises(InputError, match="expected: a block for each of 3 windows"):
            reweighted(columns, blocks_of(of), np.ones((1, n_weights), dtype=np.int16))

    def test_more_windows_than_can_be_counted(self) -> None:
        columns = Columns(np.zeros((70_000, 1)), np.zeros((70_000, 1)))
        with pytest.raises(InputError, match="2,147,483,647"):
            reweighted(columns, blocks_of(np.zeros(70_000)), np.full((1, 1), 32_000, dtype=np.int16))


@pytest.fixture(scope="module")
def small() -> tuple[NDArray[np.float64], NDArray[np.bool_], Blocks, Resampled]:
    rng = np.random.default_rng(2)
    labels = rng.random((900, 4)) < [0.2, 0.1, 0.004, 0]
    labels[:, 2] = np.arange(900) % 450 == 7  # two positives, in two blocks
    scores = rng.normal(size=labels.shape) + labels
    blocks = blocks_of(np.arange(900) // 30)
    return scores, labels, blocks, bootstrap(Columns(scores, labels), blocks, resamples=200, seed=1)


class TestBootstrap:
    def test_the_estimate_is_the_plain_measure(self, small: Any) -> None:
        scores, labels, _, resampled = small
        plain = rank(scores, labels)
        np.testing.assert_allclose(resampled.auroc.estimate, plain.auroc, rtol=0, atol=1e-12)
        np.testing.assert_allclose(resampled.average_precision.estimate, plain.average_precision, rtol=0, atol=1e-12)

    def test_each_block_is_left_out_once(self, small: Any) -> None:
        scores, labels, blocks, resampled = small
        for block in (0, 11, 29):
            kept = blocks.of != block
            expected = rank(scores[kept], labels[kept])
            np.testing.assert_allclose(resampled.auroc.left_out[block], expected.auroc, rtol=0, atol=1e-12)

    def test_of_many_blocks_neighbours_are_left_out_together(self) -> None:
        rng = np.random.default_rng(0)
        labels, scores = rng.random((1_000, 1)) < 0.3, rng.normal(size=(1_000, 1))
        found = bootstrap(Columns(scores, labels), blocks_of(np.arange(1_000)), resamples=2).auroc.left_out
        assert found.shape == (400, 1)
        np.testing.assert_allclose(found[0], rank(scores[3:], labels[3:]).auroc, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found[-1], rank(scores[:-2], labels[:-2]).auroc, rtol=0, atol=1e-12)

    def test_undefined_resamples_are_counted(self, small: Any) -> None:
        _, _, blocks, resampled = small
        weights = resample_weights(blocks.n, 200, seed=1)
        without = (weights[:, [0, 15]].sum(axis=1) == 0).sum()
        assert without > 5
        assert resampled.auroc.undefined.tolist() == [0, 0, without, 200]
        assert np.array_equal(resampled.average_precision.undefined, resampled.auroc.undefined)
        assert np.isnan(interval(resampled.auroc).low[3])
        assert not np.isnan(interval(resampled.auroc).low[:2]).any()

    def test_a_seed_fixes_the_resamples_and_tasks_share_them(self, small: Any) -> None:
        scores, labels, blocks, resampled = small
        again = bootstrap(Columns(scores[:, 1:2], labels[:, 1:2]), blocks, resamples=200, seed=1)
        assert np.array_equal(again.auroc.resampled[:, 0], resampled.auroc.resampled[:, 1])
        other = bootstrap(Columns(scores[:, 1:2], labels[:, 1:2]), blocks, resamples=200, seed=2)
        assert not np.array_equal(other.auroc.resampled, again.auroc.resampled)

    @pytest.mark.parametrize(("of", "resamples"), [([0, 0, 0], 100), ([0, 1, 2], 1)])
    def test_too_few(self, of: list[int], resamples: int) -> None:
        with pytest.raises(InputError, match="at least two of each"):
            bootstrap(Columns(np.zeros((3, 1)), np.zeros((3, 1))), blocks_of(of), resamples)


def weighted(draws: BootstrapDraws, weights: Sequence[float] | None = None) -> BootstrapDraws:
    n_tasks = draws.estimate.shape[-1]
    return draws.map(Mean(np.ones(n_tasks) if weights is None else np.array(weights, dtype=float)).of)


class TestMeans:
    def test_a_task_undefined_in_a_resample_is_left_out_of_its_mean(self, small: Any) -> None:
        draws = small[3].auroc
        found = weighted(draws)
        np.testing.assert_allclose(found.resampled, np.nanmean(draws.resampled, axis=1))
        np.testing.assert_allclose(found.estimate, np.nanmean(draws.estimate))
        assert found.left_out.shape == (30,)
        assert (found.undefined == 0).all()

    def test_weights_pick_tasks(self, small: Any) -> None:
        draws = small[3].auroc
        np.testing.assert_allclose(weighted(draws, [0, 2, 0, 0]).resampled, draws.resampled[:, 1])
        expected = (draws.estimate[0] + 3 * draws.estimate[1]) / 4
        np.testing.assert_allclose(weighted(draws, [1, 3, 0, 5]).estimate, expected)
        assert np.isnan(weighted(draws, [0, 0, 0, 1]).estimate)
        assert np.isnan(interval(weighted(draws, [0, 0, 0, 1])).low)


class TestInterval:
    def test_it_holds_the_estimate_and_grows_with_the_level(self, small: Any) -> None:
        for draws in small[3]:
            half, most = interval(draws, 0.5), interval(draws, 0.99)
            told = slice(0, 3)
            assert (most.low < half.low)[told].all()
            assert (half.high < most.high)[told].all()
            assert ((most.low < draws.estimate) & (draws.estimate < most.high))[told].all()
            assert (most.low > 0)[told].all()
            assert (most.high < 1)[told].all()

    def test_a_difference_may_be_negative(self, small: Any) -> None:
        a, b = small[3].auroc.map(lambda v: v[..., 0]), small[3].auroc.map(lambda v: v[..., 1])
        assert interval(difference(b, a), 0.999).low < 0
        np.testing.assert_allclose(interval(difference(a, b)).low, -interval(difference(b, a)).high)

    def test_nothing_is_said_of_a_perfect_ranking(self) -> None:
        labels = np.arange(100)[:, None] % 5 == 0
        found = bootstrap(Columns(labels.astype(float), labels), blocks_of(np.arange(100) // 10), resamples=50)
        assert found.auroc.estimate == 1
        assert np.isnan(interval(found.auroc)).all()

    def test_nothing_is_said_where_one_block_has_all_positives(self) -> None:
        rng = np.random.default_rng(0)
        labels = np.arange(300)[:, None] < 9
        found = bootstrap(Columns(rng.normal(size=labels.shape), labels), blocks_of(np.arange(300) // 10))
        assert 0.3 < found.auroc.undefined[0] / 1000 < 0.44
        assert np.isnan(interval(found.auroc)).all()

    @pytest.mark.parametrize("level", [0, 1, 95])
    def test_bad_level(self, small: Any, level: float) -> None:
        with pytest.raises(InputError, match="level"):
            interval(small[3].auroc, level)

    def test_degrees_of_freedom(self) -> None:
        normal = np.random.default_rng(0).normal(size=(20_000, 1))
        assert freedom_of(normal, 20_000) == pytest.approx(20_000, rel=0.05)
        few = np.zeros((200, 1))
        few[[0, 1], 0] = 1, -1
        assert freedom_of(few, 200) < 5


class TestDifference:
    def test_of_a_model_with_itself(self, small: Any) -> None:
        found = difference(small[3].auroc, small[3].auroc)
        assert (p_value(found)[:3] == 1).all()
        assert np.isnan(p_value(found)[3])
        assert (interval(found).low[:3] == 0).all()
        assert (interval(found).high[:3] == 0).all()
        assert p_value(weighted(found)) == 1

    def test_significant_where_the_interval_leaves_0_out(self, small: Any) -> None:
        scores, labels, blocks, resampled = small
        rng = np.random.default_rng(9)
        seen = set()
        for noise in (0.1, 0.3, 1, 3):
            worse = Columns(scores + noise * rng.normal(size=scores.shape), labels)
            other = bootstrap(worse, blocks, resamples=200, seed=1)
            found = difference(resampled.average_precision, other.average_precision)
            low, high = interval(found)
            outside = (low > 0) | (high < 0)
            assert np.array_equal(p_value(found) < 0.05, outside)
            seen |= set(outside[:2].tolist())
        assert seen == {True, False}

    def test_of_other_tasks(self, small: Any) -> None:
        draws = small[3].auroc
        with pytest.raises(InputError, match="same tasks"):
            difference(draws, weighted(draws))
        with pytest.raises(InputError, match="difference of two models"):
            p_value(draws)


class TestCoverage:
    """Tasks are the trials: each has a genome of its own, whose blocks are correlated within."""

    @pytest.mark.parametrize(("n_blocks", "share"), [(200, 0.1), (200, 0.05), (60, 0.1)])
    def test_of_tasks(self, n_blocks: int, share: float) -> None:
        columns, blocks, truth = simulate(n_blocks, 15, share, 1.8, tasks=600)
        resampled = bootstrap(columns, blocks, resamples=300)
        for draws, true in zip(resampled, truth, strict=True):
            assert 0.93 <= coverage(draws, true) <= 0.97

    def test_windows_drawn_one_by_one_promise_too_much(self) -> None:
        columns, blocks, truth = simulate(60, 15, 0.3, 1.8, tasks=600)
        one_by_one = bootstrap(columns, blocks_of(np.arange(900)), resamples=300)
        assert coverage(bootstrap(columns, blocks, resamples=300).auroc, truth[0]) > 0.93
        assert coverage(one_by_one.auroc, truth[0]) < 0.9

    def test_of_means_whose_bias_percentiles_would_double(self) -> None:
        columns, blocks, truth = simulate(100, 15, 0.05, 1.8, tasks=40 * 150)
        draws = bootstrap(columns, blocks, resamples=200).average_precision
        means = draws.map(lambda part: part.reshape(*part.shape[:-1], 150, 40).mean(axis=-1))
        assert coverage(means, truth[1]) > 0.9
        low, high = np.quantile(means.resampled, [0.025, 0.975], axis=0)
        assert ((low <= truth[1]) & (truth[1] <= high)).mean() < 0.5
