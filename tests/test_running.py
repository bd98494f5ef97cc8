"""The whole road from each kind of source to a report, and what happens where interpretation cannot be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from noncoder.cli import app
from noncoder.config import RunConfig, validate
from noncoder.data.info import StoreInfo
from noncoder.data.store import open_store
from noncoder.errors import ConfigError, InputError
from noncoder.interpret import job, task
from noncoder.interpret.attribution import attribute
from noncoder.interpret.interpretation_stage import folder_names
from noncoder.pipeline import interpret_run, run_recipe
from tests.conftest import random_dna, random_genome, write_fasta, write_peaks
from tests.data.deepsea.made import both_strands, write_bundle

SMALL: dict[str, Any] = {
    "model": {"parameters": {"channels": 8, "dilations": [1]}},
    "train": {"epochs": 1, "batch_size": 8},
    "evaluate": {"splits": ["test"], "min_positives": 3, "resamples": 20},
    "interpret": {"tasks": ["a"], "windows": 4, "mutated": 1, "references": 1, "designs": 0, "taxon": "nematodes"},
}


def recipe(folder: Path, data: dict[str, Any], **interpret: Any) -> RunConfig:
    values = SMALL | {"run": folder / "run", "data": data, "interpret": SMALL["interpret"] | interpret}
    return validate(RunConfig, values, origin="test")


def table(folder: Path) -> dict[str, Any]:
    rows = [f"{random_dna(60, i)},{i % 2},{(i // 2) % 2},{split}"
            for i, split in enumerate(["train"] * 40 + ["valid"] * 12 + ["test"] * 12)]  # fmt: skip
    (folder / "t.csv").write_text("sequence,a,b,split\n" + "\n".join(rows) + "\n")
    return {"pack": {"table": folder / "t.csv", "split_column": "split"}}


def built(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    write_fasta(folder / "genome.fa", random_genome({"I": 6_000, "II": 5_000, "III": 4_000}))
    for i, name in enumerate("ab"):
        middles = [(chrom, int(at)) for chrom in ("I", "II", "III") for at in rng.integers(200, 3_500, 12)]
        write_peaks(folder / f"{name}.bed", [(chrom, at + i, at + i + 50) for chrom, at in middles])
    build = {"genome": folder / "genome.fa", "peaks": str(folder / "*.bed"), "keep": "all", "window": 400, "bin": 100}
    return {"build": build | {"label": "summit", "min_positives": 1, "valid": ["II"], "test": ["III"]}}


def bundle(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    splits = {
        split: both_strands(rng.integers(0, 4, (n, 60), dtype=np.uint8), rng.integers(0, 2, (n, 2), dtype=np.uint8))
        for split, n in (("train", 40), ("valid", 12), ("test", 12))
    }
    write_bundle(folder / "bundle", splits)
    (folder / "tasks.tsv").write_text("name\na\nb\n")
    return {"deepsea": {"folder": folder / "bundle", "tasks": folder / "tasks.tsv", "bin": 20}}


def simulated(folder: Path) -> dict[str, Any]:
    return {"simulate": {"windows": 120, "tasks": 2, "window": 400, "chromosomes": 3}}


SOURCES: list[tuple[Callable[[Path], dict[str, Any]], bool]] = [
    (built, True), (table, False), (bundle, False), (simulated, True),
]  # fmt: skip


@pytest.mark.parametrize(("source", "coordinates"), SOURCES)
def test_every_source_comes_to_a_report(
    tmp_path: Path, source: Callable[[Path], dict[str, Any]], coordinates: bool
) -> None:
    config = recipe(tmp_path, source(tmp_path), **({"tasks": ["CTCF"]} if source is simulated else {}))
    result = run_recipe(config)
    page = Path(result["report"]).read_text()
    assert "What the model learned" in page
    assert "Left out:" not in page
    store = open_store(config.store)
    assert store.info.coordinates is coordinates
    assert store.summary()["coordinates"] is coordinates
    tracks = sorted(path.name for path in config.run.glob("interpret/tasks/*/*.b[ew]*"))
    assert tracks == (["attributions.bed", "attributions.bw", "hits.bed"] if coordinates else [])
    listed = json.loads((config.run / "explore.json").read_text())
    assert bool(listed["chromosomes"]) is coordinates
    assert sum(row["windows"] for row in listed["chromosomes"]) + listed["other_chromosomes"]["windows"] == len(store)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (True, {"genome": "sacCer3", "label_rule": "summit", "sources": [{"name": "sacCer3.fa"}, {"name": "a.bed"}]}),
        (True, {"genome": "simulated-0", "label_rule": "planted"}),
        (False, {"genome": "t.csv", "label_rule": "as given", "sources": [{"name": "t.csv"}]}),
        (False, {"genome": "hg19", "label_rule": "overlap:0.5", "sources": [{"name": "train.mat"}]}),
        (False, {"genome": "bundle", "label_rule": "as given", "sources": [{"name": "train.mat"}]}),
        (False, {"genome": "", "label_rule": "summit"}),
    ],
)
def test_stores_of_before_are_read_rightly(kind: bool, values: dict[str, Any]) -> None:
    old = {"window": 20, "bin": 10, "tasks": [], **values}
    assert StoreInfo.from_dict(old).coordinates is kind
    assert StoreInfo.from_dict(old | {"coordinates": not kind}).coordinates is not kind


class TestRegions:
    @pytest.mark.parametrize("source", [table, bundle])
    def test_without_coordinates_are_refused_before_any_work(
        self, tmp_path: Path, source: Callable[[Path], dict[str, Any]]
    ) -> None:
        (tmp_path / "some.bed").write_text("chr1\t10\t20\n")
        config = recipe(tmp_path, source(tmp_path), regions=tmp_path / "some.bed")
        with pytest.raises(ConfigError, match="genome coordinates"):
            run_recipe(config)
        assert not config.store.exists()
        plain = recipe(tmp_path, source(tmp_path), windows=0)
        run_recipe(plain)
        with pytest.raises(InputError, match="genome coordinates"):
            interpret_run(config.run, {"regions": tmp_path / "some.bed"})
        store = recipe(tmp_path / "other", {"store": plain.store}, regions=tmp_path / "some.bed")
        with pytest.raises(InputError, match="genome coordinates"):
            run_recipe(store)
        assert not (store.run / "train").exists()

    def test_a_missing_file_is_told_before_training(self, tmp_path: Path) -> None:
        config = recipe(tmp_path, built(tmp_path), regions=tmp_path / "none.bed")
        with pytest.raises(InputError, match=r"none\.bed, the file of interpret\.regions, does not exist"):
            run_recipe(config)
        assert not (config.run / "train").exists()


class TestLeftOut:
    """What cannot be done is said in the output and in the report, which is always written."""

    def test_a_step(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def refuse(*_: Any) -> None:
            raise InputError("there is nothing to gather")

        monkeypatch.setattr(task, "find_motifs", refuse)
        config = recipe(tmp_path, table(tmp_path))
        page = Path(run_recipe(config)["report"]).read_text()
        assert "Left out: motifs: there is nothing to gather." in page
        assert "interpret left out: a, motifs: there is nothing to gather" in capsys.readouterr().err
        summary = json.loads(next(config.run.glob("interpret/tasks/*/summary.json")).read_text())
        assert summary["skipped"] == [{"step": "motifs", "why": "there is nothing to gather"}]
        assert summary["agreement"]["windows"] == 1
        assert "figures/window-1.png" in summary["files"]
        again = CliRunner().invoke(app, ["interpret", str(config.run)])
        assert "left out: a, motifs: there is nothing to gather" in again.output

    def test_grad_cam_takes_no_picture_along(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(model: Any, codes: Any, column: int, method: str, *more: Any) -> Any:
            if method == "gradcam":
                raise InputError("no layer has positions")
            return attribute(model, codes, column, method, *more)

        monkeypatch.setattr(job, "attribute", refuse)
        config = recipe(tmp_path, table(tmp_path))
        run_recipe(config)
        summary = json.loads(next(config.run.glob("interpret/tasks/*/summary.json")).read_text())
        assert [one["step"] for one in summary["skipped"]] == ["Grad-CAM"]
        assert {"figures/window-1.png", "figures/mutagenesis.png"} <= set(summary["files"])
        assert summary["agreement"] is None

    def test_a_task_without_a_positive(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        config = recipe(tmp_path, table(tmp_path), tasks=["b", "a"], split="test")
        store_text = (tmp_path / "t.csv").read_text().splitlines()
        rows = [row.split(",") for row in store_text]
        for row in rows[1:]:
            row[2] = "0" if row[3] == "test" else row[2]
        (tmp_path / "t.csv").write_text("\n".join(map(",".join, rows)) + "\n")
        page = Path(run_recipe(config)["report"]).read_text()
        assert "Left out: b: no window of the split &#39;test&#39; is positive for &#39;b&#39;." in page
        assert "interpret 1 tasks" in capsys.readouterr().err
        found = interpret_run(config.run, config.interpret)
        assert [one["task"] for one in found["done"]] == ["a"]
        assert [one["task"] for one in found["skipped"]] == ["b"]
        with pytest.raises(InputError, match="is positive for 'b'"):
            interpret_run(config.run, config.interpret.model_copy(update={"tasks": ("b",)}))

    def test_all_of_it(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        config = recipe(tmp_path, table(tmp_path), tasks=[])  # no task has 30 positives in the test split
        page = Path(run_recipe(config)["report"]).read_text()
        assert "Left out: the tasks: no task has 30 positives in the split &#39;test&#39;." in page
        assert "interpret left out: no task has 30 positives" in capsys.readouterr().err

    def test_a_fault_of_ours_takes_no_report_along(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(task, "find_motifs", fail)
        config = recipe(tmp_path, table(tmp_path))
        with pytest.raises(ZeroDivisionError):
            run_recipe(config)
        assert (config.run / "report.html").is_file()


def test_no_two_tasks_share_a_folder() -> None:
    names = ["a/b", "a_b-0", "A_B-0", "a_b-0+", "../x", "..", "-rf", "new\nline", "é🧬", "L" * 200, "L" * 201, "plain"]
    found = folder_names(names)
    assert len({name.casefold() for name in found}) == len(names)
    assert found[-1] == "plain"
    assert all(set(name) & set("/\n\0") == set() and name[0] not in ".-" and len(name) < 80 for name in found)
