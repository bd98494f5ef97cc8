"""A split's logits on disk, by each way of averaging, the plain one first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noncoder.config import EvaluateConfig
from noncoder.data.store import Store
from noncoder.machine import needing_memory
from noncoder.predictor import Averaging, Predictor, predict_store_schemes
from noncoder.runs.folder import SplitFolder
from noncoder.scores import ScoresFile
from noncoder.temporary import scratch_folder


@dataclass(frozen=True)
class Predictions:
    """Files of logits (n, T) in Fortran's order.

    Args:
        names: What each is averaged over.
        files: The plain way first; the last is what is measured in full.
    """

    names: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def final(self) -> Path:
        """The logits that are measured in full, and stay."""
        return self.files[-1]


@contextmanager
def predict_to(
    folder: Path, predictors: Sequence[Predictor], store: Store, indices: NDArray[np.int64], config: EvaluateConfig
) -> Iterator[Predictions]:
    """Predicts windows of a store; within the context the logits of every way of averaging are there, then the last's.

    Args:
        folder: Where logits.npy stays.
        predictors: The trained model, and those averaged with it.
        store: The dataset.
        indices: Which windows, (n,).
        config: What is averaged.

    Raises:
        InputError: The predictors do not fit each other or the store, or the disk is full.
    """
    averaging = Averaging(config.strands, config.shifts)
    names = tuple(scheme.name for scheme in averaging.schemes(len(predictors)))
    shape = (len(indices), len(predictors[0].tasks))
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder, "logits") as scratch:
        files = (*(scratch / f"{i}.npy" for i in range(len(names) - 1)), SplitFolder(folder).logits)
        with ExitStack() as stack:
            writers = [stack.enter_context(ScoresFile(file, *shape)) for file in files]

            def write(_: int, blocks: list[NDArray[np.float32]]) -> None:
                for writer, block in zip(writers, blocks, strict=True):
                    writer.append(block)

            doing = f"predicting in batches of {config.batch_size} windows"
            with needing_memory(doing, f"a lower --batch-size (evaluate.batch_size) than {config.batch_size}"):
                predict_store_schemes(predictors, store, indices, averaging, config.batch_size, write)
        yield Predictions(names, files)
