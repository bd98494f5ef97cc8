"""Random seeds of training, one per batch, which make random numbers independent of interruptions."""

from __future__ import annotations

import hashlib

import lightning.pytorch as pl
import torch

from noncoder.data.loading import Batch
from noncoder.train.module import TrainingModule
from noncoder.train.passes import Passes


def seed_batch(seed: int, number: int, rank: int) -> None:
    """Seeds torch's random numbers, which dropout uses, for one batch.

    The seed depends only on the arguments: a resumed training draws the same numbers as an uninterrupted one, also on a
    GPU, and every process draws its own.

    Args:
        seed: The recipe's seed.
        number: Batch number, counted from the start of the training.
        rank: Rank of the process.
    """
    digest = hashlib.blake2b(f"{seed} {number} {rank}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest) >> 1)


class BatchByBatch(pl.Callback):
    """Sets the random seed of each batch, and the batch's weight in its optimiser step."""

    def __init__(self, passes: Passes, seed: int, rank: int) -> None:
        self.passes, self.seed, self.rank = passes, seed, rank

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, number: int) -> None:
        """Sets seed and weight of a batch; `number` counts from the start of the training."""
        seed_batch(self.seed, number, self.rank)
        assert isinstance(module, TrainingModule)
        module.weight_in_step = self.passes.weight(number)
