"""Runs and their reports."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from noncoder.report import write_report
from tests.browser import CHROMIUM, Browser, browser
from tests.report.pages import Page
from tests.report.runs import PUBLISHED, TASKS, write_full_evaluation
from tests.report.small import stats, write_evaluation, write_training


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "yeast"
    write_training(run)
    for split in ("valid", "test"):
        write_evaluation(run, split)
    (run / "explore.json").write_text(json.dumps(stats()))
    (run / "recipe.yaml").write_text("run: yeast # <kept> whole\nseed: 7\n")
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(whole, tmp_path / "yeast", ignore=shutil.ignore_patterns("report.html")))


@pytest.fixture(scope="session")
def page(whole: Path) -> Page:
    return Page(write_report(whole))


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose evaluation has everything that there may be, and its report."""
    run = tmp_path_factory.mktemp("runs") / "full"
    for split, seed in (("test", 0), ("valid", 1)):
        write_full_evaluation(run / "evaluate" / split, TASKS, 1500, PUBLISHED if split == "test" else None, seed)
    write_report(run)
    return run


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with browser(tmp_path_factory.mktemp("profile")) as one:
        one.resize(1200, 1000)
        yield one
