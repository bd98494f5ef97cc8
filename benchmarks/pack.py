"""Packing DeepSEA's bundle: size, speed, memory, and random reading beside h5py.

Makes train.mat in DeepSEA's layout (HDF5, (1000, 4, rows) and (919, rows) of bytes, contiguous; how the authors' own
file is chunked is not published), with the windows in runs of overlapping bins and 2% positive labels, packs it in a
process of its own, and reads windows with their labels in random order from: the store, as codes and as one-hot bytes;
the .mat; and a copy with the rows first, (rows, 1000, 4), as the mission's report converted it. The ways take turns;
ratios are medians of the rounds.

    python benchmarks/pack.py                      # 50,000 rows
    python benchmarks/pack.py --rows 50000,200000  # does memory grow?
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from noncoder.data.store import Store, open_store
from noncoder.sequence.encoding import one_hot

TASKS, WINDOW, BIN = 919, 1000, 200
BLOCK = 1 << 12

PACK = """
import resource, sys, time
from pathlib import Path
began = time.perf_counter()
from noncoder.config import DeepSeaConfig
from noncoder.data.deepsea.bundle import pack_deepsea
imported = time.perf_counter()
pack_deepsea(DeepSeaConfig(folder=Path(sys.argv[1]), splits=("train",)), sys.argv[2])
print(imported - began, time.perf_counter() - imported, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def make_mat(path: Path, rows: int, seed: int = 0) -> None:
    """Windows over runs of six bins on average, each run a place of its own; then their reverse complements."""
    rng = np.random.default_rng(seed)
    half = rows // 2
    shifts = np.where(rng.random(half) < 1 / 6, WINDOW + BIN, BIN)
    start = np.cumsum(shifts)
    genome = rng.integers(0, 4, int(start[-1]) + WINDOW, dtype=np.uint8)
    prevalence = np.clip(rng.lognormal(np.log(0.01), 1.1, TASKS), 1e-4, 0.2)
    with h5py.File(path, "w", userblock_size=512) as file:
        x = file.create_dataset("trainxdata", (WINDOW, 4, rows), np.uint8)
        y = file.create_dataset("traindata", (TASKS, rows), np.uint8)
        for at in range(0, half, BLOCK):
            here = start[at : at + BLOCK]
            codes = np.stack([genome[s : s + WINDOW] for s in here])
            # A window's labels are often those of its neighbour, as peaks are wider than a bin.
            labels = (rng.random((TASKS, here.size)) < prevalence[:, None]).astype(np.uint8)
            labels[:, 1:] |= labels[:, :-1] & (rng.random((TASKS, here.size - 1)) < 0.3)
            hot = np.stack([(codes == code).T for code in (0, 2, 1, 3)], axis=1).view(np.uint8)
            x[..., at : at + here.size] = hot
            x[..., half + at : half + at + here.size] = hot[::-1, ::-1]
            y[:, at : at + here.size] = y[:, half + at : half + at + here.size] = labels
            file.flush()


def pack(folder: Path, out: Path) -> dict[str, float]:
    run = subprocess.run([sys.executable, "-c", PACK, folder, out], capture_output=True, text=True, check=True)
    imports, seconds, memory = map(float, run.stdout.split())
    return {"imports_s": imports, "seconds": seconds, "peak_bytes": memory}


def row_major(mat: Path, path: Path) -> None:
    """What the report converted to: rows first, bytes, contiguous."""
    with h5py.File(mat) as source, h5py.File(path, "w") as target:
        rows = source["traindata"].shape[1]
        x = target.create_dataset("x", (rows, WINDOW, 4), np.uint8)
        y = target.create_dataset("y", (rows, TASKS), np.uint8)
        for at in range(0, rows, BLOCK):
            x[at : at + BLOCK] = source["trainxdata"][..., at : at + BLOCK].transpose(2, 0, 1)
            y[at : at + BLOCK] = source["traindata"][:, at : at + BLOCK].T


def from_store(store: Store, hot: bool) -> Callable[[NDArray[np.int64]], Any]:
    def read(rows: NDArray[np.int64]) -> Any:
        codes, labels = store.read(rows)
        return (one_hot(codes, np.uint8) if hot else codes), labels

    return read


def from_hdf(x: h5py.Dataset, y: h5py.Dataset, last: bool) -> Callable[[NDArray[np.int64]], Any]:
    """Row after row, which for both layouts is faster than h5py's selection by a list."""

    def read(rows: NDArray[np.int64]) -> Any:
        if last:
            return [x[:, :, i] for i in rows], [y[:, i] for i in rows]
        return [x[i] for i in rows], [y[i] for i in rows]

    return read


def rate(read: Callable[[NDArray[np.int64]], Any], batches: list[NDArray[np.int64]]) -> float:
    began = time.perf_counter()
    for batch in batches:
        read(batch)
    return sum(batch.size for batch in batches) / (time.perf_counter() - began)


def reading(store: Store, mat: Path, rows_first: Path, repeats: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    n = len(store)
    began = time.perf_counter()
    store.read(np.arange(1))
    opened = time.perf_counter() - began
    with h5py.File(mat) as one, h5py.File(rows_first) as two:
        ways: dict[str, tuple[Callable[[NDArray[np.int64]], Any], int]] = {
            "store, codes": (from_store(store, hot=False), 200),
            "store, one-hot bytes": (from_store(store, hot=True), 50),
            "rows first, h5py": (from_hdf(two["x"], two["y"], last=False), 10),
            ".mat, h5py": (from_hdf(one["trainxdata"], one["traindata"], last=True), 1),
        }
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, (read, batches) in ways.items():
                rounds[name].append(rate(read, [rng.integers(0, n, 128) for _ in range(batches)]))
    ratio = {
        f"{ours} / {theirs}": statistics.median(a / b for a, b in zip(rounds[ours], rounds[theirs], strict=True))
        for ours in ("store, codes", "store, one-hot bytes")
        for theirs in (".mat, h5py", "rows first, h5py")
    }
    return {
        "windows_per_second": {k: statistics.median(v) for k, v in rounds.items()},
        "ratio": ratio,
        "first_read_s": opened,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="50000", help="rows of train.mat, both strands; several with commas")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files go, some gigabytes; by default a temporary folder")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    for rows in map(int, options.rows.split(",")):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            mat = folder / "train.mat"
            make_mat(mat, rows)
            packed = pack(folder, folder / "s.zarr")
            store = open_store(folder / "s.zarr")
            size = store.summary()["bytes"]
            result: dict[str, Any] = {
                "rows": rows, "windows": len(store), "cores": os.cpu_count(),
                "mat_bytes": mat.stat().st_size, "store_bytes": size, "smaller": mat.stat().st_size / size,
                "rows_per_second": rows / packed["seconds"], **packed,
            }  # fmt: skip
            if not results:
                row_major(mat, folder / "rows.h5")
                result["reading"] = reading(store, mat, folder / "rows.h5", options.repeats)
            results.append(result)
            print(json.dumps(result, indent=1), flush=True)


if __name__ == "__main__":
    main()
