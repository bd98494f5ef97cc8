"""Windows a second of trainings side by side on the same cores, against one alone, and what sleeping threads cost.

    python benchmarks/threads.py                          # about five minutes on 2 cores
    python benchmarks/threads.py --cores 2 --seconds 20 --rounds 2

Each training is a `noncoder train` of its own, on the demo's model and the first cores of this machine. What is counted
are the windows that all of them have trained together in the same seconds, validations included, after each has
validated at least once. Rounds alternate between the settings, each against one training alone of the same round, so
that the machine's mood cancels out. "spins" is one training alone whose idle threads wait as OpenMP lets them by
itself: the cost of sleeping is what it has more.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from noncoder.config import SimulateConfig
from noncoder.data.simulate import simulate_store

ALONE, SPINS = "alone", "alone, spins"
SPINNING = {"GOMP_SPINCOUNT": "300000"}
"""What GNU OpenMP does where nothing is set."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15, help="that are counted, of each setting and round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side-by-side", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--channels", type=int, default=64)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    os.sched_setaffinity(0, cores)
    settings: dict[str, tuple[int, Mapping[str, str]]] = {
        ALONE: (1, {}),
        SPINS: (1, SPINNING),
        **{f"{n} side by side": (n, {}) for n in options.side_by_side},
    }
    shares: dict[str, list[float]] = {name: [] for name in settings}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "sim.zarr")
        simulate_store(SimulateConfig(windows=6000, tasks=16, seed=0), store)
        for turn in range(options.rounds):
            rates = {
                name: together(Path(folder, f"{turn}-{i}"), store, number, options, variables)
                for i, (name, (number, variables)) in enumerate(settings.items())
            }
            for name, rate in rates.items():
                shares[name].append(rate / rates[ALONE])
            print("   ".join(f"{name}: {rate:.0f} windows/s" for name, rate in rates.items()), flush=True)
    print(f"\n{len(cores)} cores, medians of {options.rounds} rounds, as shares of one training alone")
    for name, values in shares.items():
        if name != ALONE:
            print(f"{name:16} {statistics.median(values):6.0%}   ({min(values):.0%} to {max(values):.0%})")


def together(
    folder: Path, store: Path, number: int, options: argparse.Namespace, variables: Mapping[str, str]
) -> float:
    """The windows a second of so many trainings."""
    folder.mkdir()
    recipe = folder / "recipe.yaml"
    # Far more epochs than are waited for; a row of the log a few steps.
    recipe.write_text(
        f"data: {{store: {store}}}\n"
        f"model: {{name: compact, parameters: {{channels: {options.channels}}}}}\n"
        "train: {epochs: 40, batch_size: 64, validations: 4, patience: 1000, device: cpu, precision: 32-true}\n"
    )
    runs = [folder / str(i) for i in range(number)]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "NUMBA_"))}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "noncoder", "train", str(recipe), f"run={run}"],
            env={**ours, **variables}, stdout=subprocess.DEVNULL, stderr=(folder / f"{run.name}.txt").open("w"),
        )
        for run in runs
    ]  # fmt: skip
    try:
        while not all(windows(run / "train" / "valid.csv") for run in runs):
            check(processes, folder)
            time.sleep(0.1)
        return sum(rates(runs, options.seconds))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rates(runs: Sequence[Path], seconds: float) -> list[float]:
    """The windows a second of each, from its first to its last row in so many seconds."""
    end = time.monotonic() + seconds
    seen: list[list[tuple[float, int]]] = [[] for _ in runs]
    while (now := time.monotonic()) < end or any(len(points) < 3 for points in seen):
        for run, points in zip(runs, seen, strict=True):
            done = windows(run / "train" / "log.csv")
            if not points or done > points[-1][1]:
                points.append((now, done))
        time.sleep(0.02)
    # What was seen first had been done for an unknown time.
    return [(points[-1][1] - points[1][1]) / (points[-1][0] - points[1][0]) for points in seen]


def windows(log: Path) -> int:
    """How many windows a log's last whole row says; 0 where there is none."""
    if not log.exists():
        return 0
    with log.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]
    return int(rows[-1]["windows"]) if rows else 0


def check(processes: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    """Ends with the message of a training that has ended."""
    for i, process in enumerate(processes):
        if process.poll() is not None:
            sys.exit((folder / f"{i}.txt").read_text())


if __name__ == "__main__":
    main()
