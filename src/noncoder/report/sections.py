"""What each section of the report shows: figures, tables and the numbers that its sentences need."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from noncoder import plots
from noncoder.report.read import CURVES, LOG, VALID, Split, read_csv
from noncoder.train.flow import read_flow

# More bars than this, and their names run into each other.
_MOST_CHROMOSOMES = 40
# Curves are stored in thousandths, which on a screen is less than a pixel.
_GRID = 1000


def data_section(stats: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the section on the data shows, from the statistics of a store; None without them."""
    if stats is None:
        return None
    present = [split for split in ("train", "valid", "test") if stats["splits"][split]["windows"]]
    shown = present[0] if present else "all"
    positives, chromosomes = stats["positives"], stats["chromosomes"]
    figures = {
        "positives": plots.plot_positives(
            {split: positives[split] for split in present}, stats["groups_of_tasks"], stats["tasks"]
        ),
        "balance": plots.plot_balance(positives[shown], np.subtract(stats["known"][shown], positives[shown])),
        "labels": plots.plot_labels(stats["labels_per_window"]["all"]["windows"]),
        "bases": plots.plot_bases({base: share or 0 for base, share in stats["bases"]["shares"].items()}),
    }
    if any(positives["all"]):
        histogram = stats["frequency_histogram"]
        figures["frequency"] = plots.plot_frequency(histogram["edges"], histogram["counts"]["all"])
    if len(chromosomes) <= _MOST_CHROMOSOMES and not stats["other_chromosomes"]["contigs"]:
        figures["chromosomes"] = plots.plot_chromosomes(
            [row["name"] for row in chromosomes],
            {split: [row["splits"][split] for row in chromosomes] for split in present},
        )
    figures |= _figures_of_windows(stats, present)
    frequency = [share for share in stats["frequency"]["all"] if share is not None]
    return {
        "stats": stats,
        "present": present,
        "shown": shown,
        "figures": _svgs(figures, "data"),
        "range": [min(positives[shown], default=0), max(positives[shown], default=0)],
        "median_frequency": float(np.median(frequency)) if frequency else None,
        "leaking": any(stats["leakage"]["splits"][split]["any"] for split in present) if "leakage" in stats else None,
        "shared_chromosomes": sum(sum(count > 0 for count in row["splits"].values()) > 1 for row in chromosomes),
    }


def _figures_of_windows(stats: Mapping[str, Any], present: Sequence[str]) -> dict[str, Figure]:
    """What statistics of earlier versions lack."""
    figures = {}
    together, made_of = stats.get("cooccurrence"), stats.get("composition")
    order = together["order"] if together else list(range(len(stats["tasks"])))
    if together and len(order) > 1:
        cells = np.frombuffer(base64.b64decode(together["heatmap"]), dtype=np.uint8) / 255
        groups = [stats["groups_of_tasks"][i] for i in order]
        figures["cooccurrence"] = plots.plot_cooccurrence(cells.reshape(2 * [together["cells"]]), groups)
    if made_of:
        figures["gc"] = plots.plot_gc(made_of["gc_edges"], {split: made_of[split]["gc_histogram"] for split in present})
    rows = [row for row in stats["chromosomes"] if "positives_of_tasks" in row]
    if len(rows) > 1 and not stats["other_chromosomes"]["contigs"]:
        figures["tasks"] = plots.plot_task_chromosomes(
            [row["name"] for row in rows],
            np.array([row["positives_of_tasks"] for row in rows])[:, order],
            [row["windows"] for row in rows],
        )
    return figures


def training_section(folder: Path, summary: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the section on training shows, from its logs; None without them."""
    log, valid = read_csv(folder / "log.csv", LOG), read_csv(folder / "valid.csv", VALID)
    seconds = np.append(log["seconds"], valid["seconds"])
    if not seconds.size:
        return None
    last = float(np.nanmax(seconds, initial=0))
    unit, size = ("hours", 3600) if last >= 7200 else ("minutes", 60) if last >= 120 else ("seconds", 1)
    kept = np.flatnonzero(valid["step"] == (summary or {}).get("best", {}).get("step"))
    figures = {
        name: plots.plot_training(
            (log[name] / divisor, log["loss"]),
            valid[name] / divisor,
            {measure: valid[measure] for measure in VALID[2:]},
            label,
            int(kept[0]) if kept.size else None,
        )
        for name, divisor, label in (("step", 1, "optimiser step"), ("seconds", size, unit))
    }
    if np.isfinite(log["learning_rate"]).sum() > 1:
        figures["rate"] = plots.plot_learning_rate(log["step"], log["learning_rate"], "optimiser step")
    flow = read_flow(folder / "gradients.csv")
    if flow is not None:
        figures["flow"] = plots.plot_gradient_flow(*flow)
    speed = log["windows_per_second"]
    if np.isfinite(speed).sum() > 1:
        figures["speed"] = plots.plot_throughput(log["seconds"] / size, speed, unit)
    low, median, high = np.nanquantile(speed, [0.05, 0.5, 0.95]).tolist() if np.isfinite(speed).any() else [None] * 3
    return {
        "figures": _svgs(figures, "train"),
        "validations": valid["step"].size,
        "speed": {"low": low, "median": median, "high": high},
    }


def split_section(split: Split, wanted: Sequence[str]) -> dict[str, Any]:
    """What the section on one evaluated split shows, with the curves of the wanted tasks first."""
    section: dict[str, Any] = {"name": split.name, "summary": split.summary, "rows": None, "figures": {}, "first": []}
    if split.tasks is None or not split.tasks.height:
        return section
    table = split.tasks.with_row_index("index").with_columns(
        prevalence=pl.when(pl.col("windows") > 0).then(pl.col("positives") / pl.col("windows")),
    )
    table = table.with_columns(
        lift=pl.when(pl.col("prevalence") > 0).then(pl.col("average_precision") / pl.col("prevalence"))
    ).sort("average_precision", descending=True, nulls_last=True, maintain_order=True)
    scored = table.filter(pl.col("average_precision").is_not_null())
    names = scored["task"].to_list()
    default = list(dict.fromkeys([names[0], names[len(names) // 2], names[-1]])) if names else []
    first = [name for name in wanted if name in set(split.tasks["task"])] or default
    rows = {row["task"]: row for row in table.iter_rows(named=True)}
    return section | {
        "rows": list(rows.values()),
        "grouped": any(row["group"] for row in rows.values()),
        "best": list(scored.head(3).iter_rows(named=True)),
        "worst": list(scored.tail(3).iter_rows(named=True)),
        "figures": _svgs(_result_figures(split, scored.sort("index"), [rows[name] for name in first]), split.name),
        "curves": {"first": [rows[name]["index"] for name in first], **_embedded(split.curves)}
        if split.curves
        else None,
    }


def _result_figures(split: Split, scored: pl.DataFrame, first: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    if not scored.height:
        return {}
    groups = [group or "" for group in scored["group"]]
    auroc, precision = scored["auroc"].to_numpy(), scored["average_precision"].to_numpy()
    trained = scored["train_positives"].to_numpy()
    figures = {
        "distribution": plots.plot_distribution({"AUROC": auroc, "average precision": precision}, groups),
        "scatter": plots.plot_auroc_by_positives(trained, auroc, groups, "positive windows in training"),
    }
    if split.curves and first:
        roc, pr = ({row["task"]: (split.curves[x][row["index"]], split.curves[y][row["index"]]) for row in first}
                   for x, y in (CURVES[:2], CURVES[2:]))  # fmt: skip
        figures["roc"] = plots.plot_roc(roc)
        figures["pr"] = plots.plot_precision_recall(pr, {row["task"]: row["prevalence"] or 0 for row in first})
    return figures


def _embedded(curves: Mapping[str, NDArray[np.floating[Any]]]) -> dict[str, list[str | None]]:
    """Each task's curves as the points of an SVG polyline, y downwards; None where undefined."""
    pairs = {"roc": CURVES[:2], "pr": CURVES[2:]}
    return {
        kind: [_points(xs, ys) for xs, ys in zip(curves[x], curves[y], strict=True)] for kind, (x, y) in pairs.items()
    }


def _points(x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]) -> str | None:
    whole = np.isfinite(x) & np.isfinite(y)
    if not whole.any():
        return None
    line = np.column_stack([x[whole], 1 - y[whole]]).astype(np.float64) * _GRID
    kept = line[_simplified(line)].round().astype(int)
    return " ".join(f"{x},{y}" for x, y in kept.tolist())


def _simplified(line: NDArray[np.float64], tolerance: float = 1.5) -> NDArray[np.bool_]:
    """Which points keep a line within a tolerance of itself (Ramer 1972; Douglas and Peucker 1973)."""
    keep = np.zeros(len(line), dtype=bool)
    keep[[0, -1]] = True
    spans = [(0, len(line) - 1)]
    while spans:
        a, b = spans.pop()
        if b - a < 2:
            continue
        chord, offset = line[b] - line[a], line[a + 1 : b] - line[a]
        length = float(np.hypot(*chord))
        away = np.abs(chord[0] * offset[:, 1] - chord[1] * offset[:, 0]) / length if length else np.hypot(*offset.T)
        far = int(away.argmax())
        if away[far] > tolerance:
            keep[a + 1 + far] = True
            spans += [(a, a + 1 + far), (a + 1 + far, b)]
    return keep


_LABELS = {
    "positives": "positive windows of each task",
    "balance": "positives against negatives of each task",
    "frequency": "histogram of the tasks' share of positive windows",
    "labels": "histogram of the positive labels of a window",
    "bases": "share of each base",
    "chromosomes": "windows on each chromosome by split",
    "gc": "GC content of the windows of each split",
    "cooccurrence": "heat map of which tasks are positive together",
    "tasks": "heat map of positives of each task by chromosome",
    "step": "loss, AUROC and average precision against steps",
    "seconds": "loss, AUROC and average precision against time",
    "speed": "windows a second over time",
    "rate": "learning rate against steps",
    "flow": "gradients, weights and updates of every layer",
    "distribution": "AUROC and average precision of every task, by group",
    "scatter": "AUROC of every task against its positive windows in training",
    "roc": "ROC curves of some tasks",
    "pr": "precision-recall curves of some tasks",
}


def _svgs(figures: Mapping[str, Figure], part: str) -> dict[str, Markup]:
    # figure_svg escapes what it is given, so the text is markup as it stands.
    return {
        name: Markup(plots.figure_svg(figure, re.sub(r"\W", "-", f"{part}-{name}"), _LABELS[name]))
        for name, figure in figures.items()
    }
