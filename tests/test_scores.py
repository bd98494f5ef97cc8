from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.errors import InputError
from noncoder.metrics import Columns
from noncoder.scores import ScoresFile
from tests.conftest import listing


def random_scores(n: int, n_tasks: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, n_tasks)).astype(np.float32)


def write(path: Path, values: np.ndarray, steps: list[int], block_bytes: int = 1 << 20) -> None:
    with ScoresFile(path, len(values), values.shape[1], block_bytes) as file:
        at = 0
        while at < len(values):
            step = steps[at % len(steps)]
            file.append(values[at : at + step])
            at += step


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(0, 70),
    n_tasks=st.integers(1, 9),
    steps=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    block_bytes=st.integers(1, 1_000),
)
def test_what_was_written_in_blocks_is_read_as_a_whole(
    tmp_path_factory: pytest.TempPathFactory, n: int, n_tasks: int, steps: list[int], block_bytes: int
) -> None:
    path, values = tmp_path_factory.mktemp("s") / "logits.npy", random_scores(n, n_tasks)
    write(path, values, steps, block_bytes)
    found = np.load(path, allow_pickle=False)
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.float32
    assert found.flags.f_contiguous
    assert listing(path.parent) == ["logits.npy"]
    for tile in Columns(path, np.zeros((n, n_tasks), dtype=np.uint8)).tiles(4):
        np.testing.assert_array_equal(tile.scores, values[:, tile.first : tile.first + len(tile.scores)].T)


def test_only_a_block_is_in_memory(tmp_path: Path) -> None:
    n, part = 40_000, random_scores(500, 50)
    tracemalloc.start()
    with ScoresFile(tmp_path / "a.npy", n, 50, block_bytes=200_000) as file:
        for _ in range(0, n, 500):
            file.append(part)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "a.npy").stat().st_size > 8_000_000
    assert peak < 1_000_000


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_what_was_there(error: type[BaseException], tmp_path: Path) -> None:
    path, values = tmp_path / "logits.npy", random_scores(20, 3)
    write(path, values, [20])

    def cut_off() -> None:
        with ScoresFile(path, 30, 3, 8) as file:
            file.append(values)
            raise error

    with pytest.raises(error):
        cut_off()
    assert listing(tmp_path) == ["logits.npy"]
    np.testing.assert_array_equal(np.load(path), values)


def test_too_few_and_too_many_windows_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 rows of 3"), ScoresFile(tmp_path / "a.npy", 3, 2) as file:
        file.append(random_scores(2, 2))
    with pytest.raises(ValueError, match="scores"), ScoresFile(tmp_path / "a.npy", 3, 2) as file:
        file.append(random_scores(4, 2))
    with pytest.raises(ValueError, match="scores"), ScoresFile(tmp_path / "a.npy", 3, 2) as file:
        file.append(random_scores(3, 1))
    assert listing(tmp_path) == []


def test_a_disk_without_room_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"), ScoresFile(tmp_path / "a.npy", 1 << 40, 1 << 10):
        pytest.fail("there is no disk of a petabyte")
    assert listing(tmp_path) == []


def test_a_disk_that_fills_while_it_is_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.pwrite, []

    def full(file: int, content: memoryview, at: int) -> int:
        calls.append(at)
        if len(calls) > 5:
            raise OSError(28, "No space left on device")
        return real(file, content[:7], at)  # the system may write less than it was given

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(InputError, match="No space left"), ScoresFile(tmp_path / "a.npy", 9, 2, 8) as file:
        file.append(random_scores(9, 2))
    assert listing(tmp_path) == []


def test_writing_less_than_was_given_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, values = os.pwrite, random_scores(11, 3)
    monkeypatch.setattr(os, "pwrite", lambda file, content, at: real(file, content[:7], at))
    write(tmp_path / "a.npy", values, [4], 60)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"), ScoresFile(tmp_path / "file" / "a.npy", 1, 1):
        pytest.fail("a file holds no files")


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from noncoder.scores import ScoresFile\n"
        "file = ScoresFile(Path(sys.argv[1]), 5, 5).__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.npy")], check=False)
    assert [name.rpartition(".")[2] for name in listing(tmp_path)] == ["lock", "partial"]
    write(tmp_path / "a.npy", random_scores(2, 2), [1])
    assert listing(tmp_path) == ["a.npy"]
