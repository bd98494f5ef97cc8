"""Seconds for AUROC and average precision of every task of a DeepSEA test set, beside scikit-learn in the same run.

Simulated float32 logits and byte labels; prevalences of tasks as DeepSEA's, 0.05% to 30%, 2% on average. Ours is timed
after a warm-up that loads its machine code, its median is told; a peer is timed once. What both computed is compared.

    python benchmarks/metrics.py [--windows 455024] [--tasks 919] [--sklearn-tasks 919] [--device cuda] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from noncoder.metrics import Ranking, rank
from noncoder.metrics.gpu_ranking import rank_on_device

Scores = NDArray[np.float32]
Labels = NDArray[np.uint8]
# AUROC and average precision of tasks.
Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def simulate(n: int, n_tasks: int) -> tuple[Scores, Labels]:
    rng = np.random.default_rng(0)
    prevalence = np.clip(rng.lognormal(np.log(0.0107), 1.2, n_tasks), 0.0005, 0.3).astype(np.float32)
    signal = rng.uniform(0.5, 3, n_tasks).astype(np.float32)
    logits, labels = np.empty((n, n_tasks), dtype=np.float32), np.empty((n, n_tasks), dtype=np.uint8)
    base = np.log(prevalence / (1 - prevalence)) - 1
    for first in range(0, n, 1 << 14):
        rows = slice(first, first + (1 << 14))
        labels[rows] = rng.random(logits[rows].shape, dtype=np.float32) < prevalence
        logits[rows] = base + 1.5 * rng.standard_normal(logits[rows].shape, dtype=np.float32) + signal * labels[rows]
    return logits, labels


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


def peak_megabytes() -> int:
    """Of this process so far, the tables included."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def spread(n_tasks: int, k: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n_tasks - 1, min(k, n_tasks)).astype(np.int64))


def by_sklearn(logits: Scores, labels: Labels) -> Pair:
    found = np.full((2, logits.shape[1]), np.nan)
    for task in range(logits.shape[1]):
        truth, scores = labels[:, task], logits[:, task]
        if 0 < truth.sum() < truth.size:
            found[:, task] = roc_auc_score(truth, scores), average_precision_score(truth, scores)
    return found[0], found[1]


def by_torchmetrics(logits: Scores, labels: Labels) -> Pair:
    library, k = importlib.import_module("torchmetrics.classification"), logits.shape[1]
    scores, truth = torch.from_numpy(logits), torch.from_numpy(labels)
    kinds = (library.MultilabelAUROC, library.MultilabelAveragePrecision)
    area, precision = (kind(k, average=None, thresholds=None)(scores, truth).double().numpy() for kind in kinds)
    return area, precision


def by_torcheval(logits: Scores, labels: Labels) -> Pair:
    library, k = importlib.import_module("torcheval.metrics.functional"), logits.shape[1]
    scores, truth = torch.from_numpy(logits), torch.from_numpy(labels)
    area = library.binary_auroc(scores.T.contiguous(), truth.T.contiguous(), num_tasks=k)
    precision = library.multilabel_auprc(scores, truth, num_labels=k, average=None)
    return area.double().numpy(), precision.double().numpy()


PEERS: dict[str, Callable[[Scores, Labels], Pair]] = {
    "scikit-learn": by_sklearn,
    "torchmetrics": by_torchmetrics,
    "torcheval": by_torcheval,
}


def beside(name: str, tables: tuple[Scores, Labels], ours: Ranking, seconds: float, k: int) -> dict[str, Any]:
    """A peer's time on k tasks spread evenly, what all would take, and how far its measures are from ours."""
    logits, labels = tables
    tasks = spread(logits.shape[1], k)
    some = (np.ascontiguousarray(logits[:, tasks]), np.ascontiguousarray(labels[:, tasks]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tasks without a positive
        PEERS[name](some[0][:100], some[1][:100])  # imports it
        (area, precision), took = timed(lambda: PEERS[name](*some))
    defined = np.isfinite(ours.auroc[tasks])
    whole = took * logits.shape[1] / tasks.size
    return {
        "tasks": int(tasks.size),
        "seconds": round(took, 2),
        "seconds_for_all": round(whole, 1),
        "extrapolated": bool(tasks.size < logits.shape[1]),
        "ratio": round(whole / seconds, 1),
        "largest_difference_auroc": float(np.abs(area - ours.auroc[tasks])[defined].max(initial=0)),
        "largest_difference_average_precision": float(
            np.abs(precision - ours.average_precision[tasks])[defined].max(initial=0)
        ),
        "peak_megabytes": peak_megabytes(),
    }


def on_device(device: str, tables: tuple[Scores, Labels], ours: Ranking, repeats: int) -> dict[str, Any]:
    """Seconds there with and without the way there from main memory."""

    def there() -> list[torch.Tensor]:
        tensors = [torch.from_numpy(table).to(device) for table in tables]
        synchronize()
        return tensors

    def synchronize() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    for table in there():
        rank_on_device(table[:1000].float(), torch.zeros_like(table[:1000]))  # loads kernels
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    ways, ranks = [], []
    for _ in range(repeats):
        tensors, way = timed(there)
        found, took = timed(lambda tensors=tensors: rank_on_device(tensors[0], tensors[1]))  # type: ignore[misc]
        synchronize()
        ways.append(way)
        ranks.append(took)
        del tensors
    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "seconds": round(statistics.median(ranks), 3),
        "seconds_with_transfer": round(statistics.median(a + b for a, b in zip(ways, ranks, strict=True)), 3),
        "same_auroc": bool(np.array_equal(found.auroc, ours.auroc, equal_nan=True)),
        "largest_difference_average_precision": float(
            np.nanmax(np.abs(found.average_precision - ours.average_precision), initial=0)
        ),
        "peak_megabytes": round(torch.cuda.max_memory_allocated(device) / 1e6) if device.startswith("cuda") else None,
    }


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    tables = simulate(options.windows, options.tasks)
    logits, labels = tables
    simulated = peak_megabytes()
    _, warm_up = timed(lambda: rank(logits[:1000].copy(), labels[:1000].copy()))
    runs = [timed(lambda: rank(logits, labels)) for _ in range(options.repeats)]
    ours, seconds = runs[0][0], statistics.median(took for _, took in runs)
    result: dict[str, Any] = {
        "windows": options.windows,
        "tasks": options.tasks,
        "prevalence": round(float(labels.mean()), 5),
        "cores": len(os.sched_getaffinity(0)),
        "noncoder": {
            "seconds": round(seconds, 3),
            "runs": [round(took, 3) for _, took in runs],
            "warm_up_seconds": round(warm_up, 2),
            "peak_megabytes_before": simulated,
            "peak_megabytes": peak_megabytes(),
        },
        "versions": {"python": platform.python_version(), "scikit-learn": sklearn.__version__}
        | {name: installed(name) for name in ("numpy", "numba", "torch", "torchmetrics", "torcheval")},
    }
    if options.device:
        result["on_device"] = on_device(options.device, tables, ours, options.repeats)
    for name in PEERS:
        k = options.tasks if name == "scikit-learn" else options.peer_tasks
        k = options.sklearn_tasks if name == "scikit-learn" and options.sklearn_tasks is not None else k
        if k and installed(name):
            result[name] = beside(name, tables, ours, seconds, k)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=455_024)
    parser.add_argument("--tasks", type=int, default=919)
    parser.add_argument("--sklearn-tasks", type=int, help="Tasks that scikit-learn computes; all unless given.")
    parser.add_argument("--peer-tasks", type=int, default=16, help="Tasks that torchmetrics and torcheval compute.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="", help="Where to time rank_on_device, e.g. cuda.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options)
    peer = result.get("scikit-learn")
    far = max(peer[f"largest_difference_{name}"] for name in ("auroc", "average_precision")) if peer else 0.0
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)
    if far > 1e-9:
        raise SystemExit(f"ours and scikit-learn's differ by {far}")


def show(result: dict[str, Any]) -> None:
    ours = result["noncoder"]
    print(f"{result['windows']:,} windows x {result['tasks']} tasks, {result['prevalence']:.2%} positive,"
          f" {result['cores']} cores")  # fmt: skip
    print(f"  noncoder           {ours['seconds']:>10} s, median of {len(ours['runs'])}; peak memory"
          f" {ours['peak_megabytes']:,} MB, before it {ours['peak_megabytes_before']:,} MB")  # fmt: skip
    if "on_device" in result:
        there = result["on_device"]
        print(f"  {there['device']}: {there['seconds']} s, {there['seconds_with_transfer']} s from main memory;"
              f" AUROC {'the same to the last bit' if there['same_auroc'] else 'DIFFERS'},"
              f" average precision within {there['largest_difference_average_precision']:.1e}")  # fmt: skip
    for name in PEERS:
        if name in result:
            row = result[name]
            said = f" (extrapolated from {row['seconds']} s for {row['tasks']} tasks)" if row["extrapolated"] else ""
            print(f"  {name:<18} {row['seconds_for_all']:>10} s{said}, {row['ratio']} times ours; AUROC within"
                  f" {row['largest_difference_auroc']:.1e}, average precision within"
                  f" {row['largest_difference_average_precision']:.1e}")  # fmt: skip
    print("  " + ", ".join(f"{name} {number or 'not installed'}" for name, number in result["versions"].items()))


if __name__ == "__main__":
    main()
