"""The pages do in a browser what they offer: sort, filter, draw, choose columns, save; without a network."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from noncoder.report import write_report
from tests.browser import Browser
from tests.report.small import HOSTILE

TEST = '[data-explorer="test"]'
SHOWN = f"[...document.querySelectorAll('{TEST} tbody tr')].filter((row) => !row.hidden)"


@pytest.fixture
def page(chromium: Browser, full: Path) -> Browser:
    chromium.open(full / "report.html")
    return chromium


@pytest.fixture(scope="module")
def table(full: Path) -> pl.DataFrame:
    return pl.read_parquet(full / "evaluate/test/tasks.parquet").with_row_index("index")


@pytest.fixture(scope="module")
def earlier(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run that an earlier version evaluated; one of its tasks is called like markup."""
    return write_report(whole, tmp_path_factory.mktemp("earlier") / "r.html", tasks=[HOSTILE, "Reb1", "Rap1"])


def indices(page: Browser) -> list[int]:
    """The tasks shown, in order."""
    found: list[int] = page.run(f"{SHOWN}.map((row) => Number(row.dataset.i))")
    return found


def sorted_by(table: pl.DataFrame, key: str, descending: bool) -> list[int]:
    return table.sort(key, descending=descending, nulls_last=True, maintain_order=True)["index"].to_list()


def head(key: str) -> str:
    return f'{TEST} th[data-column="{key}"] button'


def drawn(page: Browser, kind: str) -> list[str]:
    """Which tasks have a curve in a panel."""
    found: list[str] = page.run(
        f"[...document.querySelectorAll('{TEST} [data-curve={kind}] .curve')].map((one) => one.dataset.i)"
    )
    return found


class TestTable:
    def test_no_script_complains(self, page: Browser) -> None:
        assert page.complaints == []

    def test_a_heading_sorts_by_the_numbers_behind_the_rounded_ones(self, page: Browser, table: pl.DataFrame) -> None:
        for key in ("auroc", "positives", "log_loss"):
            for descending in (True, False):
                page.click(head(key))
                assert indices(page) == sorted_by(table, key, descending)
        assert page.run(f"document.querySelector('{head('log_loss')}').closest('th').ariaSort") == "ascending"

    def test_names_sort_upwards_first(self, page: Browser) -> None:
        page.click(head("task"))
        names = page.run(f"{SHOWN}.map((row) => row.cells[0].textContent)")
        assert names[:2] == ["cell0|CTCF|None0", "cell0|CTCF|None6"]

    def test_words_a_choice_and_a_least_number_filter_together(self, page: Browser, table: pl.DataFrame) -> None:
        page.type(f"{TEST} input[type=search]", "CELL1 none")
        expected = table.filter(pl.col("cell") == "cell1")
        assert set(indices(page)) == set(expected["index"])
        page.choose(f"{TEST} [data-choice=group]", "TF")
        expected = expected.filter(pl.col("group") == "TF")
        assert set(indices(page)) == set(expected["index"])
        least = int(np.median(expected["positives"].to_numpy()))
        page.type(f"{TEST} [data-least]", str(least))
        expected = expected.filter(pl.col("positives") >= least)
        assert set(indices(page)) == set(expected["index"])
        assert page.run(f"document.querySelector('{TEST} output').textContent") == f"{len(expected)} of 13 tasks"

    def test_a_column_can_be_added_sorted_by_and_taken_away(self, page: Browser, table: pl.DataFrame) -> None:
        page.click(f"{TEST} .chooser summary")
        page.click(f'{TEST} .chooser input[data-key="brier"]')
        page.click(head("brier"))
        assert indices(page) == sorted_by(table, "brier", True)
        keys = f"[...document.querySelectorAll('{TEST} thead th')].map((head) => head.dataset.column)"
        assert page.run(keys)[-3:] == ["log_loss", "brier", "ece"]
        first = page.run(f"{SHOWN}[0].cells[{page.run(keys).index('brier')}].textContent")
        assert first == f"{table['brier'].to_numpy().max():.4f}"
        page.click(f'{TEST} .chooser input[data-key="auroc"]')
        visible = f"document.querySelector('{TEST} tbody tr').querySelectorAll('td:not([hidden]), th').length"
        before = page.run(visible)
        page.click(f'{TEST} .chooser input[data-key="brier"]')
        assert page.run(visible) == before - 1
        assert page.run(f"document.querySelector('{head('auroc')}').closest('th').hidden") is True

    def test_what_is_left_is_saved_whole(self, page: Browser, table: pl.DataFrame, tmp_path: Path) -> None:
        page.keep_downloads(tmp_path)
        page.choose(f"{TEST} [data-choice=group]", "TF")
        page.click(head("ece"))
        page.click(f"{TEST} [data-save]")
        page.wait(lambda: (tmp_path / "tasks-test.tsv").exists())
        saved = pl.read_csv(tmp_path / "tasks-test.tsv", separator="\t")
        expected = table.filter(pl.col("group") == "TF").sort("ece", descending=True)
        assert saved["task"].to_list() == expected["task"].to_list()
        # Every column with anything in it, and what the page made of them.
        assert set(saved.columns) == set(table.columns) - {"index", "treatment"} | {"prevalence", "lift"}
        for name in ("auroc_high", "brier_calibrated"):
            assert saved[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-5)


class TestCurves:
    def test_three_tasks_are_drawn_in_three_panels(self, page: Browser) -> None:
        first = drawn(page, "roc")
        assert len(first) == 3
        assert drawn(page, "pr") == drawn(page, "reliability") == first
        assert page.run(f"document.querySelectorAll('{TEST} [data-curve=pr] .base').length") == 3

    def test_a_row_draws_its_task_and_a_chip_takes_it_away(self, page: Browser) -> None:
        first = drawn(page, "roc")
        other = next(i for i in indices(page) if str(i) not in first)
        page.click(f'{TEST} tr[data-i="{other}"]')
        assert drawn(page, "reliability") == [*first, str(other)]
        assert page.run(f"document.querySelector('{TEST} tr[data-i=\"{other}\"] button').ariaPressed") == "true"
        page.click(f"{TEST} .chips li:last-child button")
        assert drawn(page, "reliability") == first

    def test_no_more_than_six(self, page: Browser) -> None:
        for i in indices(page)[:10]:
            if str(i) not in drawn(page, "roc"):
                page.click(f'{TEST} tr[data-i="{i}"]')
        strokes = page.run(
            f"[...document.querySelectorAll('{TEST} [data-curve=roc] .curve')].map((one) => one.getAttribute('style'))"
        )
        assert len(set(strokes)) == len(strokes) == 6

    def test_a_task_without_a_score_cannot_be_chosen(self, page: Browser, table: pl.DataFrame) -> None:
        left_out = table.filter(pl.col("auroc").is_null())["index"].to_list()
        before = drawn(page, "roc")
        for i in left_out:
            page.click(f'{TEST} tr[data-i="{i}"]')
            assert page.run(f"document.querySelector('{TEST} tr[data-i=\"{i}\"] button').disabled") is True
        assert drawn(page, "roc") == before

    def test_the_keyboard_reaches_every_row(self, page: Browser) -> None:
        page.run(f"document.querySelector('{TEST} input[type=search]').focus()")
        stops = f"[...document.querySelectorAll('{TEST} tbody button')].filter((one) => one.tabIndex === 0).length"
        assert page.run(stops) == 1
        page.run(f"document.querySelector('{TEST} tbody button').focus()")
        page.press("ArrowDown")
        page.press("ArrowDown")
        page.press("ArrowUp")
        at = page.run("Number(document.activeElement.closest('tr').dataset.i)")
        assert at == indices(page)[1]
        assert page.run(stops) == 1
        page.press("Enter")
        assert str(at) in drawn(page, "reliability")

    def test_enter_in_the_search_draws_the_first(self, page: Browser) -> None:
        page.type(f"{TEST} input[type=search]", "None4")
        page.press("Enter")
        assert drawn(page, "roc")[-1] == "4"

    def test_temperatures_move_the_reliability_alone(self, page: Browser) -> None:
        paths = f"[...document.querySelectorAll('{TEST} [data-curve] .curve')].map((one) => one.getAttribute('d'))"
        before = page.run(paths)
        page.click(f"{TEST} [data-calibrated]")
        after = page.run(paths)
        assert [one == other for one, other in zip(before, after, strict=True)] == [True] * 6 + [False] * 3


class TestPage:
    def test_a_folded_split_works_once_it_is_opened(self, page: Browser) -> None:
        valid = "document.querySelectorAll('[data-explorer=\"valid\"] .chips li').length"
        assert page.run(valid) == 0
        page.click("details.split > summary")
        page.wait(lambda: page.run(valid) == 3)

    @pytest.mark.parametrize("width", [400, 800, 1200])
    def test_is_no_wider_than_the_screen(self, page: Browser, width: int) -> None:
        page.resize(width, 900)
        assert page.run("document.documentElement.scrollWidth") <= width
        page.resize(1200, 1000)

    def test_an_earlier_run_has_two_panels_and_no_complaint(self, chromium: Browser, earlier: Path) -> None:
        chromium.open(earlier)
        assert [len(drawn(chromium, kind)) for kind in ("roc", "pr", "reliability")] == [3, 3, 0]
        chromium.click(head("prevalence"))
        assert indices(chromium)[0] == 0
        assert chromium.run(f"document.querySelector('{TEST} .chips').textContent").startswith(
            f"{HOSTILE}AUROC 0.700, AP 0.300 ×"
        )
        assert chromium.complaints == []

    def test_curves_alone_may_be_missing(self, chromium: Browser, run: Path, table: Any) -> None:
        (run / "evaluate/test/curves.npz").unlink()
        chromium.open(write_report(run))
        chromium.type(f"{TEST} input[type=search]", "abf")
        assert indices(chromium) == [1]
        assert chromium.complaints == []
