"""Command line in a process that kills itself after KILL_AT batches."""

from __future__ import annotations

import os
import signal
from typing import Any

from noncoder.cli import main
from noncoder.train.checkpoint import LastCheckpoint

_save = LastCheckpoint.on_train_batch_end


def save_and_die(self: LastCheckpoint, *args: Any) -> None:
    _save(self, *args)
    if self.batches == int(os.environ["KILL_AT"]):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    LastCheckpoint.on_train_batch_end = save_and_die  # type: ignore[method-assign, assignment]
    main()
