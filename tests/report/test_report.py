"""The report says what the run's files say, needs nothing else, and survives whatever is missing."""

import json
import re
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from noncoder.errors import InputError, UnknownNameError
from noncoder.report import write_exploration, write_report
from tests.report.pages import Page
from tests.report.small import HOSTILE, stats, stats_of_windows


class TestWholeReport:
    def test_says_in_words_what_was_done(self, page: Page) -> None:
        assert "The model compact (712,341 parameters) learned from 700 windows of 1,000 bp of toy" in page.words
        assert "2 epochs over them in 62 min on a CPU" in page.words
        assert "On 200 test windows it ranks a window with the label above one without it in 75.6 % of the" in (
            page.words.replace("%", " %")
        )

    @pytest.mark.parametrize(
        "figure",
        ["0.756", "0.358", "0.844", "0.433", "0.033", "4,321", "0.412", "0.813", "deadbeef", "torch 2.6.0",
         "channels 64", "4 of 6", "62 min", "all steps done", "2025-01-02T03:04:05+00:00", "not recorded",
         "# <kept> whole", "two probabilities were averaged",
         "1 sequence holds windows of more than one split", "4 × peaks: outside",
         "121 windows per second in the median"],
    )  # fmt: skip
    def test_has_the_figures_of_the_files(self, page: Page, figure: str) -> None:
        assert figure in page.words

    def test_puts_the_test_split_first(self, page: Page) -> None:
        explorers = [attributes["data-explorer"] for _, attributes in page.tags if "data-explorer" in attributes]
        assert explorers == ["test", "valid"]

    def test_lists_every_task_with_its_lift(self, page: Page) -> None:
        rows = re.findall(r'<tr data-i="(\d+)">.*?</tr>', page.source, re.S)
        assert [int(i) for i in rows] == [0, 1, 2, 4, 3, 5] * 2
        first = re.search(r'<tr data-i="0".*?</tr>', page.source, re.S)
        assert first is not None
        cells = [unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", first[0])]
        assert cells == ["Reb1", "TF", "20", "10.0%", "0.912", "0.500", "5.0×"]

    def test_embeds_the_curves_of_every_scored_task(self, page: Page) -> None:
        for embedded in page.embedded():
            curves = embedded["curves"]
            assert [path is not None for path in curves["roc"]] == [True, True, True, False, True, False]
            assert curves["roc"][0].startswith("m0 1000l")
            assert curves["pr"][0] == "m0 0l1000 500"
            assert set(curves) == {"roc", "pr"}
            assert embedded["first"] == [0, 2, 4]

    def test_has_nothing_of_what_an_earlier_evaluation_did_not_measure(self, page: Page) -> None:
        for part in ("Calibration", "What averaging gains", "published results", "More measures", "intervals"):
            assert part not in page.words
        keys = {column["key"] for embedded in page.embedded() for column in embedded["columns"]}
        assert keys == {"task", "group", "assay", "windows", "positives", "train_positives", "prevalence", "auroc",
                        "average_precision", "lift"}  # fmt: skip

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
        assert all("<" not in text for text in page.scripts if text.lstrip().startswith("{"))
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
        with pytest.raises(InputError, match=r"the run .* does not exist"):
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
        with pytest.raises(InputError, match="one row per task"):
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
        assert "12 windows (1.2%) contain N" in page.words
        assert f"Reb1 {HOSTILE} 17 0.432" in page.words
        labels = {attributes.get("aria-label") for _, attributes in page.tags}
        assert {"heat map of which tasks are positive together", "GC content of the windows of each split"} <= labels
        assert "heat map of positives of each task by chromosome" in labels
        assert "nan" not in page.words.lower().split()

    def test_says_that_splits_share_nothing(self, tmp_path: Path) -> None:
        found = stats_of_windows()
        found["leakage"]["splits"]["test"]["any"] = 0
        page = Page(write_exploration(found, tmp_path / "e.html"))
        assert "No window that could be compared overlaps, equals or nearly equals one of another split." in page.words
        assert "II:100-1100" not in page.words

    def test_is_called_after_the_store(self, tmp_path: Path) -> None:
        assert "<h1>toy.zarr</h1>" in write_exploration(stats(), tmp_path / "e.html").read_text()

    def test_of_many_contigs_lists_none(self, tmp_path: Path) -> None:
        many = stats()
        many["other_chromosomes"]["contigs"] = 900
        page = Page(write_exploration(many, tmp_path / "e.html"))
        assert "Where the splits lie" not in page.words
