"""Damages the files that noncoder reads back, and tells whether it notices.

    python benchmarks/damage.py                               # 100 damaged files of each kind
    python benchmarks/damage.py --count 20 --kinds weights store

A small run is made with everything that a run can have. Of each kind of file, copies are damaged, one at a time: a bit
is flipped, a byte changed, the end cut off, two stretches exchanged, a stretch filled with zeros, a byte inserted or
deleted. What reads the file is then called as the verbs call it. Printed are, a row a kind: how often that gave a clear
error ("noticed"), the same result as before ("harmless": the byte says nothing, or the file was made again), another
result ("silent"), another exception ("traceback"), or the end of the process ("crash"). The exit code is 1 where any of
the last three is above 0.
"""

from __future__ import annotations

import os

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}

import argparse
import dataclasses
import hashlib
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from noncoder.cli import app
from noncoder.compare.compared_run import read_run_folder
from noncoder.config import read_recipe
from noncoder.data.deepsea.slabs import SlabPart
from noncoder.data.simulate import read_truth
from noncoder.data.store import open_store
from noncoder.errors import NoncoderError
from noncoder.evaluate.evaluation_stage import EvaluationStage
from noncoder.evaluate.paired_comparison import read_evaluation
from noncoder.files import read_json
from noncoder.pipeline import interpret_run
from noncoder.predictor import load
from noncoder.report import read_splits
from noncoder.report.data_section import data_section, training_section
from noncoder.report.interpret_files import read_interpretation
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import TrainingSummary
from noncoder.train.claim import is_trained
from noncoder.train.storage import read_checkpoint
from noncoder.tune import TuneConfig, tune

RECIPE = """
run: run
data: {simulate: {windows: 300, tasks: 3, window: 200, bin: 100, chromosomes: 5}}
model: {name: compact, parameters: {channels: 8, dilations: [1], heads: 2}}
train: {epochs: 1, batch_size: 16, precision: 32-true, device: cpu}
evaluate: {splits: [valid, test], resamples: 20}
interpret: {tasks: [CTCF], windows: 10, method: saliency, mutated: 2, grammar: 3, designs: 1, figures: [png]}
"""
SPACE = "train.learning_rate: {choices: [0.001, 0.01]}\n"
ASIDE = {"seconds", "windows_per_second", "speed", "digests", "started"}
TEST = "run/evaluate/test"
TASK = "run/interpret/tasks/CTCF.saliency"


# ---- what reads the files, in the folder where all lie ----


def predictions() -> Any:
    predictor = load("run")
    names = [task.name for task in predictor.tasks]
    return names, predictor.bin, predictor.predict(["ACGTTGCAAT" * 20, "TTGACGGCAT" * 20])


def store() -> Any:
    found = open_store("run/data.zarr")
    codes, labels = found.read(found.indices())
    return codes, labels, found.split, found.bins(found.indices()), found.positives(), found.info.to_dict()


def parts_of_store() -> Any:
    found = open_store("run/data.zarr")
    return found.read_from_disk(range(40, 60)), found.read_stretch(0, 0, 300), list(found.code_blocks())


def training() -> Any:
    run = Path("run")
    return dataclasses.replace(read_run_folder(run, "run"), state=""), training_section(
        RunFolder(run).train, TrainingSummary.read(RunFolder(run).train.summary)
    )


def finished() -> Any:
    return is_trained(read_recipe(Path("r.yaml"), ()), open_store("run/data.zarr"))


def checkpoint() -> Any:
    return read_checkpoint(Path("run/train/last.ckpt"))["state_dict"]


def exploration() -> Any:
    return data_section(read_json(Path("run/explore.json")))


def measured() -> Any:
    found = read_evaluation("run", Path("run"), "test")
    return [read_splits(RunFolder(Path("run")).evaluate), found.tasks, np.load(found.logits)]


def measured_again() -> Any:
    config = read_recipe(Path("r.yaml"), ())
    stage = EvaluationStage(
        RunFolder(Path("run")).evaluate, [load("run")], open_store("run/data.zarr"), config.evaluate
    )
    logits = stage.own_logits("test")  # None where they have to be predicted again
    used = None if logits is None else np.load(logits)
    summary, temperatures = stage.evaluate("test"), stage.temperatures
    kept = np.load("run/evaluate/test/logits.npy")
    return summary, temperatures, kept, kept if used is None else used


def interpretation() -> Any:
    return read_interpretation(RunFolder(Path("run")).interpret, 9)


def interpreted_again() -> Any:
    return interpret_run(Path("run"), {})["done"], interpretation()


def study() -> Any:
    found = tune(read_recipe(Path("r.yaml"), ()), TuneConfig(space=Path("space.yaml"), sampler="grid", pruner="none",
                                                             trials=2))  # fmt: skip
    return {key: found[key] for key in ("trials", "best")}


def truth() -> Any:
    return read_truth("run/data.zarr")


def part() -> Any:
    return SlabPart.read(Path("a.part"))


KINDS: Mapping[str, tuple[Callable[[], Any], Sequence[str]]] = {
    "weights": (predictions, ["run/predictor/weights.safetensors"]),
    "model.json": (predictions, ["run/predictor/model.json"]),
    "store": (store, ["run/data.zarr/**/*"]),
    "store in parts": (parts_of_store, ["run/data.zarr/codes/**/*", "run/data.zarr/labels/**/*"]),
    "truth.parquet": (truth, ["run/data.truth.parquet"]),
    "part": (part, ["a.part"]),
    "checkpoint": (checkpoint, ["run/train/last.ckpt"]),
    "train, finished": (finished, ["run/train/claim.json"]),
    "train, read": (training, ["run/train/summary.json", "run/train/started.json"]),
    "logs": (training, ["run/train/log.csv", "run/train/valid.csv"]),
    "explore.json": (exploration, ["run/explore.json"]),
    "evaluate, read": (measured, [f"{TEST}/summary.json"]),
    "tasks.parquet": (measured, [f"{TEST}/tasks.parquet"]),
    "curves.npz": (measured, [f"{TEST}/curves.npz"]),
    "logits.npy": (measured, [f"{TEST}/logits.npy"]),
    "evaluate, again": (measured_again, [f"{TEST}/*.json", f"{TEST}/*.n*", "run/evaluate/valid/*"]),
    "interpret, read": (
        interpretation,
        ["run/interpret/summary.json", f"{TASK}/*.json", "run/interpret/filters/*.json"],
    ),
    "interpret arrays": (interpretation, [f"{TASK}/*.npz"]),
    "interpret, again": (interpreted_again, [f"{TASK}/*.npz", f"{TASK}/*.json"]),
    "study.db": (study, ["run/tune/study.db"]),
    "study's record": (study, ["run/tune/finished.json"]),
}  # fmt: skip
SLOW = {"interpret, again": 10, "study.db": 4, "study's record": 4, "evaluate, again": 2}


def make(folder: Path) -> bool:
    (folder / "r.yaml").write_text(RECIPE)
    (folder / "space.yaml").write_text(SPACE)
    app(["run", "r.yaml"], standalone_mode=False)
    study()
    ends = np.zeros((2, 20), np.uint8)
    labels = np.arange(60, dtype=np.uint8).reshape(30, 2)
    shifts, bases = np.arange(30, dtype=np.int32), np.arange(200, dtype=np.uint8)
    SlabPart(shifts, bases, ends, labels, 0, 1, "d" * 64).write(Path("a.part"))
    return True


def fingerprint(value: Any) -> Any:
    """What can be compared, without what a clock says."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(
            repr((value.dtype.str, value.shape)).encode() + np.ascontiguousarray(value).tobytes()
        ).hexdigest()
    if isinstance(value, torch.Tensor):
        return fingerprint(value.numpy())
    if isinstance(value, pl.DataFrame):
        return value.write_csv()
    if dataclasses.is_dataclass(value):
        return {f.name: fingerprint(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): fingerprint(one) for key, one in value.items() if key not in ASIDE}
    if isinstance(value, list | tuple):
        return [fingerprint(one) for one in value]
    return value if isinstance(value, int | float | bool | None) else str(value)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The content with one thing wrong."""
    new, at = bytearray(content), draw.randrange(len(content))
    length = min(draw.choice((1, 8, 100)), len(content) - at)
    kind = draw.randrange(8)
    if kind < 3:
        new[at] ^= 1 << draw.randrange(8)
    elif kind == 3:
        new[at] = draw.randrange(256)
    elif kind == 4:
        del new[at:]
    elif kind == 5:
        other = draw.randrange(len(content) - length + 1)
        new[at : at + length], new[other : other + length] = content[other : other + length], content[at : at + length]
    elif kind == 6:
        new[at : at + length] = bytes(length)
    elif draw.random() < 0.5:
        new.insert(at, draw.randrange(256))
    else:
        del new[at]
    return bytes(new)


def try_one(read: Callable[[], Any], expected: str) -> tuple[str, str]:
    try:
        found = json.dumps(fingerprint(read()))
    except NoncoderError as error:
        return "noticed", error.found.splitlines()[0]
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    return ("harmless", "") if found == expected else ("silent", "")


def in_fork(folder: Path, job: Callable[[], Any]) -> Any:
    """What a job in a process of its own answers; None where the process has ended before."""
    answer = folder.with_name("answer")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        try:
            os.chdir(folder)
            null = os.open(os.devnull, os.O_WRONLY)
            loud = os.dup(2)
            for stream in (1, 2):
                os.dup2(null, stream)
            torch.set_num_threads(1)
            answer.write_text(json.dumps(job()))
        except BaseException as error:
            os.write(loud, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return json.loads(answer.read_text()) if answer.exists() else None


def attack(whole: Path, kind: str, count: int, draw: random.Random, chatty: bool) -> Counter[str]:
    read, patterns = KINDS[kind]
    paths = sorted(
        path for pattern in patterns for path in whole.glob(pattern) if path.is_file() and path.name != ".lock"
    )
    if not paths:
        sys.exit(f"{kind}: there is no such file")
    place = whole.with_name("damaged")
    expected = in_fork(whole, lambda: json.dumps(fingerprint(read())))
    if expected is None:
        sys.exit(f"{kind}: it cannot be read undamaged")
    found: Counter[str] = Counter()
    for _ in range(count):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place, symlinks=True)
        path = draw.choice(paths)
        content = path.read_bytes()
        if not content:
            continue
        wrong = damaged(content, draw)
        if wrong == content:
            continue
        (place / path.relative_to(whole)).write_bytes(wrong)
        result, told = in_fork(place, lambda: try_one(read, expected)) or ("crash", "")
        found[result] += 1
        if result in ("silent", "traceback", "crash") or chatty:
            print(f"{kind}: {path.relative_to(whole)}: {result}: {told}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--chatty", action="store_true", help="Print every message.")
    given = options.parse_args()
    columns = ("noticed", "harmless", "silent", "traceback", "crash")
    print(f"{'kind':18}" + "".join(f"{name:>10}" for name in columns), flush=True)
    bad = 0
    with tempfile.TemporaryDirectory() as work:
        whole = Path(work) / "whole"
        whole.mkdir()
        if in_fork(whole, lambda: make(whole)) is None:
            sys.exit("the run cannot be made")
        for kind in given.kinds:
            count = max(1, given.count // SLOW.get(kind, 1))
            found = attack(whole, kind, count, random.Random(given.seed), given.chatty)
            print(f"{kind:18}" + "".join(f"{found[name]:10}" for name in columns), flush=True)
            bad += sum(found[name] for name in columns[2:])
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
