"""Labels by a predictor's tasks: of another order than the store's, and some of them unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from noncoder.data.tasks import Task
from noncoder.predictor.task_labels import labels_of, match_tasks, stretches
from tests.conftest import make_store, random_genome, small_store


def test_unknown_labels_are_neither_positive_nor_negative(tmp_path: Path) -> None:
    store = small_store(tmp_path / "s.zarr")
    order = [10, 0, 3, 8, 7]
    indices = np.arange(5, 45)
    labels, known = store.read_labels(indices).astype(bool), store.read_known(indices)
    assert known is not None
    found = labels_of([store.tasks[i] for i in order], store, indices)
    assert found.names == tuple(store.tasks[i].name for i in order)
    for column, task in enumerate(order):
        positive, negative = found.column(column)
        np.testing.assert_array_equal(positive, labels[:, task] & known[:, task])
        np.testing.assert_array_equal(negative, ~labels[:, task] & known[:, task])
    assert found.positives.tolist() == (labels & known).sum(axis=0)[order].tolist()
    assert found.train_positives.tolist() == store.positives("train")[order].tolist()


def test_tasks_are_matched_by_name(tmp_path: Path) -> None:
    store = small_store(tmp_path / "s.zarr", n_tasks=4)
    assert match_tasks([Task("t2"), Task("t0")], store) == [2, 0]


def test_records_of_any_length_are_drawn_one_by_one(tmp_path: Path) -> None:
    genome = random_genome({f"r{i}": 5 + 3 * i for i in range(9)})
    windows = [(name, len(text) // 2 - 10) for name, text in genome.items()]
    labels = np.ones((9, 1), dtype=np.uint8)
    for coordinates in (False, True):
        store = make_store(tmp_path / f"{coordinates}.zarr", genome, windows, labels, coordinates=coordinates)
        blocks = stretches(store, np.arange(2, 9), None)
        assert (blocks.n == 7) is not coordinates
    assert stretches(store, np.arange(2, 9), 10**6).n == 1
