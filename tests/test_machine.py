"""What a machine lacks is one message: room on a disk, memory, a name for a file."""

from __future__ import annotations

import errno
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from noncoder.errors import InputError
from noncoder.machine import (
    OutOfMemoryError,
    Stopped,
    check_name,
    disk_problem,
    memory_problem,
    needing_memory,
)

FULL = Path("/dev/full")


class TestCheckName:
    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("a\0b", "a NUL"),
            ("a\nb", "a line break"),
            ("runs/x\r", "a line break"),
            ("a\tb", "a tab"),
            ("a\x1bb", "a control character"),
            (os.fsdecode(b"a\xffb"), "not UTF-8"),
            ("x" * 256, "too long"),
            ("ü" * 128, "too long"),
            ("x/" * 2100, "too long"),
        ],
    )
    def test_names_that_no_file_should_have(self, name: str, told: str) -> None:
        with pytest.raises(InputError, match=told) as caught:
            check_name(name)
        assert str(caught.value).isprintable() or "\n" in str(caught.value)
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize("name", ["", ".", "runs/yeast", "a b", "ü" * 127, "🧬", "x" * 255, "/tmp/x:y=z*"])
    def test_names_that_a_file_may_have(self, name: str) -> None:
        check_name(name)


class TestDiskProblem:
    """Each library's own error for a device that is full."""

    def test_polars(self) -> None:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the class is polars' to choose
            pl.DataFrame({"a": range(100_000)}).write_parquet(FULL)
        assert disk_problem(caught.value) == "No space left on device"

    def test_numpy(self) -> None:
        with pytest.raises(OSError, match=r"requested|space") as caught, FULL.open("wb") as file:
            np.save(file, np.zeros(100_000))
        assert disk_problem(caught.value) or "requested" in str(caught.value)

    def test_torch(self) -> None:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the class is torch's to choose
            torch.save({"w": torch.zeros(100_000)}, FULL)
        assert disk_problem(caught.value)

    def test_pictures(self) -> None:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - compared below
            Image.new("RGB", (500, 500)).save(FULL, format="png")
        assert disk_problem(caught.value) == "No space left on device"

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES])
    def test_the_system(self, number: int) -> None:
        error = ValueError("of a library")
        error.__cause__ = OSError(number, os.strerror(number))
        assert disk_problem(error) == os.strerror(number)

    def test_of_texts(self) -> None:
        assert disk_problem(sqlite3.OperationalError("database or disk is full")) == "Database or disk is full"
        text = "Can't write data (file write failed: errno = 28, error message = 'No space left on device')"
        assert disk_problem(OSError(text))

    @pytest.mark.parametrize(
        "error", [ValueError("x"), OSError(errno.ENOENT, "no"), InputError("no space left on device")]
    )
    def test_other_errors_are_none(self, error: Exception) -> None:
        assert disk_problem(error) is None

    @pytest.mark.parametrize("what", ["polars", "hdf5", "bytes"])
    def test_of_a_limited_file_in_written_whole(self, tmp_path: Path, what: str) -> None:
        """A limit on the size of files is met in the middle of writing, as a full disk is."""
        code = f"""
import resource, signal, sys
from pathlib import Path
import numpy as np, polars as pl, h5py
from noncoder.errors import InputError
from noncoder.files import written_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
values = np.random.default_rng(0).random(100_000)
try:
    with written_whole(Path({str(tmp_path / "out")!r})) as partial:
        if {what!r} == "polars":
            pl.DataFrame({{"a": values}}).write_parquet(partial)
        elif {what!r} == "hdf5":
            with h5py.File(partial, "w") as file:
                file["a"] = values
        else:
            partial.write_bytes(values.tobytes())
except InputError as error:
    print(error.found)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert re.match(r"cannot write .*/out: File too large", done.stdout), done
        assert not list(tmp_path.iterdir())


class TestMemoryProblem:
    def test_numpy(self) -> None:
        with pytest.raises(MemoryError) as caught:
            np.zeros((1 << 24, 1 << 24))
        assert "Unable to allocate 2.00 PiB" in str(memory_problem(caught.value))

    def test_torch(self) -> None:
        with pytest.raises(RuntimeError) as caught:
            torch.empty(1 << 50)
        told = memory_problem(caught.value)
        assert told is not None
        assert "DefaultCPUAllocator" in told
        assert "\n" not in told

    def test_a_gpu(self) -> None:
        assert memory_problem(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))

    def test_a_worker_that_was_killed(self) -> None:
        assert memory_problem(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))

    def test_what_arose_from_it(self) -> None:
        error = ValueError("of a library")
        error.__context__ = MemoryError()
        assert memory_problem(error) == ""

    @pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory"), KeyError("memory")])
    def test_other_errors_are_none(self, error: Exception) -> None:
        assert memory_problem(error) is None

    def test_says_what_was_attempted_and_what_to_lower(self) -> None:
        with pytest.raises(OutOfMemoryError) as caught, needing_memory("training in batches of 9", "a lower batch"):
            np.zeros((1 << 24, 1 << 24))
        assert "out of memory while training in batches of 9: Unable to allocate" in caught.value.found
        assert caught.value.hint.startswith("use a lower batch")

    def test_others_pass(self) -> None:
        with pytest.raises(KeyError), needing_memory("x", "y"):
            raise KeyError
        with pytest.raises(InputError), needing_memory("x", "y"):
            raise InputError("z") from MemoryError()


def test_signals_have_the_codes_of_shells() -> None:
    assert Stopped().exit_code == 130
    assert Stopped(number=signal.SIGTERM).exit_code == 143
    again = Stopped.by(Stopped(number=signal.SIGTERM), "goes on")
    assert (str(again), again.exit_code) == ("goes on", 143)
    assert Stopped.by(KeyboardInterrupt(), "x").exit_code == 130
