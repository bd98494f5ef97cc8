"""Times how soon a browser has drawn the report of a run with DeepSEA's 919 tasks, from one file and without a network.

    python benchmarks/report.py [--tasks 919] [--repeats 7]

Two splits with every column, curve and interval are simulated by what the tests simulate them with. A fresh headless
Chromium each time; the clock runs from the command to open the file until its scripts are done and two frames drawn.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser import CHROMIUM, browser
from tests.report.runs import write_full_evaluation

from noncoder.benchmarks import ModelScores, compare_with_published, task_scores
from noncoder.data.deepsea.deepsea_tasks import deepsea_tasks
from noncoder.report import write_report

FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"


def write_run(folder: Path, n_tasks: int, windows: int = 4000) -> Path:
    tasks = [{"task": task.name, **{key: value for key, value in task.to_dict().items() if key != "name"}}
             for task in deepsea_tasks()[:n_tasks]]  # fmt: skip
    scores = np.linspace(0.7, 0.99, n_tasks)
    names = [str(task["task"]) for task in tasks]
    assert set(names) <= set(task_scores()["task"])
    published = compare_with_published(ModelScores(names, scores, scores, scores, windows, "both"))
    for seed, split in enumerate(("test", "valid")):
        write_full_evaluation(folder / "evaluate" / split, tasks, windows, published if split == "test" else None, seed)
    return write_report(folder)


def seconds_to_draw(page: Path) -> float:
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as opened:
        opened.resize(1200, 1000)
        began = time.perf_counter()
        opened.open(page)
        opened.run(FRAMES)
        took = time.perf_counter() - began
        assert not opened.complaints, opened.complaints
        return took


def main() -> None:
    """Writes the run and its report, then opens it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=919)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("no Chromium is installed")
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        page = write_run(Path(folder), options.tasks)
        size, written = page.stat().st_size / 1e6, time.perf_counter() - began
        print(f"{options.tasks} tasks, two splits: {size:.2f} MB, simulated and written in {written:.1f} s")
        took = sorted(seconds_to_draw(page) for _ in range(options.repeats))
        print(f"drawn in {statistics.median(took):.2f} s, {took[0]:.2f} to {took[-1]:.2f}")


if __name__ == "__main__":
    main()
