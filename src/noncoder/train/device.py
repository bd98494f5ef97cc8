"""Where to train, and in which arithmetic."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import torch

from noncoder.config import TrainConfig
from noncoder.errors import ConfigError


def choose_accelerator(settings: TrainConfig) -> str:
    """Where to train, "cpu" or "gpu"; says so where a GPU is there and not used.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    if settings.device == "cpu" and torch.cuda.is_available():
        print(f"a GPU is there and unused: {torch.cuda.get_device_name()} (train.device=cpu)", file=sys.stderr)
    if settings.device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("train.device is gpu, but there is no GPU that torch can use", mend="train.device=cpu")
    return "cpu" if settings.device == "cpu" or not torch.cuda.is_available() else "gpu"


def choose_precision(settings: TrainConfig, accelerator: str) -> Any:
    """The arithmetic of this machine: for "auto", bfloat16 where the processor computes in it, else float32."""
    if settings.precision != "auto":
        return settings.precision
    native = torch.cuda.is_bf16_supported(False) if accelerator == "gpu" else _cpu_has_bfloat16()
    return "bf16-mixed" if native else "32-true"


def keep_freed_memory() -> None:
    """Has glibc keep what tensors free, for the next ones, where it would give it back to the system each time.

    A training step on a CPU takes and frees the same large tensors again and again; each page that comes back from the
    system has to be cleared first. The process holds its peak then, which a training does anyway. Other systems, and C
    libraries that refuse, are left as they are.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    trim_threshold, mmap_threshold = -1, -3
    # Setting one of the two stops glibc from adapting both, so the second is set only where the first was taken.
    if mallopt is not None and mallopt(mmap_threshold, 1 << 30):
        mallopt(trim_threshold, (1 << 31) - 1)


def _cpu_has_bfloat16() -> bool:
    # Without these instructions, bfloat16 is emulated and slower than float32.
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
