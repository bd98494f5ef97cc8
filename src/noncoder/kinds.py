"""Recognises what a path holds, for messages: a run's folder, a store, a recipe, …, and which verb takes it."""

from __future__ import annotations

import gzip
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from noncoder.errors import did_you_mean
from noncoder.runs.folder import PredictorFolder, RunFolder, StudyFolder

_HEAD = 4096  # bytes to inspect
_MOST_JSON = 4_000_000


class Kind(NamedTuple):
    """What something is, such as "a run's folder", and which verb takes it."""

    name: str
    use: str


_RECIPE_KEYS = ("run:", "data:", "model:", "train:", "evaluate:", "interpret:", "report:", "seed:")
_MAGIC = (
    (b"\x89HDF\r\n\x1a\n", Kind("an HDF5 file", "`noncoder import danq-keras` takes the weights of DanQ")),
    (b"PAR1", Kind("a Parquet file", "`noncoder data pack --table` takes a table of sequences with labels")),
    (b"PK\x03\x04", Kind("a zip file, as checkpoints and Excel files are", "`noncoder import` takes checkpoints")),
    (b"%PDF", Kind("a PDF", "")),
    (b"\x89PNG", Kind("a picture", "")),
    (b"MATLAB 5.0", Kind("a .mat file", "`noncoder data pack --deepsea FOLDER` takes the folder that it is in")),
    (b"<!doctype html", Kind("a web page", "look at it in a browser")),
    (b"##fileformat=VCF", Kind("a VCF file of variants", "")),
)


def kind_of(path: Path) -> Kind | None:
    """What a path holds; None if it does not exist or is not recognised."""
    try:
        return _folder_kind(path) if path.is_dir() else _file_kind(path) if path.is_file() else None
    except (OSError, ValueError):
        return None


def what_is_there(path: Path) -> tuple[str, str]:
    """Describes what a path holds and which verb takes it; empty texts if it is not recognised.

    Returns:
        Such as ("is a store", "`noncoder explore` takes it").
    """
    found = kind_of(path)
    if found is None:
        return "", ""
    return f"is {found.name}", found.use.replace("PATH", str(path))


def is_no_run(path: Path) -> bool:
    """Whether a path is not a folder, or is recognised as something other than a run."""
    found = kind_of(path)
    return not path.is_dir() or (found is not None and found.use != "" and found.name != "a run's folder")


def mistaken(path: Path, wanted: str, make: str) -> tuple[str, str]:
    """The message for a path that is not what is wanted.

    Args:
        path: The path.
        wanted: What it should be, such as "run".
        make: A hint on how to make one, used if there is no better hint.

    Returns:
        What was found, such as "runs/x is a store", and a hint.
    """
    is_there, use = what_is_there(path)
    if is_there:
        return f"{path} {is_there}", use or make
    if os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a folder cannot be entered
        return f"{path} is no {wanted}", make
    return f"the {wanted} {path} does not exist", did_you_mean_path(path) or make


def nearest_path(path: Path) -> Path | None:
    """The existing path most similar to one that does not exist, matched part by part."""
    here = Path()
    for i, part in enumerate(path.parts):
        if os.path.exists(here / part):  # noqa: PTH110 - as above
            here = here / part
            continue
        inside = []
        with suppress(OSError):
            inside = [one.name for one in here.iterdir() if i + 1 == len(path.parts) or one.is_dir()]
        last = i + 1 == len(path.parts)
        alike = [name for name in inside if last and Path(name).suffix == path.suffix]
        near = _nearest(part, alike) or _nearest(part, inside)
        if near is None:
            return None
        here = here / near
    return here


def _nearest(name: str, known: list[str]) -> str | None:
    hint = did_you_mean(name, known)
    return next((one for one in known if hint == f"did you mean {one!r}?"), None)


def did_you_mean_path(path: Path) -> str:
    """Returns "did you mean 'x'?" for the nearest path that exists, or an empty string if none is near."""
    near = nearest_path(path)
    return "" if near is None or near == path else f"did you mean '{near}'?"


def _folder_kind(path: Path) -> Kind:
    inside = {one.name for one in path.iterdir()}
    if "zarr.json" in inside or ".zgroup" in inside:
        if "noncoder" in _attributes(path / "zarr.json"):
            use = "`noncoder explore PATH` and `noncoder data info PATH` take it; recipes read it by data.store=PATH"
            return Kind("a store", use)
        return Kind(
            "a zarr group of another program", "make a store with `noncoder data build` or `noncoder data pack`"
        )
    if inside >= PredictorFolder.names():
        return Kind("a predictor's folder", "`noncoder predict PATH` and `noncoder interpret PATH` take it")
    run = RunFolder(path)
    if run.recipe.name in inside or (
        {run.train.path.name, run.predictor.path.name} & inside and not {"src", ".git"} & inside
    ):
        recipe = f"; its recipe is {run.recipe}" if run.recipe.name in inside else ""
        return Kind(
            "a run's folder", f"`noncoder evaluate`, `interpret`, `predict`, `compare` and `report` take it{recipe}"
        )
    study = StudyFolder(path)
    if {study.database.name, study.recipe.name} & inside:
        return Kind("the folder of a `noncoder tune`", f"its best recipe is {study.recipe}")
    if {"train.mat", "valid.mat", "test.mat"} & inside:
        return Kind("a folder of DeepSEA's bundle", "`noncoder data pack --deepsea PATH` takes it")
    recipes = sorted(name for name in inside if name.endswith((".yaml", ".yml")))
    runs = sorted(one.name for one in path.iterdir() if RunFolder(one).recipe.is_file())
    if recipes or runs:
        kind = "recipes" if recipes else "runs"
        return Kind(f"a folder of {kind}", f"name one of them, such as {path / (recipes or runs)[0]}")
    return Kind("an empty folder" if not inside else "a folder", "")


def _attributes(path: Path) -> dict[str, object]:
    if path.stat().st_size > _MOST_JSON:
        return {}
    try:
        found = json.loads(path.read_bytes())
        attributes = found.get("attributes", {}) if isinstance(found, dict) else {}
    except (ValueError, RecursionError):
        return {}
    return attributes if isinstance(attributes, dict) else {}


def _file_kind(path: Path) -> Kind:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return Kind("an empty file", "")
    packed = head.startswith(b"\x1f\x8b")
    if packed:
        with suppress(OSError, EOFError), gzip.open(path) as inner:
            head = inner.read(_HEAD)
    for magic, kind in _MAGIC:
        if head[: len(magic)].lower() == magic.lower():
            return kind
    if path.suffix == ".safetensors" or path == PredictorFolder(path.parent).description:
        return Kind("a file of a predictor", f"`noncoder predict` takes its folder, {path.parent}")
    return _text_kind(path, head)


def _text_kind(path: Path, head: bytes) -> Kind:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return Kind("no text", "")
        text = head[: error.start].decode()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", "track", "browser"))]
    first = lines[0] if lines else ""
    if first.startswith(">"):
        return Kind("a FASTA file", "`noncoder data build --genome` takes a genome, `noncoder predict` records")
    if any(line.startswith(_RECIPE_KEYS) for line in lines):
        return Kind("a recipe", "`noncoder run PATH` and `noncoder train PATH` take it")
    if first.startswith(("MEME version", "{")):
        return Kind("a file of motifs in MEME's format" if first[0] == "M" else "a JSON file", "")
    columns = first.split("\t")
    if len(columns) >= 3 and columns[1].strip().isdigit() and columns[2].strip().isdigit():
        return Kind("a BED file of regions", "`noncoder data build --peaks` takes peaks")
    if path.suffix in (".csv", ".tsv") or len(columns) > 1:
        return Kind("a table", "`noncoder data pack --table PATH` takes one of sequences with labels")
    return Kind("a text file", "")
