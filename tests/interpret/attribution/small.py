"""Small models of every kind whose every weight has an effect, and sequences for them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.config import Section
from noncoder.data.loading import one_hot
from noncoder.interpret.attribution import AttributionConfig
from noncoder.models import SequenceModel, create_model
from tests.models.test_models import SMALL

TASKS, WINDOW = 3, 176
QUICK = AttributionConfig(references=3, steps=4, samples=3, batch_size=7)


def make_codes(n: int = 3, window: int = WINDOW, seed: int = 0, unknown: bool = True) -> NDArray[np.uint8]:
    codes = np.random.default_rng(seed).integers(0, 4, (n, window)).astype(np.uint8)
    if unknown:
        codes[0, 40:44] = 4
        codes[-1, :9] = 4
    return codes


def hot(codes: NDArray[np.uint8]) -> Tensor:
    return one_hot(torch.from_numpy(codes))


@cache
def lively(name: str) -> SequenceModel:
    """Returns a model with trained norm statistics whose logits differ between sequences; shared by the tests."""
    return make_lively(name, SMALL[name])


def make_lively(name: str, settings: dict[str, Any]) -> SequenceModel:
    torch.manual_seed(0)
    model = create_model(name, TASKS, WINDOW, settings)
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():  # a zero weight would hide its input
            torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        for seed in range(20):
            model.train()(hot(make_codes(16, seed=seed + 1)))
        model.eval()
        logits = model(hot(make_codes(32, seed=99)))
        model.output.weight /= logits.std(dim=0).mean()
    return model


class Tiny(SequenceModel):
    """Model made of one function, for cases that no built-in model covers."""

    def __init__(self, function: Any, tasks: int = 1, window: int = 12) -> None:
        super().__init__(tasks, window, Section())
        self.function = function
        self.output = torch.nn.Linear(1, tasks)

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.function(x)
        return features

    def head(self, features: Tensor) -> Tensor:
        return features.flatten(1).sum(dim=1, keepdim=True)
