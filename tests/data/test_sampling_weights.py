from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.data import sampling_weights
from noncoder.data.loading import Batches, EpochDraws
from noncoder.data.sampling_weights import window_weights
from noncoder.data.store import Store
from tests.conftest import make_store, random_genome, small_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("resampling") / "s.zarr")


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 1), st.floats(1, 20), st.integers(1, 60), st.integers(1, 60))
def test_the_rarest_positive_decides(store: Store, power: float, cap: float, n: int, block: int) -> None:
    indices = np.arange(60)[-n:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling_weights, "_BLOCK", block)
        weights = window_weights(store, indices, power, cap)
    known = store.read_known(indices)
    positive = store.read_labels(indices).astype(bool) & (known if known is not None else True)
    share = positive.mean(axis=0)
    for row, weight in zip(positive, weights, strict=True):
        expected = max([(share[t] / share.max()) ** -power for t in np.flatnonzero(row)], default=1)
        assert weight == pytest.approx(min(expected, cap))


def rare_store(path: Path) -> Store:
    """200 windows: half positive for a common task, four of them and four others for a rare one."""
    labels = np.zeros((200, 3), dtype=np.uint8)
    labels[:100, 0] = 1
    labels[96:104, 1] = 1
    return make_store(path, random_genome({"a": 2100}), [("a", 10 * i) for i in range(200)], labels)


def test_rare_positives_are_drawn_in_proportion_each_pass(tmp_path: Path) -> None:
    store = rare_store(tmp_path / "rare.zarr")
    assert window_weights(store, store.indices(), 0, 10).tolist() == [1] * 200
    weights = window_weights(store, store.indices(), 0.5, 10)
    assert set(weights[96:104]) == {12.5**0.5}
    assert set(weights[:96]) | set(weights[104:]) == {1}
    assert window_weights(store, store.indices(), 1, 5).max() == 5
    batches = Batches(
        store, store.indices(), 50, EpochDraws(1, weights=window_weights(store, store.indices(), 1, 12.5))
    )
    expected = 200 * 12.5 / (8 * 12.5 + 192)  # of each rare window
    for _ in range(3):
        epoch = batches.epoch
        drawn = np.concatenate([batches.windows_of(epoch, i) for i in range(4)])
        counts = np.bincount(drawn, minlength=200)
        assert counts.sum() == 200
        assert set(counts[96:104]) <= {int(expected), int(expected) + 1}
        assert set(np.delete(counts, np.arange(96, 104))) <= {0, 1}
        assert sum(int(batch.labels[:, 1].sum()) for batch in batches) == counts[96:104].sum()


def test_without_positives_all_are_alike(tmp_path: Path) -> None:
    store = make_store(
        tmp_path / "none.zarr", random_genome({"a": 200}), [("a", 10 * i) for i in range(9)], np.zeros((9, 2), np.uint8)
    )
    assert window_weights(store, store.indices(), 1, 10).tolist() == [1] * 9
