"""Every verb that writes, on a real disk without room: exit code 2, one message, nothing half-written."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from noncoder.cli import main
from tests.conftest import random_dna, random_genome, write_fasta, write_peaks
from tests.importers.test_report import ReportModel, checkpoint

KILOBYTES = 8_192
RECIPE = """
run: runs/r
data: {store: s.zarr}
model: {name: compact, parameters: {channels: 8, dilations: [1]}}
train: {epochs: 1, batch_size: 64, learning_rate: 0.01}
evaluate: {resamples: 0, min_positives: 1}
interpret: {windows: 4, references: 1, mutated: 1, grammar: 2, designs: 1, filters: false, tasks: [A]}
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk in memory of a few megabytes."""
    path = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={KILOBYTES}k", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome, peaks, weights, a store, and a run that has been walked to its report."""
    folder = tmp_path_factory.mktemp("inputs")
    write_fasta(folder / "g.fa", random_genome({"I": 40_000, "II": 20_000, "III": 20_000}))
    for name in "AB":
        write_peaks(
            folder / f"{name}.bed", [(f"chr{c}", at, at + 1) for c in (1, 2, 3) for at in range(50, 19_000, 400)]
        )
    torch.save(checkpoint(ReportModel("lstm", width=8)), folder / "w.ckpt")
    write_fasta(folder / "w.fa", {f"r{i}": random_dna(400, i) for i in range(300)})
    (folder / "r.yaml").write_text(RECIPE)
    (folder / "space.yaml").write_text("train.learning_rate: [0.01, 0.02]\n")
    for line in (BUILD, "run r.yaml run=r"):
        done = subprocess.run(
            [sys.executable, "-m", "noncoder", *line.split()], cwd=folder, check=False, capture_output=True
        )
        assert done.returncode == 0, done
    return folder


BUILD = "data build --genome g.fa --peaks A.bed --peaks B.bed --label summit --keep all --window 400"
BUILD += " --valid II --test III s.zarr"
VERBS = [
    BUILD.replace("s.zarr", "DISK/s.zarr"),
    "data simulate --windows 600 DISK/demo.zarr",
    "data unpack s.zarr DISK/mats",
    "explore s.zarr --html DISK/x.html --matrix DISK/x.npz",
    "import report w.ckpt DISK/out",
    "predict r w.fa --out DISK/p.parquet",
    "predict r w.fa --out DISK/p.tsv",
    "compare r --out DISK/c.html --figure DISK/c.png",
    "report r --out DISK/r.html",
    "design r --task A --sequences 1 --evaluations 30 --out DISK/d.fa",
]
TRAINING = [
    "train r.yaml run=DISK/r",
    "run r.yaml run=DISK/r",
    "lr-find r.yaml run=DISK/r --steps 20",
    "tune r.yaml --space space.yaml --trials 2 run=DISK/r",
]
OF_A_RUN = [
    "evaluate DISK/r --force",
    "interpret DISK/r --force",
]


@pytest.fixture
def noncoder(
    inputs: Path, disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[str, int], None]]:
    """Runs a verb with some kilobytes of room on the disk: it ends well, or with one message."""
    monkeypatch.chdir(inputs)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(line: str, room: int) -> None:
        for path in disk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if line in OF_A_RUN:
            shutil.copytree(inputs / "r", disk / "r")
        free = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(b"\0" * max(0, free - room * 1024))
        monkeypatch.setattr(sys, "argv", ["noncoder", *line.replace("DISK", str(disk)).split()])
        with pytest.raises(SystemExit) as done:
            main()
        told = capsys.readouterr().err
        assert "Traceback" not in told, told
        if done.value.code != 0:
            assert done.value.code == 2, told
            assert len(re.findall(r"^noncoder: ", told, flags=re.MULTILINE)) == 1, told
            assert "cannot write" in told or "room" in told or "disk is full" in told, told
        else:
            assert room > 0
        left = [path for path in disk.rglob("*") if "partial" in path.name]
        assert not left, left

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("room", [0, 12, 100])
@pytest.mark.parametrize("line", VERBS, ids=lambda line: line[:24])
def test_verbs(noncoder: Callable[[str, int], None], line: str, room: int) -> None:
    noncoder(line, room)


@pytest.mark.long
@pytest.mark.parametrize("room", [0, 8, 40, 120, 400, 1_000])
@pytest.mark.parametrize("line", TRAINING + OF_A_RUN, ids=lambda line: line[:16])
def test_verbs_that_train(noncoder: Callable[[str, int], None], line: str, room: int) -> None:
    noncoder(line, room)
