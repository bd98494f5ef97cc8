"""Models on regions of several bins, against the same models window by window."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from noncoder.errors import InputError
from noncoder.models import SequenceModel, create_model
from noncoder.models.regions import RegionModel
from tests.models.test_models import one_hot_dna

TASKS = 5


def make(name: str, window: int, **parameters: Any) -> SequenceModel:
    torch.manual_seed(0)
    model = create_model(name, TASKS, window, parameters).double().eval()
    for part in model.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(part.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return model


def by_window(model: SequenceModel, x: Tensor, bins: int, step: int) -> Tensor:
    """(N * R, T), each window by itself."""
    windows = x.unfold(2, model.window, step)[:, :, :bins].transpose(1, 2).flatten(0, 1)
    logits: Tensor = model(windows)
    return logits


@pytest.mark.parametrize(("step", "grids"), [(16, 1), (32, 1), (24, 2), (40, 2), (200, 2), (20, 4), (4, 4)])
@pytest.mark.parametrize("bins", [1, 2, 7])
def test_a_trunk_without_padding_gives_the_same_logits(step: int, grids: int, bins: int) -> None:
    model = make("deepsea", 400, hidden=16)
    if grids > 1 and grids * ((bins - 1) * step + 400) >= bins * 400:  # the offsets cost as much as the overlap saves
        with pytest.raises(InputError, match=f"{grids} times"):
            RegionModel(model, bins, step)
        return
    regions = RegionModel(model, bins, step)
    assert regions.grids == grids
    x = one_hot_dna(3, regions.length).double()
    with torch.no_grad():
        torch.testing.assert_close(regions(x), by_window(model, x, bins, step), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "parameters", "reach"),
    [
        ("compact", {"channels": 8, "heads": 2, "dilations": [1, 2]}, 15 // 2 + 8 * 2 * (1 + 2) + 8),
        ("wideresnet-lstm", {"width": 16, "expansion": 2, "hidden": 8}, 120),
    ],
)
def test_features_away_from_the_ends_are_those_of_a_window(name: str, parameters: dict[str, Any], reach: int) -> None:
    model, step, bins = make(name, 400, **parameters), 40, 12
    regions = RegionModel(model, bins, step)
    x = one_hot_dna(2, regions.length).double()
    with torch.no_grad():
        together, each = model.features(x), model.features(x.unfold(2, 400, step)[:, :, 5])
    positions = each.shape[2]
    assert model.feature_step is not None
    edge = -(-reach // model.feature_step)
    assert positions > 2 * edge
    first = 5 * step // model.feature_step
    torch.testing.assert_close(
        together[:, :, first + edge : first + positions - edge], each[:, :, edge:-edge], rtol=0, atol=1e-10
    )


def test_flanks_of_n_are_nearly_the_padding_of_a_window() -> None:
    # Only the stem sees N as it sees padding: further layers see what norms and biases make of it.
    model = make("compact", 400, channels=8, heads=2, dilations=[], pool=8)
    x = one_hot_dna(2, 400).double()
    flanked = torch.zeros(2, 4, 400 + 4 * 40, dtype=torch.float64)
    flanked[:, :, 80:480] = x
    with torch.no_grad():
        logits = RegionModel(model, 5, 40)(flanked).unflatten(0, (2, 5))
        torch.testing.assert_close(logits[:, 2], model(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["compact", "deepsea", "wideresnet-txl"])
def test_training_reaches_every_parameter(name: str) -> None:
    small: dict[str, dict[str, Any]] = {
        "compact": {"channels": 8}, "deepsea": {"hidden": 8},
        "wideresnet-txl": {"width": 16, "expansion": 2, "core_layers": 1, "hidden": 8},
    }  # fmt: skip
    model = make(name, 400, **small[name]).train()
    regions = RegionModel(model, 6, 80)
    logits = regions(one_hot_dna(2, regions.length).double())
    assert logits.shape == (12, TASKS)
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.requires_grad)
    assert model.training
    assert regions(one_hot_dna(2, regions.length).double()[:0]).shape == (0, TASKS)


def test_modes_are_kept() -> None:
    model = make("compact", 400, channels=8).train()
    model.get_submodule("dropout").eval()
    RegionModel(model, 4, 80)
    assert model.training
    assert not model.get_submodule("dropout").training


class TestRefusals:
    def test_a_model_that_reads_windows_alone(self) -> None:
        with pytest.raises(InputError, match=r"reads windows alone(.|\n)*feature_step"):
            RegionModel(make("wideresnet-txl", 400, width=16, expansion=2, squeeze=2, core_layers=1), 4, 80)

    def test_regions_that_save_nothing(self) -> None:
        with pytest.raises(InputError, match=r"would read a region of 8 bins 13 times"):
            RegionModel(make("danq", 400, kernels=4, units=4, hidden=4), 8, 80)

    def test_an_input_of_another_length(self) -> None:
        regions = RegionModel(make("compact", 400, channels=8), 4, 80)
        with pytest.raises(InputError, match=r"expected: one-hot DNA \(N, 4, 640\)"):
            regions(one_hot_dna(1, 400).double())
