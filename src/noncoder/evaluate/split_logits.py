"""Logits of a split on disk, for each way of averaging; the first averages nothing."""

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
    """Files of logits (n, T) in Fortran order.

    Args:
        names: What each file averages.
        files: One file for each way of averaging. The first averages nothing; all measures are computed for the last.
    """

    names: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def final(self) -> Path:
        """The logits for which all measures are computed; this file is kept."""
        return self.files[-1]


@contextmanager
def predict_to(
    folder: Path, predictors: Sequence[Predictor], store: Store, indices: NDArray[np.int64], config: EvaluateConfig
) -> Iterator[Predictions]:
    """Predicts windows of a store. Inside the context, logits of every way of averaging exist; then only the last ones.

    Args:
        folder: The folder of logits.npy.
        predictors: The trained model, and the models averaged with it.
        store: The dataset.
        indices: The windows to predict, (n,).
        config: What is averaged, and the batch size.

    Raises:
        InputError: The predictors do not match each other or the store, or the disk is full.
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
