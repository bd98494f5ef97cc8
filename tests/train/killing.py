"""Trains a recipe in a process that is killed again and again: `python -m tests.train.killing RECIPE KILLS SEED`.

Each life is a fork of this process, which has imported everything: a start costs no seconds. Prints, as JSON, how many
were killed, and how many of these while a checkpoint was being written.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from noncoder.config import RunConfig, read_recipe
from noncoder.train import RunFolder, train
from noncoder.train.faults import FaultWatch  # noqa: F401  what training imports late is imported before the fork


def begin(config: RunConfig) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        train(config)
        code = 0
    finally:
        os._exit(code)


def ended(child: int) -> bool:
    done, status = os.waitpid(child, os.WNOHANG)
    if done and os.waitstatus_to_exitcode(status):
        sys.exit(f"a life ended by itself with {status}")
    return bool(done)


def writing(folder: Path) -> bool:
    return any(folder.glob(".*ckpt*"))


def main(recipe: Path, kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    config, draw = read_recipe(recipe), random.Random(seed)
    folder, killed, in_writing = RunFolder(config.run).train, 0, 0
    while True:
        child = begin(config)
        if killed == kills:
            break
        # Every other life ends in the midst of writing a checkpoint; the first not before there is one to go on from.
        until, wait_for_writing = time.monotonic() + draw.uniform(0.05, 0.7), killed % 2 == 1
        done = False
        while not done and (time.monotonic() < until or (wait_for_writing and not writing(folder))):
            time.sleep(0.0005)
            done = ended(child)
        if done:
            break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        killed, in_writing = killed + 1, in_writing + writing(folder)
    while killed == kills and not ended(child):
        time.sleep(0.01)
    print(json.dumps({"killed": killed, "in_writing": in_writing, "done": RunFolder(config.run).summary.exists()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
