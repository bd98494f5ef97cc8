"""Evaluations as later versions write them, from scores that are drawn and then really measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.metrics import curves, rank

EDGES = np.linspace(-9, 6, 31)

Floats = NDArray[np.float64]

TASKS = [
    {"task": f"cell{i % 3}|{assay}|None{i}", "group": group, "cell": f"cell{i % 3}", "assay": assay, "treatment": ""}
    for i, (group, assay) in enumerate([("TF", "CTCF"), ("TF", "MYC")] * 4 + [("DNase", "DNase")] * 5)
]
_ABOUT = {"year": 2016, "parameters": 46_926_479, "ours": False, "comparable": True, "why": [], "certainty": "computed",
          "pr_auc_by": "trapezoid from precision 1", "strands_averaged": True, "strands_certainty": "second-hand",
          "source": "Quang & Xie 2016", "note": ""}  # fmt: skip
PUBLISHED = {
    "comparable": False,
    "why": ["1,500 windows; the test set has 227,512"],
    "rows": [
        _ABOUT | {"model": "DanQ", "table": "report", "auroc": 0.9109, "pr_auc": 0.4698},
        _ABOUT | {"model": "DanQ", "table": "field", "mean": {"all": {"auroc": 0.938, "pr_auc": 0.371}},
                  "median": {"TF": {"auroc": 0.963, "pr_auc": 0.334}}},
        _ABOUT | {"model": "NCNet-RbR", "table": "report", "auroc": 0.9507, "pr_auc": 0.5519, "comparable": False,
                  "why": ["never measured"], "strands_averaged": None},
        _ABOUT | {"model": "ours", "year": None, "parameters": None, "ours": True, "comparable": False, "why": ["few"],
                  "table": "report", "auroc": 0.9001, "pr_auc": 0.4002, "source": "this run"},
    ],
}  # fmt: skip


def sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-logits))


def drawn(tasks: int, windows: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Logits of a model that is too sure of itself, and labels; the last two tasks cannot be scored."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(windows, tasks)) * rng.uniform(0.8, 2.5, tasks) + rng.uniform(-5.5, -2, tasks)
    labels = rng.random((windows, tasks)) < sigmoid(true)
    if tasks > 2:
        labels[:, -1], labels[:, -2] = False, True
    logits = 1.35 * true + rng.normal(scale=0.4, size=true.shape)
    return np.asfortranarray(logits, dtype=np.float32), labels


def reliability(logits: Floats, labels: NDArray[np.bool_], prefix: str) -> dict[str, Any]:
    """Mean probability, share of positives and count of each bin of each task."""
    shape = (logits.shape[1], len(EDGES) - 1)
    found = {what: np.full(shape, np.nan, dtype=np.float32) for what in ("predicted", "observed")}
    count = np.zeros(shape, dtype=np.int64)
    for task, (scores, truth) in enumerate(zip(logits.T, labels.T, strict=True)):
        bins = np.clip(np.searchsorted(EDGES, scores) - 1, 0, shape[1] - 1)
        count[task] = np.bincount(bins, minlength=shape[1])
        for what, values in (("predicted", sigmoid(scores)), ("observed", truth)):
            total = np.bincount(bins, values, minlength=shape[1])
            np.divide(total, count[task], out=found[what][task], where=count[task] > 0, casting="same_kind")
    return {f"{prefix}_{what}": values for what, values in found.items()} | {f"{prefix}_count": count}


def probability_measures(
    logits: Floats, labels: NDArray[np.bool_], bins: dict[str, Any], prefix: str
) -> dict[str, Floats]:
    """Log loss, Brier score and expected calibration error of each task."""
    p = sigmoid(logits)
    gap = np.abs(np.nan_to_num(bins[f"{prefix}_predicted"] - bins[f"{prefix}_observed"]))
    return {
        "log_loss": (np.logaddexp(0, logits) - labels * logits).mean(axis=0),
        "brier": ((p - labels) ** 2).mean(axis=0),
        "ece": (gap * bins[f"{prefix}_count"]).sum(axis=1) / len(labels),
    }


def columns(logits: NDArray[np.float32], labels: NDArray[np.bool_]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of numbers of tasks.parquet, and what curves.npz holds."""
    rng = np.random.default_rng(1)
    ranking = rank(logits, labels)
    scores = logits.astype(np.float64)
    ok = ~np.isnan(ranking.auroc)
    temperature = rng.normal(1.35, 0.08, len(ok))
    bins = reliability(scores, labels, "reliability")
    after = reliability(scores / temperature, labels, "reliability_calibrated")
    table: dict[str, Any] = {
        "windows": ranking.known, "positives": ranking.positives, "train_positives": ranking.positives * 7,
        "auroc": ranking.auroc, "average_precision": ranking.average_precision,
    }  # fmt: skip
    left_out = np.where(ranking.positives == 0, "no positive", "no negative")
    table["left_out"] = np.where(ok, "", left_out)
    for name, half in (("auroc", 0.02), ("average_precision", 0.04)):
        table |= {f"{name}_low": table[name] - half, f"{name}_high": np.minimum(table[name] + half, 1)}
    table |= {
        "pr_auc_trapezoid": table["average_precision"] * 1.004, "accuracy": ((scores > 0) == labels).mean(axis=0),
        "best_f1": np.where(ok, 0.2 + table["average_precision"] / 2, np.nan),
        "best_f1_threshold": np.where(ok, rng.uniform(0.05, 0.4, len(ok)), np.nan),
        **{f"precision_at_recall_{at}": table["average_precision"] * (1.2 - at / 100) for at in (10, 50, 90)},
        **probability_measures(scores, labels, bins, "reliability"),
        "temperature": temperature,
    }  # fmt: skip
    calibrated = probability_measures(scores / temperature, labels, after, "reliability_calibrated")
    table |= {f"{name}_calibrated": values for name, values in calibrated.items()}
    return table, {**curves(logits, labels)._asdict(), **bins, **after}


MEASURES = ("auroc", "average_precision", "pr_auc_trapezoid", "accuracy", "best_f1", "log_loss", "brier", "ece")


def means(table: pl.DataFrame, weights: Floats | None = None, median: bool = False) -> dict[str, Any]:
    """Means over the scored tasks among these, with intervals."""
    scored = table.filter(pl.col("auroc").is_not_null())
    weights = np.ones(scored.height) if weights is None else weights
    found: dict[str, Any] = {"tasks": scored.height}
    for name in MEASURES:
        values = scored[name].to_numpy()
        found[name] = float(np.median(values) if median else np.average(values, weights=weights))
    return found | {
        "interval": {name: [found[name] - 0.0081, found[name] + 0.0072] for name in ("auroc", "average_precision")}
    }


def summary(split: str, table: pl.DataFrame, published: dict[str, Any] | None = None) -> dict[str, Any]:
    """What summary.json says of such a table."""
    scored = table.filter(pl.col("auroc").is_not_null())
    weights = scored["train_positives"].to_numpy().astype(float)
    left_out = {why: table.filter(pl.col("left_out") == why)["task"].to_list()
                for why in ("no positive", "no negative", "no known label")}  # fmt: skip
    whole, weighted = means(table), means(table, weights)
    groups = {}
    for (name,), members in table.group_by(["group"], maintain_order=True):
        groups[name] = {**means(members), "tasks": members.height, "scored": means(members)["tasks"],
                        "median": means(members, median=True)}  # fmt: skip
    averaging = []
    for i, name in enumerate(("forward strand", "both strands", "both strands, 3 shifts", "both strands of 2 models")):
        row: dict[str, Any] = {"name": name}
        for key, full in (("mean", whole), ("weighted", weighted)):
            row[key] = {measure: full[measure] - 0.004 * (3 - i) for measure in MEASURES[:2]}
        row["difference"] = dict.fromkeys(MEASURES[:2], 0.004 * i)
        if i:
            ends = [0.004 * i - 0.001, 0.004 * i + 0.001]
            row["difference"]["interval"] = dict.fromkeys(MEASURES[:2], ends)
        averaging.append(row)
    return {
        "split": split, "strands": "both", "windows": int(table["windows"][0]), "loss": whole["log_loss"],
        "tasks": table.height, "scored": scored.height,
        "undefined": [name for names in left_out.values() for name in names], "left_out": left_out, "min_positives": 50,
        "prevalence": float(table["positives"].to_numpy().sum() / table["windows"].to_numpy().sum()),
        "tasks_with_min_positives": scored.filter(pl.col("positives") >= 50).height,
        "store": "toy.zarr", "store_digest": "deadbeef", "seconds": 1.0,
        "mean": whole, "mean_min_positives": means(table.filter(pl.col("positives") >= 50)),
        "weighted": weighted, "weighted_as_report": weighted | {"auroc": weighted["auroc"] * 0.99},
        "median": means(table, median=True), "groups": groups,
        "bootstrap": {"resamples": 1000, "level": 0.95, "blocks": 228, "block": 1_000_000, "seed": 0},
        "calibration": {
            "split": "valid", "shared": 1.37, "fitted": scored.height - 3,
            "before": {name: whole[name] for name in MEASURES[5:]},
            "after": {name: float(scored[f"{name}_calibrated"].to_numpy().mean()) for name in MEASURES[5:]},
        },
        "averaging": averaging, "published": published,
    }  # fmt: skip


def write_full_evaluation(
    folder: Path, names: list[dict[str, str]], windows: int, published: dict[str, Any] | None = None, seed: int = 0
) -> pl.DataFrame:
    """Writes tasks.parquet, curves.npz and summary.json of a split with everything that there may be.

    Args:
        folder: RUN/evaluate/SPLIT.
        names: A task each: task, group, cell, assay, treatment.
        windows: How many are drawn.
        published: The comparison with the literature.
        seed: Of the drawing.
    """
    folder.mkdir(parents=True)
    numbers, drawn_curves = columns(*drawn(len(names), windows, seed))
    table = pl.DataFrame({key: [name[key] for name in names] for key in names[0]} | numbers)
    table = table.with_columns(pl.col(pl.Float64).fill_nan(None))
    table.write_parquet(folder / "tasks.parquet")
    np.savez_compressed(folder / "curves.npz", **drawn_curves)
    (folder / "summary.json").write_text(json.dumps(summary(folder.name, table, published)))
    return table
