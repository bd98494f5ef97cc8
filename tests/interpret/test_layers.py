"""The first convolution is found once: Grad-CAM's `first` and the kernels that are motifs are the same layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from noncoder.config.section import Section
from noncoder.interpret.layers import find_layer, first_convolution
from noncoder.interpret.motifs.filters import find_first_layer
from noncoder.models import SequenceModel, create_model, list_models
from tests.models.test_models import SMALL

WINDOW = 200
FIRST = {
    "chromdl": ("depthwise", False),
    "deepsea": ("convolutions.0", True),
    "ncnet-rbr": ("blocks.0.convolutions.0", False),
    "wideresnet-lstm": ("front", True),
    "wideresnet-txl": ("front", True),
}


@pytest.mark.parametrize("name", list_models())
def test_it_is_one_layer_for_all_who_ask(name: str) -> None:
    model = create_model(name, 2, WINDOW, SMALL[name])
    found = first_convolution(model)
    assert found is not None
    assert found.name == find_layer(model, "first").name
    if name in FIRST:
        assert (found.name, found.reads_bases) == FIRST[name]
    if found.reads_bases:
        assert find_first_layer(model).module is found.module
    assert not any(module._forward_hooks for module in model.modules())


class Padded(SequenceModel):
    def __init__(self, padding: str) -> None:
        super().__init__(1, WINDOW, Section())
        self.convolution = nn.Conv1d(4, 3, 7, padding=padding)
        self.output = nn.Linear(3, 1)

    def features(self, x: Tensor) -> Tensor:
        found: Tensor = self.convolution(x)
        return found

    def head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.output(features.amax(dim=2))
        return logits


@pytest.mark.parametrize(("padding", "before"), [("same", 3), ("valid", 0)])
def test_padding_by_name_is_counted(padding: str, before: int) -> None:
    layer = find_first_layer(Padded(padding))
    assert (layer.width, layer.padding) == (7, before)


def test_a_model_without_a_convolution_has_none() -> None:
    class Plain(Padded):
        def features(self, x: Tensor) -> Tensor:
            return torch.relu(x[:, :3])

    assert first_convolution(Plain("same")) is None
