"""The results say what an evaluation measured, each number under its name."""

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from noncoder.benchmarks import task_scores
from noncoder.report import write_report
from noncoder.report.evaluation_section import pooled_reliability
from noncoder.report.format import interval, minus, p_value, signed
from noncoder.report.published_section import published_figures
from noncoder.report.run_files import Split
from noncoder.runs.results import SplitSummary
from tests.report.pages import Page
from tests.report.runs import PUBLISHED, TASKS


@pytest.fixture(scope="module")
def page(full: Path) -> Page:
    return Page(full / "report.html")


@pytest.fixture(scope="module")
def summary(full: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((full / "evaluate/test/summary.json").read_text())
    return found


def rows_of(page: Page, caption: str) -> list[list[str]]:
    """The cells of the first table whose caption begins so."""
    table = re.search(rf"<caption>{caption}.*?</table>", page.source, re.S)
    assert table is not None
    rows = re.findall(r"<tr[^>]*>.*?</tr>", table[0], re.S)
    return [[" ".join(unescape(re.sub("<[^>]+>", " ", cell)).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
            for row in rows]  # fmt: skip


class TestMeans:
    def test_are_named_counted_and_have_their_intervals(self, page: Page, summary: dict[str, Any]) -> None:
        rows = {row[0]: row for row in rows_of(page, "Means over tasks.")}
        names = {
            "mean": "mean of all scored tasks", "median": "median of all scored tasks",
            "mean_min_positives": "mean of tasks with at least 50 positives",
            "weighted": "mean weighted by training positives",
            "weighted_as_report": "the same with undefined scores as 0",
        }  # fmt: skip
        for key, name in names.items():
            low, high = summary[key]["interval"]["auroc"]
            assert rows[name][1] == str(summary[key]["tasks"])
            assert rows[name][2] == f"{summary[key]['auroc']:.3f} {low:.3f}–{high:.3f}"
            assert rows[name][3].startswith(f"{summary[key]['average_precision']:.3f} ")
        assert len(rows["random ranking, all tasks"]) == 7

    def test_tell_how_the_intervals_were_made(self, page: Page) -> None:
        assert "95% intervals. The 228 genome blocks of 1,000,000 bp" in page.words
        assert "with replacement 1,000 times" in page.words

    def test_of_other_measures_are_folded(self, page: Page, summary: dict[str, Any]) -> None:
        cells = rows_of(page, "Test split.")[1]
        assert cells[1] == f"{summary['mean']['pr_auc_trapezoid']:.3f}"
        assert cells[-1] == f"{summary['mean']['ece']:.4f}"
        folded = page.source[page.source.index("<summary>More measures") :]
        assert "</details>" not in folded[: folded.index("<caption>Test split.")]

    def test_of_groups_have_medians(self, page: Page, summary: dict[str, Any]) -> None:
        rows = rows_of(page, "Within groups")
        assert [row[0] for row in rows] == ["Group", "TF", "DNase", "all"]
        assert rows[1][4] == f"{summary['groups']['TF']['median']['auroc']:.3f}"
        assert rows[2][1:3] == ["5", "3"]

    def test_tell_why_tasks_are_left_out(self, page: Page) -> None:
        assert f"no positive: 1 {TASKS[-1]['task']}" in page.words
        assert f"no negative: 1 {TASKS[-2]['task']}" in page.words
        assert "no known label" not in page.words


def test_averaging_gives_differences_to_the_plain_reading(page: Page) -> None:
    rows = rows_of(page, "Means over tasks for each way of averaging.")
    assert [row[0] for row in rows[2:]] == [
        "forward strand", "both strands", "both strands, 3 shifts", "both strands of 2 models",
    ]  # fmt: skip
    assert rows[2][2] == ""
    assert [row[2] for row in rows[3:]] == [
        "+0.0040 +0.0030 to +0.0050", "+0.0080 +0.0070 to +0.0090", "+0.0120 +0.0110 to +0.0130"
    ]  # fmt: skip


class TestPublished:
    def test_says_first_that_it_cannot_be_compared(self, page: Page) -> None:
        assert "is not comparable with these numbers: 1,500 windows; the test set has 227,512" in page.words

    def test_stands_as_given(self, page: Page) -> None:
        rows = rows_of(page, "Means weighted by training positives, as in the 2020 report")
        assert rows[1] == ["DanQ 2016", "46.9 million", "0.9109", "0.4698", "trapezoid from precision 1", "averaged"]
        assert rows[2][0] == "NCNet-RbR 2016 not comparable: never measured"
        assert rows[2][-1] == "not known"
        assert rows[3][:4] == ["ours", "–", "0.9001", "0.4002"]
        field = rows_of(page, "Medians over the scorable")
        assert field[2][:4] == ["DanQ 2016", "–", "0.963", "–"]

    def test_gives_its_sources(self, page: Page) -> None:
        assert "Quang & Xie 2016; computed. Strands: second-hand." in page.words

    def test_draws_ours_against_danq_where_the_tasks_are_deepseas(self) -> None:
        known = task_scores()[:3]
        tasks = pl.DataFrame(
            {"task": known["task"], "windows": [9] * 3, "auroc": [0.9, 0.8, None],
             "average_precision": [0.5, 0.4, None], "pr_auc_trapezoid": [0.5, 0.4, None]}
        )  # fmt: skip
        split = Split("test", SplitSummary(published=PUBLISHED, strands="both"), tasks, None)
        figures = published_figures(split)
        assert list(figures) == ["published", "against"]
        panel = figures["against"].axes[0]
        ours = np.concatenate([np.asarray(line.get_ydata()) for line in panel.lines if line.get_marker() == "o"])
        assert sorted(ours[~np.isnan(ours)].tolist()) == [0.8, 0.9]
        other = tasks.with_columns(task=pl.Series(["a", "b", "c"]))
        assert list(published_figures(Split("test", SplitSummary(published=PUBLISHED), other, None))) == ["published"]
        assert published_figures(Split("test", SplitSummary(), tasks, None)) == {}


class TestCalibration:
    def test_is_told_in_words_that_the_pooled_curve_gives(self, page: Page, full: Path) -> None:
        with np.load(full / "evaluate/test/curves.npz") as stored:
            pooled = pooled_reliability(dict(stored))
        curve = pooled["as predicted"]
        curve = curve[:, curve[0] * curve[2] >= 50]
        predicted, observed, count = curve[:, np.abs(curve[0] - 0.3).argmin()]
        assert (
            f"of the {count:,.0f} labels that the model gives about {predicted:.1%}, {observed:.1%} are" in page.words
        )

    def test_has_a_table_before_and_after(self, page: Page, summary: dict[str, Any]) -> None:
        found = summary["calibration"]
        rows = rows_of(page, "Means over tasks with a known label; lower is better.")
        assert [row[1] for row in rows[1:]] == [f"{found['before'][key]:.4f}" for key in ("log_loss", "brier", "ece")]
        assert [row[2] for row in rows[1:]] == [f"{found['after'][key]:.4f}" for key in ("log_loss", "brier", "ece")]

    def test_says_which_split_was_used_twice(self, page: Page) -> None:
        assert page.words.count("The temperatures were fitted on these same windows") == 1

    def test_has_its_figures(self, page: Page) -> None:
        labels = [attributes.get("aria-label") for _, attributes in page.tags]
        assert labels.count("temperature of every task, by group") == 2

    def test_without_temperatures_shows_what_was_predicted(self, full: Path, tmp_path: Path) -> None:
        run = Path(shutil.copytree(full, tmp_path / "run"))
        folder = run / "evaluate/test"
        shutil.rmtree(run / "evaluate/valid")
        table = pl.read_parquet(folder / "tasks.parquet")
        table.select(pl.exclude("^.*_calibrated$", "temperature")).write_parquet(folder / "tasks.parquet")
        summary = json.loads((folder / "summary.json").read_text())
        (folder / "summary.json").write_text(json.dumps(summary | {"calibration": None, "averaging": []}))
        with np.load(folder / "curves.npz") as stored:
            kept = {name: values for name, values in stored.items() if "calibrated" not in name}
        np.savez(folder / "curves.npz", **kept)
        words = (page := Page(write_report(run))).words
        assert "Calibration: do the probabilities" in words
        assert "temperature" not in words
        assert list(page.embedded()[0]["curves"]) == ["roc", "pr", "reliability"]


def test_all_that_may_be_null_may_be_so_at_once(full: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(full, tmp_path / "run", ignore=shutil.ignore_patterns("valid")))
    folder = run / "evaluate/test"
    summary = json.loads((folder / "summary.json").read_text())
    summary["mean"] = dict.fromkeys(summary["mean"])
    optional = ("bootstrap", "calibration", "published", "averaging", "left_out", "groups", "median", "weighted")
    (folder / "summary.json").write_text(json.dumps(summary | dict.fromkeys(optional)))
    table = pl.read_parquet(folder / "tasks.parquet")
    empty = [pl.lit(None, dtype=table[name].dtype).alias(name) for name in table.columns[1:5]]
    scores = [pl.lit(None, dtype=pl.Float64).alias(name) for name in table.columns if table[name].dtype == pl.Float64]
    table.with_columns(*empty, *scores).write_parquet(folder / "tasks.parquet")
    page = Page(write_report(run))
    assert not re.search(r"\b(nan|null|Undefined)\b", page.words)
    assert {column["key"] for column in page.embedded()[0]["columns"]} == {
        "task", "windows", "positives", "train_positives", "prevalence", "left_out"
    }  # fmt: skip


class TestPooling:
    def test_weights_bins_by_their_windows(self) -> None:
        nan = np.nan
        curves = {
            "reliability_predicted": np.array([[0.1, nan, 0.9], [0.2, nan, nan]], dtype=np.float32),
            "reliability_observed": np.array([[0.0, nan, 1.0], [0.4, nan, nan]], dtype=np.float32),
            "reliability_count": np.array([[10, 0, 5], [30, 0, 0]]),
        }
        pooled = pooled_reliability(curves)
        assert list(pooled) == ["as predicted"]
        expected = np.array([[0.175, nan, 0.9], [0.3, nan, 1.0], [40, 0, 5]])
        np.testing.assert_allclose(pooled["as predicted"], expected, rtol=1e-6)

    def test_of_all_tasks_keeps_every_positive(self, full: Path) -> None:
        with np.load(full / "evaluate/test/curves.npz") as stored:
            pooled = pooled_reliability(dict(stored))
        table = pl.read_parquet(full / "evaluate/test/tasks.parquet")
        for curve in pooled.values():
            assert np.nansum(curve[1] * curve[2]) == pytest.approx(table["positives"].sum(), rel=1e-5)
            assert curve[2].sum() == table["windows"].sum()

    def test_of_nothing_is_nothing(self) -> None:
        assert pooled_reliability({}) == {}


class TestExplorer:
    def test_embeds_every_column_with_six_digits(self, page: Page, full: Path) -> None:
        table = pl.read_parquet(full / "evaluate/test/tasks.parquet")
        values = page.embedded()[0]["values"]
        # Nothing to choose or show in an empty column.
        assert set(table.columns) - set(values) == {"treatment"}
        for name in ("auroc_low", "precision_at_recall_50", "ece_calibrated"):
            expected = table[name].to_list()
            assert [value is None for value in values[name]] == [value is None for value in expected]
            np.testing.assert_allclose(np.array(values[name], dtype=float), np.array(expected, dtype=float), rtol=1e-5)

    def test_offers_what_there_is_to_choose(self, page: Page) -> None:
        offered = re.findall(r'<select data-choice="(\w+)"><option value="">all</option>(.*?)</select>', page.source)
        assert [key for key, _ in offered] == ["group", "cell", "assay"] * 2
        assert offered[1][1] == "".join(f"<option>cell{i}</option>" for i in range(3))

    def test_never_says_nan_or_none(self, page: Page) -> None:
        words = re.sub("(undefined scores|an undefined task counts) as 0", "", page.words)
        assert not re.search(r"\b(nan|null|undefined|Undefined)\b", words)
        assert not re.search(r"(?<!\|)\bNone\b(?!\d)", page.words)


class TestNumbers:
    @pytest.mark.parametrize(
        ("ends", "text"), [([0.1, 0.25], "0.100–0.250"), ([None, 0.3], ""), (None, ""), ([0.1, float("nan")], "")]
    )
    def test_an_interval_is_there_whole_or_not_at_all(self, ends: Any, text: str) -> None:
        assert interval(ends) == text

    def test_differences_have_a_sign(self) -> None:
        assert (signed(0.00123), signed(-0.5), signed(None)) == ("+0.0012", "−0.5000", "–")
        assert minus(0.5, None) is None

    @pytest.mark.parametrize(("p", "text"), [(0.04, "0.04"), (1e-9, "< 0.0001"), (0.0123, "0.012"), (None, "–")])
    def test_p_values_have_two_digits(self, p: float | None, text: str) -> None:
        assert p_value(p) == text
