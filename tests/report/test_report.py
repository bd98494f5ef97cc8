"""The report says what the run's files say, needs nothing else, and survives whatever is missing."""

import base64
import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from noncoder.errors import InputError, UnknownNameError
from noncoder.report import write_exploration, write_report
from noncoder.report.curves import path_of

HOSTILE = '</script><script>alert("1")</script> & <b>'
NAMES = ["Reb1", "Abf1", HOSTILE, "Silent", "Rap1", "$x_1$"]
VOID = {"meta", "link", "br", "input", "path", "use", "image"}


class Page(HTMLParser):
    """A page's elements, texts and ids; fails where a tag does not close what is open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def embedded(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.scripts if text.lstrip().startswith("{")]


def stats() -> dict[str, Any]:
    positives = {"train": [100, 60, 30, 0, 10, 5], "valid": [10, 6, 3, 0, 1, 0], "test": [20, 12, 6, 0, 2, 1]}
    windows = {"train": 700, "valid": 100, "test": 200}
    positives["all"] = np.sum(list(positives.values()), axis=0).tolist()
    windows["all"] = 1000
    splits = {
        name: {
            "windows": count, "labels": count * 6, "positives": sum(positives[name]),
            "negatives": count * 6 - sum(positives[name]), "positive_share": sum(positives[name]) / count / 6,
            "positives_per_negative": 0.05, "all_negative": count // 2, "all_negative_share": 0.5,
        }
        for name, count in windows.items()
    }  # fmt: skip
    row = {"length": 9000, "windows": 500, "positives": 7}
    return {
        "store": {
            "name": "toy.zarr", "digest": "abc123", "genome": "toy", "label_rule": "summit", "window": 1000, "bin": 200,
            "windows": 1000, "tasks": 6, "bases": 123456, "contigs": 2,
            "dropped": [{"what": "peaks", "count": 4, "why": "outside"}],
        },
        "tasks": NAMES,
        "groups_of_tasks": ["TF"] * 6,
        "positives": positives,
        "known": {name: [count] * 6 for name, count in windows.items()},
        "frequency": {name: [hits / windows[name] for hits in counts] for name, counts in positives.items()},
        "frequency_histogram": {"edges": [0.001, 0.01, 0.1, 1], "counts": {"all": [1, 3, 1]}, "zero": {"all": 1}},
        "under_5_percent": {"all": 4},
        "no_positive": {"all": ["Silent"], "train": ["Silent"], "valid": ["Silent", "$x_1$"], "test": ["Silent"]},
        "splits": splits,
        "labels_per_window": {"all": {"windows": [500, 400, 100], "mean": 0.6, "median": 0, "most": 2}},
        "groups": {"TF": {"tasks": 6, **splits["all"]}},
        "bases": {"counts": {}, "shares": {"A": 0.3, "C": 0.2, "G": 0.2, "T": 0.3, "N": 0.0}, "gc": 0.4},
        "chromosomes": [
            {"name": "I", **row, "splits": {"train": 500, "valid": 0, "test": 0}},
            {"name": "II", **row, "splits": {"train": 200, "valid": 100, "test": 200}},
        ],
        "other_chromosomes": {"contigs": 0, "windows": 0, "positives": 0},
        "unknown": None,
    }  # fmt: skip


def stats_of_windows() -> dict[str, Any]:
    """What `explore` tells beyond that; a report of an earlier run lacks it."""
    found = stats()
    for i, row in enumerate(found["chromosomes"]):
        row["positives_of_tasks"] = [9 - i] * 6
    kinds = ("overlapping", "duplicates", "near_duplicates", "any")
    leaking = {
        name: dict.fromkeys(kinds, 0) | {"windows": 100, "any_share": 0.0} for name in ("train", "valid", "test")
    }
    leaking["test"] |= {"near_duplicates": 7, "any": 7, "any_share": 0.07}
    none = {"windows": [0, 0], "shares": [0, 0], "examples": []}
    near = {"windows": [3, 7], "shares": [0.03, 0.07], "examples": [["II:100-1100", "I:<4>-1004"]]}
    gc = {"gc": 0.41, "gc_histogram": [0, 5, 3, 0], "any_n": 12, "any_n_share": 0.012, "half_n": 2}
    return found | {
        "few_positives": {
            "min_positives": 30, "tasks": {"all": [], "train": ["Silent"], "valid": NAMES, "test": ["Abf1", "Silent"]},
        },
        "composition": {"gc_edges": [0, 0.25, 0.5, 0.75, 1]} | dict.fromkeys(("all", "train", "valid", "test"), gc),
        "leakage": {
            "definition": {"k": 21, "sampled_1_in": 8, "near": 0.5, "most_occurrences": 100, "least_samples": 10},
            "splits": leaking,
            "pairs": [{"splits": ["train", "test"], "overlapping": none, "duplicates": none, "near_duplicates": near}],
        },
        "cooccurrence": {
            "measure": "jaccard", "order": [0, 1, 2, 4, 5, 3], "cells": 6,
            "pairs": [{"tasks": ["Reb1", HOSTILE], "together": 17, "jaccard": 0.4321}],
            "heatmap": base64.b64encode(np.eye(6, dtype=np.uint8).tobytes()).decode(),
        },
    }  # fmt: skip


def write_training(run: Path) -> None:
    (run / "train").mkdir(parents=True)
    (run / "train/log.csv").write_text(
        "step,epoch,windows,seconds,loss,learning_rate,windows_per_second\n"
        + "".join(f"{i},{i / 50},{i * 128},{i},{1 / (i + 1)},0.001,{120 + i % 3}\n" for i in range(100))
        + "100,2.0,12"  # cut off
    )
    (run / "train/valid.csv").write_text(
        "step,epoch,windows,seconds,loss,auroc,average_precision,tasks\n50,1,6400,50,0.3,,,0\n99,2,12800,99,.2,.81,.4,5\n"
    )
    (run / "train/summary.json").write_text(
        json.dumps({
            "model": "compact", "parameters": {"channels": 64}, "n_parameters": 712341, "epochs": 2.0, "steps": 4321,
            "seconds": 3723.0, "windows_per_second": 121.4, "stopped": "all steps done", "device": "cpu", "threads": 2,
            "best": {"step": 99, "average_precision": 0.412, "auroc": 0.813}, "precision": "32-true", "seed": 7,
            "versions": {"noncoder": "0.1.0", "torch": "2.6.0"}, "store": "toy.zarr", "store_digest": "deadbeef",
            "git": None, "started": "2025-01-02T03:04:05+00:00",
        })
    )  # fmt: skip


def write_evaluation(run: Path, split: str) -> None:
    folder = run / "evaluate" / split
    folder.mkdir(parents=True)
    auroc = [0.9123, 0.81, 0.7, None, 0.6, float("nan")]
    precision = [0.5, 0.4321, 0.3, None, 0.2, None]
    pl.DataFrame(
        {
            "task": NAMES, "group": ["TF"] * 6, "cell": [""] * 6, "assay": ["ChIP"] * 6, "treatment": [""] * 6,
            "windows": [200] * 6, "positives": [20, 12, 6, 0, 2, 0], "train_positives": [100, 60, 30, 0, 10, 5],
            "auroc": auroc, "average_precision": precision,
        },
        strict=False,
    ).write_parquet(folder / "tasks.parquet")  # fmt: skip
    line = np.tile(np.linspace(0, 1, 20, dtype=np.float32), (6, 1))
    line[[3, 5]] = np.nan
    np.savez(folder / "curves.npz", roc_fpr=line, roc_tpr=np.sqrt(line), pr_recall=line, pr_precision=1 - line / 2)
    both = {"auroc": 0.7556, "average_precision": 0.3580}
    (folder / "summary.json").write_text(
        json.dumps({
            "split": split, "strands": "both", "windows": 200, "tasks": 6, "scored": 4,
            "undefined": ["Silent", "$x_1$"], "min_positives": 30, "tasks_with_min_positives": 0, "mean": both,
            "median": {"auroc": 0.755, "average_precision": 0.366},
            "mean_min_positives": {"auroc": None, "average_precision": None},
            "weighted": {"auroc": 0.8444, "average_precision": 0.4333},
            "groups": {"TF": {"tasks": 6, "scored": 4, **both}}, "prevalence": 0.0333, "loss": 0.1, "seconds": 1.0,
        })
    )  # fmt: skip


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def page(whole: Path) -> Page:
    return Page(write_report(whole))


class TestWholeReport:
    def test_says_in_words_what_was_done(self, page: Page) -> None:
        assert "The model compact (712,341 parameters) learned from 700 windows of 1,000 bp of toy" in page.words
        assert "2 passes over them in 62 min on a CPU" in page.words
        assert "On 200 test windows it ranks a window with the label above one without it in 75.6 % of the" in (
            page.words.replace("%", " %")
        )

    @pytest.mark.parametrize(
        "figure",
        ["0.756", "0.358", "0.844", "0.433", "0.033", "4,321", "0.412", "0.813", "deadbeef", "torch 2.6.0",
         "channels 64", "4 of 6", "62 min", "all steps done", "2025-01-02T03:04:05+00:00", "not recorded",
         "# <kept> whole", "probabilities of the two readings were averaged",
         "1 sequence holds windows of more than one split", "4 × peaks: outside", "121 windows a second in the median"],
    )  # fmt: skip
    def test_has_the_figures_of_the_files(self, page: Page, figure: str) -> None:
        assert figure in page.words

    def test_puts_the_test_split_first(self, page: Page) -> None:
        explorers = [attributes["data-explorer"] for _, attributes in page.tags if "data-explorer" in attributes]
        assert explorers == ["test", "valid"]

    def test_lists_every_task_with_its_lift(self, page: Page) -> None:
        rows = re.findall(r'<tr data-i="(\d+)" data-p="([^"]+)".*?</tr>', page.source, re.S)
        assert [int(i) for i, _ in rows] == [0, 1, 2, 4, 3, 5] * 2
        first = re.search(r'<tr data-i="0".*?</tr>', page.source, re.S)
        assert first is not None
        cells = [unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", first[0])]
        assert cells == ["Reb1", "TF", "20", "10.0%", "0.912", "0.500", "5.0×"]

    def test_embeds_the_curves_of_every_scored_task(self, page: Page) -> None:
        for curves in page.embedded():
            assert [points is not None for points in curves["roc"]] == [True, True, True, False, True, False]
            assert curves["roc"][0].startswith("0,1000 ")
            assert curves["pr"][0] == "0,0 1000,500"
            assert curves["first"] == [0, 2, 4]

    def test_draws_the_wanted_tasks_first(self, run: Path) -> None:
        for rest in ("explore.json", "train/log.csv", "train/valid.csv", "evaluate/valid/tasks.parquet"):
            (run / rest).unlink()
        assert Page(write_report(run, tasks=["Rap1", "Abf1"])).embedded()[0]["first"] == [4, 1]

    def test_never_says_nan_or_none(self, page: Page) -> None:
        assert not re.search(r"\b(nan|None|null|undefined|Undefined)\b", page.words)
        assert "NaN" not in "".join(json.dumps(curves) for curves in page.embedded())

    def test_needs_no_network(self, page: Page) -> None:
        assert not re.search(r"https?:|//\w|@import|url\((?!#)", re.sub(r"//.*", "", page.source))
        sources = [attributes.get(key) for _, attributes in page.tags for key in ("src", "href", "data", "action")]
        assert all(source is None or source.startswith("#") or source == "data:," for source in sources)
        policy = next(str(a["content"]) for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'")

    def test_escapes_names_everywhere(self, page: Page) -> None:
        assert "alert(" not in "".join(page.scripts)
        assert HOSTILE not in page.source
        assert page.words.count("</script><script>alert") >= 2

    def test_is_accessible(self, page: Page) -> None:
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        links = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}
        labelled = {str(a[key]) for _, a in page.tags for key in ("for", "aria-labelledby") if key in a}
        assert links | labelled <= set(ids)
        assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
        assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")

    def test_is_the_same_each_time(self, page: Page, run: Path) -> None:
        assert write_report(run).read_text() == page.source

    def test_goes_where_it_is_told_under_the_title_given(self, tmp_path: Path) -> None:
        out = write_report(tmp_path, tmp_path / "new" / "r.html", title="A & B")
        assert out == tmp_path / "new" / "r.html"
        assert "<h1>A &amp; B</h1>" in out.read_text()
        assert [path.name for path in out.parent.iterdir()] == ["r.html"]


MISSING = {
    "recipe.yaml": "recipe.yaml is missing",
    "train/summary.json": "train/summary.json is missing",
    "evaluate/test/summary.json": "summary.json is missing",
    "evaluate/test/curves.npz": "curves.npz is missing",
    "explore.json": "explore.json is missing",
    "train/log.csv": "",
    "train/valid.csv": "",
    "evaluate/test/tasks.parquet": "tasks.parquet is missing",
}


class TestWhatIsMissing:
    @pytest.mark.parametrize("names", [list(MISSING)[:4], list(MISSING)[4:]])
    def test_is_said(self, run: Path, names: list[str]) -> None:
        for name in names:
            (run / name).unlink()
        words = Page(write_report(run)).words
        assert all(MISSING[name] in words for name in names)
        assert not any(MISSING[name] in words for name in MISSING if name not in names and MISSING[name])
        assert not re.search(r"\b(nan|None|undefined)\b", words)

    @pytest.mark.parametrize("name", MISSING)
    def test_does_not_keep_the_rest_from_being_shown(self, tmp_path: Path, run: Path, name: str) -> None:
        alone = tmp_path / "alone"
        (alone / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).rename(alone / name)
        Page(write_report(alone))

    def test_may_be_all(self, tmp_path: Path) -> None:
        page = Page(write_report(tmp_path))
        for said in ("explore.json is missing", "train/log.csv and train/valid.csv", "evaluate is missing"):
            assert said in page.words

    def test_may_be_the_inside_of_a_summary(self, run: Path) -> None:
        for name in ("train/summary.json", "evaluate/test/summary.json"):
            (run / name).write_text("{}")
        for name in ("evaluate/valid", "explore.json"):
            shutil.move(run / name, run / f"{name}.away".replace("evaluate/", ""))
        (run / "train/log.csv").write_text("step,epoch,windows,seconds,loss,learning_rate,windows_per_second\n")
        Page(write_report(run))

    def test_of_a_run_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no run"):
            write_report(tmp_path / "none")


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        "name", ["explore.json", "train/summary.json", "train/log.csv", "evaluate/test/tasks.parquet"]
    )
    def test_names_the_file(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{ broken")
        with pytest.raises(InputError, match=f"{Path(name).parts[0]}.* cannot be read"):
            write_report(tmp_path)

    def test_statistics_of_another_version(self, tmp_path: Path) -> None:
        (tmp_path / "explore.json").write_text('{"store": {}}')
        with pytest.raises(InputError, match=r"explore\.json cannot be read"):
            write_report(tmp_path)

    def test_curves_of_other_tasks(self, run: Path) -> None:
        few = np.zeros((2, 3))
        np.savez(run / "evaluate/test/curves.npz", roc_fpr=few, roc_tpr=few, pr_recall=few, pr_precision=few)
        with pytest.raises(InputError, match="one row a task"):
            write_report(run)

    def test_an_unknown_task_is_told_its_nearest(self, run: Path) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'Reb1'"):
            write_report(run, tasks=["Reb2"])

    def test_leaves_no_half_report(self, tmp_path: Path) -> None:
        (tmp_path / "report.html").mkdir()
        with pytest.raises(InputError, match="cannot write"):
            write_report(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


class TestExploration:
    def test_is_the_data_section_alone(self, tmp_path: Path) -> None:
        page = Page(write_exploration(stats(), tmp_path / "e.html", "Toy"))
        assert "Toy" in page.words
        assert "1,000 windows of 1,000 bp of toy" in page.words
        assert "4 of 6 are positive in fewer than 5%" in page.words
        assert "Training" not in page.words
        assert not page.scripts
        assert sum(tag == "svg" for tag, _ in page.tags) == 6

    def test_tells_what_splits_share_and_which_tasks_go_together(self, tmp_path: Path) -> None:
        page = Page(write_exploration(stats_of_windows(), tmp_path / "e.html"))
        assert "test 100 0 0 7 7.0%" in page.words
        assert "II:100-1100 I:<4>-1004 nearly equal" in page.words
        assert "2 tasks have fewer than 30 positive windows in test" in page.words
        assert "12 windows (1.2%) hold N" in page.words
        assert f"Reb1 {HOSTILE} 17 0.432" in page.words
        labels = {attributes.get("aria-label") for _, attributes in page.tags}
        assert {"heat map of which tasks are positive together", "GC content of the windows of each split"} <= labels
        assert "heat map of positives of each task by chromosome" in labels
        assert "nan" not in page.words.lower().split()

    def test_says_that_splits_share_nothing(self, tmp_path: Path) -> None:
        found = stats_of_windows()
        found["leakage"]["splits"]["test"]["any"] = 0
        page = Page(write_exploration(found, tmp_path / "e.html"))
        assert "No window that could be judged overlaps, equals or nearly equals one of another split." in page.words
        assert "II:100-1100" not in page.words

    def test_is_called_after_the_store(self, tmp_path: Path) -> None:
        assert "<h1>toy.zarr</h1>" in write_exploration(stats(), tmp_path / "e.html").read_text()

    def test_of_many_contigs_lists_none(self, tmp_path: Path) -> None:
        many = stats()
        many["other_chromosomes"]["contigs"] = 900
        page = Page(write_exploration(many, tmp_path / "e.html"))
        assert "Where the splits lie" not in page.words


class TestPoints:
    def test_stay_within_a_pixel_of_the_curve(self) -> None:
        x = np.sort(np.random.default_rng(0).random(400)).astype(np.float32)
        y = np.sqrt(x)
        points = path_of(x, y)
        assert points is not None
        px, py = np.array([point.split(",") for point in points.split()], dtype=float).T
        assert np.abs(np.interp(1000 * x, px, py) - 1000 * (1 - y)).max() < 8
        assert px.size < 80

    def test_keep_corners(self) -> None:
        assert path_of(np.array([0, 0, 0.5, 0.5, 1]), np.array([0, 0.5, 0.5, 1, 1])) == (
            "0,1000 0,500 500,500 500,0 1000,0"
        )

    def test_skip_what_is_undefined(self) -> None:
        assert path_of(np.array([np.nan, np.nan]), np.array([0.0, 1.0])) is None
        assert path_of(np.array([0, np.nan, 1]), np.array([0, 0, 1.0])) == "0,1000 1000,0"


@pytest.fixture(scope="module")
def dom(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as a browser sees it after its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    page = write_report(whole, tmp_path_factory.mktemp("page") / "r.html")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--virtual-time-budget=4000",
         "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]  # no error and no warning of a script
    return done.stdout


class TestInBrowser:
    def test_the_curves_of_the_first_tasks_are_drawn(self, dom: str) -> None:
        for kind in ("roc", "pr"):
            panel = re.search(rf'data-curve="{kind}".*?</g>', dom, flags=re.DOTALL)
            assert panel is not None
            assert panel[0].count("<polyline") == 3

    def test_a_hostile_name_stays_text(self, dom: str) -> None:
        assert "alert" in dom
        assert '<script>alert("1")' not in dom
