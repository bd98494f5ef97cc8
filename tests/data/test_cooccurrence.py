"""Which tasks go together, against products of unpacked labels."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.data import cooccurrence as module
from noncoder.data.cooccurrence import (
    cluster_order,
    count_together,
    describe_cooccurrence,
    jaccard,
    save_cooccurrence,
)
from tests.data.test_explore import write


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.7, 1.0]),
    st.booleans(), st.sampled_from([64, 128, 1 << 14]),
)  # fmt: skip
def test_counts_are_those_of_a_product(seed: int, n: int, t: int, share: float, unknown: bool, block: int) -> None:
    rng = np.random.default_rng(seed)
    labels, known = rng.random((n, t)) < share, rng.random((n, t)) < 0.8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        packed = np.packbits(known, axis=1) if unknown else None
        together = count_together(np.packbits(labels, axis=1), packed, t)
    bits = (labels & known if unknown else labels).astype(np.int64)
    assert (together == bits.T @ bits).all()
    index = jaccard(together)
    for a, b in ((0, 0), (0, t - 1)):
        either = (bits[:, a] | bits[:, b]).sum()
        assert index[a, b] == ((bits[:, a] & bits[:, b]).sum() / either if either else 0)


def test_alike_tasks_lie_side_by_side_and_lonely_ones_last() -> None:
    index = np.eye(7)
    for a, b, value in ((0, 3, 0.9), (3, 5, 0.8), (0, 5, 0.85), (1, 4, 0.7), (0, 1, 0.1)):
        index[a, b] = index[b, a] = value
    order = cluster_order(index)
    assert sorted(order) == list(range(7))
    assert order[5:] == [2, 6]
    places = np.argsort(order)
    assert np.ptp(places[[0, 3, 5]]) == 2
    assert np.ptp(places[[1, 4]]) == 1


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_tasks_have_an_order(n: int) -> None:
    assert cluster_order(np.ones((n, n))) == list(range(n))


def test_description_names_the_most_alike_and_holds_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CELLS", 2)
    together = np.array([[10, 0, 5, 0], [0, 8, 0, 0], [5, 0, 10, 1], [0, 0, 1, 4]])
    found = describe_cooccurrence(together, ["a", "b", "c", "d"])
    assert found["pairs"] == [
        {"tasks": ["a", "c"], "together": 5, "jaccard": pytest.approx(5 / 15)},
        {"tasks": ["c", "d"], "together": 1, "jaccard": pytest.approx(1 / 13)},
    ]
    cells = np.frombuffer(base64.b64decode(found["heatmap"]), np.uint8).reshape(found["cells"], -1) / 255
    index = jaccard(together)[np.ix_(found["order"], found["order"])]
    assert cells == pytest.approx(index.reshape(2, 2, 2, 2).mean(axis=(1, 3)), abs=1 / 255)


def test_the_whole_matrix_can_be_saved(tmp_path: Path) -> None:
    labels = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    save_cooccurrence(write(tmp_path, labels, np.zeros(3, dtype=np.uint8)), tmp_path / "pairs.npz")
    with np.load(tmp_path / "pairs.npz") as saved:
        assert saved["tasks"].tolist() == ["t0", "t1", "t2"]
        assert saved["together"].tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
        assert saved["jaccard"].tolist() == [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]
