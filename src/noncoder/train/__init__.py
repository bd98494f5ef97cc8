"""Training: the only place that knows Lightning.

`train` is imported at first use: who evaluates or predicts has no need of Lightning, which takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from noncoder.runs.folder import RunFolder

if TYPE_CHECKING:
    from noncoder.train.faults import load_fault
    from noncoder.train.fit import train

__all__ = ["RunFolder", "load_fault", "train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        return import_module("noncoder.train.fit").train
    if name == "load_fault":
        return import_module("noncoder.train.faults").load_fault
    raise AttributeError(f"module 'noncoder.train' has no attribute {name!r}")
