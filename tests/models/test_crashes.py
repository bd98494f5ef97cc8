"""No model crashes, hangs or computes wrong gradients inside a library, whatever its small settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from noncoder.models import list_models
from noncoder.models.layers.convolution import PointConv, as_image

ROOT = Path(__file__).parents[2]
OLDER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""A processor with AVX2 alone; oneDNN has other kernels for it."""


@cache
def swept(older: bool, count: int, seed: int) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.models.sweeping", str(count), str(seed)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | (OLDER if older else {}), check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("name", list_models())
def test_small_settings_neither_crash_nor_hang(name: str, older: bool) -> None:
    assert not swept(older, 5, 0)[name]


@pytest.mark.long
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("name", list_models())
def test_many_small_settings_neither_crash_nor_hang(name: str, older: bool) -> None:
    assert not swept(older, 200, 1)[name]


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("channels", [1, 3, 15, 16])
def test_a_strided_point_convolution_is_pytorchs(channels: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = PointConv(channels, 5, stride).double()
    x = as_image(torch.randn(3, channels, 29, dtype=torch.float64)).requires_grad_()
    plain = torch.nn.functional.conv2d(x, layer.weight, stride=(1, stride))
    y = layer(x)
    torch.testing.assert_close(y, plain)
    inputs = (x, layer.weight)
    weights = torch.randn_like(plain)
    torch.testing.assert_close(torch.autograd.grad(y, inputs, weights), torch.autograd.grad(plain, inputs, weights))
