"""Importance from substitutions, at N too, and Spearman's correlation of tracks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.sequence.tracks import mutation_importance, rank_agreement

NAN = np.nan


class TestImportance:
    EFFECTS = np.array([[0, 1.0, 5], [-3, 0, 5], [-6, NAN, 5], [0, 3, 5]])

    def test_is_the_mean_loss_over_the_substitutions_tried(self) -> None:
        np.testing.assert_allclose(mutation_importance([0, 1, 4], self.EFFECTS), [3, -2, 0])
        many = mutation_importance([[0, 1, 4]] * 2, np.stack([self.EFFECTS] * 2))
        np.testing.assert_allclose(many, [[3, -2, 0]] * 2)

    def test_is_zero_at_an_n_whatever_its_substitutions_do(self) -> None:
        assert mutation_importance([4], [[5], [-1], [2], [7]]).tolist() == [0]

    def test_is_unknown_where_no_substitution_was_tried(self) -> None:
        found = mutation_importance([0, 4, 2], np.array([[0, NAN, NAN], *[[1, NAN, NAN]] * 3]))
        np.testing.assert_array_equal(found, [-1, NAN, NAN])

    def test_keeps_the_type_of_the_effects(self) -> None:
        assert mutation_importance([0], np.ones((4, 1), dtype=np.float32)).dtype == np.float32
        assert mutation_importance([0], [[0], [3], [3], [3]]).tolist() == [-3]


def test_ranks_agree_as_spearman_says() -> None:
    from scipy.stats import rankdata

    rng = np.random.default_rng(0)
    a = rng.integers(0, 9, (4, 50)).astype(float)  # with ties
    b = a + rng.normal(size=a.shape) * 4
    a[1, 5], b[1, 7] = NAN, NAN
    b[3] = 2.0  # without order
    found = rank_agreement(a, b)
    for i in range(3):
        known = ~np.isnan(a[i]) & ~np.isnan(b[i])
        expected = np.corrcoef(rankdata(a[i][known]), rankdata(b[i][known]))[0, 1]
        assert found.each[i] == pytest.approx(expected)
    assert np.isnan(found.each[3])
    assert found.windows == 3
    assert found.mean == pytest.approx(found.each[:3].mean())
    assert np.isnan(rank_agreement(a[3:], b[3:]).mean)
    with pytest.raises(InputError, match="shapes"):
        rank_agreement(a, b[:2])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 40))
def test_rank_agreement_knows_a_track_from_its_opposite(seed: int, length: int) -> None:
    track: NDArray[np.float64] = np.random.default_rng(seed).permutation(length)[None].astype(float)
    assert rank_agreement(track, np.exp(track / length)).mean == pytest.approx(1)
    assert rank_agreement(track, -track).mean == pytest.approx(-1)
