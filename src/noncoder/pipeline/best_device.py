"""Default device of models."""

from __future__ import annotations

import torch


def best_device() -> str:
    """Returns "cuda" if a GPU is available, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"
