"""Trains a recipe without and with repeated kills: `python -m tests.train.killing WHOLE BROKEN KILLS SEED`.

Each life is a fork of this process, which has already imported everything, so that starting is fast. Prints, as JSON,
the number of kills at each moment and whether the training finished.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from noncoder.config import RunConfig, read_recipe
from noncoder.data.loading import Batch
from noncoder.runs.folder import RunFolder
from noncoder.train import train
from noncoder.train.checkpoint import LastCheckpoint
from noncoder.train.faults import FaultWatch  # noqa: F401  what training imports late is imported before the fork
from noncoder.train.module import TrainingModule

MOMENTS = ("writing", "after validation", "before validation", "within validation", "after validation", "any")
"""Moments at which lives end, in turn. "After validation" is after the first checkpoint after a validation."""


def begin(config: RunConfig, moment: str) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        die_at(moment)
        train(config)
        code = 0
    finally:
        os._exit(code)


def die_at(moment: str) -> None:
    """Makes this process kill itself at a moment that a random time would rarely hit."""
    validate, save, validated = TrainingModule.validation_step, LastCheckpoint._save, False

    def validation_step(self: TrainingModule, batch: Batch, _: int) -> None:
        nonlocal validated
        if moment == "before validation":
            die()
        validate(self, batch, _)
        validated = True
        if moment == "within validation":
            die()

    def save_and_die(self: LastCheckpoint, trainer: Any) -> None:
        save(self, trainer)
        if moment == "after validation" and validated:
            die()

    # Without the pause between saves, a save follows soon after each validation, also on a busy machine.
    def save_soon(self: LastCheckpoint, trainer: Any) -> None:
        save_and_die(self, trainer)
        self._rest_until = 0.0

    TrainingModule.validation_step = validation_step  # type: ignore[method-assign]
    LastCheckpoint._save = save_soon  # type: ignore[method-assign]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ended(child: int) -> int | None:
    """Returns how a life ended: 0 if it exited, else the signal's number; None while it is running."""
    done, status = os.waitpid(child, os.WNOHANG)
    code = os.waitstatus_to_exitcode(status)
    if done and code not in (0, -signal.SIGKILL):
        sys.exit(f"a life ended by itself with {code}")
    return -code if done else None


def live(config: RunConfig, moment: str, draw: random.Random) -> bool:
    """Runs one life; returns whether it was killed, otherwise the training has finished."""
    folder, child = RunFolder(config.run).train.path, begin(config, moment)
    until = time.monotonic() + draw.uniform(0.05, 0.7)
    while (end := ended(child)) is None:
        if any(folder.glob(".*ckpt*")) if moment == "writing" else moment == "any" and time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return True
        time.sleep(0.0005)
    return end != 0


def main(whole: Path, broken: Path, kills: int, seed: int) -> None:
    draw, killed, config = random.Random(seed), Counter[str](), read_recipe(broken)
    live(read_recipe(whole), "never", draw)
    while killed.total() < kills:
        moment = MOMENTS[killed.total() % len(MOMENTS)]
        if not live(config, moment, draw):
            break
        killed[moment] += 1
    else:
        live(config, "never", draw)
    print(json.dumps({"killed": killed, "done": RunFolder(config.run).train.summary.exists()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
