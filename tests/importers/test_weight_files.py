"""Files that are no weights: one message each, and no code of theirs is run."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noncoder.errors import InputError
from noncoder.importers.weight_files import read_torch

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(7)}


class Harmful:
    """Unpickling it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new_layout", [True, False])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.bool_])
def test_what_old_lightning_puts_beside_the_weights_is_no_hindrance(
    kind: type[np.generic], new_layout: bool, tmp_path: Path
) -> None:
    beside = {"checkpoint_callback_best": kind(1), "hparams": Namespace(lr=1e-4), "epoch": 2}
    torch.save({"state_dict": WEIGHTS} | beside, tmp_path / "x.ckpt", _use_new_zipfile_serialization=new_layout)
    assert torch.equal(read_torch(tmp_path / "x.ckpt")["a"], WEIGHTS["a"])


def test_half_and_double_precision_become_single(tmp_path: Path) -> None:
    torch.save({"h": torch.ones(2).half(), "d": torch.ones(2).double(), "n": torch.tensor(7)}, tmp_path / "x.pth")
    assert [tensor.dtype for tensor in read_torch(tmp_path / "x.pth").values()] == [
        torch.float32, torch.float32, torch.int64,
    ]  # fmt: skip


@pytest.mark.parametrize("new_layout", [True, False])
def test_an_object_that_could_run_code_is_refused_by_name(new_layout: bool, tmp_path: Path) -> None:
    content = {"state_dict": WEIGHTS, "hparams": Harmful(tmp_path / "harm")}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=new_layout)
    with pytest.raises(InputError, match=r"asks for \S*mkdir, which could run code"):
        read_torch(tmp_path / "x.pth")
    assert not (tmp_path / "harm").exists()


def test_a_changed_byte_of_the_weights_is_noticed(tmp_path: Path) -> None:
    path, weights = tmp_path / "x.pth", torch.ones(500)
    torch.save({"a": weights}, path)
    content = path.read_bytes()
    start = content.index(weights.numpy().tobytes())
    for at in range(start, start + 2000, 97):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(InputError, match="is damaged: the checksum of"):
            read_torch(path)


@pytest.mark.parametrize("new_layout", [True, False])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.95, 0.999])
def test_a_truncated_file_is_told(share: float, new_layout: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"a": torch.ones(500)}, path, _use_new_zipfile_serialization=new_layout)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"is not a file of torch\.save, or it is damaged|is empty"):
        read_torch(path)


@pytest.mark.parametrize(
    "content", [b"hello, this is text\n", b"\x89HDF\r\n\x1a\n" + bytes(99), bytes(64), b"PK\3\4" * 9]
)
def test_a_file_of_another_kind_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"is not a file of torch\.save, or it is damaged"):
        read_torch(tmp_path / "x.pth")


def test_no_file_an_empty_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_torch(tmp_path / "x.pth")
    with pytest.raises(InputError, match="is a folder"):
        read_torch(tmp_path)
    (tmp_path / "x.pth").touch()
    with pytest.raises(InputError, match="is empty"):
        read_torch(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(2), "holds no weights by name"),
        ({}, "holds no weights by name"),
        ([torch.ones(2)], "holds no weights by name"),
        ({"a": torch.ones(2), "epoch": 3}, "'epoch' is a int"),
        ({1: torch.ones(2)}, "1 is a Tensor"),
    ],
)
def test_what_is_no_state_is_told(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=message):
        read_torch(tmp_path / "x.pth")
