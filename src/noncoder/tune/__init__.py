"""Tuning: a search over a recipe's keys, in which each trial is a training.

`tune` is imported at first use: it imports torch, which the command line's help does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from noncoder.tune.tune_config import TuneConfig

if TYPE_CHECKING:
    from noncoder.tune.tune_run import tune

__all__ = ["TuneConfig", "tune"]


def __getattr__(name: str) -> Any:
    if name == "tune":
        return import_module("noncoder.tune.tune_run").tune
    raise AttributeError(f"module 'noncoder.tune' has no attribute {name!r}")
