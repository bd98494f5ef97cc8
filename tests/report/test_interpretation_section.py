"""The section on what the model learned: each file is shown, may be missing, and is named where it is damaged."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup
from matplotlib.figure import Figure

from noncoder import plots
from noncoder.errors import InputError
from noncoder.interpret.design import Design
from noncoder.interpret.grammar import Grammar
from noncoder.report import interpretation_section, write_report
from noncoder.report.motif_logos import pattern_logos
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import MotifMatch, PatternResult
from noncoder.sequence.motifs import load_jaspar
from tests.browser import Browser
from tests.report.interpreted import design_of, grammar_of, match_of, write_interpretation, write_json
from tests.report.pages import Page
from tests.report.small import HOSTILE

FILES = ["summary.json", "filters/filters.json"] + [
    f"tasks/t0/{name}"
    for name in (
        "summary.json",
        "attributions.npz",
        "gradcam.npz",
        "ism.npz",
        "patterns.json",
        "grammar.json",
        "design.json",
    )
]
LEARNED = re.compile(r'<section id="learned".*?</section>', re.S)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "yeast"
    reb1, abf1 = load_jaspar(["REB1", "ABF1"], taxon="fungi")
    write_interpretation(run, {"Reb1": reb1, HOSTILE: abf1, "Sum1": None, "Later": reb1})
    write_json(run / "predictor/model.json", {"bin": 100})
    write_json(run / "interpret/tasks/t0/grammar.json", grammar_of("Reb1"))
    write_json(run / "interpret/tasks/t0/design.json", design_of("Reb1", "Sum1"))
    return run


@pytest.fixture(scope="module")
def page(made: Path) -> Page:
    return Page(write_report(made))


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change, whose figures are made but not drawn."""
    monkeypatch.setattr(interpretation_section, "_WINDOWS", (1,))
    monkeypatch.setattr(
        interpretation_section, "svg", lambda figure, name, label: Markup("<svg id='{}'></svg>").format(name)
    )
    return Path(shutil.copytree(made, tmp_path / "yeast", ignore=shutil.ignore_patterns("report.html")))


def section(run: Path) -> str:
    found = LEARNED.search(write_report(run).read_text())
    assert found
    return found[0]


class TestPage:
    def test_tells_of_every_task(self, page: Page) -> None:
        assert "was computed for 4 tasks, by deeplift, on windows of the test split" in page.words
        assert "of JASPAR2026 (fungi, 189 motifs)" in page.words
        assert "3 of 4 tasks have a named motif" in page.words
        assert page.words.count("REB1 q ") == 2
        assert HOSTILE in page.words

    def test_tells_why_there_is_no_motif(self, page: Page) -> None:
        assert "No pattern was found. 7 seqlets were found; a pattern needs 20. The AUROC is 0.61." in page.words
        assert "7 that raise the logit, 0 that lower it" in page.words
        assert "Scale of the attributions 0.008 AUROC of the task 0.610" in page.words
        assert "DeepLIFT is not exact" in page.words

    def test_prints_the_correlation_and_the_completeness(self, page: Page, made: Path) -> None:
        agreement = json.loads((made / "interpret/tasks/t0/summary.json").read_text())["agreement"]
        assert (
            f"on 2 windows: {agreement['gradcam_ism_spearman']:.3f}; deeplift against mutagenesis 0.710" in page.words
        )
        assert "2.31 with an error of 0.012 in the median window, 0.21 in the worst window" in page.words

    def test_draws_the_first_tasks_and_says_so(self, page: Page) -> None:
        names = [values["aria-label"] for tag, values in page.tags if tag == "svg" and values.get("aria-label")]
        assert names.count("attribution of a window of Reb1") == 2
        assert names.count("heat map of the attributions of Reb1") == 1
        assert names.count("substitutions in a window of Reb1") == 1
        assert names.count("Grad-CAM against mutagenesis, Reb1") == 1
        assert "heat map of the attributions of Later" not in names
        assert page.words.count("The windows of the first 3 tasks are drawn here") == 1
        # One of a pattern in the overview, one in its table, and one of the motif that it matches.
        assert names.count("contributions of the pattern pos_0") == 6
        assert names.count("the known motif ABF1") == 1

    def test_orders_filters_by_information(self, page: Page, made: Path) -> None:
        filters = json.loads((made / "interpret/filters/filters.json").read_text())
        ordered = [row["filter"] for row in sorted(filters, key=lambda row: -row["information"])]
        labels = [values["aria-label"] or "" for tag, values in page.tags if tag == "svg" and "aria-label" in values]
        assert [int(label.split()[-1]) for label in labels if label.startswith("motif of filter")] == ordered

    def test_ids_are_unique_and_links_lead_somewhere(self, page: Page) -> None:
        ids = [values["id"] for _, values in page.tags if "id" in values]
        assert len(ids) == len(set(ids))
        assert {(values["href"] or "")[1:] for tag, values in page.tags if tag == "a"} <= set(ids)

    def test_is_light(self, page: Page) -> None:
        found = LEARNED.search(page.source)
        assert found
        assert len(found[0]) < 500_000

    def test_many_filters_are_cut_off_and_counted(self, run: Path) -> None:
        path = run / "interpret/filters/filters.json"
        write_json(path, json.loads(path.read_text()) * 10)
        text = section(run)
        assert text.count("motif of filter") == 60
        assert "30 more with less information" in text


class TestGrammar:
    def test_is_drawn_with_the_pairs_that_have_room(self, page: Page) -> None:
        names = [values["aria-label"] for tag, values in page.tags if tag == "svg" and values.get("aria-label")]
        assert names.count("grammar of Reb1") == 6
        assert "Motifs were inserted into 9 shuffled windows" in page.words
        assert "1 more pair is in grammar.json" in page.words
        assert "B lies in few windows." in page.words

    def test_designed_sequences_are_listed_and_drawn(self, page: Page) -> None:
        names = [values["aria-label"] for tag, values in page.tags if tag == "svg" and values.get("aria-label")]
        assert names.count("design for Reb1") == 3
        assert "1 100 −1.50 7.25 0.200 0.999 100.00% A" in page.words

    def test_what_is_made_here_is_of_the_real_formats(self) -> None:
        made = grammar_of("Reb1"), design_of("Reb1", "Sum1")
        assert Grammar.from_dict(made[0]).to_dict() == made[0]
        assert Design.from_dict(made[1]).to_dict() == made[1]


class TestFiles:
    def test_without_an_interpretation_the_page_says_so(self, tmp_path: Path) -> None:
        assert "No interpretation: " in section(tmp_path)

    @pytest.mark.parametrize("name", FILES)
    def test_each_may_be_missing(self, run: Path, name: str) -> None:
        (run / "interpret" / name).unlink()
        text = section(run)
        said = {
            "summary.json": "The contribution of each base", "filters/filters.json": "No filters: ",
            "tasks/t0/summary.json": "No summary of this task: ", "tasks/t0/attributions.npz": "No windows: ",
            "tasks/t0/patterns.json": "No patterns: ",
        }  # fmt: skip
        if name in said:
            assert said[name] in text
        needed = {"map": ("attributions",), "ism": ("attributions", "ism"), "cam": ("attributions", "ism", "gradcam")}
        for part, files in needed.items():
            assert (f"t0-{part}" in text) == (Path(name).stem not in files)

    def test_all_of_a_task_may_be_missing(self, run: Path) -> None:
        shutil.rmtree(run / "interpret/tasks/t0")
        assert "No summary of this task: " in section(run)

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize(
        "content", [b"", b"{]", b"PK\x03\x04 cut off", b"7", b"[7]", b'[{"a": 1}]', b'{"tasks": [1]}']
    )
    def test_a_damaged_one_is_named(self, run: Path, name: str, content: bytes) -> None:
        path = run / "interpret" / name
        if path.name == "summary.json" and name != "summary.json" and content.startswith(b'{"t'):
            pytest.skip("an object that says nothing is no damage")
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be read") as caught:
            interpretation_section.learned_section(RunFolder(run))
        assert str(path) in str(caught.value) or str(path.parent) in str(caught.value)

    def test_arrays_of_other_windows_are_refused(self, run: Path) -> None:
        folder = run / "interpret/tasks/t0"
        stored = dict(np.load(folder / "attributions.npz"))
        np.savez(folder / "gradcam.npz", cam=np.zeros((3, 7)), layer="x")
        with pytest.raises(InputError, match=r"gradcam.npz cannot be read: it has other windows"):
            interpretation_section.learned_section(RunFolder(run))
        np.savez(folder / "gradcam.npz", cam=np.zeros(stored["codes"].shape), layer="x")
        np.savez(folder / "ism.npz", codes=stored["codes"][:1], substitutions=stored["values"][:1], index=[99])
        with pytest.raises(InputError, match=r"ism.npz cannot be read: it has other windows"):
            interpretation_section.learned_section(RunFolder(run))
        np.savez(folder / "attributions.npz", **{**stored, "values": stored["values"][:, :, 1:]})
        with pytest.raises(InputError, match=r"values has the shape"):
            interpretation_section.learned_section(RunFolder(run))

    def test_windows_without_a_place_are_numbered(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = run / "interpret/tasks/t0/attributions.npz"
        stored = dict(np.load(path))
        np.savez(path, **{**stored, "chrom": np.full(len(stored["chrom"]), "")})
        drawn: list[Figure] = []
        real = plots.plot_window

        def keep(*given: Any) -> Figure:
            drawn.append(real(*given))
            return drawn[-1]

        monkeypatch.setattr(plots, "plot_window", keep)
        assert re.search(r"window \d+\. Contribution of each base", section(run))
        assert drawn[0].axes[-1].get_xlabel() == "position in the window, bp"


class TestLogos:
    def test_of_a_match_are_on_the_strand_and_at_the_place_that_fit(self) -> None:
        motif = load_jaspar(["REB1"], taxon="fungi")[0]
        flank = np.full((4, 5), 0.25)
        for oriented in (motif, motif.reverse_complement()):
            ppm = np.hstack([flank, oriented.ppm, flank])
            heights = plots.information_heights(ppm)
            pattern = PatternResult(
                name="pos_0", sign="positive", seqlets=20, ppm=ppm.T.tolist(), cwm=heights.T.tolist()
            )
            match = MotifMatch.model_validate(match_of(motif, np.random.default_rng(0)))
            logos = pattern_logos(pattern, match, {str(motif.id): motif.ppm})
            assert logos.known is not None
            assert 'aria-label="the known motif REB1"' in logos.known
            # In a frame of the same width the known one shows what the oriented one is.
            whole = plots.logo_svg(plots.information_heights(oriented.ppm), 2.0, "the known motif REB1")
            assert logos.known == whole
            assert re.findall('viewBox="[^"]*"', logos.found) == re.findall('viewBox="[^"]*"', logos.known)

    def test_of_an_unknown_match_stand_alone(self) -> None:
        cwm = [[0.0, 0, 0, 0], [1, 0, 0, -1], [0.1, 0, 0, 0]]
        pattern = PatternResult(name="pos_0", sign="positive", seqlets=20, ppm=[[0.25] * 4] * 3, cwm=cwm)
        match = MotifMatch(id="mine", name="x", p=1e-9, q=1e-7, offset=0, strand="+", overlap=3)
        logos = pattern_logos(pattern, match, {})
        assert logos.known is None
        # The flanks are left out.
        assert 'viewBox="0 0 20 100"' in logos.found


class TestBrowser:
    def test_sorts_unfolds_and_fits_a_small_screen(self, chromium: Browser, made: Path, page: Page) -> None:
        chromium.open(made / "report.html")
        assert chromium.complaints == []
        table = "[...document.querySelectorAll('#learned [data-sortable]')][0].querySelectorAll('tbody tr')"
        chromium.click("#learned [data-sortable] th:nth-child(3) button")
        chromium.click("#learned [data-sortable] th:nth-child(3) button")
        assert chromium.run(f"{table}[0].cells[0].textContent").strip() == "Sum1"
        assert not chromium.run("document.querySelector('#t2').open")
        chromium.click("#learned a[href='#t2']")
        assert chromium.run("document.querySelector('#t2').open")
        chromium.resize(400, 800)
        assert chromium.run("document.documentElement.scrollWidth") == 400
        chromium.resize(1200, 1000)
