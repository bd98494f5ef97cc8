from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noncoder.config import LossConfig
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.train.task_weights import read_weights, task_weights, weights_digest
from tests.conftest import small_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("weights") / "s.zarr", n_tasks=4)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_tasks_count_as_the_file_says_and_others_one(tmp_path: Path, store: Store) -> None:
    path = written(tmp_path / "w.tsv", "weight\ttask\tnote\n2.5\tt2\tx\n0\tt0\t\n")
    weights = task_weights(LossConfig(task_weights="file", weights_file=path), store)
    assert weights is not None
    assert weights.tolist() == [0, 1, 2.5, 1]


def test_weights_come_from_the_training_split(store: Store) -> None:
    assert task_weights(LossConfig(), store) is None
    shares = store.positives("train") / store.known_counts("train")
    balanced = task_weights(LossConfig(task_weights="inverse-frequency", cap=1e6), store)
    assert balanced is not None
    np.testing.assert_allclose(balanced.numpy() * shares, balanced.mean() * shares.size / (1 / shares).sum(), rtol=1e-5)
    effective = task_weights(LossConfig(task_weights="effective-number", beta=0.5), store)
    assert effective is not None
    assert effective.mean().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("task\tweight\nt1\t1\nT2\t1\n", r"line 3: no task is called 'T2'(.|\n)*did you mean 't2'"),
        ("task\tweight\nt1\t1\nt1\t2\n", "line 3: the task 't1' is listed twice"),
        ("task\tweight\nt1\tmuch\n", "line 2: 'much' is not a weight"),
        ("task\tweight\nt1\t-1\n", "'-1' is not a weight"),
        ("task\tweight\nt1\tnan\n", "'nan' is not a weight"),
        ("task\tweight\nt1\tinf\n", "'inf' is not a weight"),
        ("task\tweight\nt1\n", "'' is not a weight"),
        ("task,weight\nt1,1\n", "no columns task and weight"),
        ("", "no columns task and weight"),
        ("task\tweight\nt0\t0\nt1\t0\nt2\t0\nt3\t0\n", "every task the weight 0"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, store: Store, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_weights(written(tmp_path / "w.tsv", text), store.tasks)


def test_an_unreadable_file_is_told(tmp_path: Path, store: Store) -> None:
    missing = LossConfig(task_weights="file", weights_file=tmp_path / "no.tsv")
    for read in (lambda: task_weights(missing, store), lambda: weights_digest(missing)):
        with pytest.raises(InputError, match="cannot be read"):
            read()
    (tmp_path / "bytes.tsv").write_bytes(b"task\tweight\n\xff\xfe\t1\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_weights(tmp_path / "bytes.tsv", store.tasks)


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    path = written(tmp_path / "w.tsv", "task\tweight\nt1\t1\n")
    config = LossConfig(task_weights="file", weights_file=path)
    before = weights_digest(config)
    written(path, "task\tweight\nt1\t2\n")
    assert before
    assert before != weights_digest(config)
    assert weights_digest(LossConfig()) is None
