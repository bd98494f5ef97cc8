"""Commands of the README and tutorials run on small data, and documents agree with the code and with each other."""

from __future__ import annotations

import gzip
import importlib
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import click
import numpy as np
import pytest
import torch
import yaml

from noncoder.cli import app
from noncoder.config import AugmentConfig, LossConfig, RunConfig, Section, TrainConfig, read_recipe
from noncoder.models import create_model, list_models
from tests.conftest import random_dna, random_genome, write_fasta, write_peaks
from tests.data.deepsea.made import both_strands, write_bundle

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
MADE = ("architecture.md", *(f"reference/{name}.md" for name in ("api", "models", "recipe", "run-files", "verbs")))
RECIPES = [path for path in sorted((ROOT / "recipes").rglob("*.yaml")) if path.parent.name != "spaces"]
SMALL = {
    "model": {"name": "compact", "parameters": {"channels": 8, "dilations": [1]}},
    "train": {"epochs": 1, "batch_size": 16},
    "interpret": {"windows": 8, "references": 1, "mutated": 1, "grammar": 2, "designs": 1},
}
YEAST = "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"


def blocks(text: str, kind: str = "sh|bash|") -> list[str]:
    """The blocks of code of a kind."""
    return re.findall(rf"^```(?:{kind})\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str, kind: str = "sh") -> list[str]:
    """The noncoder calls of the shell blocks; a backslash at a line's end joins it with the next."""
    lines = "\n".join(blocks(text, kind)).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("noncoder ")]


def write_data(folder: Path, document: Path) -> None:
    """The files that the commands of a document name, small, and all recipes with small settings."""
    lengths = dict(zip(("I", "IV", "VII", "IX", "XI"), (8_000, 4_000, 4_000, 3_000, 3_000), strict=True))
    tasks, ending, width, step = ["Reb1", "Abf1", "Rap1", "Cbf1", "Mcm1"], "_CX.bed", 1, 37
    if document.stem == "peaks-to-report":
        lengths = {f"chr{i}": length for i, length in enumerate(lengths.values(), 1)}
        tasks, ending, width, step = ["CTCF", "GATA1", "SPI1"], "_peaks.bed", 150, 237
    packed = gzip.compress(write_fasta(folder / "yeast.fa", random_genome(lengths)).read_bytes())
    fetched = folder / "data/yeast-rossi2021"  # as `noncoder data fetch` leaves it
    for peaks in (folder / "peaks", fetched / "peaks"):
        peaks.mkdir(parents=True)
        for name in tasks:
            starts = range(len(name), 2_800, step)
            write_peaks(peaks / f"{name}{ending}", [(chrom, at, at + width) for chrom in lengths for at in starts])
    (fetched / "peaks" / "Empty_CX.bed").touch()
    for path in (folder / "yeast.fa.gz", folder / "genome.fa.gz", fetched / YEAST):
        path.write_bytes(packed)
    for name, length in (("windows", 1000), ("new", 80)):
        write_fasta(folder / f"{name}.fa", {"a": random_dna(length), "b": random_dna(length, 1)})
    splits = (["train"] * 8 + ["valid", "test"] * 4) * 4
    rows = [f"r{i},{random_dna(80, i)},{i // 2 % 2},{i // 4 % 2},{split}" for i, split in enumerate(splits)]
    (folder / "sequences.csv").write_text("\n".join(["id,sequence,open,bound,split", *rows]) + "\n")
    rng = np.random.default_rng(0)
    half = rng.integers(0, 4, (24, 1000), dtype=np.uint8), (rng.random((24, 919)) < 0.5).astype(np.uint8)
    write_bundle(folder / "deepsea_train", dict.fromkeys(("train", "valid", "test"), both_strands(*half)))
    for path in RECIPES:
        write_small(path.read_text(), folder / path.relative_to(ROOT))
    for block in blocks(document.read_text(), "yaml"):  # a tutorial's own recipe
        write_small(block, folder / "mine.yaml")


def write_small(text: str, path: Path) -> None:
    """A recipe with its own paths and small settings."""
    recipe = yaml.safe_load(text)
    recipe["train"] = recipe.get("train", {}) | SMALL["train"]
    named = recipe.get("report", {}).get("tasks", [])[:1]
    recipe["interpret"] = recipe.get("interpret", {}) | SMALL["interpret"] | {"tasks": named}
    if recipe["model"]["name"] == "compact":  # the published models stay whole
        recipe["model"] |= SMALL["model"]
    if "simulate" in recipe["data"]:
        recipe["data"]["simulate"] |= {"windows": 200}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(recipe))


def call(command: str, folder: Path) -> None:
    """Runs a command of a document; only the sizes that would make a test long are changed."""
    sizes = {
        "6000": "200",
        "16": "4",
        "300": "4",
        "train.epochs=12": "train.epochs=2",
        "train.epochs=3": "train.epochs=1",
    }
    words = [sizes.get(word, word) for word in shlex.split(command, comments=True)[1:]]
    done = subprocess.run([sys.executable, "-m", "noncoder", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def run_all(document: Path, folder: Path) -> None:
    """Runs every command of a document but downloads."""
    write_data(folder, document)
    found = [command for command in commands(document.read_text()) if "data fetch" not in command]
    assert found
    for command in found:
        call(command, folder)


def test_the_readme(tmp_path: Path) -> None:
    run_all(ROOT / "README.md", tmp_path)
    assert (tmp_path / "runs/yeast/report.html").exists()
    code = blocks((ROOT / "README.md").read_text(), "python")[0]
    # The README's package lies in this process's environment; its files in the folder.
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_tutorial_on_tables(tmp_path: Path) -> None:
    run_all(DOCS / "tutorial/table-to-report.md", tmp_path)
    assert (tmp_path / "runs/table/report.html").exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["peaks-to-report", "step-by-step"])
def test_the_long_tutorials(tmp_path: Path, name: str) -> None:
    run_all(DOCS / f"tutorial/{name}.md", tmp_path)
    assert (tmp_path / "runs/mine/report.html").exists()
    assert (tmp_path / "probabilities.tsv").exists()


def test_the_demo_recipe(tmp_path: Path) -> None:
    write_data(tmp_path, ROOT / "README.md")
    call("noncoder run recipes/demo.yaml", tmp_path)
    assert (tmp_path / "runs/demo/report.html").exists()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_is_right_and_its_model_exists(path: Path) -> None:
    recipe = read_recipe(path)
    with torch.device("meta"):
        create_model(recipe.model.name, 919, 1000, recipe.model.parameters)
    name = path.relative_to(ROOT / "recipes")
    assert recipe.run == Path("runs") / name.with_suffix("")
    # A recipe that says how its store is made does all stages; the others train on a store that is there.
    verb = "train" if recipe.data.store else "run"
    assert f"noncoder {verb} recipes/{name}\n" in path.read_text()
    build = recipe.data.build
    for source in (str(build.genome), *build.peaks) if build else ():
        assert not source.startswith(("/", "..")), f"{source} lies outside of the repository"
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


def test_every_choice_of_a_training_is_documented() -> None:
    text = (DOCS / "explanation/training.md").read_text()
    sections = (TrainConfig, ("optimizer", "decay")), (LossConfig, ("kind", "task_weights"))
    choices = {
        choice for section, keys in sections for key in keys for choice in get_args(get_type_hints(section)[key])
    }
    assert len(choices) > 15
    keys = {*LossConfig.model_fields, *AugmentConfig.model_fields} - {"kind"}
    for name in choices | keys | {"average", "average_last", "resample", "resample_cap", "mixup", "random_strand"}:
        assert re.search(rf"`(loss\.|augment\.)?{name}\b", text), name


def test_pages_made_from_the_code_are_as_it_makes_them(tmp_path: Path) -> None:
    # In a process of its own, since other tests register models and methods.
    done = subprocess.run([sys.executable, DOCS / "make.py", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*.md")} == set(map(Path, MADE))
    for name in MADE:
        assert (DOCS / name).read_text() == (tmp_path / name).read_text(), f"docs/{name} is old: run `make docs`"


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_every_page_is_listed() -> None:
    listed = set()
    for index in (ROOT / "README.md", DOCS / "README.md", DOCS / "decisions/README.md"):
        links = re.findall(r"\]\(([^)#]+\.md)", index.read_text())
        listed |= {(index.parent / link).resolve() for link in links}
    assert set(DOCUMENTS) - listed == {ROOT / "README.md"}


def verb_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The verb of a command line, and its arguments."""
    verb: click.Command = app
    while isinstance(verb, click.Group):
        verb, words = verb.commands[words[0]], words[1:]
    return verb, words


def known_keys() -> set[str]:
    """All keys of recipes; those of models, which are their own, stand as `model.parameters`."""

    def walk(section: type[Section], prefix: str) -> Iterator[str]:
        for name, field in section.model_fields.items():
            yield prefix + name
            for kind in (field.annotation, *get_args(field.annotation)):
                if isinstance(kind, type) and issubclass(kind, Section):
                    yield from walk(kind, f"{prefix}{name}.")

    return set(walk(RunConfig, ""))


def test_commands_of_all_documents_have_verbs_options_and_keys_that_exist() -> None:
    keys, found = known_keys(), 0
    texts = {path: path.read_text() for path in DOCUMENTS}
    # Recipes have commands as comments.
    texts |= {path: "```sh\n" + path.read_text().replace("\n#   ", "\n") + "\n```" for path in RECIPES}
    for path, text in texts.items():
        for command in commands(text, "sh|bash|"):
            verb, words = verb_of(shlex.split(command, comments=True)[1:])
            options = {name for option in verb.params for name in option.opts} | {"--help"}
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert given <= options, f"{path.name}: {command}"
            if any(parameter.name == "overrides" for parameter in verb.params):
                set_keys = {word.partition("=")[0] for word in words if re.match(r"[a-z_.]+=", word)}
                set_keys = {key for key in set_keys if not key.startswith("model.parameters.")}
                assert set_keys <= keys, f"{path.name}: {command}"
            found += 1
    assert found > 60


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_the_python_blocks_exist(document: Path) -> None:
    for block in blocks(document.read_text(), "python"):
        for module, names in re.findall(r"^from (noncoder[\w.]*) import (\([^)]*\)|.+)$", block, flags=re.MULTILINE):
            for name in re.findall(r"\w+", re.sub(r"#.*", "", names)):
                home = importlib.import_module(module)
                assert hasattr(home, name) or importlib.import_module(f"{module}.{name}"), f"{module}.{name}"
        for name in re.findall(r"\bplots\.(\w+)", block):
            assert hasattr(importlib.import_module("noncoder.plots"), name), f"plots.{name}"


def test_the_picture_of_the_readme_is_small() -> None:
    assert 0 < (DOCS / "images/report.png").stat().st_size < 300_000
