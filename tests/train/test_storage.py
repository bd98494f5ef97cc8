"""Checkpoint files and logs where the disk is full or the file is damaged."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from noncoder.errors import InputError
from noncoder.runs.folder import RunFolder
from noncoder.train import storage, train
from noncoder.train.checkpoint import LastCheckpoint
from noncoder.train.log import CsvLog
from noncoder.train.storage import Storage, choose_checkpoint, damage, read_checkpoint, write_checkpoint
from tests.conftest import listing
from tests.train.making import logged, make_recipe, rows, same_weights, simulate, summary_of

CONTENT: dict[str, Any] = {"state_dict": {"weights": torch.arange(5000.0)}, "step": 3}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("store") / "sim.zarr")


def test_a_checkpoint_is_read_as_it_was_written_by_torch_too(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    write_checkpoint(CONTENT, path)
    assert not damage(path)
    for content in (read_checkpoint(path), torch.load(path, weights_only=True)):
        assert content["step"] == 3
        assert torch.equal(content["state_dict"]["weights"], CONTENT["state_dict"]["weights"])
    assert listing(tmp_path) == ["a.ckpt"]


def test_any_changed_byte_and_any_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    write_checkpoint({"weights": torch.arange(20.0)}, path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert damage(path), f"byte {at} of {len(whole)}"
    for size in (0, 1, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert damage(path), f"{size} of {len(whole)} bytes"
    with pytest.raises(InputError, match="cannot be used: its end is missing"):
        read_checkpoint(path)
    path.unlink()
    assert damage(path) == "it does not exist"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def check_a_full_disk(folder: Path, fill: Any, clear: Any, capsys: pytest.CaptureFixture[str]) -> None:
    files, path = Storage(), folder / "last.ckpt"
    files.save_checkpoint(CONTENT, path)
    fill()
    for step in (4, 5):
        files.save_checkpoint(CONTENT | {"step": step}, path)
    assert read_checkpoint(path)["step"] == 3, "the old one is gone"
    assert not list(folder.glob(".*")), "a part was left behind"
    files.needed.add(folder / "best.ckpt")
    files.save_checkpoint(CONTENT | {"step": 6}, folder / "best.ckpt")
    assert capsys.readouterr().err.count("training continues") == 1
    with pytest.raises(InputError, match=r"cannot write .*best.ckpt"):
        files.finish()
    clear()
    files.save_checkpoint(CONTENT | {"step": 7}, path)
    assert capsys.readouterr().err.count("can be written again") == 1
    assert [read_checkpoint(folder / name)["step"] for name in ("best.ckpt", "last.ckpt")] == [6, 7]


def test_a_disk_that_is_full(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ballast = small_disk / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)

    check_a_full_disk(small_disk, fill, ballast.unlink, capsys)


def test_a_file_that_may_not_grow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        check_a_full_disk(
            tmp_path,
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limits[1])),
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
            capsys,
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_training_goes_on_where_the_disk_is_full_for_a_while(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    whole, full = (make_recipe(tmp_path / name, store, validations=2, keep_best=2) for name in ("whole", "full"))
    train(whole)
    capsys.readouterr()
    calls, write, add, save = [0], storage.write_checkpoint, CsvLog.add, LastCheckpoint._save

    def write_or_not(content: dict[str, Any], path: Path) -> None:
        calls[0] += 1
        if 3 <= calls[0] < 12:
            raise OSError(code, os.strerror(code))
        write(content, path)

    def add_or_not(self: CsvLog, row: Any) -> None:
        room = self.path
        if 3 <= calls[0] < 12:
            self.path = Path("/dev/full")  # where every write fails with ENOSPC
        add(self, row)
        self.path = room

    def save_without_rest(self: LastCheckpoint, trainer: Any) -> None:
        save(self, trainer)
        self._rest_until = 0.0

    monkeypatch.setattr(LastCheckpoint, "_save", save_without_rest)
    monkeypatch.setattr(storage, "write_checkpoint", write_or_not)
    monkeypatch.setattr(CsvLog, "add", add_or_not)
    train(full)
    told = capsys.readouterr().err
    assert calls[0] > 20
    assert told.count("the previous checkpoint stays") == 1
    # Each log once.
    assert told.count("rows wait in memory") == len(list(RunFolder(full.run).train.path.glob("*.csv")))
    assert told.count("can be written again") == 1
    assert same_weights(whole.run, full.run)
    assert logged(whole.run) == logged(full.run)
    folders = [RunFolder(config.run).train.path for config in (whole, full)]
    kept = [sorted(path.name for path in folder.glob("*.ckpt")) for folder in folders]
    assert kept[0] == kept[1]


def test_a_log_forgets_rows_and_half_rows(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "log.csv", ("windows", "loss"))
    log.start(0)
    for windows in (10, 20, 30):
        log.add({"windows": windows, "loss": 0.5})
    with log.path.open("a") as file:
        file.write("4")
    log.start(20)
    assert [row["windows"] for row in rows(log.path)] == ["10", "20"]
    assert listing(tmp_path) == ["log.csv"]


def test_a_log_that_cannot_be_opened_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CsvLog(tmp_path / "a.csv", ("windows", "loss"))
    log.start(0)
    log.add({"windows": 10, "loss": 0.5})

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        log.add({"windows": 20, "loss": 0.4})
    assert (tmp_path / "a.csv").read_text().splitlines() == ["windows,loss", "10,0.5"]
    log.add({"windows": 30, "loss": 0.3})
    assert [row["windows"] for row in log.read()] == ["10", "20", "30"]


def test_a_damaged_last_checkpoint_does_not_take_the_place_of_the_one_before(tmp_path: Path) -> None:
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for path in (last, previous):
        write_checkpoint(CONTENT, path)
    last.write_bytes(last.read_bytes()[:-100])
    assert choose_checkpoint(last, previous) == previous
    assert not last.exists()
    assert not damage(previous)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of its writer's thread
def test_tensorboard_that_cannot_write_does_not_end_training(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writers = pytest.importorskip("tensorboard.summary.writer.record_writer")

    write, written = writers.RecordWriter.write, []

    def refuse_later(self: Any, data: bytes) -> None:
        written.append(data)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, data)

    monkeypatch.setattr(writers.RecordWriter, "write", refuse_later)
    config = make_recipe(tmp_path / "run", store, watch={"loggers": ["tensorboard"], "gradients_every": 2})
    assert summary_of(config)["steps"] > 0
    assert "TensorBoard failed" in capsys.readouterr().err
