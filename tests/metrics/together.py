"""One of several processes that rank their windows together: `python -m tests.metrics.together FOLDER PROCESS`.

Imports little, because each process of a test waits for it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from noncoder.metrics.modules import TaskRanking


def main(folder: Path, process: int) -> None:
    """Ranks the windows of FOLDER/windows.npz between cuts, for each row of cuts; what came out goes to a file."""
    torch.set_num_threads(1)
    windows = np.load(folder / "windows.npz")
    n_processes = windows["cuts"].shape[1] - 1
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=process, world_size=n_processes)
    found = []
    for cuts in windows["cuts"].tolist():
        drawn = [
            torch.tensor(windows[name][cuts[process] : cuts[process + 1]]) for name in ("logits", "labels", "known")
        ]
        metric = TaskRanking(drawn[0].shape[1], average=None)
        for first in range(0, len(drawn[0]), 70):
            metric.update(*(table[first : first + 70] for table in drawn))
        together = metric.compute()
        metric.update(*(table[:0] for table in drawn))
        found += [together, metric.compute()]
    torch.save(found, folder / f"{process}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
