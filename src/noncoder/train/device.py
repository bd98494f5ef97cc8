"""Device and arithmetic of a training."""

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
    """Returns the device to train on, "cpu" or "gpu"; reports a GPU that is not used.

    Args:
        settings: The recipe's section on training.
        say: Whether to report an unused GPU.

    Raises:
        ConfigError: The recipe requires a GPU and there is none.
    """
    if say and settings.device == "cpu" and torch.cuda.is_available():
        print(f"the GPU {torch.cuda.get_device_name()} is not used (train.device=cpu)", file=sys.stderr)
    if settings.device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("train.device is gpu, but there is no GPU that torch can use", hint="train.device=cpu")
    return "cpu" if settings.device == "cpu" or not torch.cuda.is_available() else "gpu"


def choose_precision(settings: TrainConfig, accelerator: str) -> Any:
    """Returns the precision, as Lightning names it.

    For "auto": bfloat16 if the processor supports it in hardware, else float32.
    """
    if settings.precision != "auto":
        return "32-true" if settings.precision == "tf32" else settings.precision
    native = torch.cuda.is_bf16_supported(False) if accelerator == "gpu" else _cpu_has_bfloat16()
    return "bf16-mixed" if native else "32-true"


def choose_compile(settings: TrainConfig, accelerator: str) -> str:
    """Returns the mode of torch.compile; for "auto": "default" on a GPU if Triton is installed, else "none"."""
    if settings.compile != "auto":
        return settings.compile
    return "default" if accelerator == "gpu" and find_spec("triton") is not None else "none"


@contextmanager
def products_of_float32(settings: TrainConfig) -> Iterator[None]:
    """Sets how a GPU multiplies float32 numbers: in float32 for the precision "32-true", else rounded to TF32.

    PyTorch's default is a mixture: convolutions are rounded and matrix products are not. The settings are restored on
    exit.
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
    """Makes glibc keep freed memory for reuse instead of returning it to the system.

    A training step on a CPU allocates and frees the same large tensors repeatedly, and the system clears each page
    before it hands it out again. The process then keeps its peak memory until it ends. Has no effect on other systems
    or C libraries.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    trim_threshold, mmap_threshold = -1, -3
    # Setting either threshold stops glibc from adapting both, so the second is set only if the first was accepted.
    if mallopt is not None and mallopt(mmap_threshold, 1 << 30):
        mallopt(trim_threshold, (1 << 31) - 1)


def _cpu_has_bfloat16() -> bool:
    # Without these instructions, bfloat16 is emulated and slower than float32.
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
