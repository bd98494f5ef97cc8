"""A comparison says what the runs' files say, of runs that are finished, running, moved or old."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import noncoder.compare
from noncoder.cli import app
from noncoder.compare import ComparedRun, compare, comparison_text, read_runs, write_comparison, write_losses
from noncoder.errors import InputError
from noncoder.files import locked
from tests.conftest import small_store
from tests.report.pages import Page

HOSTILE = "<b>$x_1$ & co"
VALIDATING = 3.0


def write_run(
    path: Path,
    precisions: tuple[float, ...] = (0.1, 0.2, 0.4, 0.35),
    speed: float = 100.0,
    finished: bool = True,
    digest: str = "abc",
    **recipe: Any,
) -> Path:
    """A run of 1,000 training windows, a validation a pass, each of which takes three seconds."""
    train = path / "train"
    train.mkdir(parents=True)
    log = ["step,epoch,windows,seconds,loss,learning_rate,windows_per_second"]
    valid = ["step,epoch,windows,seconds,loss,auroc,average_precision,tasks"]
    for i in range(10 * len(precisions)):
        windows = 100 * (i + 1)
        seconds = windows / speed + VALIDATING * (i // 10)
        log.append(f"{i + 1},{windows / 1000},{windows},{seconds},{1 / (i + 1)},0.001,{speed}")
        if i % 10 == 9:
            seconds += VALIDATING
            score = precisions[i // 10]
            valid.append(f"{i + 1},{windows / 1000},{windows},{seconds},{0.5 - score / 2},{0.5 + score / 2},{score},3")
    (train / "log.csv").write_text("\n".join(log) + "\n")
    (train / "valid.csv").write_text("\n".join(valid) + "\n")
    started = {
        "model": "compact", "n_parameters": 1234, "windows": 1000, "positives_per_window": 0.5, "device": "a CPU",
        "threads": 1, "precision": "32-true", "store": "gone.zarr", "store_digest": digest,
    }  # fmt: skip
    (train / "started.json").write_text(json.dumps(started))
    if finished:
        best = int(np.argmax(precisions))
        summary = started | {
            "epochs": float(len(precisions)), "steps": 10 * len(precisions), "windows_per_second": speed,
            "seconds": 1000 * len(precisions) / speed + VALIDATING * len(precisions),
            "best": {"step": 10 * (best + 1), "loss": 0.5 - precisions[best] / 2, "auroc": 0.5 + precisions[best] / 2,
                     "average_precision": precisions[best]},
        }  # fmt: skip
        (train / "summary.json").write_text(json.dumps(summary))
    keys = {"learning_rate": 0.001, "watch": {"name": path.name}} | recipe
    (path / "recipe.yaml").write_text(json.dumps({"run": str(path), "seed": 0, "train": keys}))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    tmp_path = tmp_path_factory.mktemp("runs")
    slow = write_run(tmp_path / "slow", speed=50)
    fast = write_run(tmp_path / "fast", (0.05, 0.3, 0.3), 200, learning_rate=0.01, shift=8)
    test = {"split": "test", "strands": "forward", "mean": {"auroc": 0.777, "average_precision": 0.333}}
    (fast / "evaluate" / "test").mkdir(parents=True)
    (fast / "evaluate" / "test" / "summary.json").write_text(json.dumps(test))
    return [slow, fast]


def one(path: Path) -> ComparedRun:
    return read_runs([path])[0]


class TestMeasures:
    def test_time_is_training_without_validations(self, runs: list[Path]) -> None:
        slow, fast = read_runs(runs)
        np.testing.assert_allclose(slow.log["trained"], slow.log["windows"] / 50)
        np.testing.assert_allclose(fast.valid["trained"], [5, 10, 15])
        assert slow.valid["seconds"][-1] == 80 + 4 * VALIDATING

    def test_positives_are_windows_times_those_of_a_window(self, runs: list[Path]) -> None:
        run = one(runs[0])
        np.testing.assert_allclose(run.along(run.log, "positives"), run.log["windows"] / 2)

    def test_how_soon_every_run_gets_to_the_lowest_best(self, runs: list[Path]) -> None:
        reach = compare(read_runs(runs))["reach"]
        assert reach["average_precision"] == 0.3
        assert reach["runs"]["slow"] == {"step": 30, "epoch": 3, "seconds": 60, "positives": 1500}
        assert reach["runs"]["fast"] == {"step": 20, "epoch": 2, "seconds": 10, "positives": 1000}
        chosen = compare(read_runs(runs), 0.4)["reach"]
        assert chosen["runs"]["fast"] is None
        assert chosen["runs"]["slow"]["step"] == 30

    def test_the_keys_that_differ(self, runs: list[Path]) -> None:
        values = compare(read_runs(runs))
        assert values["differing"] == {"train.learning_rate": [0.001, 0.01], "train.shift": [None, 8]}
        assert values["warnings"] == []

    def test_the_table(self, runs: list[Path]) -> None:
        slow, fast = compare(read_runs(runs))["runs"]
        assert slow["best"]["average_precision"] == 0.4
        assert (slow["steps"], slow["seconds"], slow["trained_seconds"], slow["positives"]) == (40, 92, 80, 2000)
        test = {key: value for key, value in fast["tests"]["test"].items() if value is not None}
        assert test == {"strands": "forward", "auroc": 0.777, "average_precision": 0.333}
        text = comparison_text(compare(read_runs(runs)))
        assert re.search(r"slow +compact +1,234 +50 +4\.00 +92 +0\.3000 +0\.7000 +0\.4000\n", text)
        assert "fast          2.00 epochs, 10 s of training, step 20" in text


class TestWarnings:
    def test_different_data_cannot_be_compared(self, tmp_path: Path) -> None:
        paths = [write_run(tmp_path / "a", digest="one"), write_run(tmp_path / "b", digest="two")]
        (warning,) = compare(read_runs(paths))["warnings"]
        assert "cannot be compared" in warning
        assert "a: one, b: two" in warning

    def test_different_losses_and_machines(self, tmp_path: Path) -> None:
        paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b", loss="focal")]
        summary = json.loads((paths[1] / "train/summary.json").read_text()) | {"device": "a GPU"}
        (paths[1] / "train/summary.json").write_text(json.dumps(summary))
        loss, device = compare(read_runs(paths))["warnings"]
        (drawn,) = compare(read_runs([write_run(tmp_path / "c", resample=1.0)]))["warnings"]
        assert "c saw more positive labels than shown" in drawn
        assert "training loss" in loss
        assert "different devices" in device

    def test_data_that_is_not_recorded(self, tmp_path: Path) -> None:
        paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
        for name in ("started", "summary"):
            (paths[1] / f"train/{name}.json").unlink()
        told = " ".join(compare(read_runs(paths))["warnings"])
        assert "The training data of b are not recorded" in told
        assert "The positive labels seen by b are unknown" in told


class TestRunsOfAllKinds:
    def test_one_that_is_running_is_marked(self, tmp_path: Path) -> None:
        path = write_run(tmp_path / "a", finished=False)
        assert one(path).state == "unfinished"
        with locked(path / "train"):
            done = subprocess.run(
                [sys.executable, "-c", "import sys; from pathlib import Path; from noncoder.compare import *;"
                 "print(comparison_text(compare(read_runs([Path(sys.argv[1])]))))", str(path)],
                capture_output=True, text=True,
            )  # fmt: skip
        assert done.stdout.splitlines()[1].endswith("0.4000  running"), done.stderr
        assert one(path).best == {"step": 30, "loss": 0.3, "auroc": 0.7, "average_precision": 0.4}
        assert not any(compare(read_runs([path]))["warnings"])

    def test_half_a_last_row_counts_for_nothing(self, tmp_path: Path) -> None:
        whole, cut = write_run(tmp_path / "a", finished=False), write_run(tmp_path / "b", finished=False)
        with (cut / "train/log.csv").open("a") as file:
            file.write("41,4.1,4100,4")
        with (cut / "train/valid.csv").open("a") as file:
            file.write("50,5,5")
        first, second = compare(read_runs([whole, cut]))["runs"]
        assert {**second, "name": "a"} == first
        write_losses(read_runs([cut]), tmp_path / "f.png")

    def test_without_a_validation_yet(self, tmp_path: Path) -> None:
        path = write_run(tmp_path / "a", finished=False)
        (path / "train/valid.csv").unlink()
        values = compare(read_runs([path]))
        assert values["reach"] is None
        assert values["runs"][0]["best"] is None
        page = Page(write_comparison(read_runs([path]), values, tmp_path / "p.html"))
        assert "unfinished" in page.words

    def test_an_old_one_takes_positives_from_its_store_or_its_statistics(self, tmp_path: Path) -> None:
        store = small_store(tmp_path / "s.zarr", with_known=False)
        expected = store.positives("train").sum() / store.indices("train").size
        path = write_run(tmp_path / "a", digest=store.digest)
        (path / "train/started.json").unlink()
        summary = json.loads((path / "train/summary.json").read_text())
        del summary["positives_per_window"]
        (path / "train/summary.json").write_text(json.dumps(summary | {"store": str(store.path)}))
        assert one(path).positives_per_window == pytest.approx(expected)
        (path / "train/summary.json").write_text(json.dumps(summary | {"store": "gone.zarr"}))
        assert one(path).positives_per_window is None
        stats = {"digest": store.digest, "splits": {"train": {"windows": 10, "positives": 7}}}
        (path / "explore.json").write_text(json.dumps(stats))
        assert one(path).positives_per_window == 0.7
        (path / "explore.json").write_text(json.dumps(stats | {"digest": "another"}))
        assert one(path).positives_per_window is None

    def test_folders_of_one_name_get_names_of_their_own(self, tmp_path: Path) -> None:
        paths = [write_run(tmp_path / group / "compact") for group in ("x", "y")]
        assert [run.name for run in read_runs(paths)] == ["x/compact", "y/compact"]
        assert [run.name for run in read_runs(paths, ["p", "q"])] == ["p", "q"]


class TestMistakes:
    def test_name_what_is_wrong(self, tmp_path: Path) -> None:
        path = write_run(tmp_path / "compact")
        (tmp_path / "empty").mkdir()
        for paths, names, said in (
            ([], (), "no run to compare"),
            ([tmp_path / "compactt"], (), "did you mean '.*compact'"),
            ([tmp_path / "empty"], (), "nothing to compare"),
            ([path, path], (), "more than once"),
            ([path], ["a", "b"], "2 names for 1 runs"),
        ):
            with pytest.raises(InputError, match=said):
                read_runs(paths, names)
        with pytest.raises(InputError, match="not all different"):
            read_runs([path, write_run(tmp_path / "b")], ["a", "a"])
        (path / "train/log.csv").write_text("something,else\n1,2\n")
        with pytest.raises(InputError, match=r"log\.csv cannot be read"):
            read_runs([path])
        with pytest.raises(InputError, match="unknown ending"):
            write_losses(read_runs([tmp_path / "b"]), tmp_path / "f.bmp")


class TestVerb:
    def test_writes_a_page_and_a_figure(
        self, runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out, figure = tmp_path / "c.html", tmp_path / "f.pdf"
        monkeypatch.setattr(noncoder.compare, "write_comparison", lambda runs, values, out, paired: out)
        words = ["compare", *map(str, runs), "--out", str(out), "--figure", str(figure), "--json"]
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0
        values = json.loads(done.stdout)
        assert values["page"] == str(out)
        assert [row["name"] for row in values["runs"]] == ["slow", "fast"]
        assert figure.read_bytes().startswith(b"%PDF")
        with pytest.raises(InputError, match="--force"):
            CliRunner().invoke(app, words, catch_exceptions=False)

    def test_writes_figures_of_other_kinds(self, runs: list[Path], tmp_path: Path) -> None:
        assert write_losses(read_runs(runs), tmp_path / "f.svg").read_bytes().startswith(b"<?xml")


@pytest.fixture(scope="module")
def page(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Page:
    found = read_runs(runs, ["slow", HOSTILE])
    return Page(write_comparison(found, compare(found), tmp_path_factory.mktemp("page") / "c.html"))


class TestPage:
    def test_has_the_numbers(self, page: Page) -> None:
        for said in ("1,234", "0.4000", "0.3330 †", "1:20 min", "at least 0.3000, the highest that every run reaches",
                     "train.learning_rate 0.001 0.01", "train.shift – 8", "Comparison of 2 trainings"):  # fmt: skip
            assert said in page.words.replace("†", " †").replace("  ", " ")
        assert not re.search(r"\b(nan|None|null|undefined)\b", page.words)

    def test_needs_no_network_and_no_script(self, page: Page) -> None:
        assert not page.scripts
        assert not re.search(r"https?:|//\w|@import|url\((?!#)", page.source)
        assert HOSTILE not in page.source

    def test_is_accessible(self, page: Page) -> None:
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        links = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}
        labelled = {str(a[key]) for _, a in page.tags for key in ("for", "aria-labelledby") if key in a}
        assert links | labelled <= set(ids)
        assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
        assert sum(bool(attributes.get("aria-label")) for tag, attributes in page.tags if tag == "svg") == 5

    def test_of_many_runs(self, tmp_path: Path) -> None:
        paths = [write_run(tmp_path / f"run{i}", (0.1, 0.1 + i / 20)) for i in range(8)]
        found = read_runs(paths)
        page = Page(write_comparison(found, compare(found), tmp_path / "8.html"))
        assert all(run.name in page.words for run in found)

    def test_opens_in_a_browser_at_both_widths(self, page: Page, tmp_path: Path) -> None:
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            pytest.skip("no Chromium is installed")
        # What is wider than the window would make the whole page scroll sideways.
        probe = "<script>document.title='wide '+(document.documentElement.scrollWidth>innerWidth)</script></body>"
        policy = "default-src 'none'; style-src 'unsafe-inline'; "
        html = page.source.replace("</body>", probe).replace(policy, policy + "script-src 'unsafe-inline'; ")
        (tmp_path / "probe.html").write_text(html)
        for width in (1200, 500):
            done = subprocess.run(
                [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                 f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--enable-logging=stderr",
                 "--virtual-time-budget=2000", "--dump-dom", (tmp_path / "probe.html").as_uri()],
                capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-2000:]
            assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
            assert "<title>wide false</title>" in done.stdout
