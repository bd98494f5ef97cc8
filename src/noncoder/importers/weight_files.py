"""Reads files of weights without running code from them, and compares them with the expected tensors."""

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

# Lightning of 2020 stores settings and scores that are NumPy numbers beside the weights. Old files refer to NumPy's
# constructor by its old module path.
_MOST_PACKED = 20  # largest ratio of content to file: other programs may have compressed the file
_LEAST = 1 << 30  # content up to this many bytes is always read
_MOST_SHARED = 4 * _MOST_PACKED  # tensors may share bytes of the file
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
    """Weights for a model of this package.

    Args:
        model: Name of the model.
        parameters: Settings of the model.
        weights: State of the model, by our names.
        notes: Remarks for the user.
    """

    model: str
    parameters: dict[str, Any]
    weights: Weights
    notes: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> int:
        """Number of outputs of the last layer."""
        return len(self.weights["output.weight"])


def check_file(path: Path) -> None:
    """Checks that the file exists.

    Raises:
        InputError: It does not exist, or it is empty.
    """
    if not path.is_file():
        raise InputError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}", expected="a file of weights")
    if not path.stat().st_size:
        raise InputError(f"{path} is empty", expected="a file of weights", hint="download it again")


def read_torch(path: Path) -> Weights:
    """Reads the weights in a file of `torch.save`, in the new or the old layout, or in a Lightning checkpoint.

    Raises:
        InputError: The file is missing, damaged, of another kind, or holds objects other than weights.
    """
    check_file(path)
    _check_zip(path)
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # reading a damaged pickle may raise any error
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
    """Checks the checksums of the zip file that torch.save writes, which torch does not do, and limits its size."""
    try:
        with zipfile.ZipFile(path) as packed:
            # torch.save does not compress: a file with far larger content is not its own.
            total, size = sum(entry.file_size for entry in packed.infolist()), path.stat().st_size
            if total > _MOST_PACKED * size:
                raise InputError(
                    f"{path} would unpack to {total:,} bytes, from {size:,}", expected="a file of torch.save"
                )
            damaged = packed.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError, RuntimeError):
        return  # a file of the old layout has no checksums; a badly damaged one is refused by torch
    if damaged is not None:
        raise InputError(
            f"{path} is damaged: the checksum of {damaged} in it is wrong",
            hint="compare its size and digest with the source's, and download it again",
        )


def _check_sizes(path: Path, content: Mapping[str, Tensor]) -> None:
    """Refuses a tensor whose shape claims more than its file can hold, before anything is computed with it."""
    total = 0
    for name, tensor in content.items():
        plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()
        size = tensor.numel() * tensor.element_size()
        if not plain or tensor.is_meta:
            told = f"{path}: {shorten(repr(name))} is no plain tensor: {tensor.layout}, {tensor.dtype}"
            raise InputError(told, expected="real numbers, one for each element")
        total += size
    if total > max(_LEAST, _MOST_SHARED * path.stat().st_size):
        raise InputError(f"{path}: its tensors claim {total:,} bytes", expected="what a file of this size can hold")


def shorten(text: str, most: int = 80) -> str:
    """Shortens a text from a file for a message."""
    return text if len(text) <= most else text[:most] + "…"


def check_shapes(path: Path, found: Mapping[str, Shape], expected: Mapping[str, Shape], of: str) -> None:
    """Checks that a file has exactly the tensors of a model.

    Args:
        path: The file.
        found: Shapes of the tensors in the file.
        expected: Expected shapes.
        of: Name of the model, for the message.

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
    """Checks that all values are finite.

    Raises:
        InputError: A tensor has a value that is not finite.
    """
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path}: {name} has values that are not finite", hint="download the file again")


def shapes_of(weights: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Returns the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def _unreadable(path: Path, error: Exception) -> InputError:
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and refused:
        return InputError(
            f"{path} asks for {refused[1]}, which could run code",
            expected="weights alone, as `torch.save(model.state_dict(), …)` writes them",
            hint="if you trust the file, load it where it was made and save its state_dict",
        )
    return InputError(
        f"{path} is not a file of torch.save, or it is damaged", expected="a .pth, .pt or .ckpt file",
        hint="compare its size and digest with the source's, and download it again",
    )  # fmt: skip
