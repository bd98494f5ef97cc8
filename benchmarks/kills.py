"""Kills every verb at random moments, runs it again, and compares the result with that of a run that was not killed.

    python benchmarks/kills.py                            # 30 kills of each verb
    python benchmarks/kills.py --kills 5 --verbs train run

Each life is a fork of this process, which has imported everything, so a start costs no seconds. For each kill a fresh
copy of the state before the verb is made; the verb is started, and gets SIGKILL after a time that is drawn evenly from
0 to as long as it takes. A verb that replaces a store is then checked at once: the old or the new store has to be there
under its name. Then the same command runs to its end. Printed are, a row a verb: kills, lives that had ended before,
and how often the result was another, a store was lost, the second run failed, or files were left over that a run
without a kill does not leave. The exit code is 1 where any of these is above 0.
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
import contextlib
import hashlib
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import noncoder.data.peaks
import noncoder.data.simulate
import noncoder.data.table
import noncoder.evaluate
import noncoder.interpret.interpretation_stage
import noncoder.pipeline
import noncoder.report
import noncoder.train.fit
import noncoder.tune.tune_run
from noncoder.cli import app
from noncoder.data.store import open_store
from noncoder.files import read_json

DONE_BEFORE = ("already exists", "already exists", "holds a finished training")
SIMULATE = ["data", "simulate", "--tasks", "3", "--window", "200", "--bin", "100", "--chromosomes", "5", "--windows"]
MODEL = "model: {name: compact, parameters: {channels: 8, dilations: [1], heads: 2}}"
TRAIN = "train: {epochs: 3, batch_size: 16, precision: 32-true, device: cpu, validations: 1.5, patience: 99}"
SPACE = "train.learning_rate: {choices: [0.001, 0.01]}\ntrain.shift: {choices: [0, 4]}\n"
REST = """
evaluate: {splits: [valid, test], resamples: 50}
interpret: {tasks: [CTCF], windows: 30, method: saliency, mutated: 2, grammar: 5, designs: 1, figures: [png]}
"""
# What differs from life to life though the result is the same.
TIMES = {"seconds", "windows_per_second", "started", "speed", "digests", "store", "git", "folder"}


@dataclass
class Verb:
    """A command, what is there before it, and what it comes to."""

    name: str
    before: Callable[[Path], None]
    command: list[str]
    result: Callable[[Path], Any]
    store: str = ""
    """A store that is replaced."""


@dataclass
class Count:
    """What came of the kills of a verb."""

    kills: int = 0
    ended: int = 0
    other: int = 0
    lost: int = 0
    failed: int = 0
    left: set[str] = field(default_factory=set)


def fork(folder: Path, job: Callable[[], Any]) -> tuple[int, Path]:
    """Does something in a process of its own, within a folder; its answer or message will be in a file."""
    answer = folder.with_name(folder.name + ".answer")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child:
        return child, answer
    code = 1
    try:
        os.chdir(folder)
        tempfile.tempdir = str(folder / "tmp")
        Path(tempfile.tempdir).mkdir(exist_ok=True)
        torch.set_num_threads(1)
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(null, stream)
        answer.write_text(json.dumps(job()))
        code = 0
    except BaseException as error:
        with contextlib.suppress(BaseException):
            answer.write_text(f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def do(folder: Path, job: Callable[[], Any]) -> tuple[bool, str]:
    """The same to its end: whether it succeeded, and its answer or message."""
    child, answer = fork(folder, job)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code == 0, answer.read_text() if answer.exists() else f"exit code {code}"


def run(command: list[str]) -> None:
    app([*command], standalone_mode=False)


def files(folder: Path) -> set[str]:
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in names if "events.out" not in name}


# ---- what is there before ----


def write_genome(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "peaks").mkdir()
    with (folder / "g.fa").open("w") as fasta:
        for name in ("a", "b", "c"):
            fasta.write(f">{name}\n{''.join(rng.choice(list('ACGT'), 200_000))}\n")
    for task in range(6):
        rows = [(name, int(at)) for name in "abc" for at in np.sort(rng.choice(199_000, 150, replace=False))]
        (folder / f"peaks/t{task}.bed").write_text("".join(f"{name}\t{at}\t{at + 200}\n" for name, at in rows))


def old_store(folder: Path) -> None:
    run([*SIMULATE, "40", str(folder / "s.zarr")])


def before_build(folder: Path) -> None:
    write_genome(folder)
    old_store(folder)


def before_table(folder: Path) -> None:
    rng = np.random.default_rng(1)
    rows = ["sequence,label,other"]
    rows += ["".join(rng.choice(list("ACGT"), 200)) + f",{rng.integers(2)},{rng.integers(2)}" for _ in range(20_000)]
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    old_store(folder)


def before_bundle(folder: Path) -> None:
    import scipy.io

    rng = np.random.default_rng(2)
    (folder / "mat").mkdir()
    for split, n in (("train", 400), ("valid", 60), ("test", 60)):
        hot = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, (n, 1000))].transpose(0, 2, 1)
        x = np.concatenate([hot, hot[:, ::-1, ::-1]])
        y = np.tile((rng.random((n, 919)) < 0.1).astype(np.uint8), (2, 1))
        scipy.io.savemat(folder / f"mat/{split}.mat", {f"{split}xdata": x, f"{split}data": y})
    old_store(folder)


def before_training(folder: Path) -> None:
    run([*SIMULATE, "600", str(folder / "d.zarr")])
    (folder / "r.yaml").write_text(f"run: run\ndata: {{store: d.zarr}}\n{MODEL}\n{TRAIN}\n{REST}")
    (folder / "space.yaml").write_text(
        "train.learning_rate: {choices: [0.001, 0.01]}\ntrain.shift: {choices: [0, 4]}\n"
    )


def before_evaluation(folder: Path) -> None:
    before_training(folder)
    run(["train", "r.yaml"])


def before_run(folder: Path) -> None:
    simulate = "{windows: 600, tasks: 3, window: 200, bin: 100, chromosomes: 5}"
    (folder / "r.yaml").write_text(f"run: run\ndata: {{simulate: {simulate}}}\n{MODEL}\n{TRAIN}\n{REST}")


# ---- what a verb comes to ----


def digest_of_store(folder: Path, name: str = "s.zarr") -> Any:
    store = open_store(folder / name)
    store.check()
    return store.digest


def plain(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: plain(value) for key, value in values.items() if key not in TIMES}
    return [plain(value) for value in values] if isinstance(values, list) else values


def trained(folder: Path) -> Any:
    run = folder / "run"
    logs = []
    for name in ("log.csv", "valid.csv"):
        table = pl.read_csv(run / "train" / name)
        logs.append(table.drop("seconds", "windows_per_second", strict=False).write_csv())
    weights = hashlib.sha256((run / "predictor/weights.safetensors").read_bytes()).hexdigest()
    noncoder.load(run)
    return [weights, logs, plain(read_json(run / "train/summary.json"))]


def evaluated(folder: Path) -> Any:
    found = []
    for split in ("valid", "test"):
        at = folder / "run/evaluate" / split
        found += [pl.read_parquet(at / "tasks.parquet").write_csv(), plain(read_json(at / "summary.json"))]
        found.append(hashlib.sha256((at / "logits.npy").read_bytes()).hexdigest())
    return found


def interpreted(folder: Path) -> Any:
    found: list[Any] = []
    for path in sorted((folder / "run/interpret").rglob("*.json")):
        text = json.loads(path.read_text())
        found.append([path.name, plain({"all": text})])
    for path in sorted((folder / "run/interpret").rglob("*.npz")):
        with np.load(path) as arrays:
            found.append({name: hashlib.sha256(arrays[name].tobytes()).hexdigest() for name in arrays.files})
    return json.loads(re.sub(r'"file_sha256": "\w+"', '"file_sha256": ""', json.dumps(found)))


def tuned(folder: Path) -> Any:
    table = pl.read_csv(folder / "run/tune/trials.tsv", separator="\t")
    done = table.filter(pl.col("state") == "complete").select("value", "train.learning_rate", "train.shift")
    return [sorted(done.rows()), (folder / "run/tune/best.yaml").read_text().splitlines()[0].partition(":")[2]]


def walked(folder: Path) -> Any:
    page = (folder / "run/report.html").read_text()
    page = re.sub(r"(?s)<svg.*?</svg>|<script.*?</script>|base64,[^\"']*", "", page)
    words = re.sub(r"\d[\d.,:e+-]*|[0-9a-f]{8,}", "#", page)
    return [digest_of_store(folder / "run", "data.zarr"), trained(folder), evaluated(folder), words]


VERBS = (
    Verb("build", before_build, ["data", "build", "--genome", "g.fa", "--peaks", "peaks/*.bed", "--window", "400",
                                 "--valid", "b", "--test", "c", "--force", "s.zarr"], digest_of_store, "s.zarr"),
    Verb("table", before_table, ["data", "pack", "--table", "t.csv", "--force", "s.zarr"], digest_of_store, "s.zarr"),
    Verb("deepsea", before_bundle, ["data", "pack", "--deepsea", "mat", "--force", "s.zarr"], digest_of_store,
         "s.zarr"),
    Verb("train", before_training, ["train", "r.yaml"], trained),
    Verb("evaluate", before_evaluation, ["evaluate", "run", "--save-temperatures"], evaluated),
    Verb("interpret", before_evaluation, ["interpret", "run"], interpreted),
    Verb("tune", before_training, ["tune", "r.yaml", "--space", "space.yaml", "--sampler", "grid", "--pruner", "none",
                                   "--trials", "4"], tuned),
    Verb("run", before_run, ["run", "r.yaml"], walked),
)  # fmt: skip


def attack(verb: Verb, kills: int, draw: random.Random, work: Path) -> Count:
    start, whole, place = (work / f"{verb.name}-{name}" for name in ("start", "whole", "killed"))
    start.mkdir()
    good, told = do(start, lambda: verb.before(start))
    if not good:
        sys.exit(f"{verb.name}: what is there before it cannot be made: {told}")
    lengths = []
    for folder in (place, whole):  # of the two the quicker one, or most lives would end before their kill
        shutil.copytree(start, folder)
        began = time.perf_counter()
        good, told = do(folder, partial(run, verb.command))
        lengths.append(time.perf_counter() - began)
        if not good:
            sys.exit(f"{verb.name} fails without a kill: {told}")
    expected, expected_files = do(whole, lambda: verb.result(whole))[1], files(whole)
    stores = [do(folder, partial(digest_of_store, folder))[1] for folder in (start, whole)] if verb.store else []
    count = Count()
    for _ in range(kills):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(start, place)
        child, _ = fork(place, lambda: run(verb.command))
        time.sleep(draw.uniform(0, min(lengths)))
        os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        count.kills, count.ended = count.kills + 1, count.ended + (code != -signal.SIGKILL)
        if stores:
            found = do(place, lambda: digest_of_store(place))[1]
            if found not in stores:
                count.lost += 1
                print(f"{verb.name}: lost: {found}", file=sys.stderr)
        good, told = do(place, lambda: run(verb.command))
        if not good and not any(text in told for text in DONE_BEFORE):
            count.failed += 1
            print(f"{verb.name}: {told}", file=sys.stderr)
        found = do(place, lambda: verb.result(place))[1]
        if found != expected:
            count.other += 1
            at = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), 0)
            print(f"{verb.name}: …{found[max(0, at - 80) : at + 80]}… is not …{expected[max(0, at - 80) : at + 80]}…",
                  file=sys.stderr)  # fmt: skip
        count.left |= files(place) - expected_files
        missing = expected_files - files(place)
        if missing:
            print(f"{verb.name}: missing {sorted(missing)[:5]}", file=sys.stderr)
            count.other += 1
    return count


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=30)
    options.add_argument("--verbs", nargs="+", default=[verb.name for verb in VERBS], choices=[v.name for v in VERBS])
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    print(
        f"{'verb':10} {'kills':>5} {'ended':>5} {'other':>5} {'lost':>5} {'failed':>6}  seconds  left over", flush=True
    )
    bad = 0
    with tempfile.TemporaryDirectory() as work:
        for verb in VERBS:
            if verb.name in given.verbs:
                began = time.perf_counter()
                count = attack(verb, given.kills, random.Random(given.seed), Path(work))
                bad += count.other + count.lost + count.failed + len(count.left)
                columns = (
                    f"{verb.name:10} {count.kills:5} {count.ended:5} {count.other:5} {count.lost:5} {count.failed:6}"
                )
                left = " ".join(sorted(count.left)[:6]) or "-"
                print(f"{columns}  {time.perf_counter() - began:7.0f}  {left}", flush=True)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
