"""Device, package versions and commit of a training."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def device_name(device: torch.device) -> str:
    """Returns the name of a processor or GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.cpu.get_capabilities().get("cpu_name", "")) or platform.machine()


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that affect the result of a training."""
    found = {"python": platform.python_version()}
    for name in ("noncoder", "torch", "lightning", "numpy", "zarr"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Returns the commit of the running source; None outside a Git checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None
