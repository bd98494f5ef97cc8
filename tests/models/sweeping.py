"""Trains models of many small settings for a step each: `python -m tests.models.sweeping SETTINGS SEED [NAME ...]`.

Each model in a fork of this process, so that a crash or a hang inside a library ends that model alone. Prints, as JSON,
what went wrong with each. ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY choose the instructions of an older processor.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor
from torch.nn.modules.dropout import _DropoutNd

from noncoder.errors import NoncoderError
from noncoder.models import count_operations, create_model, list_models, model_entry
from noncoder.train.device import _cpu_has_bfloat16
from tests.models.test_models import SMALL, one_hot_dna

# oneDNN takes other paths for few positions.
BATCHES, WINDOW, TASKS = (16, 13), 1000, 4  # kernels share an odd number of sequences otherwise
LARGE = 2e8
"""Operations a window from which two windows are enough, and no other way to compute is compared."""
NARROW = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32)
SECONDS = 120
"""After so long without a setting done, a model hangs."""
KNOWN: dict[str, list[dict[str, Any]]] = {
    "wideresnet-lstm": [
        *({"width": width, "embedding": 0, "expansion": 4, "hidden": 8, "core": "none"} for width in (16, 32)),
        *[{"width": 16, "hidden": 8, "core": "none"}] * 2,  # on one thread and on two
    ],
}
"""What has crashed before."""


def settings_of(name: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Known ones, then small settings with a few changed at random."""
    yield from KNOWN.get(name, [])
    draw, fields = random.Random(f"{seed} {name}"), model_entry(name).config.model_fields
    choices: dict[str, list[Any]] = {}
    for key, field in fields.items():
        if get_origin(field.annotation) is Literal:
            choices[key] = list(get_args(field.annotation))
        elif field.annotation is bool:
            choices[key] = [False, True]
        elif field.annotation is int:
            choices[key] = [n for n in NARROW if not key.endswith("layers") or n < 4]
    for _ in range(count):
        changed = draw.sample(sorted(choices), draw.randint(1, min(5, len(choices))))
        yield SMALL.get(name, {}) | {key: draw.choice(choices[key]) for key in changed}


def gradients(name: str, settings: dict[str, Any], batch: int, bfloat16: bool = False) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = create_model(name, TASKS, WINDOW, settings)
    for part in model.modules():
        if isinstance(part, _DropoutNd):  # what it draws depends on the order in memory
            part.p = 0.0
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        loss = model(one_hot_dna(batch, WINDOW)).float().square().sum()
    loss.backward()
    return {key: weight.grad for key, weight in model.named_parameters() if weight.grad is not None}


def differing(found: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """Whose gradient is another than it should be, by far more than rounding."""
    least = 1e-3 * max(float(gradient.norm()) for gradient in expected.values())
    return [
        key for key, gradient in expected.items()
        if not float((found[key] - gradient).norm()) <= 0.05 * float(gradient.norm()) + least
    ]  # fmt: skip


def sweep(name: str, count: int, seed: int, out: int) -> None:
    """Writes each setting before it is tried, and what is wrong after it."""
    for i, settings in enumerate(settings_of(name, count, seed)):
        torch.set_num_threads(1 + i % 2)
        os.write(out, f"{settings} on {1 + i % 2} threads\n".encode())
        try:
            large = count_operations(name, TASKS, WINDOW, settings) > LARGE
        except NoncoderError:
            continue  # settings that do not fit each other
        batch = 2 if large else BATCHES[i // 2 % 2]
        found = gradients(name, settings, batch)
        if _cpu_has_bfloat16():
            gradients(name, settings, batch, bfloat16=True)
        if not large:
            with torch.backends.mkldnn.flags(enabled=False):
                wrong = differing(found, gradients(name, settings, batch))
            if wrong:
                raise AssertionError(f"wrong gradients: {wrong}")


def outcome(name: str, count: int, seed: int) -> str:
    """Empty where all went well, else what happened at which setting."""
    inside, out = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            sweep(name, count, seed, out)
            code = 0
        except BaseException:
            os.write(out, f"{traceback.format_exc()}\n".encode())
        os._exit(code)
    os.close(out)
    told, hangs = "", False
    while not hangs:
        if not select.select([inside], [], [], SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
            hangs = True
        elif not (text := os.read(inside, 1 << 16).decode()):
            break
        else:
            told = (told + text)[-4000:]
    os.close(inside)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not code:
        return ""
    return f"{'hangs' if hangs else f'ended with {code}'}: {told}"


if __name__ == "__main__":
    names = sys.argv[3:] or list_models()
    print(json.dumps({name: outcome(name, int(sys.argv[1]), int(sys.argv[2])) for name in names}))
