"""A block bootstrap of AUROC and average precision of every task, beside drawing windows and asking scikit-learn.

Scores of DeepSEA's size are simulated: 227,512 windows on two chromosomes, tasks with shares of positives from 0.001 to
0.3, 2% on average. They are read from a file, so that the peak of memory is what the bootstrap takes. scikit-learn
measures a few resamples of a few tasks, from which its time for all is extrapolated; its values must be ours.

    python benchmarks/bootstrap.py --windows 227512 --tasks 919 --resamples 1000
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from noncoder.metrics.blocks import Blocks, genome_blocks, resample_weights
from noncoder.metrics.column_reader import Columns, PackedBits
from noncoder.metrics.delong import compare_tasks
from noncoder.metrics.uncertainty import Resampled, bootstrap, interval
from noncoder.threads import count_for_numba

_STEP = 1250  # of 227,512 windows on the 284 Mb of chromosomes 8 and 9


def simulate(folder: Path, blocks: Blocks, n_tasks: int) -> None:
    """Writes the logits of two models, a.npy and b.npy, and the labels, labels.npy."""
    rng, n = np.random.default_rng(0), blocks.of.size
    shares = np.clip(rng.lognormal(-4.5, 1.1, n_tasks), 0.001, 0.3)
    files = [_create(folder / name, n, n_tasks) for name in ("a.npy", "b.npy")]
    bits = np.zeros((n, -(-n_tasks // 8)), dtype=np.uint8)
    for task, share in enumerate(shares):
        truth = rng.random(n) < share
        bits[:, task // 8] |= truth.astype(np.uint8) << (7 - task % 8)
        signal = 2 * truth + 0.3 * rng.normal(size=blocks.n)[blocks.of]
        for file in files:
            file[:, task] = signal + rng.normal(size=n)
    positives = np.unpackbits(bits, axis=1).sum() / n / n_tasks
    print(f"{n:,} windows, {n_tasks} tasks, {positives:.2%} positive, {blocks.n} blocks of {blocks.length:,} bp")
    np.save(folder / "labels.npy", bits)


def _create(path: Path, n: int, n_tasks: int) -> Any:
    return np.lib.format.open_memmap(path, "w+", np.float32, (n, n_tasks), fortran_order=True)


def naive(
    path: Path, labels: PackedBits, blocks: Blocks, weights: NDArray[np.int16], found: Resampled, n_tasks: int
) -> float:
    """Seconds of a task and resample with scikit-learn; checks that its values are ours."""
    logits, members = np.load(path, mmap_mode="r"), [np.flatnonzero(blocks.of == block) for block in range(blocks.n)]
    tasks, seconds = np.linspace(0, logits.shape[1] - 1, n_tasks).astype(int), 0.0
    for task in tasks:
        score = np.array(logits[:, task])
        truth = (labels.bits[:, task // 8] >> (7 - task % 8)) & 1
        for r, row in enumerate(weights):
            start = time.perf_counter()
            drawn = np.concatenate([members[block] for block in np.repeat(np.arange(blocks.n), row)])
            values = roc_auc_score(truth[drawn], score[drawn]), average_precision_score(truth[drawn], score[drawn])
            seconds += time.perf_counter() - start
            np.testing.assert_allclose(values, [draws.resampled[r, task] for draws in found], rtol=0, atol=1e-9)
    return seconds / n_tasks / len(weights)


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def warm(path: Path) -> None:
    """Compiles, which is done once on a machine, and is no part of what is timed."""
    labels = np.arange(120).reshape(60, 2) % 7 == 0
    np.save(path, np.asfortranarray(np.arange(120, dtype=np.float32).reshape(60, 2)))
    small, blocks = Columns(path, PackedBits(np.packbits(labels, axis=1), range(2))), genome_blocks(range(60), 1, 10)
    bootstrap(small, blocks, 2)
    compare_tasks(small, small, blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=227_512)
    parser.add_argument("--tasks", type=int, default=919)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--sample", type=int, default=5, help="tasks, and resamples of each, for scikit-learn")
    options = parser.parse_args()
    blocks = genome_blocks(np.arange(options.windows) * _STEP, 1000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm(folder / "small.npy")
        # In a process of its own, whose memory is not counted.
        simulating = multiprocessing.get_context("spawn").Process(target=simulate, args=(folder, blocks, options.tasks))
        simulating.start()
        simulating.join()
        a, b = folder / "a.npy", folder / "b.npy"
        labels = PackedBits(np.load(folder / "labels.npy"), range(options.tasks))
        before, start = memory(), time.perf_counter()
        found = bootstrap(Columns(a, labels), blocks, options.resamples)
        seconds, after = time.perf_counter() - start, memory()
        print(
            f"bootstrap: {seconds:.1f} s for {options.resamples} resamples on {count_for_numba()} threads; "
            f"peak of memory {after:.2f} GiB, {before:.2f} before"
        )
        for what, draws in zip(("AUROC", "average precision"), found, strict=True):
            mean = draws.map(lambda values: np.nanmean(values, axis=-1))
            low, high = interval(mean)
            print(f"mean {what} {mean.estimate:.4f}, 95% interval {low:.4f} to {high:.4f}")
        weights = resample_weights(blocks.n, options.resamples)[: options.sample]
        each = naive(a, labels, blocks, weights, found, options.sample)
        whole = each * options.tasks * options.resamples
        print(
            f"scikit-learn: {each:.3f} s for a resample of a task ({options.sample} of {options.sample} tasks), "
            f"extrapolated {whole / 3600:.1f} h on one thread: {whole / seconds:,.0f} times as long"
        )
        start = time.perf_counter()
        compare_tasks(Columns(a, labels), Columns(b, labels), blocks)
        print(f"comparison of two models: {time.perf_counter() - start:.1f} s; peak of memory {memory():.2f} GiB")


if __name__ == "__main__":
    main()
