"""Random numbers of training that no interruption, device or number of processes can shift."""

from __future__ import annotations

import hashlib

import lightning.pytorch as pl
import torch

from noncoder.data.loading import Batch
from noncoder.train.module import TrainingModule
from noncoder.train.passes import Passes


def seed_batch(seed: int, number: int, rank: int) -> None:
    """Sets torch's random numbers, which draw dropout, for one batch.

    They depend on nothing that came before: a resumed training draws what the uninterrupted one would have drawn, on a
    GPU too, and each process of several draws its own.

    Args:
        seed: The recipe's.
        number: The batch, counted from the start of the training.
        rank: The process.
    """
    digest = hashlib.blake2b(f"{seed} {number} {rank}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest) >> 1)


class BatchByBatch(pl.Callback):
    """Sets what changes from batch to batch: the random numbers, and what the batch counts for in its step."""

    def __init__(self, passes: Passes, seed: int, rank: int) -> None:
        self.passes, self.seed, self.rank = passes, seed, rank

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, number: int) -> None:
        """Sets them for a batch, whose number counts from the start of the training."""
        seed_batch(self.seed, number, self.rank)
        assert isinstance(module, TrainingModule)
        module.weight_in_step = self.passes.weight(number)
