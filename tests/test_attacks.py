"""The attacks of benchmarks/kills.py and benchmarks/damage.py with small counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def attack(*options: str) -> str:
    command = [sys.executable, *options, "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_verbs_that_write_stores_are_killed() -> None:
    assert "table          2" in attack("benchmarks/kills.py", "--kills", "2", "--verbs", "table")


@pytest.mark.long
@pytest.mark.parametrize("verb", ["build", "deepsea", "train", "evaluate", "interpret", "tune", "run"])
def test_all_other_verbs_are_killed(verb: str) -> None:
    attack("benchmarks/kills.py", "--kills", "4", "--verbs", verb)


@pytest.mark.long
def test_all_that_is_read_back_is_damaged() -> None:
    attack("benchmarks/damage.py", "--count", "20")
