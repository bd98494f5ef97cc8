"""Every command of the README and every recipe is run, on small data of the same names."""

from __future__ import annotations

import gzip
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
import yaml

from noncoder.config import AugmentConfig, LossConfig, TrainConfig, read_recipe
from noncoder.models import create_model, list_models
from tests.conftest import random_dna, random_genome, write_fasta, write_peaks
from tests.data.deepsea.made import both_strands, write_bundle

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RECIPES = [path for path in sorted((ROOT / "recipes").rglob("*.yaml")) if path.parent.name != "spaces"]
SMALL = {
    "model": {"name": "compact", "parameters": {"channels": 8, "dilations": [1]}},
    "train": {"epochs": 1, "batch_size": 16},
    "interpret": {"windows": 8, "references": 1, "mutated": 1, "grammar": 2, "designs": 1},
}


def commands(text: str) -> list[str]:
    """The noncoder calls of the shell blocks; a backslash at a line's end joins it with the next."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("noncoder ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README's commands name, small."""
    folder = tmp_path_factory.mktemp("readme")
    genome = random_genome({"I": 8_000, "IV": 4_000, "VII": 4_000, "IX": 3_000, "XI": 3_000})
    fasta = write_fasta(folder / "yeast.fa", genome)
    (folder / "yeast.fa.gz").write_bytes(gzip.compress(fasta.read_bytes()))
    (folder / "peaks").mkdir()
    for name in ("Reb1", "Abf1", "Rap1", "Cbf1", "Mcm1"):
        peaks = [(f"chr{c}", at, at + 1) for c in (1, 4, 7, 9, 11) for at in range(len(name), 3_000, 37)]
        write_peaks(folder / "peaks" / f"{name}_CX.bed", peaks)
    (folder / "peaks" / "Empty_CX.bed").touch()
    write_fasta(folder / "windows.fa", {"a": random_dna(1000), "b": random_dna(1000, 1)})
    rows = [f"{random_dna(80, i)},{i % 2},{split}" for i, split in enumerate(["train"] * 8 + ["valid", "test"] * 2)]
    (folder / "sequences.csv").write_text("sequence,open,split\n" + "\n".join(rows) + "\n")
    rng = np.random.default_rng(0)
    half = rng.integers(0, 4, (24, 1000), dtype=np.uint8), (rng.random((24, 919)) < 0.5).astype(np.uint8)
    write_bundle(folder / "deepsea_train", dict.fromkeys(("train", "valid", "test"), both_strands(*half)))
    (folder / "recipes").mkdir()
    for path in RECIPES:
        recipe = yaml.safe_load(path.read_text())
        recipe["train"] = recipe.get("train", {}) | SMALL["train"]
        named = recipe.get("report", {}).get("tasks", [])[:1]
        recipe["interpret"] = recipe.get("interpret", {}) | SMALL["interpret"] | {"tasks": named}
        if recipe["model"]["name"] == "compact":  # the published models stay whole
            recipe["model"] |= SMALL["model"]
        if "build" in recipe["data"]:
            recipe["data"]["build"] |= {"genome": "yeast.fa.gz", "peaks": "peaks/*.bed"}
        elif "simulate" in recipe["data"]:
            recipe["data"]["simulate"] |= {"windows": 200}
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(yaml.safe_dump(recipe))
    return folder


def call(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # Only the sizes that would make a test long are changed; the words of the command are the README's.
    words = [{"6000": "200", "16": "4", "300": "4"}.get(word, word) for word in shlex.split(command, comments=True)[1:]]
    return subprocess.run([sys.executable, "-m", "noncoder", *words], cwd=folder, capture_output=True, text=True)


def test_every_command_of_the_readme(folder: Path) -> None:
    found = commands(README)
    assert len(found) >= 12
    for command in found:
        done = call(command, folder)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert (folder / "runs/yeast/report.html").exists()
    assert (folder / "probabilities.tsv").exists()

    code = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)[0]
    # The README's package lies in this process's environment; its files in the folder.
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_is_right_and_its_model_exists(path: Path) -> None:
    recipe = read_recipe(path)
    with torch.device("meta"):
        create_model(recipe.model.name, 919, 1000, recipe.model.parameters)
    name = path.relative_to(ROOT / "recipes")
    assert recipe.run == Path("runs") / name.with_suffix("")
    # A recipe that says how its store is made walks the whole road; the others train on a store that is there.
    verb = "train" if recipe.data.store else "run"
    assert f"noncoder {verb} recipes/{name}\n" in path.read_text()
    assert not recipe.data.store or f"{recipe.data.store}\n#" in path.read_text()  # and say how to make it


def test_every_model_has_a_recipe() -> None:
    assert {read_recipe(path).model.name for path in RECIPES} == set(list_models())


def test_every_row_of_the_comparison_of_models_can_be_built() -> None:
    rows = runpy.run_path(str(ROOT / "benchmarks/zoo.py"))["ROWS"]
    assert {row.recipe for row in rows} >= {
        f"deepsea/{path.stem}" for path in (ROOT / "recipes/deepsea").glob("*.yaml")
    } - {
        "deepsea/rebuild"  # whose subject is the data
    }
    assert len({row.folder for row in rows}) == len(rows)
    settings = set()
    for row in rows:
        recipe = read_recipe(ROOT / f"recipes/{row.recipe}.yaml", row.overrides)
        with torch.device("meta"):
            model = create_model(recipe.model.name, 919, 1000, recipe.model.parameters)
        settings.add((model.name, model.config.model_dump_json()))
    assert len(settings) == len(rows)


def test_the_demo_recipe_walks_the_road(folder: Path) -> None:
    done = call("noncoder run recipes/demo.yaml", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "runs/demo/report.html").exists()


def test_every_choice_of_a_training_is_documented() -> None:
    text = (ROOT / "docs/training.md").read_text()
    sections = (TrainConfig, ("optimizer", "decay")), (LossConfig, ("kind", "task_weights"))
    choices = {
        choice for section, keys in sections for key in keys for choice in get_args(get_type_hints(section)[key])
    }
    assert len(choices) > 15
    keys = {*LossConfig.model_fields, *AugmentConfig.model_fields} - {"kind"}
    for name in choices | keys | {"average", "average_last", "resample", "resample_cap", "mixup", "random_strand"}:
        assert re.search(rf"`(loss\.|augment\.)?{name}\b", text), name


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert target.startswith("http") or (document.parent / target).exists(), f"{document.name}: {target}"
