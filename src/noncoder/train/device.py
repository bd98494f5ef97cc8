"""Where to train, and in which arithmetic."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from noncoder.config import TrainConfig
from noncoder.errors import ConfigError


def choose_accelerator(settings: TrainConfig, say: bool = True) -> str:
    """Where to train, "cpu" or "gpu"; says so where a GPU is there and not used.

    Args:
        settings: The recipe's section on training.
        say: Whether to say so.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    if say and settings.device == "cpu" and torch.cuda.is_available():
        print(f"a GPU is there and unused: {torch.cuda.get_device_name()} (train.device=cpu)", file=sys.stderr)
    if settings.device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("train.device is gpu, but there is no GPU that torch can use", hint="train.device=cpu")
    return "cpu" if settings.device == "cpu" or not torch.cuda.is_available() else "gpu"


def choose_precision(settings: TrainConfig, accelerator: str) -> Any:
    """The arithmetic of this machine, as Lightning calls it.

    For "auto", bfloat16 where the processor computes in it, else float32.
    """
    if settings.precision != "auto":
        return "32-true" if settings.precision == "tf32" else settings.precision
    native = torch.cuda.is_bf16_supported(False) if accelerator == "gpu" else _cpu_has_bfloat16()
    return "bf16-mixed" if native else "32-true"


def choose_compile(settings: TrainConfig, accelerator: str) -> str:
    """How the network is compiled: for "auto" as torch.compile does by default on a GPU for which it can, else not."""
    if settings.compile != "auto":
        return settings.compile
    return "default" if accelerator == "gpu" and find_spec("triton") is not None else "none"


@contextmanager
def products_of_float32(settings: TrainConfig) -> Iterator[None]:
    """Says how a GPU multiplies float32 numbers: exactly for the precision "32-true", else rounded to TF32.

    PyTorch's default is neither: convolutions are rounded and matrix products are not.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    exact = settings.precision == "32-true"
    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


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
