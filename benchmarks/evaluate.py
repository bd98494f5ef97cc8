"""Times all that `noncoder evaluate` measures of a split, from predictions on disk, and the memory that it takes.

    python benchmarks/evaluate.py --windows 455024 --tasks 919

Scores and labels are simulated, with shares of positives like DeepSEA's (lognormal, 2% in the mean), written to disk as
`noncoder evaluate` writes them, and measured by the functions that it calls: AUROC, average precision, the report's
area, best F1, precision at fixed recall and curves; log loss, Brier, calibration error and reliability; temperatures;
and the block bootstrap. The process that measures reads the files anew, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from noncoder.metrics import Columns, PackedBits, calibrate_columns, measure_columns, rank_columns
from noncoder.metrics.blocks import Blocks
from noncoder.metrics.temperature import fit_temperatures
from noncoder.metrics.uncertainty import bootstrap
from noncoder.scores import ScoresFile

SLAB = 1 << 14


def simulate(folder: Path, windows: int, tasks: int, seed: int = 0) -> float:
    """Writes scores and labels a slab of windows at a time; gives back the seconds that writing the scores took."""
    rng = np.random.default_rng(seed)
    share = np.clip(np.exp(rng.normal(np.log(0.02) - 0.72, 1.2, tasks)), 5e-4, 0.3)
    bits, spent = np.empty((windows, -(-tasks // 8)), dtype=np.uint8), 0.0
    with ScoresFile(folder / "logits.npy", windows, tasks) as file:
        for at in range(0, windows, SLAB):
            n = min(SLAB, windows - at)
            labels = rng.random((n, tasks), dtype=np.float32) < share
            scores = 1.5 * rng.standard_normal((n, tasks), dtype=np.float32) + np.float32(-4) + 2 * labels
            bits[at : at + n] = np.packbits(labels, axis=1)
            began = time.perf_counter()
            file.append(scores.astype(np.float32))
            spent += time.perf_counter() - began
    np.save(folder / "labels.npy", bits)
    return spent


def measure(folder: Path, tasks: int, resamples: int, blocks: int) -> None:
    """Measures what lies in the folder, and prints what each part took, as JSON."""
    labels = PackedBits(np.load(folder / "labels.npy"), range(tasks))
    windows, took = len(labels.bits), {}
    small = Columns(np.zeros((4, 1), np.float32), np.array([[1], [0], [1], [0]]))
    measure_columns(small), calibrate_columns(small), fit_temperatures(small, 1)  # compiles, or reads what was compiled
    bootstrap(small, Blocks(np.array([0, 0, 1, 1], np.int32), 1), 2)
    columns = Columns(folder / "logits.npy", labels)
    parts: dict[str, Callable[[], object]] = {
        "AUROC and average precision": lambda: rank_columns(columns),
        "all measures of the ranking, and curves": lambda: measure_columns(columns),
        "log loss, Brier, calibration error, reliability": lambda: calibrate_columns(columns),
        "temperatures, as if this were the validation split": lambda: fit_temperatures(columns),
    }
    if resamples:
        of = Blocks((np.arange(windows) * blocks // windows).astype(np.int32), 1)
        parts[f"{resamples:,} resamples of {blocks:,} blocks"] = lambda: bootstrap(columns, of, resamples)
    for name, part in parts.items():
        began = time.perf_counter()
        part()
        took[name] = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": took, "peak_gib": peak}))


def main() -> None:
    """Simulates, then measures in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=455_024)
    parser.add_argument("--tasks", type=int, default=919)
    parser.add_argument("--resamples", type=int, default=1000, help="of the block bootstrap; 0 leaves it out")
    parser.add_argument("--blocks", type=int, default=287, help="as many megabases as chromosomes 8 and 9 have")
    parser.add_argument("--folder", type=Path, help="where the files go for the time being; 1.7 GB at the default size")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.tasks, options.resamples, options.blocks)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        spent = simulate(folder, options.windows, options.tasks)
        size = (folder / "logits.npy").stat().st_size
        print(f"{options.windows:,} windows, {options.tasks:,} tasks, {size / 1e9:.2f} GB of scores")
        print(f"{spent:8.1f} s  writing the scores, a task after the other")
        words = [f"--{key}={getattr(options, key)}" for key in ("tasks", "resamples", "blocks")]
        done = subprocess.run([sys.executable, __file__, f"--measure={folder}", *words], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        for part, seconds in found["seconds"].items():
            print(f"{seconds:8.1f} s  {part}")
        print(f"{found['peak_gib']:8.2f} GiB at the most in memory, Python and libraries with it")


if __name__ == "__main__":
    main()
