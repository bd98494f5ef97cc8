"""Seconds and peak memory of `noncoder explore`, in a process of its own, on a store of DeepSEA's size.

The store is made for the benchmark: 1,000-bp windows, 200 bp apart in runs of 30 on average, 919 tasks, 2% positive
labels, three splits. A tenth of the bases is a repeat of 300 bp in copies that differ by 10 to 15%, and as much pieces
of one of 6,000 bp that differ by 3 to 15%, as in a mammal's genome. Copies of stretches of the training split, on both
strands, exact and with 1% of the bases changed, are planted in the other splits.

    python benchmarks/explore.py [--windows 2200000] [--store FILE.zarr] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.data.info import StoreInfo
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter

N_TASKS, WINDOW, BIN, RUN, PLANTED = 919, 1000, 200, 30, 200
GROUPS = ["DNase"] * 125 + ["TF"] * 690 + ["histone"] * 104

Codes = NDArray[np.uint8]


def make_bases(rng: np.random.Generator, bins: NDArray[np.int64]) -> Codes:
    """Random bases with repeats, one contig after the other."""
    codes = rng.integers(0, 4, int((bins * BIN + WINDOW - BIN).sum()), dtype=np.uint8)
    for length, least, low, high in ((300, 300, 0.10, 0.15), (6000, 500, 0.03, 0.15)):
        consensus = rng.integers(0, 4, length, dtype=np.uint8)
        covered = 0
        while covered < codes.size // 10:
            size = int(rng.integers(least, min(length, 2000) + 1))
            first, at = int(rng.integers(length - size + 1)), int(rng.integers(codes.size - size))
            copy = consensus[first : first + size].copy()
            change(rng, copy, rng.uniform(low, high))
            codes[at : at + size] = 3 - copy[::-1] if rng.random() < 0.5 else copy
            covered += size
    return codes


def change(rng: np.random.Generator, codes: Codes, share: float) -> None:
    where = rng.random(codes.size) < share
    codes[where] = (codes[where] + rng.integers(1, 4, int(where.sum()), dtype=np.uint8)) % 4


def plant(rng: np.random.Generator, codes: Codes, first: NDArray[np.int64], split: NDArray[np.uint8]) -> int:
    """Copies the first window of contigs of the training split onto those of others; the number of exact ones."""
    train, others = np.flatnonzero(split == 0), np.flatnonzero(split > 0)
    n = min(PLANTED, others.size, train.size)
    for i, (a, b) in enumerate(zip(rng.choice(train, n, False), rng.choice(others, n, False), strict=True)):
        copy = codes[first[a] : first[a] + WINDOW].copy()
        if i % 2:
            change(rng, copy, 0.01)
        codes[first[b] : first[b] + WINDOW] = 3 - copy[::-1] if i % 4 > 1 else copy
    return -(-n // 2)


def make_store(path: Path, n: int) -> int:
    rng = np.random.default_rng(0)
    bins = rng.geometric(1 / RUN, max(3, n // RUN))
    bins[-1] += max(0, n - int(bins.sum()))
    bins = np.diff(np.minimum(np.append(0, np.cumsum(bins)), n))
    bins = bins[bins > 0]
    split = np.repeat(
        np.array([0, 1, 2, 0], np.uint8), np.diff([0, *(np.array([0.7, 0.75, 0.85, 1]) * bins.size).astype(int)])
    )
    first = np.append(0, np.cumsum(bins * BIN + WINDOW - BIN))
    codes = make_bases(rng, bins)
    exact = plant(rng, codes, first, split)
    # Tasks differ in how often they are positive, windows in how active they are; tasks of a kind share their windows.
    rate = 10 ** rng.uniform(-2.6, -1.2, N_TASKS)
    kind = rng.integers(0, 40, N_TASKS)
    with StoreWriter(path, N_TASKS) as writer:
        for i in range(bins.size):
            writer.add_contig(f"run{i}", codes[first[i] : first[i + 1]])
        start = np.repeat(first[:-1] - BIN * (np.cumsum(bins) - bins), bins) + np.arange(n) * BIN
        for at in range(0, n, 1 << 14):
            rows = slice(at, at + (1 << 14))
            activity = rng.gamma(0.5, 2, (start[rows].size, 40)).astype(np.float32)[:, kind]
            labels = rng.random(activity.shape, dtype=np.float32) < activity * rate.astype(np.float32)
            writer.add_windows(start[rows], np.packbits(labels, axis=1), np.repeat(split, bins)[rows])
        tasks = tuple(Task(f"{group}-{i}", group) for i, group in enumerate(GROUPS))
        writer.finish(StoreInfo(WINDOW, BIN, tasks, genome="made for the benchmark", coordinates=True))
    return exact


def measure(path: Path, page: Path) -> dict[str, Any]:
    """Seconds, peak memory and a part of the answer of `noncoder explore`."""
    command = [sys.executable, "-m", "noncoder", "explore", str(path), "--json", "--html", str(page), "--force"]
    began = time.perf_counter()
    answer = subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    found = json.loads(answer.stdout)
    return {
        "seconds": round(seconds, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "windows": found["store"]["windows"],
        "bases": found["store"]["bases"],
        "positive_share": found["splits"]["all"]["positive_share"],
        "page_megabytes": round(page.stat().st_size / 1e6, 2),
        "leaking": {
            name: {kind: row[kind] for kind in ("overlapping", "duplicates", "near_duplicates")}
            for name, row in found["leakage"]["splits"].items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=2_200_000)
    parser.add_argument("--store", type=Path, help="Keep the store here, or take the one that is there.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder) / "bench.zarr"
        exact = None if store.exists() else make_store(store, options.windows)
        result = measure(store, Path(folder) / "page.html") | {"planted_exactly": exact}
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{result['windows']:,} windows, {result['bases']:,} bases, {N_TASKS} tasks")
    print(f"  seconds            {result['seconds']:>10}")
    print(f"  peak memory        {result['peak_megabytes']:>10,} MB")
    print(f"  page               {result['page_megabytes']:>10} MB")
    print(f"  planted exactly    {result['planted_exactly'] or '-':>10}")
    for split, row in result["leaking"].items():
        print(f"  {split:<18} " + ", ".join(f"{kind.replace('_', '-')} {count:,}" for kind, count in row.items()))


if __name__ == "__main__":
    main()
