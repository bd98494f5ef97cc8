"""Training: windows a second of the whole loop, against the report's code, against bare arithmetic, and a whole epoch.

    python benchmarks/train.py                         # CPU: against the report's code, and what the loop costs
    python benchmarks/train.py --device cuda           # the same on a GPU, and the models at several batch sizes
    python benchmarks/train.py --device cuda --parts epoch --models wideresnet-txl danq deepsea --store-windows 2200000

Parts (`--parts`):

- `report`: `noncoder train` on `wideresnet-txl` as the report trained it, batches of 25, four a step, against the
  report's code (peer.py): float32 on a CPU; on a GPU also in this package's own arithmetic, and at large batches.
- `overhead`: the whole loop (reading, Lightning, logging, the look for faults; without saves of checkpoints, which by
  design take a hundredth) against bare forward, backward and step on batches that lie ready.
- `models`: bare steps of each model, with the roofline: what its operations and its bytes would take at the rates that
  a large matrix product and a large copy reach on this device.
- `epoch`: as many windows as an epoch of DeepSEA's 4.4 million, through `noncoder train`, from a store of 2.2 million
  windows on both strands; labels and sequences are simulated.

Where two are compared they take turns, and the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from noncoder.config import RunConfig, read_recipe, validate
from noncoder.data.info import StoreInfo
from noncoder.data.loading import Batches, EpochDraws, one_hot
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.files import read_json
from noncoder.losses import binary_cross_entropy
from noncoder.models import count_operations, count_parameters, create_model
from noncoder.runs.folder import RunFolder
from noncoder.threads import limit_torch
from noncoder.train import train
from noncoder.train.device import keep_freed_memory
from noncoder.train.optim import make_optimizer
from noncoder.train.speed import peak_rate

N_TASKS, WINDOW, BIN = 919, 1000, 200
RECIPES = Path(__file__).parents[1] / "recipes" / "deepsea"
TYPES = {"32-true": torch.float32, "tf32": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def make_store(path: Path, train_windows: int, valid_windows: int) -> Store:
    """Windows 200 bp apart on one chromosome; about 3% of the labels are positive."""
    rng = np.random.default_rng(0)
    n = train_windows + valid_windows
    with StoreWriter(path, N_TASKS) as writer:
        offset = writer.add_contig("chr1", rng.integers(0, 4, n * BIN, dtype=np.uint8))
        start = offset + np.arange(n) * BIN - (WINDOW - BIN) // 2
        for at in range(0, n, 1 << 17):
            rows = start[at : at + (1 << 17)]
            bits = np.bitwise_and.reduce(rng.integers(0, 256, (5, rows.size, -(-N_TASKS // 8)), dtype=np.uint8))
            bits[:, -1] &= 0xFF << (-N_TASKS % 8) & 0xFF
            writer.add_windows(rows, bits, (np.arange(at, at + rows.size) >= train_windows).astype(np.uint8))
        writer.finish(StoreInfo(WINDOW, BIN, tuple(Task(f"t{i}") for i in range(N_TASKS))))
    return open_store(path)


def recipe_of(model: str, store: Store, run: Path, **changes: Any) -> RunConfig:
    """The model's own recipe on the store, with some settings of `train` changed."""
    recipe = read_recipe(RECIPES / f"{model}.yaml").model_dump()
    values = {**recipe, "run": run, "data": {"store": store.path}, "train": {**recipe["train"], **changes}}
    return validate(RunConfig, values, origin="the benchmark")


def trained(config: RunConfig) -> dict[str, Any]:
    """The summary of a training, quietly."""
    with contextlib.redirect_stderr(io.StringIO()):
        summary = train(config, force=True)
    assert summary is not None
    return summary.to_json()


def loop_rate(config: RunConfig, steps: int, n_windows: int) -> float:
    """Windows a second of a training of so many steps, without validations and without its first steps.

    Those take memory, choose kernels and compile, and the first checkpoint falls among them: saves take a hundredth of
    a long training and would be a fifth of one of a few steps.
    """
    t = config.train
    windows = steps * t.batch_size * t.accumulate
    settings = t.model_copy(update={"epochs": windows / n_windows, "validations": 1e-9, "patience": 1 << 30})
    trained(config.model_copy(update={"train": settings}))
    rows = RunFolder(config.run).train.log.read_text().splitlines()[1:]
    seconds = [(int(row.split(",")[2]), float(row.split(",")[3])) for row in rows]
    first, last = seconds[min(max(1, len(seconds) // 10), len(seconds) - 2)], seconds[-1]
    return (last[0] - first[0]) / (last[1] - first[1])


class Bare:
    """Forward, backward and step on batches that lie ready on the device.

    Args:
        model: The network.
        config: A recipe: its optimiser, clipping, accumulation and arithmetic.
        batches: Batches on the device.
        compiled: How to compile.
    """

    def __init__(
        self, model: nn.Module, config: RunConfig, batches: list[tuple[Tensor, Tensor]], compiled: str
    ) -> None:
        self.model, self.settings, self.batches = model.train(), config.train, batches
        self.device = batches[0][0].device
        self.run_model = model if compiled == "none" else torch.compile(model, mode=compiled, dynamic=False)
        self.optimizer = make_optimizer(model, config.train)
        self.dtype = TYPES[config.train.precision]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.at = 0

    def run(self, steps: int) -> float:
        """Seconds for so many optimiser steps."""
        wait(self.device)
        began = time.perf_counter()
        for _ in range(steps):
            for _ in range(self.settings.accumulate):
                codes, labels = self.batches[self.at % len(self.batches)]
                self.at += 1
                with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                    logits = self.run_model(one_hot(codes))
                loss = binary_cross_entropy(logits, labels) / self.settings.accumulate
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            if self.settings.clip:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()
        wait(self.device)
        return time.perf_counter() - began


def ready(store: Store, batch: int, count: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Batches on the device."""
    batches = iter(Batches(store, store.indices("train"), batch, EpochDraws(1, shuffle=True)))
    return [(b.codes.to(device), b.labels.to(device)) for b, _ in zip(batches, range(count), strict=False)]


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def traffic(model: nn.Module, element: int) -> float:
    """Bytes a window of a training step: what each layer reads and writes, three times over.

    Convolutions, linear maps, norms and recurrent layers each read their input and write their output once forward;
    backward they read the input and the gradient and write a gradient. What is done element by element is taken to be
    fused into them.
    """
    moved = [0]
    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.RNNBase)

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        y = output if isinstance(output, Tensor) else output[0]
        moved[0] += (inputs[0].numel() + y.numel()) * element

    hooks = [part.register_forward_hook(note) for part in model.modules() if isinstance(part, kinds)]
    device = next(model.parameters()).device
    with torch.no_grad():
        model.eval()(torch.zeros(2, 4, WINDOW, device=device))
    for hook in hooks:
        hook.remove()
    return 3 * moved[0] / 2


def copy_rate(device: torch.device) -> float:
    """Bytes a second of a large copy, read and written."""
    n = (1 << 30) if device.type == "cuda" else (1 << 27)
    a, best = torch.randint(0, 9, (n,), dtype=torch.int32, device=device), float("inf")
    b = torch.empty_like(a)
    for _ in range(6):
        wait(device)
        began = time.perf_counter()
        b.copy_(a)
        wait(device)
        best = min(best, time.perf_counter() - began)
    return 8 * n / best


def report_part(options: argparse.Namespace, store: Store, scratch: Path) -> dict[str, Any]:
    from peer import ReportTraining, write_rows_first

    device = torch.device(options.device)
    rows = min(options.rows, store.indices("train").size)
    write_rows_first(store, rows, scratch / "rows.h5")
    steps = options.steps
    peers = {f"{workers} workers": ReportTraining(scratch / "rows.h5", device, workers) for workers in options.workers}
    for peer in peers.values():
        peer.run(1)
    ours: dict[str, dict[str, Any]] = {"32-true, 4 x 25": {"precision": "32-true", "compile": "none"}}
    if device.type == "cuda":
        ours = {
            "tf32, 4 x 25": {"precision": "tf32", "compile": "none"},
            "bf16, 4 x 25, compiled": {"precision": "bf16-mixed"},
            "bf16, 1 x 100, compiled": {"batch_size": 100, "accumulate": 1, "precision": "bf16-mixed"},
            "bf16, 1 x 1024, compiled": {"batch_size": 1024, "accumulate": 1, "precision": "bf16-mixed"},
        }
    windows = store.indices("train").size
    configs = {name: recipe_of("wideresnet-txl", store, scratch / "run", **s) for name, s in ours.items()}
    rates: dict[str, list[float]] = {name: [] for name in (*peers, *configs)}
    for _ in range(options.rounds):
        for name, peer in peers.items():
            rates[name].append(100 * steps / peer.run(steps))
            print(f"the report's code, {name}: {rates[name][-1]:,.1f} windows/s", flush=True)
        for name, config in configs.items():
            # On a GPU most of a short training is its start.
            rates[name].append(loop_rate(config, steps if device.type == "cpu" else 20 * steps, windows))
            print(f"{name}: {rates[name][-1]:,.1f} windows/s", flush=True)
    best = max(peers, key=lambda name: statistics.median(rates[name]))
    ratios = {name: [round(a / b, 2) for a, b in zip(rates[name], rates[best], strict=True)] for name in configs}
    return {
        "windows_per_second": {name: round(statistics.median(values), 1) for name, values in rates.items()},
        "peer": best,
        "ratio": {name: statistics.median(values) for name, values in ratios.items()},
        "ratios": ratios,
    }


def overhead_part(options: argparse.Namespace, store: Store, scratch: Path) -> dict[str, Any]:
    device, result = torch.device(options.device), dict[str, Any]()
    precision = "32-true" if device.type == "cpu" else "bf16-mixed"
    cases = [("wideresnet-txl", {}, options.steps), ("compact", {"batch_size": 128, "accumulate": 1, "clip": 1.0}, 60)]
    if device.type == "cuda":
        cases = [("wideresnet-txl", {"batch_size": 1024, "accumulate": 1}, 40), ("danq", {"batch_size": 1024}, 60)]
    for name, changes, steps in cases:
        base = "wideresnet-txl" if name == "compact" else name
        config = recipe_of(base, store, scratch / "run", precision=precision, **changes)
        config = config.model_copy(update={"model": config.model.model_copy(update={"name": name})})
        model = create_model(name, N_TASKS, WINDOW).to(device)
        batch = config.train.batch_size
        compiled = "default" if device.type == "cuda" else "none"
        bare = Bare(model, config, ready(store, batch, 8, device), compiled)
        bare.run(2)
        size = batch * config.train.accumulate
        pairs = []
        for _ in range(options.rounds):
            first = steps * size / bare.run(steps)
            pairs.append((first, loop_rate(config, steps, store.indices("train").size)))
        result[name] = {
            "bare_windows_per_second": round(statistics.median(a for a, _ in pairs), 1),
            "loop_windows_per_second": round(statistics.median(b for _, b in pairs), 1),
            "overhead": round(statistics.median(a / b for a, b in pairs) - 1, 4),
            "overheads": [round(a / b - 1, 4) for a, b in pairs],
        }
    return result


def models_part(options: argparse.Namespace, store: Store, scratch: Path) -> dict[str, Any]:
    device = torch.device(options.device)
    result: dict[str, Any] = {"copy_bytes_per_second": copy_rate(device)}
    for precision in options.precision:
        result[precision] = {"peak": peak_rate(device, TYPES[precision]), "models": {}}
        for name in options.models:
            operations = 3.0 * count_operations(name, N_TASKS, WINDOW)
            moved = traffic(create_model(name, N_TASKS, WINDOW), 4 if TYPES[precision] == torch.float32 else 2)
            floor = max(operations / result[precision]["peak"], moved / result["copy_bytes_per_second"])
            for batch in options.batch:
                for compiled in options.compile:
                    rate = _bare_rate(options, store, scratch, name, precision, batch, compiled)
                    result[precision]["models"][f"{name}, {batch}, {compiled}"] = {
                        "windows_per_second": rate,
                        "operations_a_window": operations,
                        "bytes_a_window": moved,
                        "share_of_peak": round((rate or 0) * operations / result[precision]["peak"], 3),
                        "share_of_roofline": round((rate or 0) * floor, 3),
                    }
                    print(precision, name, batch, compiled, rate, flush=True)
    return result


def _bare_rate(
    options: argparse.Namespace, store: Store, scratch: Path, name: str, precision: str, batch: int, compiled: str
) -> float | None:
    device = torch.device(options.device)
    config = recipe_of(name, store, scratch / "run", precision=precision, batch_size=batch, accumulate=1)
    torch.set_float32_matmul_precision("highest" if precision == "32-true" else "high")
    torch.compiler.reset()
    try:
        bare = Bare(create_model(name, N_TASKS, WINDOW).to(device), config, ready(store, batch, 4, device), compiled)
        bare.run(3)
        steps = max(3, int(options.seconds / (bare.run(2) / 2)))
        return round(steps * batch / bare.run(steps), 1)
    except RuntimeError as error:
        print(f"{name} at batches of {batch}, {compiled}: {str(error)[:300]}", flush=True)
        return None
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()


def epoch_part(options: argparse.Namespace, store: Store, scratch: Path) -> dict[str, Any]:
    result, n = dict[str, Any](), store.indices("train").size
    for name in options.models:
        run = scratch / f"epoch-{name}"
        changes = {
            "precision": options.precision[0],
            "compile": options.compile[0],
            "batch_size": options.batch[0],
            "accumulate": options.accumulate,
        }
        config = recipe_of(name, store, run, epochs=options.windows / n, validations=1e-9, **changes)
        began = time.perf_counter()
        train(config, force=True)
        seconds = time.perf_counter() - began
        summary = read_json(RunFolder(run).train.summary) or {}
        result[name] = {
            "windows": round(summary["epochs"] * n),
            "seconds_from_start_to_predictor": round(seconds, 1),
            "training_seconds": summary["seconds"],
            "windows_per_second": summary["windows_per_second"],
            "batch": options.batch[0],
            "accumulate": options.accumulate,
            "precision": summary["precision"],
            "parameters": count_parameters(create_model(name, N_TASKS, WINDOW)),
            "speed": summary["speed"],
        }
        print(json.dumps({name: result[name]}), flush=True)
    return result


PARTS = {"report": report_part, "overhead": overhead_part, "models": models_part, "epoch": epoch_part}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--parts", nargs="+", default=["report", "overhead"], choices=list(PARTS))
    parser.add_argument("--models", nargs="+", default=["wideresnet-txl", "danq", "deepsea"])
    parser.add_argument("--batch", type=int, nargs="+", default=[1024])
    parser.add_argument("--precision", nargs="+", default=["bf16-mixed"], choices=list(TYPES))
    parser.add_argument("--compile", nargs="+", default=["default"])
    parser.add_argument("--steps", type=int, default=4, help="optimiser steps a turn against the report's code")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds a bare measurement")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="reading processes of the report's code")
    parser.add_argument("--rows", type=int, default=10_000, help="rows of the report's h5py file")
    parser.add_argument("--accumulate", type=int, default=1, help="batches a step of an epoch")
    parser.add_argument("--store", type=Path, help="keep the store here, and use the one that is there")
    parser.add_argument("--store-windows", type=int, default=20_000, help="training windows of the store")
    parser.add_argument("--windows", type=int, default=4_400_000, help="windows of an epoch")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.device == "cpu":  # training sets both for its process: the others have them from the start, too
        keep_freed_memory()
        limit_torch()
    results: dict[str, Any] = {
        "device": torch.cuda.get_device_name()
        if options.device == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    }
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "bench.zarr"
        store = open_store(path) if path.exists() else make_store(path, options.store_windows, 256)
        for part in options.parts:
            results[part] = PARTS[part](options, store, Path(folder))
            print(json.dumps({part: results[part]}, indent=1), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
