"""A small network that has learned the rules of a small simulated genome, trained in seconds."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from noncoder.config import SimulateConfig
from noncoder.data.loading import one_hot, reverse_strand
from noncoder.data.simulate import motifs_path, simulate_store
from noncoder.models import create_model
from noncoder.models.registry import set_prior_bias
from noncoder.predictor import Predictor
from noncoder.sequence.motifs import Motif, read_meme

WINDOW, BIN = 320, 160
_EPOCHS, _BATCH = 8, 64


class Trained(NamedTuple):
    predictor: Predictor
    motifs: dict[str, Motif]
    codes: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@cache
def trained() -> Trained:
    """CTCF, GATA3+SPI1 and REST-NRF1, with all windows and labels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.zarr"
        config = SimulateConfig(
            windows=5000, tasks=3, window=WINDOW, bin=BIN, positive_rate=0.15, decoys=2, label_noise=0
        )
        store = simulate_store(config, path)
        motifs = {motif.name: motif for motif in read_meme(motifs_path(path))}
        all_codes, all_labels = (read(np.arange(len(store))) for read in (store.read_codes, store.read_labels))
        train = store.indices("train")
    torch.manual_seed(0)
    model = create_model("compact", 3, WINDOW, {"channels": 24, "dilations": [1, 2, 4]})
    codes, wanted = torch.from_numpy(all_codes[train]), torch.from_numpy(all_labels[train]).float()
    set_prior_bias(model, wanted.mean(dim=0))
    steps = _EPOCHS * (len(codes) // _BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.006, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.006, total_steps=steps)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(codes))[: len(codes) // _BATCH * _BATCH].split(_BATCH):
            flip = torch.rand(len(rows)) < 0.5
            x = one_hot(torch.where(flip[:, None], reverse_strand(codes[rows]), codes[rows]))
            loss = F.binary_cross_entropy_with_logits(model(x), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    optimizer.zero_grad()
    return Trained(Predictor(model.eval(), store.tasks, BIN), motifs, all_codes, all_labels)
