"""Networks whose grammar is known exactly, since they count k-mers and nothing else."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from noncoder.config import Section
from noncoder.data.loading import one_hot
from noncoder.data.tasks import Task
from noncoder.models import SequenceModel
from noncoder.predictor import Predictor
from noncoder.sequence.encoding import encode, reverse_complement
from noncoder.sequence.motifs import Motif

WINDOW, BIN, GAP = 160, 80, 10
FIRST, SECOND = "GATTACAG", "CCGCGTTG"
SINGLE, PAIR, WITHOUT = 0, 1, 2


class Rules(SequenceModel):
    """Task 0: 4 where FIRST is in the bin. Task 1: 6 where SECOND lies at most GAP bp from it. Task 2: 4 for FIRST,
    less 3 for SECOND. Both strands and orders; k-mers count where they lie in the bin wholly."""

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__(3, WINDOW, Section())
        self.name = "rules"
        words = [word for text in (FIRST, SECOND) for word in (encode(text), reverse_complement(encode(text)))]
        self.register_buffer("kernels", one_hot(torch.from_numpy(np.stack(words))))
        self.output = nn.Linear(3, 3)
        with torch.no_grad():
            self.output.weight.copy_(torch.tensor([[4.0, 0, 0], [0, 0, 6.0], [4.0, -3.0, 0]]))
            self.output.bias.zero_()

    def features(self, x: Tensor) -> Tensor:
        assert not self.training
        width = self.kernels.shape[-1]
        hit = F.relu(F.conv1d(x, self.kernels) - (width - 1))
        flank = (WINDOW - BIN) // 2
        hit = hit[:, :, flank : WINDOW - flank - width + 1].unflatten(1, (2, 2)).amax(dim=2)
        reach = width + GAP
        near = F.max_pool1d(hit[:, 1:], 2 * reach + 1, 1, reach)[:, 0]
        return torch.stack([*hit.amax(dim=2).T, (hit[:, 0] * near).amax(dim=1)], dim=1)

    def head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.output(features)
        return logits


def predictor() -> Predictor:
    return Predictor(Rules(), tuple(Task(name) for name in ("single", "pair", "without")), BIN)


def motif(name: str, text: str, certain: float = 1.0) -> Motif:
    hot = np.eye(4)[encode(text)].T
    return Motif(name, hot * certain + (1 - certain) / 4)


def windows(n: int = 40, seed: int = 0, length: int = WINDOW) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 4, (n, length), dtype=np.uint8)


def small_network(seed: int = 0) -> SequenceModel:
    from noncoder.models import create_model

    torch.manual_seed(seed)
    return create_model("compact", 3, WINDOW, {"channels": 8, "dilations": [1]})
