"""Files of weights: opened without running anything that is in them, and compared with what they should hold."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from noncoder.errors import InputError
from noncoder.predictor import Shape, first_difference

Weights: TypeAlias = dict[str, Tensor]

# What the Lightning of 2020 puts beside the weights: settings, and scores that are NumPy numbers. Old files name
# NumPy's constructor by its old place.
_MOST_PACKED = 20  # how much smaller than its content a file may be: other programs may have packed it
_LEAST = 1 << 30  # bytes that are always read
_MOST_SHARED = 4 * _MOST_PACKED  # tensors may share what lies in the file
_SCALAR: Any = np.float64(0).__reduce__()[0]
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f8", "f4", "f2", "i8", "i4", "b1")),
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]


@dataclass(frozen=True)
class Imported:
    """Weights as a model of ours takes them.

    Args:
        model: The model's name.
        parameters: Its settings.
        weights: Its state, by our names.
        notes: What a user should know of it.
    """

    model: str
    parameters: dict[str, Any]
    weights: Weights
    notes: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> int:
        """How many tasks the last layer has."""
        return len(self.weights["output.weight"])


def check_file(path: Path) -> None:
    """Makes sure that there is a file.

    Raises:
        InputError: There is none, or it is empty.
    """
    if not path.is_file():
        raise InputError(f"{path} is " + ("a folder" if path.is_dir() else "not there"), expected="a file of weights")
    if not path.stat().st_size:
        raise InputError(f"{path} is empty", expected="a file of weights", hint="fetch it again")


def read_torch(path: Path) -> Weights:
    """The weights in a file of `torch.save`, of the new or the old layout, or in a Lightning checkpoint.

    Raises:
        InputError: The file is missing, damaged, of another kind, or holds objects other than weights.
    """
    check_file(path)
    _check_zip(path)
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may fail in any way
        raise _unreadable(path, error) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path} holds no weights by name", expected="a state_dict, or a checkpoint with one")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            told = shorten(repr(name))
            raise InputError(f"{path}: {told} is a {type(value).__name__}", expected="a tensor under every name")
    _check_sizes(path, content)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in content.items()}


def _check_zip(path: Path) -> None:
    """Compares the checksums of the zip file that torch.save writes, which torch does not, and limits its size."""
    try:
        with zipfile.ZipFile(path) as packed:
            # torch.save packs nothing: what unpacks to far more than the file is none of its files.
            total, size = sum(entry.file_size for entry in packed.infolist()), path.stat().st_size
            if total > _MOST_PACKED * size:
                raise InputError(
                    f"{path} would unpack to {total:,} bytes, from {size:,}", expected="a file of torch.save"
                )
            damaged = packed.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError, RuntimeError):
        return  # of the old layout, which has no checksums, or so damaged that torch refuses it
    if damaged is not None:
        raise InputError(
            f"{path} is damaged: the checksum of {damaged} in it is wrong",
            hint="compare its size and digest with the source's, and fetch it again",
        )


def _check_sizes(path: Path, content: Mapping[str, Tensor]) -> None:
    """A tensor may claim any shape over a few bytes: nothing is computed with one that its file cannot hold."""
    total = 0
    for name, tensor in content.items():
        plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()
        size = tensor.numel() * tensor.element_size()
        if not plain or tensor.is_meta:
            told = f"{path}: {shorten(repr(name))} is no plain tensor: {tensor.layout}, {tensor.dtype}"
            raise InputError(told, expected="real numbers, one for each place")
        total += size
    if total > max(_LEAST, _MOST_SHARED * path.stat().st_size):
        raise InputError(f"{path}: its tensors claim {total:,} bytes", expected="what a file of this size can hold")


def shorten(text: str, most: int = 80) -> str:
    """A text from a file, cut for a message."""
    return text if len(text) <= most else text[:most] + "…"


def check_shapes(path: Path, found: Mapping[str, Shape], expected: Mapping[str, Shape], of: str) -> None:
    """Makes sure that a file has exactly the tensors of a model.

    Args:
        path: The file.
        found: The shapes of what it has.
        expected: The shapes of what it should have.
        of: The model, for the message.

    Raises:
        InputError: The first tensor that differs.
    """
    name = first_difference(found, expected)
    if name is not None:
        raise InputError(
            f"{path}: {name} is {found.get(name, 'missing')}",
            expected=f"{expected.get(name, 'no such tensor')} in the weights of {of}",
        )


def check_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Makes sure that all values are numbers.

    Raises:
        InputError: The first tensor with one that is not.
    """
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path}: {name} has values that are not finite", hint="fetch the file again")


def shapes_of(weights: Mapping[str, Tensor]) -> dict[str, Shape]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def _unreadable(path: Path, error: Exception) -> InputError:
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and refused:
        return InputError(
            f"{path} asks for {refused[1]}, which could run code",
            expected="weights alone, as `torch.save(model.state_dict(), …)` writes them",
            hint="where you trust the file, load it where it was made and save its state_dict",
        )
    return InputError(
        f"{path} is no file of torch.save, or it is damaged", expected="a .pth, .pt or .ckpt file",
        hint="compare its size and digest with the source's, and fetch it again",
    )  # fmt: skip
