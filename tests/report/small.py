"""A small run as earlier versions wrote it, with a task name that no page may take for markup."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

HOSTILE = '</script><script>alert("1")</script> & <b>'
NAMES = ["Reb1", "Abf1", HOSTILE, "Silent", "Rap1", "$x_1$"]


def stats() -> dict[str, Any]:
    positives = {"train": [100, 60, 30, 0, 10, 5], "valid": [10, 6, 3, 0, 1, 0], "test": [20, 12, 6, 0, 2, 1]}
    windows = {"train": 700, "valid": 100, "test": 200}
    positives["all"] = np.sum(list(positives.values()), axis=0).tolist()
    windows["all"] = 1000
    splits = {
        name: {
            "windows": count, "labels": count * 6, "positives": sum(positives[name]),
            "negatives": count * 6 - sum(positives[name]), "positive_share": sum(positives[name]) / count / 6,
            "positives_per_negative": 0.05, "all_negative": count // 2, "all_negative_share": 0.5,
        }
        for name, count in windows.items()
    }  # fmt: skip
    row = {"length": 9000, "windows": 500, "positives": 7}
    return {
        "store": {
            "name": "toy.zarr", "digest": "abc123", "genome": "toy", "label_rule": "summit", "window": 1000, "bin": 200,
            "windows": 1000, "tasks": 6, "bases": 123456, "contigs": 2,
            "dropped": [{"what": "peaks", "count": 4, "why": "outside"}],
        },
        "tasks": NAMES,
        "groups_of_tasks": ["TF"] * 6,
        "positives": positives,
        "known": {name: [count] * 6 for name, count in windows.items()},
        "frequency": {name: [hits / windows[name] for hits in counts] for name, counts in positives.items()},
        "frequency_histogram": {"edges": [0.001, 0.01, 0.1, 1], "counts": {"all": [1, 3, 1]}, "zero": {"all": 1}},
        "under_5_percent": {"all": 4},
        "no_positive": {"all": ["Silent"], "train": ["Silent"], "valid": ["Silent", "$x_1$"], "test": ["Silent"]},
        "splits": splits,
        "labels_per_window": {"all": {"windows": [500, 400, 100], "mean": 0.6, "median": 0, "most": 2}},
        "groups": {"TF": {"tasks": 6, **splits["all"]}},
        "bases": {"counts": {}, "shares": {"A": 0.3, "C": 0.2, "G": 0.2, "T": 0.3, "N": 0.0}, "gc": 0.4},
        "chromosomes": [
            {"name": "I", **row, "splits": {"train": 500, "valid": 0, "test": 0}},
            {"name": "II", **row, "splits": {"train": 200, "valid": 100, "test": 200}},
        ],
        "other_chromosomes": {"contigs": 0, "windows": 0, "positives": 0},
        "unknown": None,
    }  # fmt: skip


def stats_of_windows() -> dict[str, Any]:
    """What `explore` tells beyond that; a report of an earlier run lacks it."""
    found = stats()
    for i, row in enumerate(found["chromosomes"]):
        row["positives_of_tasks"] = [9 - i] * 6
    kinds = ("overlapping", "duplicates", "near_duplicates", "any")
    leaking = {
        name: dict.fromkeys(kinds, 0) | {"windows": 100, "any_share": 0.0} for name in ("train", "valid", "test")
    }
    leaking["test"] |= {"near_duplicates": 7, "any": 7, "any_share": 0.07}
    none = {"windows": [0, 0], "shares": [0, 0], "examples": []}
    near = {"windows": [3, 7], "shares": [0.03, 0.07], "examples": [["II:100-1100", "I:<4>-1004"]]}
    gc = {"gc": 0.41, "gc_histogram": [0, 5, 3, 0], "any_n": 12, "any_n_share": 0.012, "half_n": 2}
    return found | {
        "few_positives": {
            "min_positives": 30, "tasks": {"all": [], "train": ["Silent"], "valid": NAMES, "test": ["Abf1", "Silent"]},
        },
        "composition": {"gc_edges": [0, 0.25, 0.5, 0.75, 1]} | dict.fromkeys(("all", "train", "valid", "test"), gc),
        "leakage": {
            "definition": {"k": 21, "sampled_1_in": 8, "near": 0.5, "most_occurrences": 100, "least_samples": 10},
            "splits": leaking,
            "pairs": [{"splits": ["train", "test"], "overlapping": none, "duplicates": none, "near_duplicates": near}],
        },
        "cooccurrence": {
            "measure": "jaccard", "order": [0, 1, 2, 4, 5, 3], "cells": 6,
            "pairs": [{"tasks": ["Reb1", HOSTILE], "together": 17, "jaccard": 0.4321}],
            "heatmap": base64.b64encode(np.eye(6, dtype=np.uint8).tobytes()).decode(),
        },
    }  # fmt: skip


def write_training(run: Path) -> None:
    (run / "train").mkdir(parents=True)
    (run / "train/log.csv").write_text(
        "step,epoch,windows,seconds,loss,learning_rate,windows_per_second\n"
        + "".join(f"{i},{i / 50},{i * 128},{i},{1 / (i + 1)},0.001,{120 + i % 3}\n" for i in range(100))
        + "100,2.0,12"  # cut off
    )
    (run / "train/valid.csv").write_text(
        "step,epoch,windows,seconds,loss,auroc,average_precision,tasks\n50,1,6400,50,0.3,,,0\n99,2,12800,99,.2,.81,.4,5\n"
    )
    (run / "train/summary.json").write_text(
        json.dumps({
            "model": "compact", "parameters": {"channels": 64}, "n_parameters": 712341, "epochs": 2.0, "steps": 4321,
            "seconds": 3723.0, "windows_per_second": 121.4, "stopped": "all steps done", "device": "cpu", "threads": 2,
            "best": {"step": 99, "average_precision": 0.412, "auroc": 0.813}, "precision": "32-true", "seed": 7,
            "versions": {"noncoder": "0.1.0", "torch": "2.6.0"}, "store": "toy.zarr", "store_digest": "deadbeef",
            "git": None, "started": "2025-01-02T03:04:05+00:00",
        })
    )  # fmt: skip


def write_evaluation(run: Path, split: str) -> None:
    folder = run / "evaluate" / split
    folder.mkdir(parents=True)
    auroc = [0.9123, 0.81, 0.7, None, 0.6, float("nan")]
    precision = [0.5, 0.4321, 0.3, None, 0.2, None]
    pl.DataFrame(
        {
            "task": NAMES, "group": ["TF"] * 6, "cell": [""] * 6, "assay": ["ChIP"] * 6, "treatment": [""] * 6,
            "windows": [200] * 6, "positives": [20, 12, 6, 0, 2, 0], "train_positives": [100, 60, 30, 0, 10, 5],
            "auroc": auroc, "average_precision": precision,
        },
        strict=False,
    ).write_parquet(folder / "tasks.parquet")  # fmt: skip
    line = np.tile(np.linspace(0, 1, 20, dtype=np.float32), (6, 1))
    line[[3, 5]] = np.nan
    np.savez(folder / "curves.npz", roc_fpr=line, roc_tpr=np.sqrt(line), pr_recall=line, pr_precision=1 - line / 2)
    both = {"auroc": 0.7556, "average_precision": 0.3580}
    (folder / "summary.json").write_text(
        json.dumps({
            "split": split, "strands": "both", "windows": 200, "tasks": 6, "scored": 4,
            "undefined": ["Silent", "$x_1$"], "min_positives": 30, "tasks_with_min_positives": 0, "mean": both,
            "median": {"auroc": 0.755, "average_precision": 0.366},
            "mean_min_positives": {"auroc": None, "average_precision": None},
            "weighted": {"auroc": 0.8444, "average_precision": 0.4333},
            "groups": {"TF": {"tasks": 6, "scored": 4, **both}}, "prevalence": 0.0333, "loss": 0.1, "seconds": 1.0,
        })
    )  # fmt: skip
