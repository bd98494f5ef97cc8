"""Windows a second of a training step (forward and backward), 1,000 bp and 919 tasks.

First `wideresnet-txl` beside a peer: the same model with HuggingFace's `TransfoXLModel` (transformers 4.35.2, which the
extra `dev` installs) in place of our Transformer-XL; everything else of it is ours. Then each model by itself, with the
share of the highest rate that a matrix product of the same arithmetic reaches on this device (the operations of LSTMs
and GRUs are not counted).

    python benchmarks/models.py                                # CPU, float32, the peer at batches of 25 and 100
    python benchmarks/models.py --all                          # and each model
    python benchmarks/models.py --device cuda --precision bf16 --compile --all --batch 256

Runs of the two alternate, and the ratio is the median of the pairs' ratios: the machine's mood cancels out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from noncoder.losses import binary_cross_entropy
from noncoder.models import SequenceModel, count_parameters, create_model, list_models

TASKS, WINDOW = 919, 1000
TYPES = {"32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
VARIANTS: dict[str, dict[str, Any]] = {
    "wideresnet-txl bidirectional": {"bidirectional": True},
    "wideresnet-txl one-hot": {"embedding": 0},
    "wideresnet-txl without core": {"core": "none"},
}


class HuggingFaceCore(nn.Module):
    """The report's Transformer-XL as its library computes it."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from transformers import TransfoXLConfig, TransfoXLModel

            self.model = TransfoXLModel(
                TransfoXLConfig(
                    vocab_size=4, d_embed=8, d_model=256, n_head=4, d_head=16, d_inner=256, n_layer=6, mem_len=256,
                    tgt_len=0, ext_len=0, cutoffs=[1],
                )
            )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, 256) -> (N, L, 256)."""
        y: Tensor = self.model(inputs_embeds=x)[0]
        return y


class Bench:
    """Times training steps on one device, in one arithmetic."""

    def __init__(self, device: str, precision: str, compiled: bool) -> None:
        self.device, self.dtype, self.compiled = torch.device(device), TYPES[precision], compiled

    def stepper(self, model: nn.Module, batch: int) -> Callable[[], float]:
        """A call that does one step and gives its seconds."""
        model = model.to(self.device)
        run = torch.compile(model) if self.compiled else model
        codes = torch.randint(0, 4, (batch, WINDOW), device=self.device)
        x = nn.functional.one_hot(codes, 4).float().transpose(1, 2).contiguous()
        y = (torch.rand(batch, TASKS, device=self.device) < 0.02).float()

        def step() -> float:
            model.zero_grad(set_to_none=True)
            self._wait()
            began = time.perf_counter()
            with self._arithmetic():
                logits = run(x)
            binary_cross_entropy(logits, y).backward()  # type: ignore[no-untyped-call]
            self._wait()
            return time.perf_counter() - began

        return step

    def _arithmetic(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.dtype == torch.float32 else torch.autocast(self.device.type, self.dtype)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak(self) -> float:
        """Operations a second of a large matrix product: the most that this device gives in this arithmetic."""
        n = 8192 if self.device.type == "cuda" else 2048
        a = torch.randn(n, n, device=self.device, dtype=self.dtype)
        best = float("inf")
        for _ in range(8):
            self._wait()
            began = time.perf_counter()
            a @ a
            self._wait()
            best = min(best, time.perf_counter() - began)
        return 2 * n**3 / best


def operations(name: str, settings: dict[str, Any]) -> float:
    """Floating-point operations of a training step, a window: three times those of the forward pass.

    Recurrent layers are not counted: torch's counter does not know them.
    """
    model, x = create_model(name, TASKS, WINDOW, settings).eval(), torch.zeros(1, 4, WINDOW)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return 3.0 * int(counter.get_total_flops())


def against_huggingface(bench: Bench, batch: int, repeats: int) -> dict[str, Any]:
    ours, theirs = (create_model("wideresnet-txl", TASKS, WINDOW) for _ in range(2))
    theirs.core = HuggingFaceCore()
    steps = [bench.stepper(model, batch) for model in (ours, theirs)]
    for step in steps:
        step(), step()  # kernels are chosen, memory is taken
    pairs = [(steps[0](), steps[1]()) for _ in range(repeats)]
    return {
        "batch": batch,
        "noncoder_windows_per_second": round(batch / statistics.median(a for a, _ in pairs), 1),
        "huggingface_windows_per_second": round(batch / statistics.median(b for _, b in pairs), 1),
        "ratio": round(statistics.median(b / a for a, b in pairs), 2),
        "ratios": [round(b / a, 2) for a, b in pairs],
    }


def alone(bench: Bench, name: str, settings: dict[str, Any], batch: int, repeats: int) -> dict[str, Any]:
    model: SequenceModel = create_model(name, TASKS, WINDOW, settings)
    parameters, step = count_parameters(model), bench.stepper(model, batch)
    step(), step()
    seconds = statistics.median(step() for _ in range(repeats))
    return {
        "parameters": parameters,
        "windows_per_second": round(batch / seconds, 1),
        "operations_per_second": operations(name, settings) * batch / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[25, 100])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="32", choices=list(TYPES))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--all", action="store_true", help="also each model by itself, at the first batch size")
    parser.add_argument("--no-peer", action="store_true", help="without HuggingFace's")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    bench = Bench(options.device, options.precision, options.compile)
    name = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    result: dict[str, Any] = {"device": name, "precision": options.precision, "compiled": options.compile}
    if not options.no_peer:
        result["peer"] = [against_huggingface(bench, batch, options.repeats) for batch in options.batch]
    if options.all:
        result["peak"] = bench.peak()
        models: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in list_models()}
        models |= {variant: ("wideresnet-txl", settings) for variant, settings in VARIANTS.items()}
        result["models"] = {
            label: alone(bench, name, settings, options.batch[0], options.repeats)
            for label, (name, settings) in models.items()
        }
    print(json.dumps(result, indent=1) if options.json else _text(result, options.batch[0]))


def _text(result: dict[str, Any], batch: int) -> str:
    lines = [f"{result['device']}, {result['precision']}{', compiled' if result['compiled'] else ''}"]
    for row in result.get("peer", []):
        lines.append(
            f"  wideresnet-txl, batches of {row['batch']}: {row['noncoder_windows_per_second']} windows/s; with "
            f"HuggingFace's layer {row['huggingface_windows_per_second']}; ratio {row['ratio']} {row['ratios']}"
        )
    if "models" in result:
        lines.append(f"  batches of {batch}; a large matrix product reaches {result['peak'] / 1e9:,.0f} GFLOP/s")
        for label, row in result["models"].items():
            rate = row["operations_per_second"]
            lines.append(
                f"  {label:30} {row['parameters']:>11,} parameters {row['windows_per_second']:>9,.1f} windows/s "
                f"{rate / 1e9:>8,.0f} GFLOP/s {rate / result['peak']:>5.0%}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
