"""A run's folder to one HTML file that needs nothing else: no network, no other file, no program but a browser."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Undefined
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from noncoder import plots
from noncoder.errors import InputError, UnknownNameError

# The split that was kept for the end comes first.
_SPLITS = ("test", "valid", "train")
_CURVES = ("roc_fpr", "roc_tpr", "pr_recall", "pr_precision")
_LOG = ("step", "seconds", "loss", "windows_per_second")
_VALID = ("step", "seconds", "loss", "auroc", "average_precision")
# More bars than this, and their names run into each other.
_MOST_CHROMOSOMES = 40
# Curves are stored in thousandths, which on a screen is less than a pixel.
_GRID = 1000


@dataclass(frozen=True)
class _Split:
    """One evaluated split; whatever was not found is None."""

    name: str
    summary: dict[str, Any] | None
    tasks: pl.DataFrame | None
    curves: dict[str, NDArray[np.floating[Any]]] | None


def write_report(run: Path, out: Path | None = None, tasks: Sequence[str] = (), title: str = "") -> Path:
    """Writes a run's report as one HTML file; what the run lacks is said in the report.

    Args:
        run: The run's folder.
        out: The file; by default report.html in the run's folder.
        tasks: Tasks whose curves are drawn first; by default the best, the middle and the last by average precision.
        title: The heading; by default the run's name.

    Returns:
        The file.

    Raises:
        InputError: There is no such folder, or one of its files cannot be read.
        UnknownNameError: A task is in no evaluated split.
    """
    run = Path(run)
    if not run.is_dir():
        raise InputError(f"there is no run {run}", expected="a run's folder", mend="train first: noncoder train RECIPE")
    splits = _read_splits(run / "evaluate")
    known = {name for split in splits if split.tasks is not None for name in split.tasks["task"]}
    for name in tasks:
        if known and name not in known:
            raise UnknownNameError("task", name, known)
    train = _read_json(run / "train" / "summary.json")
    try:
        data = _data_section(_read_json(run / "explore.json"))
    except (KeyError, TypeError) as error:
        raise _unreadable(run / "explore.json", f"{error} is not as this version writes it") from error
    return _render(
        out or run / "report.html",
        title=title or run.resolve().name,
        recipe=(run / "recipe.yaml").read_text() if (run / "recipe.yaml").is_file() else None,
        whole=True,
        data=data,
        train=train,
        training=_training_section(run / "train", train),
        splits=[_split_section(split, tasks) for split in splits],
    )


def write_exploration(stats: Mapping[str, Any], out: Path, title: str = "") -> Path:
    """Writes the statistics of a store as one HTML file.

    Args:
        stats: What `noncoder.data.explore.explore` returned.
        out: The file.
        title: The heading; by default the store's name.

    Returns:
        The file.
    """
    return _render(out, title=title or stats["store"]["name"], whole=False, data=_data_section(stats))


def _render(out: Path, **values: Any) -> Path:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=ChainableUndefined,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= {
        "count": _count,
        "metric": _metric,
        "number": _number,
        "percent": _percent,
        "times": _times,
        "duration": _duration,
        "large": _large,
    }
    page = environment.get_template("report.html.j2").render(**values)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(page, encoding="utf-8")
        partial.replace(out)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise InputError(f"cannot write {out}: {error.strerror}", mend="choose another place with --out") from error
    return out


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise _unreadable(path, error) from error
    return values if isinstance(values, dict) else None


def _read_csv(path: Path, columns: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The columns as numbers, NaN where a cell holds none; without rows where there is no file."""
    if not path.is_file() or not path.stat().st_size:
        return {name: np.empty(0) for name in columns}
    try:
        # A run that was killed may have left half of a last line.
        table = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True)
        return {name: table[name].cast(pl.Float64, strict=False).to_numpy() for name in columns}
    except pl.exceptions.PolarsError as error:
        raise _unreadable(path, error) from error


def _read_splits(folder: Path) -> list[_Split]:
    found = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    order = {name: i for i, name in enumerate(_SPLITS)}
    return [_read_split(folder / name) for name in sorted(found, key=lambda name: (order.get(name, 9), name))]


def _read_split(folder: Path) -> _Split:
    tasks, curves = None, None
    try:
        if (folder / "tasks.parquet").is_file():
            tasks = pl.read_parquet(folder / "tasks.parquet").with_columns(
                pl.col(pl.Float32, pl.Float64).fill_nan(None)
            )
        if (folder / "curves.npz").is_file():
            with np.load(folder / "curves.npz", allow_pickle=False) as stored:
                curves = {name: stored[name] for name in _CURVES}
    except (pl.exceptions.PolarsError, OSError, ValueError, KeyError) as error:
        raise _unreadable(folder, error) from error
    if tasks is not None and curves is not None and any(len(curve) != tasks.height for curve in curves.values()):
        raise _unreadable(folder, "curves.npz has not one row a task of tasks.parquet")
    return _Split(folder.name, _read_json(folder / "summary.json"), tasks, curves)


def _unreadable(path: Path, why: object) -> InputError:
    return InputError(f"{path} cannot be read: {why}", mend="remove it and run the stage that makes it again")


def _data_section(stats: Mapping[str, Any] | None) -> dict[str, Any] | None:
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
    frequency = [share for share in stats["frequency"]["all"] if share is not None]
    return {
        "stats": stats,
        "present": present,
        "shown": shown,
        "figures": _svgs(figures, "data"),
        "range": [min(positives[shown], default=0), max(positives[shown], default=0)],
        "median_frequency": float(np.median(frequency)) if frequency else None,
        "shared_chromosomes": sum(sum(count > 0 for count in row["splits"].values()) > 1 for row in chromosomes),
    }


def _training_section(folder: Path, summary: Mapping[str, Any] | None) -> dict[str, Any] | None:
    log, valid = _read_csv(folder / "log.csv", _LOG), _read_csv(folder / "valid.csv", _VALID)
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
            {measure: valid[measure] for measure in _VALID[2:]},
            label,
            int(kept[0]) if kept.size else None,
        )
        for name, divisor, label in (("step", 1, "optimiser step"), ("seconds", size, unit))
    }
    speed = log["windows_per_second"]
    if np.isfinite(speed).sum() > 1:
        figures["speed"] = plots.plot_throughput(log["seconds"] / size, speed, unit)
    low, median, high = np.nanquantile(speed, [0.05, 0.5, 0.95]).tolist() if np.isfinite(speed).any() else [None] * 3
    return {
        "figures": _svgs(figures, "train"),
        "validations": valid["step"].size,
        "speed": {"low": low, "median": median, "high": high},
    }


def _split_section(split: _Split, wanted: Sequence[str]) -> dict[str, Any]:
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


def _result_figures(split: _Split, scored: pl.DataFrame, first: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
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
                   for x, y in (_CURVES[:2], _CURVES[2:]))  # fmt: skip
        figures["roc"] = plots.plot_roc(roc)
        figures["pr"] = plots.plot_precision_recall(pr, {row["task"]: row["prevalence"] or 0 for row in first})
    return figures


def _embedded(curves: Mapping[str, NDArray[np.floating[Any]]]) -> dict[str, list[str | None]]:
    """Each task's curves as the points of an SVG polyline, y downwards; None where undefined."""
    pairs = {"roc": _CURVES[:2], "pr": _CURVES[2:]}
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
    "step": "loss, AUROC and average precision against steps",
    "seconds": "loss, AUROC and average precision against time",
    "speed": "windows a second over time",
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


def _missing(value: Any) -> bool:
    return value is None or isinstance(value, Undefined) or (isinstance(value, float) and math.isnan(value))


def _count(value: Any) -> str:
    return "–" if _missing(value) else f"{round(value):,}"


def _metric(value: Any) -> str:
    return "–" if _missing(value) else f"{value:.3f}"


def _number(value: Any) -> str:
    return "–" if _missing(value) else f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _percent(value: Any) -> str:
    if _missing(value):
        return "–"
    digits = 2 if abs(value) < 0.01 else 1 if abs(value) < 0.995 else 2
    return "0%" if value == 0 else "< 0.01%" if abs(value) < 5e-5 else f"{value:.{digits}%}"


def _times(value: Any) -> str:
    if _missing(value):
        return "–"
    return f"{value:,.0f}×" if value >= 10 else f"{value:.1f}×"


def _duration(seconds: Any) -> str:
    if _missing(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _large(value: Any) -> str:
    if _missing(value):
        return "–"
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {word}"
    return f"{value:,}"
