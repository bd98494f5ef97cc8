"""The same tasks come out of every form of scores and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noncoder.errors import InputError
from noncoder.metrics import Columns, PackedBits, rank, rank_columns

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(131, 77)).astype(np.float32)
LABELS = RNG.random(LOGITS.shape) < 0.1
KNOWN = RNG.random(LOGITS.shape) < 0.8


def packed(table: np.ndarray) -> PackedBits:
    """Among other tasks, in another order."""
    wide = np.zeros((len(table), 2 * table.shape[1]), dtype=bool)
    columns = np.random.default_rng(1).permutation(wide.shape[1])[: table.shape[1]]
    wide[:, columns] = table
    return PackedBits(np.packbits(wide, axis=1), columns.tolist())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "logits.npy", np.asfortranarray(LOGITS))
    return tmp_path / "logits.npy"


class TestColumns:
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("at_a_time", [1, 8, 32, 500])
    def test_every_form_is_the_same(self, file: Path, masked: bool, at_a_time: int) -> None:
        wide = np.zeros((131, 200), dtype=np.float32)
        wide[:, 40:117] = LOGITS
        for logits in (LOGITS, np.asfortranarray(LOGITS), wide[:, 40:117], torch.from_numpy(LOGITS), file):
            for labels in (LABELS, LABELS.astype(np.int64), LABELS.astype(float), packed(LABELS)):
                for known in (KNOWN, packed(KNOWN)) if masked else (None,):
                    first = 0
                    for tile in Columns(logits, labels, known).tiles(at_a_time):
                        here = slice(first, first + len(tile.scores))
                        assert tile.first == first
                        assert tile.scores.flags.c_contiguous
                        np.testing.assert_array_equal(tile.scores, LOGITS[:, here].T)
                        np.testing.assert_array_equal(tile.truth, (LABELS & (KNOWN | (not masked)))[:, here].T)
                        if masked:
                            assert tile.known is not None
                            np.testing.assert_array_equal(tile.known, KNOWN[:, here].T)
                        else:
                            assert tile.known is None
                        first = here.stop
                    assert first == 77

    def test_measures_from_disk_are_those_from_memory(self, file: Path) -> None:
        for one, other in zip(rank(LOGITS, LABELS, KNOWN), rank_columns(Columns(file, packed(LABELS), packed(KNOWN))),
                              strict=True):  # fmt: skip
            np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize("on_disk", [False, True])
    def test_columns_in_another_order(self, file: Path, on_disk: bool) -> None:
        order = [70, 3, 3, 41]
        tasks = Columns(file if on_disk else LOGITS, LABELS[:, order], order=order)
        assert tasks.shape == (131, 4)
        (tile,) = tasks.tiles()
        np.testing.assert_array_equal(tile.scores, LOGITS[:, order].T)

    @pytest.mark.parametrize("shape", [(131, 1), (1, 77), (1, 1)])
    def test_one_task_or_one_window_on_disk(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        """NumPy says of what lies in both orders that it lies in C's."""
        part = LOGITS[: shape[0], : shape[1]]
        np.save(tmp_path / "a.npy", np.asfortranarray(part))
        (tile,) = Columns(tmp_path / "a.npy", np.zeros(shape)).tiles(100)
        np.testing.assert_array_equal(tile.scores, part.T)

    @pytest.mark.parametrize("kind", [np.float16, np.longdouble, ">i8", ">f4", object])
    def test_labels_of_unusual_types(self, kind: Any) -> None:
        for known in (None, KNOWN.astype(kind)):
            for tile, plain in zip(
                Columns(LOGITS, LABELS.astype(kind), known).tiles(),
                Columns(LOGITS, LABELS, None if known is None else KNOWN).tiles(), strict=True,
            ):  # fmt: skip
                np.testing.assert_array_equal(tile.truth, plain.truth)

    def test_labels_as_tensors_of_half_precision(self) -> None:
        for kind in (torch.bfloat16, torch.float16):
            tile = next(Columns(LOGITS, torch.tensor(LABELS).to(kind)).tiles(100))
            np.testing.assert_array_equal(tile.truth, LABELS.T)

    def test_labels_that_are_no_numbers(self) -> None:
        with pytest.raises(InputError, match="labels of the type"):
            Columns(LOGITS, np.full(LOGITS.shape, "yes"))

    @pytest.mark.parametrize("wrong", [-1, 80])
    def test_columns_that_are_not_there(self, file: Path, wrong: int) -> None:
        """Nothing is read from beyond the end of a row."""
        bits = PackedBits(np.packbits(LABELS, axis=1), [0, wrong])
        for labels, known in ((bits, None), (LABELS[:, :2], bits)):
            with pytest.raises(InputError, match=f"column {wrong} in (labels|known), of 80"):
                Columns(LOGITS[:, :2], labels, known)
        for logits in (LOGITS, file):
            with pytest.raises(InputError, match=f"column {wrong} in order, of 77"):
                Columns(logits, LABELS[:, :2], order=[0, wrong])

    def test_large_finite_logits_are_finite(self) -> None:
        logits = np.full((50, 1), np.finfo(np.float32).max, dtype=np.float32)
        assert len(list(Columns(logits, np.zeros((50, 1))).tiles())) == 1

    def test_what_is_wrong_is_counted_over_all_tasks_by_name(self, file: Path) -> None:
        broken = LOGITS.copy()
        broken[3, [1, 40, 70]], broken[:7, 76] = np.nan, np.inf
        np.save(file, np.asfortranarray(broken))
        names = [f"task {i}" for i in range(77)]
        expected = r"10 logits .* in 4 tasks: 'task 1' \(1\), 'task 40' \(1\), 'task 70' \(1\), 'task 76' \(7\)"
        for logits in (broken, file):
            with pytest.raises(InputError, match=expected):
                list(Columns(logits, LABELS, names=names).tiles())

    def test_a_label_names_its_task(self) -> None:
        labels = LABELS.astype(np.int64)
        labels[5, 40] = 2
        with pytest.raises(InputError, match="the label 2 of column 40 is neither 0 nor 1"):
            list(Columns(LOGITS, labels).tiles())
        assert len(list(Columns(LOGITS, labels, labels != 2).tiles())) == 3

    def test_files_that_are_not_such_files(self, tmp_path: Path, file: Path) -> None:
        np.save(tmp_path / "c.npy", LOGITS)
        (tmp_path / "x.npy").write_bytes(b"no array")
        for name, told in (("c.npy", "C order"), ("x.npy", "cannot be read"), ("none.npy", "cannot be read")):
            with pytest.raises(InputError, match=told):
                Columns(tmp_path / name, LABELS)
        file.write_bytes(file.read_bytes()[:-9])
        with pytest.raises(InputError, match="ends too early"):
            list(Columns(file, LABELS).tiles())
