"""Checkpoint files, written completely or not at all and verified by a digest."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from noncoder.errors import InputError
from noncoder.files import unwritable
from noncoder.machine import memory_problem
from noncoder.predictor import first_difference
from noncoder.temporary import temporary

# Follows torch's zip, whose own checksums torch does not verify. Zip readers ignore bytes after the end.
_MARK = b"noncoder-sha256:"
_TAIL = len(_MARK) + 64
_TRAINING = "noncoder_training"


class _Sink:
    """File that hashes the written data and holds back the first error until `finish`.

    If a write fails, torch's zip writer raises an error of its own or ends the process.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.hash = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                self.file.write(data)
                self.hash.update(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def flush(self) -> None:
        pass

    def finish(self) -> None:
        if self.error is not None:
            raise self.error
        self.file.write(_MARK + self.hash.hexdigest().encode())
        self.file.flush()


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint under a temporary name, flushes it to the disk, and renames it.

    Raises:
        OSError: The file cannot be written; no partial file is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary(path) as made:
        with made.path.open("wb") as file:
            sink = _Sink(file)
            torch.save(content, cast(IO[bytes], sink))
            sink.finish()
        made.put()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flushes the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damage(path: Path) -> str:
    """Returns what is wrong with a checkpoint file; empty if it is intact."""
    try:
        size = path.stat().st_size - _TAIL
        if size <= 0:
            return "it is too short"
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while size:
                block = file.read(min(size, 1 << 20))
                digest.update(block)
                size -= len(block)
            tail = file.read()
    except FileNotFoundError:
        return "it does not exist"
    except OSError as error:
        return str(error.strerror or error)
    if not tail.startswith(_MARK):
        return "its end is missing"
    return "" if tail == _MARK + digest.hexdigest().encode() else "its content has changed since it was written"


def read_checkpoint(path: Path, training: str = "") -> dict[str, Any]:
    """Reads a checkpoint, tensors in memory.

    Args:
        path: The file.
        training: Digest of the training's inputs; a checkpoint of another training is refused.

    Raises:
        InputError: The checkpoint is missing, damaged, or of another training.
    """
    wrong = damage(path)
    if not wrong:
        try:
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a foreign pickle can raise any exception
            if memory_problem(error) is not None:
                raise
            raise _unusable(path, "it is not a checkpoint of noncoder") from error
        weights = content.get("state_dict") if isinstance(content, dict) else None
        if not isinstance(weights, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
            wrong = "it holds no weights"
        elif training and content.get(_TRAINING, training) != training:
            wrong = "it is of another training"
    if wrong:
        raise _unusable(path, wrong)
    return dict(content)


def check_checkpoint(path: Path, training: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Checks that a training can resume from a checkpoint.

    Args:
        path: The file.
        training: Digest of the training's inputs.
        shapes: Shapes of the weights by name.

    Raises:
        InputError: The checkpoint is damaged, of another training or model, or lacks what resuming needs.
    """
    content = read_checkpoint(path, training)
    found = {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()}
    name = first_difference(found, shapes)
    if name is not None:
        raise _unusable(
            path, f"{name} is {found.get(name, 'missing')}, but {shapes.get(name, 'no tensor')} in this model"
        )
    lacking = [key for key in ("optimizer_states", "lr_schedulers", "loops", "callbacks") if key not in content]
    if lacking:
        raise _unusable(path, f"it lacks {', '.join(lacking)}, as the checkpoints of best validations do")


def _unusable(path: Path, why: str) -> InputError:
    return InputError(
        f"the checkpoint {path} cannot be used: {why}",
        hint="restore a copy of this training's last.ckpt, or train again with --force",
    )


def choose_checkpoint(last: Path, previous: Path) -> Path | None:
    """Chooses the checkpoint to resume from: the last, or the previous one if the last is damaged, which is reported.

    Returns:
        The checkpoint; None if there is none.

    Raises:
        InputError: All existing checkpoints are damaged.
    """
    existing = [path for path in (last, previous) if path.exists()]
    if not existing:
        return None
    wrong = {}
    for path in existing:
        wrong[path] = damage(path)
        if not wrong[path]:
            problems = "; ".join(f"{other} is damaged: {why}" for other, why in wrong.items() if why)
            if problems:
                print(f"{problems}; training resumes from {path}", file=sys.stderr)
                # The next save would otherwise replace the intact previous checkpoint by the damaged last one.
                last.unlink(missing_ok=True)
            return path
    raise InputError(
        "all checkpoints to resume from are damaged: " + "; ".join(f"{path}: {why}" for path, why in wrong.items()),
        hint="restore a copy of one of them, or train again with --force",
    )


class Storage(TorchCheckpointIO):
    """Writes Lightning's checkpoints; if the disk is full, training continues without them.

    Each checkpoint contains the digest of its training. The checkpoints in `needed` wait in memory and are written as
    soon as possible, because the best weights cannot be computed again.

    Args:
        training: Digest of the training's inputs.
    """

    def __init__(self, training: str = "") -> None:
        self.training = training
        self.needed: set[Path] = set()
        self._waiting: dict[Path, bytes] = {}
        self._full = False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes a checkpoint; reports the first failure and the first success after it."""
        path = Path(path)
        checkpoint = checkpoint | {_TRAINING: self.training}
        try:
            # Waiting files first: a checkpoint must not exist before the files it refers to.
            self._write_waiting()
            write_checkpoint(checkpoint, path)
        except OSError as error:
            self._report(
                f"cannot write {path}: {error.strerror or error}; training continues, the previous checkpoint stays"
            )
            self._full = True
            if path in self.needed:
                content = io.BytesIO()
                torch.save(checkpoint, content)
                self._waiting[path] = content.getvalue()
            return
        if self._full:
            self._full = False
            self._report("checkpoints can be written again")

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads a checkpoint, which may hold only tensors and plain values."""
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Removes a checkpoint, if it exists."""
        self._waiting.pop(Path(path), None)
        with suppress(OSError):
            Path(path).unlink(missing_ok=True)

    def finish(self) -> None:
        """Writes the waiting checkpoints.

        Raises:
            InputError: The disk is still full.
        """
        try:
            self._write_waiting()
        except OSError as error:
            raise unwritable(next(iter(self._waiting)), error) from error

    def _write_waiting(self) -> None:
        for path, content in list(self._waiting.items()):
            write_checkpoint(torch.load(io.BytesIO(content), weights_only=True), path)
            del self._waiting[path]

    def _report(self, text: str) -> None:
        if not (self._full and text.startswith("cannot")):
            print(f"\n{text}", file=sys.stderr, flush=True)
