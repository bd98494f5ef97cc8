"""Training; the only package that uses Lightning.

`train` and `load_fault` are imported at first use: evaluation and prediction do not need Lightning, which takes seconds
to import.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from noncoder.runs.folder import RunFolder

if TYPE_CHECKING:
    from noncoder.train.faults import load_fault
    from noncoder.train.fit import train

__all__ = ["RunFolder", "load_fault", "train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        with warnings.catch_warnings():
            # Lightning imports transformers if it is installed, and some versions of it warn about this torch version.
            warnings.simplefilter("ignore", FutureWarning)
            return import_module("noncoder.train.fit").train
    if name == "load_fault":
        return import_module("noncoder.train.faults").load_fault
    raise AttributeError(f"module 'noncoder.train' has no attribute {name!r}")
