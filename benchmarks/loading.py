"""Windows a second from the loader on one core, in random order, both strands drawn, beside a PyTorch DataLoader.

The store is made for the benchmark: 1,000-bp windows, 919 tasks, 2% positive labels. The peer is what public PyTorch
code for this data does: a Dataset over one-hot bytes and label bytes in memory, one row at a time, and torch's own
DataLoader in this process.

    python benchmarks/loading.py [--windows 200000] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from noncoder.data.info import StoreInfo
from noncoder.data.loading import Batches, EpochDraws
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.sequence.encoding import one_hot

N_TASKS, WINDOW, BIN = 919, 1000, 200


class Rows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """One-hot bytes (N, 4, L) and label bytes (N, T) in memory, as public re-implementations hold them."""

    def __init__(self, store: Store, n: int) -> None:
        codes, labels = store.read(np.arange(n))
        self.x, self.y = one_hot(codes, np.uint8), labels

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.x[i]
        if np.random.random() < 0.5:
            x = x[::-1, ::-1].copy()
        return torch.from_numpy(x), torch.from_numpy(self.y[i])


def make_store(path: Path, n: int) -> Store:
    rng = np.random.default_rng(0)
    with StoreWriter(path, N_TASKS) as writer:
        offset = writer.add_contig("chr1", rng.integers(0, 4, n * BIN).astype(np.uint8))
        start = offset + np.arange(n) * BIN - (WINDOW - BIN) // 2
        for at in range(0, n, 1 << 14):
            rows = start[at : at + (1 << 14)]
            labels = rng.random((rows.size, N_TASKS)) < 0.02
            writer.add_windows(rows, np.packbits(labels, axis=1), np.zeros(rows.size, dtype=np.uint8))
        writer.finish(StoreInfo(WINDOW, BIN, tuple(Task(f"t{i}") for i in range(N_TASKS))))
    return open_store(path)


def windows_per_second(batches: Iterable[Any]) -> float:
    began, n = time.perf_counter(), 0
    for codes, *_ in batches:
        n += len(codes)
    return n / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder) / "bench.zarr", options.windows)
        ours = Batches(store, store.indices(), options.batch_size, EpochDraws(shuffle=True, random_strand=True))
        theirs = DataLoader(Rows(store, options.windows // 10), options.batch_size, shuffle=True)
        windows_per_second(ours)  # the first pass reads the store from disk
        pairs = [(windows_per_second(ours), windows_per_second(theirs)) for _ in range(options.repeats)]
        size = sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file())
    result = {
        "noncoder_windows_per_second": round(statistics.median(a for a, _ in pairs)),
        "dataloader_windows_per_second": round(statistics.median(b for _, b in pairs)),
        "ratio": round(statistics.median(a / b for a, b in pairs), 1),
        "batch_size": options.batch_size,
        "store_bytes": size,
        "one_hot_and_label_bytes": options.windows * (4 * WINDOW + N_TASKS),
    }
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"one core, batches of {options.batch_size}, medians of {options.repeats} passes")
    print(f"  noncoder           {result['noncoder_windows_per_second']:>10,} windows/s")
    print(f"  torch DataLoader   {result['dataloader_windows_per_second']:>10,} windows/s")
    print(f"  ratio              {result['ratio']:>10}")
    print(f"  store {size / 1e6:.1f} MB; the same as bytes {result['one_hot_and_label_bytes'] / 1e6:,.1f} MB")


if __name__ == "__main__":
    main()
