from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.config import PackConfig, TrainConfig
from noncoder.data.classes import ClassesSeen, one_class_tasks
from noncoder.data.selection import TaskSelection, trained_tasks
from noncoder.data.store import Store
from noncoder.data.table import pack_table
from noncoder.data.tasks import Task
from noncoder.errors import InputError
from tests.conftest import make_store, random_dna, small_store

LEAVE_OUT = TrainConfig(one_class="leave-out")


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 20), st.integers(1, 40), st.booleans(), st.randoms(use_true_random=False))
def test_classes_are_those_of_known_labels_in_training(n_tasks: int, n: int, all_known: bool, seed: object) -> None:
    rng = np.random.default_rng(abs(hash(seed)) % 2**32)
    labels, known = rng.random((n, n_tasks)) < rng.random(n_tasks), rng.random((n, n_tasks)) < rng.random(n_tasks)
    split = rng.integers(0, 3, n, dtype=np.uint8)
    known = np.ones_like(known) if all_known else known
    seen = ClassesSeen(n_tasks)
    for rows in (slice(0, n // 2), slice(n // 2, n)):
        packed = None if all_known else np.packbits(known[rows], axis=1)
        seen.add(np.packbits(labels[rows], axis=1), packed, split[rows])
    train = split == 0
    expected: list[list[int]] = [[], [], []]
    for task in range(n_tasks if train.any() else 0):
        found = set(labels[train & known[:, task], task].tolist())
        if len(found) < 2:
            expected[{frozenset([False]): 0, frozenset([True]): 1, frozenset(): 2}[frozenset(found)]].append(task)
    assert list(seen.found()) == expected
    assert seen.found().columns == sorted(task for tasks in expected for task in tasks)


def lopsided(path: Path, known: bool = False) -> Store:
    """Eleven tasks of which the third has no positive in training, the fourth no negative, the tenth nothing known."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (60, 11), dtype=np.uint8)
    mask = rng.integers(0, 2, (60, 11), dtype=np.uint8) if known else np.ones((60, 11), dtype=np.uint8)
    split = np.repeat(np.array([0, 1, 2], dtype=np.uint8), 20)
    labels[:20, 2], labels[:20, 3] = 0, 1
    if known:
        labels[0, 2], mask[0, 2], mask[:20, 9] = 1, 0, 0
    windows = [("a", i) for i in range(60)]
    return make_store(
        path, {"a": random_dna(100, 0)}, windows, labels & mask, split=split, known=mask if known else None
    )


@pytest.mark.parametrize("known", [False, True])
def test_the_tasks_that_are_trained(tmp_path: Path, known: bool) -> None:
    store = lopsided(tmp_path / "s.zarr", known)
    lacking = [2, 3, 9] if known else [2, 3]
    assert one_class_tasks(store).columns == lacking
    with pytest.raises(InputError) as caught:
        trained_tasks(store, TrainConfig())
    assert "1 task has no positive (t2), 1 task has no negative (t3)" in caught.value.found
    assert ("1 task has no known label (t9)" in caught.value.found) == known
    assert "train.one_class=leave-out" in caught.value.hint
    left = trained_tasks(store, LEAVE_OUT)
    kept = [i for i in range(11) if i not in lacking]
    assert isinstance(left, TaskSelection)
    assert left.left_out == [f"t{i}" for i in lacking]
    assert left.tasks == tuple(store.tasks[i] for i in kept)
    rows = store.indices()
    assert left.read_labels(rows).tolist() == store.read_labels(rows)[:, kept].tolist()
    assert left.positives("train").tolist() == store.positives("train")[kept].tolist()
    assert left.known_counts("valid").tolist() == store.known_counts("valid")[kept].tolist()
    codes, packed = left.read_from_disk(rows)
    assert codes.tolist() == store.read_codes(rows).tolist()
    assert packed.tolist() == left.packed_labels.tolist()
    one, other = left.read_known(rows), store.read_known(rows)
    if known:
        assert one is not None
        assert other is not None
        assert one.tolist() == other[:, kept].tolist()
    else:
        assert one is None
        assert other is None


def test_a_store_of_which_nothing_lacks_stays_itself(tmp_path: Path) -> None:
    store = small_store(tmp_path / "s.zarr", n=300)
    assert trained_tasks(store, LEAVE_OUT) is store


def test_no_task_is_left(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr", {"a": "ACGT" * 20}, [("a", 0), ("a", 9)], np.ones((2, 2), dtype=np.uint8))
    with pytest.raises(InputError, match="no other task is left"):
        trained_tasks(store, LEAVE_OUT)


def test_packing_notes_them(tmp_path: Path) -> None:
    rows = "".join(f"{random_dna(20, i)},{i % 2},1,{int(i > 5)},{'train' if i < 6 else 'test'}\n" for i in range(8))
    (tmp_path / "t.csv").write_text("sequence,a,b,c,split\n" + rows)
    notes = pack_table(PackConfig(table=tmp_path / "t.csv"), tmp_path / "s.zarr").info.notes
    assert [note for note in notes if "training split" in note] == [
        "in the training split 1 task has no positive (c), 1 task has no negative (b): "
        "training refuses this; see train.one_class"
    ]


def test_many_are_counted_and_some_named() -> None:
    seen = ClassesSeen(300)
    seen.add(np.zeros((3, 38), dtype=np.uint8), None, np.zeros(3, dtype=np.uint8))
    told = seen.notes([Task(f"t{i}") for i in range(300)])[0]
    assert "300 tasks have no positive (t0, t1, t2, t3, t4, t5, t6, t7 and 292 more)" in told
