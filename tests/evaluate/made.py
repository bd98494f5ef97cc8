"""A small store with labels that a network can tell something of, and networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noncoder.config import EvaluateConfig
from noncoder.data.store import Store
from noncoder.models import create_model
from noncoder.predictor import Predictor
from tests.conftest import make_store, random_genome

WINDOW, N, T = 40, 700, 5


def predictor_of(store: Store, seed: int = 0, order: Sequence[int] = ()) -> Predictor:
    torch.manual_seed(seed)
    tasks = [store.tasks[i] for i in order or range(len(store.tasks))]
    model = create_model("compact", len(tasks), store.window, {"channels": 8, "dilations": [1]})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return Predictor(model.eval(), tuple(tasks), store.bin, {})


def labelled_store(path: Path, seed: int = 3, names: Sequence[str] = (), force: bool = False) -> Store:
    """Labels that hang on the sequence; the task t3 has no positive in test, and the last labels of t4 are unknown."""
    rng = np.random.default_rng(seed)
    genome = random_genome({"a": 30_000, "b": 4_000}, letters="ACGT")
    windows = [("a", 40 * i) for i in range(N)]
    cytosines = np.array([genome["a"][start : start + WINDOW].count("C") for _, start in windows])
    chance = 1 / (1 + np.exp(-(cytosines[:, None] - 12 - np.arange(T)) / 2))
    labels = (rng.random((N, T)) < chance).astype(np.uint8)
    split = np.repeat([0, 1, 2], [200, 200, 300]).astype(np.uint8)
    labels[400:, 3] = 0
    known = np.ones((N, T), dtype=np.uint8)
    known[650:, 4] = 0
    return make_store(path, genome, windows, labels, window=WINDOW, split=split, known=known, names=names, force=force)


def few(**changes: Any) -> EvaluateConfig:
    return EvaluateConfig(resamples=60, min_positives=5, **changes)


def truth(store: Store, split: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    indices = store.indices(split)
    known = store.read_known(indices)
    assert known is not None
    return store.read_labels(indices), known
