"""The content of the sections on data and training: figures, and the numbers in their sentences."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from noncoder import plots
from noncoder.files import check_file
from noncoder.report.figures import svgs
from noncoder.report.run_files import LOG, VALID, read_csv
from noncoder.runs.folder import TrainFolder
from noncoder.runs.results import TrainingSummary
from noncoder.train.flow import read_flow

# With more bars, their names overlap.
_MOST_CHROMOSOMES = 40


def data_section(stats: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns the content of the section on the data, from the statistics of a store; None without them."""
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
        "figures": svgs(figures, "data"),
        "range": [min(positives[shown], default=0), max(positives[shown], default=0)],
        "median_frequency": float(np.median(frequency)) if frequency else None,
        "leaking": any(stats["leakage"]["splits"][split]["any"] for split in present) if "leakage" in stats else None,
        "shared_chromosomes": sum(sum(count > 0 for count in row["splits"].values()) > 1 for row in chromosomes),
    }


def _figures_of_windows(stats: Mapping[str, Any], present: Sequence[str]) -> dict[str, Figure]:
    """Adds values that statistics of earlier versions lack."""
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


def training_section(folder: TrainFolder, summary: TrainingSummary | None) -> dict[str, Any] | None:
    """Returns the content of the section on training, from its logs; None without them."""
    digests = summary.digests if summary else None
    log, valid = read_csv(folder.log, LOG, digests), read_csv(folder.validations, VALID, digests)
    seconds = np.append(log["seconds"], valid["seconds"])
    if not seconds.size:
        return None
    last = float(np.nanmax(seconds, initial=0))
    unit, size = ("hours", 3600) if last >= 7200 else ("minutes", 60) if last >= 120 else ("seconds", 1)
    kept = np.flatnonzero(valid["step"] == (summary.best.step if summary and summary.best else None))
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
    check_file(folder.gradients, digests)
    flow = read_flow(folder.gradients)
    if flow is not None:
        figures["flow"] = plots.plot_gradient_flow(*flow)
    speed = log["windows_per_second"]
    if np.isfinite(speed).sum() > 1:
        figures["speed"] = plots.plot_throughput(log["seconds"] / size, speed, unit)
    low, median, high = np.nanquantile(speed, [0.05, 0.5, 0.95]).tolist() if np.isfinite(speed).any() else [None] * 3
    return {
        "figures": svgs(figures, "train"),
        "validations": valid["step"].size,
        "speed": {"low": low, "median": median, "high": high},
    }
