"""Runs on the same windows: what the comparison's page says and does of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.collections import LineCollection

from noncoder import plots
from noncoder.compare import compare, read_runs, write_comparison
from noncoder.report import paired_section
from noncoder.runs.results import PairedComparison
from tests.browser import Browser
from tests.compare.test_compare import write_run
from tests.report.pages import Page
from tests.report.small import HOSTILE

ROOT = "[data-paired]"
SHOWN = f"[...document.querySelectorAll('{ROOT} tbody tr')].filter((row) => !row.hidden)"


NUMBERS = ("a", "b", "difference", "low", "high", "p", "adjusted")


def tasks(n: int = 60) -> list[dict[str, Any]]:
    """Tasks with differences and intervals; the last has no score, and the first is called like markup."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        difference, adjusted = rng.normal(0, 0.01), 10 ** -rng.uniform(0, 6)
        rows.append({"task": f"task {i}" if i else HOSTILE, "group": "TF" if i % 3 else "DNase", "a": 0.9 + difference,
                     "b": 0.9, "difference": difference, "low": difference - 0.01, "high": difference + 0.01,
                     "p": adjusted / 9, "adjusted": adjusted})  # fmt: skip
        rows[-1] |= {f"ap_{key}": -value for key, value in rows[-1].items() if key in NUMBERS}
        rows[-1]["ap_adjusted"] = 0.5 if i else 0.01
    undefined = dict.fromkeys([*NUMBERS, *(f"ap_{key}" for key in NUMBERS)])
    return [*rows[:-1], rows[-1] | undefined]


def paired() -> dict[str, Any]:
    mean = {"tasks": 59, "a": 0.93, "b": 0.92, "difference": 0.01, "low": 0.008, "high": 0.0123, "p": 1e-5}
    means = [mean | {"name": name, "measure": measure}
             for name in ("mean", "group TF") for measure in ("auroc", "average_precision")]  # fmt: skip
    pair: dict[str, Any] = {"a": "wide", "b": "danq", "means": means[:-1], "tasks": tasks(), "correction": "Holm"}
    pair["method"] = "DeLong by block"
    pair["only"] = {"wide": ["other"], "danq": []}
    return {"split": "test", "windows": 12345, "blocks": 7, "block": 1_000_000, "resamples": 1000, "pairs": [pair]}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    runs = read_runs([write_run(folder / "wide"), write_run(folder / "danq")])
    return write_comparison(runs, compare(runs), folder / "c.html", PairedComparison(**paired()))


def sure(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["adjusted"] is not None and row["adjusted"] < 0.05]


class TestSection:
    def test_counts_the_tasks_that_either_is_surely_better_in(self) -> None:
        section = paired_section(PairedComparison(**paired()))
        assert section is not None
        (pair,) = section["pairs"]
        by_auroc, by_precision = pair["by"]
        assert by_auroc["first"] == sum(row["difference"] > 0 for row in sure(tasks()))
        assert by_auroc["second"] == sum(row["difference"] < 0 for row in sure(tasks()))
        assert 0 < by_auroc["first"] + by_auroc["second"] < by_auroc["counted"] == 59
        higher = tasks()[0]["ap_difference"] > 0
        assert (by_precision["first"], by_precision["second"]) == (int(higher), int(not higher))

    def test_is_none_without_pairs(self) -> None:
        assert paired_section(None) is None
        assert paired_section(PairedComparison(**paired() | {"pairs": []})) is None

    def test_may_have_means_alone(self) -> None:
        values = paired()
        values["pairs"][0]["tasks"] = []
        section = paired_section(PairedComparison(**values))
        assert section is not None
        assert section["pairs"][0]["by"] == []

    def test_may_have_tasks_by_one_measure(self) -> None:
        values = paired()
        values["pairs"][0]["tasks"] = [
            {key: value for key, value in row.items() if not key.startswith("ap_")} for row in tasks()
        ]
        section = paired_section(PairedComparison(**values))
        assert section is not None
        assert [one["label"] for one in section["pairs"][0]["by"]] == ["AUROC"]


class TestPage:
    def test_says_the_numbers(self, written: Path) -> None:
        words = Page(written).words
        assert "the same 12,345 windows of the test split" in words
        assert "all scored tasks 59 0.9300 0.9200 +0.0100 +0.0080 to +0.0123 < 0.0001 0.9300" in words
        # Of the second mean average precision was not given.
        assert "group TF 59 0.9300 0.9200 +0.0100 +0.0080 to +0.0123 < 0.0001 – – – –" in words
        assert "p values are adjusted for the number of tasks (Holm)" in words
        assert "Method: DeLong by block." in words
        assert "7 blocks of 1,000,000 bp" in words
        assert "Only wide has 1 more task, left out here." in words
        assert "Only danq" not in words
        assert HOSTILE not in written.read_text()

    def test_without_the_same_windows_has_no_section_and_no_script(self, tmp_path: Path) -> None:
        runs = read_runs([write_run(tmp_path / "a"), write_run(tmp_path / "b")])
        page = Page(write_comparison(runs, compare(runs), tmp_path / "c.html"))
        assert "same windows" not in page.words.lower()
        assert not page.scripts
        assert "script-src" not in page.source

    def test_sorts_and_filters(self, written: Path, chromium: Browser) -> None:
        chromium.open(written)
        names = f"{SHOWN}.map((row) => row.cells[0].textContent)"
        rows = [row for row in tasks() if row["p"] is not None]
        for _ in range(2):
            chromium.click(f"{ROOT} th[data-column=adjusted] button")
        by_p = [row["task"] for row in sorted(rows, key=lambda row: float(f"{row['adjusted']:.6g}"))]
        assert chromium.run(names) == [*by_p, "task 59"]
        chromium.click(f"{ROOT} [data-sure]")
        # The first is sure by average precision.
        certain = {row["task"] for row in sure(rows)} | {HOSTILE}
        assert chromium.run(names) == [name for name in by_p if name in certain]
        chromium.choose(f"{ROOT} [data-choice]", "DNase")
        chromium.type(f"{ROOT} input[type=search]", "task 3")
        expected = {
            row["task"]
            for row in rows
            if row["task"] in certain and row["group"] == "DNase" and "task 3" in row["task"]
        }
        assert set(chromium.run(names)) == expected
        assert chromium.complaints == []

    def test_saves_what_is_left(self, written: Path, chromium: Browser, tmp_path: Path) -> None:
        chromium.open(written)
        chromium.keep_downloads(tmp_path)
        chromium.choose(f"{ROOT} [data-choice]", "TF")
        chromium.click(f"{ROOT} [data-save]")
        chromium.wait(lambda: (tmp_path / "wide-danq.tsv").exists())
        saved = pl.read_csv(tmp_path / "wide-danq.tsv", separator="\t")
        rows = sorted((row for row in tasks()[:-1] if row["group"] == "TF"), key=lambda row: -row["difference"])
        assert saved["task"].to_list()[:-1] == [row["task"] for row in rows]
        assert saved.row(-1)[2:] == (None,) * 12
        for key in ("difference", "low", "ap_high", "ap_adjusted"):
            assert saved[key].to_list()[:-1] == pytest.approx([row[key] for row in rows], rel=1e-5)


class TestFigure:
    def test_orders_the_differences_and_colours_the_sure_ones(self) -> None:
        a, b = np.array([0.9, 0.8, 0.7, np.nan]), np.array([0.8, 0.81, 0.7, 0.9])
        p = np.array([0.001, 0.2, 1.0, 0.001])
        figure = plots.plot_differences((a, b), (a - b - 0.02, a - b + 0.02), p, ("one", "two"), "AUROC")
        right = figure.axes[1]
        dots = {str(line.get_label()): line for line in right.lines[1:]}
        assert list(dots) == ["not told apart: 2", "one better: 1"]
        np.testing.assert_allclose(np.asarray(dots["one better: 1"].get_data()), np.array([[3], [0.1]]))
        np.testing.assert_allclose(np.asarray(dots["not told apart: 2"].get_data()), np.array([[1, 2], [-0.01, 0]]))
        bars = [part for part in right.collections if isinstance(part, LineCollection)]
        np.testing.assert_allclose(np.ptp(np.concatenate(bars[0].get_segments())[:2, 1]), 0.04)

    def test_of_nothing_is_empty(self) -> None:
        none = np.array([np.nan])
        assert plots.plot_differences((none, none), (none, none), none, ("a", "b"), "AUROC").axes
