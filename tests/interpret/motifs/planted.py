"""Small simulated genome, and models that train on it in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from noncoder.config import SimulateConfig
from noncoder.data.loading import one_hot, reverse_strand
from noncoder.data.simulate import simulate_store
from noncoder.data.store import Store
from noncoder.models import SequenceModel, create_model

WINDOW, BIN, TASKS = 240, 200, 3


def planted_store(path: Path) -> Store:
    """Simulates three tasks (CTCF, GATA3 with SPI1, REST without NRF1), each positive in 15% of 4,000 bins."""
    config = SimulateConfig(
        windows=4000, tasks=TASKS, window=WINDOW, bin=BIN, chromosomes=5, positive_rate=0.15, label_noise=0, seed=0
    )
    return simulate_store(config, path)


def quickly_trained(store: Store, labels: NDArray[np.uint8], epochs: int) -> SequenceModel:
    """Trains a small network on the training split."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = create_model("compact", TASKS, WINDOW, {"channels": 32, "heads": 4, "dilations": (1,), "dropout": 0.1})
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.05)
    batches = list(_batches(store.indices("train"), epochs, rng))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=len(batches) + 1)
    codes = store.read_codes(store.indices())
    model.train()
    for rows in batches:
        some = torch.from_numpy(codes[rows])
        logits = model(one_hot(some if rng.random() < 0.5 else reverse_strand(some)))
        loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels[rows]).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _batches(rows: NDArray[np.int64], epochs: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    for _ in range(epochs):
        order = rng.permutation(rows)
        yield from (order[at : at + 64] for at in range(0, len(order) - 63, 64))
