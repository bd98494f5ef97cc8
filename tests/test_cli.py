"""What a user sees: the verbs, and one message with exit code 2 for every mistake."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
import torch

from noncoder.cli import app, main
from noncoder.data.store import open_store
from tests.conftest import random_dna, random_genome, write_fasta, write_peaks
from tests.data.deepsea.made import both_strands, write_bundle
from tests.importers.test_report import TASKS, ReportModel, checkpoint

LENGTHS = {"I": 6_000, "II": 5_000, "III": 4_000}


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def noncoder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["noncoder", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        printed = capsys.readouterr()
        return Result(int(done.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A genome and the peaks of three proteins."""
    write_fasta(tmp_path / "genome.fa", random_genome(LENGTHS))
    (tmp_path / "peaks").mkdir()
    for i, name in enumerate(("Reb1", "Abf1", "Rap1")):
        peaks = [(f"chr{c}", at, at + 1) for c in (1, 2, 3) for at in range(100 + 50 * i, 3_900, 300 + 100 * i)]
        write_peaks(tmp_path / "peaks" / f"{name}.bed", peaks)
    return tmp_path


BUILD = ("data", "build", "--genome", "genome.fa", "--peaks", "peaks/*.bed", "--label", "summit",
         "--valid", "II", "--test", "III", "small.zarr")  # fmt: skip


def assert_one_message(result: Result, *words: str, code: int = 2) -> None:
    assert result.code == code, result
    assert "Traceback" not in result.err
    assert result.err.count("noncoder: ") == 1
    assert result.out == ""
    for word in words:
        assert word in result.err, result.err


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestData:
    def test_build_info_check(self, noncoder: Run, sources: Path) -> None:
        built = noncoder(*BUILD)
        assert built.code == 0, built.err
        assert "3; " in built.out
        summary = json.loads(noncoder("data", "info", "small.zarr", "--json").out)
        assert summary["tasks"] == 3
        assert summary["bases"] == 15_000
        assert {name: part["windows"] > 0 for name, part in summary["splits"].items()} == dict.fromkeys(
            ("train", "valid", "test"), True
        )
        assert "is intact" in noncoder("data", "check", "small.zarr").out

    def test_what_was_dropped_is_said(self, noncoder: Run, sources: Path) -> None:
        write_peaks(sources / "peaks" / "Few.bed", [("chr1", 5, 6), ("chrMars", 5, 6)])
        result = noncoder(*BUILD, "--min-positives", 3)
        assert "1 tasks: fewer than 3 peaks that label a bin: Few" in result.out
        assert "1 peaks: on chrMars, which the genome lacks" in result.out

    def test_nothing_is_overwritten_without_force(self, noncoder: Run, sources: Path) -> None:
        noncoder(*BUILD)
        before = json.loads(noncoder("data", "info", "small.zarr", "--json").out)["digest"]
        assert_one_message(noncoder(*BUILD, "--window", 400), "small.zarr already exists", "--force")
        assert json.loads(noncoder("data", "info", "small.zarr", "--json").out)["digest"] == before
        assert noncoder(*BUILD, "--window", 400, "--force").code == 0
        assert json.loads(noncoder("data", "info", "small.zarr", "--json").out)["window"] == 400

    def test_pack_a_table(self, noncoder: Run, tmp_path: Path) -> None:
        rows = [f"{random_dna(60, i)},{i % 2},{'' if i == 3 else (i // 2) % 2},{split}"
                for i, split in enumerate(["train"] * 6 + ["val", "test"])]  # fmt: skip
        (tmp_path / "t.csv").write_text("sequence,a,b,split\n" + "\n".join(rows) + "\n")
        packed = noncoder("data", "pack", "--table", "t.csv", "--split-column", "split", "t.zarr", "--json")
        assert packed.code == 0, packed.err
        summary = json.loads(packed.out)
        assert (summary["windows"], summary["tasks"], summary["unknown_labels"]) == (8, 2, True)
        assert [part["windows"] for part in summary["splits"].values()] == [6, 1, 1]

    def test_pack_a_file_a_split(self, noncoder: Run, tmp_path: Path) -> None:
        for k, name in enumerate(("train", "valid", "test")):
            rows = [f"{random_dna(60, 10 * k + i)},{i % 2},x" for i in range(6 - k)]
            (tmp_path / f"{name}.tsv").write_text("\n".join(["sequence,a,note", *rows]).replace(",", "\t"))
        files = [word for name in ("train", "valid", "test") for word in (f"--{name}", f"{name}.tsv")]
        packed = noncoder("data", "pack", *files, "--name", "a=Reb 1, low", "t.zarr", "--json")
        assert packed.code == 0, packed.err
        summary = json.loads(packed.out)
        assert [part["windows"] for part in summary["splits"].values()] == [6, 5, 4]
        text = noncoder("data", "info", "t.zarr").out
        assert [task.name for task in open_store(tmp_path / "t.zarr").tasks] == ["Reb 1, low"]
        assert "split by   files: train train.tsv; valid valid.tsv; test test.tsv" in text
        assert "left out   1 columns: hold text: note ('x')" in text
        both = noncoder("data", "pack", *files, "--table", "train.tsv", "x.zarr")
        assert_one_message(both, "give either table, or train with valid and test")
        assert_one_message(
            noncoder("data", "pack", *files, "--deepsea", "b", "x.zarr"), "either --table FILE or --deepsea"
        )

    def test_the_bundle_of_deepsea_and_back(self, noncoder: Run, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        half = rng.integers(0, 4, (5, 60), dtype=np.uint8), rng.integers(0, 2, (5, 3), dtype=np.uint8)
        write_bundle(tmp_path / "bundle", dict.fromkeys(("train", "valid", "test"), both_strands(*half)))
        (tmp_path / "t.tsv").write_text("name\na\nb\nc\n")
        options = ["--deepsea", "bundle", "--tasks", "t.tsv", "--bin", "20"]
        summary = json.loads(noncoder("data", "pack", *options, "--json", "b.zarr").out)
        assert [part["windows"] for part in summary["splits"].values()] == [5, 5, 5]
        text = noncoder("data", "info", "b.zarr").out
        assert "left out   5 rows: valid.mat: the reverse complements of the rest" in text
        files = json.loads(noncoder("data", "unpack", "b.zarr", "out", "--json").out)["files"]
        assert list(files) == ["out/train.mat", "out/valid.mat", "out/test.mat"]
        assert_one_message(noncoder("data", "unpack", "b.zarr", "out"), "already exists", "--force")
        again = json.loads(noncoder("data", "pack", *options, "--json", "b.zarr", "--force").out)
        assert again["digest"] == summary["digest"]
        both = noncoder("data", "pack", "--table", "t.tsv", "--deepsea", "bundle", "x.zarr")
        assert_one_message(both, "either --table FILE or --deepsea FOLDER")
        astray = noncoder("data", "pack", *options, "--id-column", "id", "x.zarr")
        assert_one_message(astray, "--id-column has no effect here")

    def test_the_tasks_of_deepsea(self, noncoder: Run) -> None:
        lines = noncoder("data", "tasks").out.splitlines()
        assert (len(lines), lines[0]) == (920, "name\tgroup\tcell\tassay\ttreatment")
        rows = json.loads(noncoder("data", "tasks", "--published", "--json").out)["tasks"]
        assert (rows[0]["auroc_danq"], rows[598]["auroc_danq"]) == (0.9132489837, None)

    def test_explore(self, noncoder: Run, sources: Path) -> None:
        noncoder(*BUILD)
        assert json.loads(noncoder("explore", "small.zarr", "--json").out)
        shown = noncoder("explore", "small.zarr", "--html", "page.html")
        assert shown.code == 0, shown.err
        assert "<html" in (sources / "page.html").read_text()
        assert_one_message(noncoder("explore", "small.zarr", "--html", "page.html"), "page.html already exists")
        few = json.loads(noncoder("explore", "small.zarr", "--json", "--min-positives", "7", "--matrix", "m.npz").out)
        assert few["few_positives"]["min_positives"] == 7
        assert_one_message(noncoder("explore", "small.zarr", "--matrix", "m.npz"), "m.npz already exists")
        wrong = noncoder("explore", "small.zarr", "--near", "0")
        assert wrong.code == 2
        assert "--near" in wrong.err


class TestMistakes:
    """Each ends with exit code 2 and one message, and leaves nothing half-written."""

    @pytest.fixture(autouse=True)
    def _nothing_new(self, sources: Path) -> object:
        yield
        assert not [name for name in left(sources) if "partial" in name or name == "small.zarr"]

    def test_no_shared_chromosome_name(self, noncoder: Run, sources: Path) -> None:
        write_fasta(sources / "genome.fa", random_genome({"NC_001": 6_000, "NC_002": 5_000}))
        assert_one_message(noncoder(*BUILD), "chr1, chr2, chr3", "NC_001, NC_002", "--aliases")

    def test_peak_outside_its_chromosome(self, noncoder: Run, sources: Path) -> None:
        write_peaks(sources / "peaks" / "Far.bed", [("chr1", 5, 6), ("chr1", 6_000, 6_001)])
        assert_one_message(noncoder(*BUILD), "Far.bed", "chr1:6000-6001", "6,000 bp", "--outside drop")

    def test_end_before_start(self, noncoder: Run, sources: Path) -> None:
        write_peaks(sources / "peaks" / "Bad.bed", [("chr1", 5, 6), ("chr1", 90, 80)])
        assert_one_message(noncoder(*BUILD), "Bad.bed, line 2", "ends before it starts")

    def test_empty_peak_file(self, noncoder: Run, sources: Path) -> None:
        (sources / "peaks" / "Empty.bed").touch()
        assert_one_message(noncoder(*BUILD), "Empty.bed is empty", "--min-positives 1")

    def test_binary_peak_file(self, noncoder: Run, sources: Path) -> None:
        (sources / "peaks" / "Binary.bed").write_bytes(bytes(range(256)) * 4)
        assert_one_message(noncoder(*BUILD), "Binary.bed is binary", "bigBedToBed")

    def test_task_named_twice(self, noncoder: Run, sources: Path) -> None:
        shutil.copy(sources / "peaks" / "Reb1.bed", sources / "peaks" / "Reb1.narrowPeak")
        result = noncoder(*[a if a != "peaks/*.bed" else "peaks/*" for a in BUILD])
        assert_one_message(result, "'Reb1' is named twice", "task sheet")

    def test_pattern_that_matches_nothing(self, noncoder: Run) -> None:
        assert_one_message(noncoder(*[a if a != "peaks/*.bed" else "peak/*.bed" for a in BUILD]), "no file matches")

    def test_wrong_option_value(self, noncoder: Run) -> None:
        command = ["sumit" if word == "summit" else word for word in BUILD]
        assert_one_message(noncoder(*command), "summit", "overlap:0.5", "'sumit'")

    def test_missing_option(self, noncoder: Run) -> None:
        result = noncoder("data", "build", "small.zarr")
        assert result.code == 2
        assert "--genome" in result.err

    def test_split_that_is_no_chromosome(self, noncoder: Run) -> None:
        assert_one_message(noncoder(*BUILD, "--test", "XX"), "'XX'", "I, II, III")

    def test_unwritable_folder(self, noncoder: Run, sources: Path) -> None:
        (sources / "file").touch()  # a file where a folder is needed fails for root, too
        result = noncoder(*BUILD[:-1], "file/small.zarr")
        assert_one_message(result, "cannot write", "file/small.zarr")

    def test_full_disk(self, sources: Path) -> None:
        """A limit on the size of files stands in for a full disk: the system refuses to write on."""

        def limit() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

        done = subprocess.run(
            [sys.executable, "-m", "noncoder", *BUILD], cwd=sources, capture_output=True, text=True, preexec_fn=limit
        )
        assert_one_message(Result(done.returncode, done.stdout, done.stderr), "cannot write", "free some space")

    def test_ctrl_c(self, sources: Path) -> None:
        # Some ten seconds of reading, of which the interrupt comes after two: past the imports, before the end.
        many = write_peaks(sources / "peaks" / "Many.bed", [("chr1", at, at + 1) for at in range(5_900)] * 60)
        for i in range(60):
            (sources / "peaks" / f"Many{i}.bed").hardlink_to(many)
        process = subprocess.Popen(
            [sys.executable, "-m", "noncoder", *BUILD], cwd=sources, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        time.sleep(2)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert_one_message(Result(process.returncode, out, err), "interrupted", code=130)

    def test_misspelled_recipe_key(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text("run: runs/x\ntrain:\n  epoch: 3\n")
        assert_one_message(noncoder("run", "r.yaml"), "train.epoch", "did you mean 'epochs'")
        assert_one_message(noncoder("train", "r.yaml"), "train.epoch", "did you mean 'epochs'")
        (sources / "r.yaml").write_text("run: runs/x\n")
        assert_one_message(noncoder("run", "r.yaml", "train.epoch=3"), "did you mean 'epochs'")
        assert_one_message(noncoder("run", "r.yml"), "does not exist", "did you mean 'r.yaml'")
        assert "runs" not in left(sources)

    def test_recipe_without_data(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text("run: runs/x\n")
        assert_one_message(noncoder("run", "r.yaml"), "data.zarr does not exist", "data.build")

    def test_unknown_model(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text(
            "run: runs/x\nmodel: {name: deepsee}\ndata: {simulate: {windows: 60, tasks: 2}}\n"
        )
        assert_one_message(noncoder("models", "deepsee"), "did you mean 'deepsea'")
        assert_one_message(noncoder("run", "r.yaml"), "did you mean 'deepsea'")

    def test_store_that_is_none(self, noncoder: Run, sources: Path) -> None:
        assert_one_message(noncoder("data", "info", "no.zarr"), "no.zarr does not exist")
        assert_one_message(noncoder("data", "info", "peaks"), "peaks is a folder", "expected: a store")

    def test_run_that_is_none(self, noncoder: Run) -> None:
        for verb in ("evaluate", "report"):
            assert_one_message(noncoder(verb, "runs/none"), "runs/none")


@pytest.mark.parametrize("name", ["codes/c/0", "labels/c/0/0", "start/c/0", "zarr.json", "labels/zarr.json"])
@pytest.mark.parametrize("how", ["flipped", "cut"])
def test_a_damaged_store(noncoder: Run, sources: Path, name: str, how: str) -> None:
    noncoder(*BUILD)
    file = sources / "small.zarr" / name
    content = bytearray(file.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 0x10
    file.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    assert_one_message(noncoder("data", "check", "small.zarr"), "small.zarr is damaged")


class TestRoad:
    """The whole road on a small genome, one verb after another."""

    RECIPE = """
run: runs/small
data:
  build: {genome: genome.fa, peaks: "peaks/*.bed", label: summit, keep: all, window: 400, valid: II, test: III}
model: {parameters: {channels: 8, dilations: [1]}}
train: {epochs: 1, batch_size: 8}
evaluate: {splits: [test], min_positives: 3}
"""

    def test_run_is_resumable_a_stage_at_a_time(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text(self.RECIPE)
        first = noncoder("run", "r.yaml")
        assert first.code == 0, first.err
        assert first.out.strip() == "report: runs/small/report.html"
        assert "trained" not in first.err or "skipped" not in first.err
        weights = (sources / "runs/small/predictor/weights.safetensors").read_bytes()
        second = noncoder("run", "r.yaml", "--json")
        assert second.err.count("skipped") == 2
        assert "existing store" in second.err
        assert json.loads(second.out)["evaluate"]["test"]["split"] == "test"
        assert (sources / "runs/small/predictor/weights.safetensors").read_bytes() == weights
        shutil.rmtree(sources / "runs/small/evaluate")
        third = noncoder("run", "r.yaml")
        assert third.err.count("skipped") == 2
        assert (sources / "runs/small/evaluate/test/summary.json").exists()

        changed = noncoder("run", "r.yaml", "train.epochs=2")
        assert_one_message(Result(changed.code, changed.out, changed.err), "train.epochs was 1.0, now 2.0")
        other_data = noncoder("run", "r.yaml", "data.build.window=600")
        assert_one_message(other_data, "another data section", "--force")
        assert noncoder("run", "r.yaml", "train.epochs=2", "data.build.window=600", "--force").code == 0
        assert json.loads(noncoder("data", "info", "runs/small/data.zarr", "--json").out)["window"] == 600

    def test_the_verbs_one_by_one(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text(self.RECIPE)
        assert noncoder(*BUILD, "--window", 400, "--keep", "all").code == 0
        trained = noncoder("train", "r.yaml", "data.store=small.zarr", "run=runs/other", "--json")
        assert trained.code == 0, trained.err
        assert json.loads(trained.out)["model"] == "compact"
        measured = noncoder("evaluate", "runs/other", "--split", "test", "--json")
        summary = json.loads(measured.out)
        assert summary["tasks"] == 3
        assert set(summary) >= {"mean", "groups", "weighted", "scored", "undefined"}
        table = pl.read_parquet(sources / "runs/other/evaluate/test/tasks.parquet")
        assert table["task"].to_list() == ["Abf1", "Rap1", "Reb1"]
        both = noncoder("evaluate", "runs/other", "--split", "valid", "--split", "test")
        assert "valid:" in both.out
        assert "test:" in both.out
        assert_one_message(noncoder("evaluate", "runs/other", "--split", "tests"), "did you mean 'test'")
        assert noncoder("report", "runs/other").code == 0
        assert "Reb1" in (sources / "runs/other/report.html").read_text()

        write_fasta(sources / "windows.fa", {"a": random_dna(400, 1), "b": random_dna(400, 2)})
        assert noncoder("predict", "runs/other", "windows.fa", "--out", "p.tsv").code == 0
        probabilities = pl.read_csv(sources / "p.tsv", separator="\t")
        assert probabilities.columns == ["record", "Abf1", "Rap1", "Reb1"]
        assert probabilities["record"].to_list() == ["a", "b"]
        write_fasta(sources / "short.fa", {"a": random_dna(400, 1), "b": random_dna(399, 2)})
        assert_one_message(noncoder("predict", "runs/other", "short.fa", "--out", "q.tsv"), "'b' has 399 bp", "400 bp")

    def test_looking_into_a_run(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text(self.RECIPE)
        assert noncoder("train", "r.yaml", "data.store=small.zarr", "run=runs/other").code == 2  # no store yet
        assert noncoder(*BUILD, "--window", 400, "--keep", "all").code == 0
        assert noncoder("train", "r.yaml", "data.store=small.zarr", "run=runs/other").code == 0
        few = ("--windows", 4, "--references", 1, "--mutated", 1, "--designs", 1, "--taxon", "fungi")
        done = noncoder("interpret", "runs/other", "--tasks", "Reb1", *few, "--figures", "svg", "--json")
        assert done.code == 0, done.err
        (task,) = json.loads(done.out)["done"]
        assert task["windows"] == 4
        folder = sources / "runs/other/interpret/tasks/Reb1.deeplift"
        assert (folder / "figures/window-1.svg").is_file()
        again = noncoder("interpret", "runs/other", "--tasks", "Reb1", *few)
        assert "rank correlation with mutagenesis" in again.out
        assert noncoder("report", "runs/other", "--tasks", "Reb1").code == 0
        assert "What the model learned" in (sources / "runs/other/report.html").read_text()
        layers = noncoder("interpret", "runs/other", "--layer", "list")
        assert "blocks.0" in layers.out
        near = noncoder("interpret", "runs/other", "--tasks", "Rebl", *few)
        assert_one_message(near, "did you mean 'Reb1'")
        assert_one_message(noncoder("interpret", "runs/other", "--windows", 0), "0 windows")

        scan = ("--backgrounds", 3, "--position-step", 100, "--longest-distance", -1, "--ablation-windows", 0)
        asked = ("grammar", "runs/other", "--task", "Reb1", "--motif", "TTACCCG", "--out", "g.json", *scan)
        assert "TTACCCG" in noncoder(*asked).out
        assert json.loads((sources / "g.json").read_text())["marginal"][0]["motif"] == "TTACCCG"
        assert (sources / "g-positions.png").is_file()
        assert_one_message(noncoder(*asked), "--force")
        made = ("design", "runs/other", "--task", "Reb1", "--out", "d.fa", "--sequences", 2, "--evaluations", 30)
        assert "2 sequences" in noncoder(*made, "--change", "150-250").out
        lines = (sources / "d.fa").read_text().splitlines()
        assert len(lines) == 4
        found = json.loads((sources / "d.json").read_text())
        starts, ends = found["starts"], found["sequences"]
        assert all(a[:150] == b[:150] and a[250:] == b[250:] for a, b in zip(starts, ends, strict=True))
        assert_one_message(noncoder("design", "runs/other", "--task", "Reb1", "--out", "d.txt"), ".fa")

    def test_force_spares_what_the_run_has_not_made(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text(self.RECIPE)
        noncoder(*BUILD, "--window", 400, "--keep", "all")
        before = json.loads(noncoder("data", "info", "small.zarr", "--json").out)["digest"]
        assert noncoder("run", "r.yaml", "data.store=small.zarr", "data.build.bin=100", "--force").code == 0
        assert json.loads(noncoder("data", "info", "small.zarr", "--json").out)["digest"] == before
        (sources / "mine/train").mkdir(parents=True)
        (sources / "mine/train/data.csv").write_text("years of work")
        told = noncoder("train", "r.yaml", "data.store=small.zarr", "run=mine", "--force")
        assert_one_message(told, "is not a training", "data.csv")
        assert (sources / "mine/train/data.csv").read_text() == "years of work"

    def test_measurements_are_not_overwritten(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text(self.RECIPE)
        noncoder("run", "r.yaml")
        measure = ("evaluate", "runs/small", "--split", "test", "--strands", "forward", "--json")
        assert_one_message(noncoder(*measure), "of the same weights with other settings: ", "--force")
        assert json.loads(noncoder(*measure[:4], "--json").out)["strands"] == "both"
        assert json.loads(noncoder(*measure, "--force").out)["strands"] == "forward"

    def test_mistakes_are_told_before_training(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text(self.RECIPE)
        for override, word in (
            ("evaluate.splits=[tset]", "'test'"),
            ("report.tasks=[Reb2]", "did you mean 'Reb1'"),
            ("data.build.valid=[]", "no window in the split 'valid'"),
            ("model.parameters={dilations: [0]}", "dilations"),
            ("train.epochs=.inf", "finite"),
        ):
            assert_one_message(noncoder("run", "r.yaml", f"run=runs/{word[:3].strip()}x", override), word)
        assert not list(sources.glob("runs/*/train/log.csv"))

    def test_a_run_may_be_moved_and_named_from_elsewhere(
        self, noncoder: Run, sources: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (sources / "r.yaml").write_text(self.RECIPE)
        noncoder("run", "r.yaml")
        (sources / "runs/small").rename(sources / "moved")
        (sources / "else where").mkdir()
        monkeypatch.chdir(sources / "else where")
        done = noncoder("evaluate", "../moved", "--split", "valid", "--json")
        assert json.loads(done.out)["split"] == "valid"
        assert noncoder("report", "../moved", "--json").code == 0
        write_fasta(sources / "w.fa", {"a": random_dna(400, 1)})
        assert noncoder("predict", "../moved", "../w.fa", "--out", "new/p.parquet", "--json").code == 0
        assert_one_message(noncoder("predict", "../moved", "../w.fa", "--out", "../w.fa/p.tsv"), "cannot write")

    def test_damaged_files_of_a_run_are_told(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text(self.RECIPE)
        noncoder("run", "r.yaml")
        for name in ("explore.json", "train/claim.json", "evaluate/test/summary.json", "evaluate/test/curves.npz"):
            path = sources / "runs/small" / name
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            again = noncoder("run", "r.yaml")
            assert name in again.err, again.err
            if name == "train/claim.json":  # what the weights were made from cannot be made again
                assert_one_message(again)
                path.write_bytes(whole)
            else:
                assert again.code == 0, again.err
        again = noncoder("run", "r.yaml")
        assert again.code == 0, again.err
        assert "cannot be read" not in again.err
        assert "not what was written" not in again.err

    def test_a_half_finished_training_goes_on(self, noncoder: Run, sources: Path) -> None:
        (sources / "r.yaml").write_text(self.RECIPE)
        noncoder("run", "r.yaml")
        (sources / "runs/small/train/summary.json").unlink()
        again = noncoder("run", "r.yaml")
        assert again.code == 0, again.err
        assert "existing store" in again.err


class TestImport:
    """A predictor of somebody else's weights."""

    @pytest.fixture(autouse=True)
    def checkpoint(self, tmp_path: Path) -> None:
        torch.save(checkpoint(ReportModel("lstm", width=8)), tmp_path / "report.ckpt")

    def test_what_is_imported_predicts(self, noncoder: Run, tmp_path: Path) -> None:
        (tmp_path / "sheet.tsv").write_text("name\n" + "".join(f"t{i}\n" for i in range(TASKS)))
        done = noncoder("import", "report", "report.ckpt", "imported", "--tasks", "sheet.tsv", "--json")
        assert done.code == 0, done.err
        summary = json.loads(done.out)
        assert (summary["model"], summary["tasks"], summary["imported"]["format"]) == (
            "wideresnet-lstm", TASKS, "report",
        )  # fmt: skip
        write_fasta(tmp_path / "windows.fa", {"a": random_dna(1000), "b": random_dna(1000, 1)})
        predicted = noncoder("predict", "imported", "windows.fa", "--out", "probs.tsv")
        assert predicted.code == 0, predicted.err
        table = pl.read_csv(tmp_path / "probs.tsv", separator="\t")
        assert table.columns == ["record", *(f"t{i}" for i in range(TASKS))]
        assert table.height == 2

    def test_what_a_user_is_told(self, noncoder: Run) -> None:
        done = noncoder("import", "report", "report.ckpt", "imported")
        assert "imported: wideresnet-lstm" in done.out
        assert "an N is read as an A" in done.out

    def test_mistakes(self, noncoder: Run, tmp_path: Path) -> None:
        files = left(tmp_path)
        assert_one_message(noncoder("import", "reprot", "report.ckpt", "out"), "did you mean 'report'?")
        assert_one_message(noncoder("import", "report", "no.ckpt", "out"), "no.ckpt does not exist")
        assert_one_message(
            noncoder("import", "deepsea-kipoi", "report.ckpt", "out"), "2.0.weight is missing", "(320, 4, 1, 8)"
        )
        assert_one_message(noncoder("import", "danq-keras", "report.ckpt", "out"), "report.ckpt is no HDF5 file")
        assert left(tmp_path) == files
        noncoder("import", "report", "report.ckpt", "out")
        again = ("import", "report", "report.ckpt", "out")
        assert_one_message(noncoder(*again), "out already exists", "--force")
        assert noncoder(*again, "--force").code == 0


def test_help_of_every_verb_has_an_example() -> None:
    import click

    def verbs(group: click.Group) -> list[click.Command]:
        return [
            verb
            for command in group.commands.values()
            for verb in (verbs(command) if isinstance(command, click.Group) else [command])
        ]

    assert len(verbs(app)) >= 12
    for verb in verbs(app):
        assert "Example:" in (verb.help or ""), verb.name
        assert "noncoder " in (verb.help or ""), verb.name


@pytest.mark.parametrize("verb", [(), ("data", "build"), ("evaluate",), ("run",)])
def test_help_keeps_its_lines(noncoder: Run, verb: tuple[str, ...]) -> None:
    shown = noncoder(*verb, "--help").out
    assert "\\b" not in shown
    assert re.search(r"^  (Example|All stages):.*$", shown, flags=re.MULTILINE), shown
    assert re.search(r"^ +(noncoder|Step by step:)", shown, flags=re.MULTILINE)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['noncoder', '--help']\nfrom noncoder.cli import main\ntry: main()\n"
    code += "except SystemExit: print([m for m in ('torch', 'zarr', 'polars', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]"), done.stdout


def test_models_are_listed_and_shown(noncoder: Run) -> None:
    listed = noncoder("models")
    assert "52,843,119" in listed.out
    assert "channels=128" in noncoder("models", "compact").out
    assert json.loads(noncoder("models", "deepsea", "--json").out)["n_parameters"] == 52_843_119


def test_version(noncoder: Run) -> None:
    assert "0.1.0" in noncoder("--version").out
