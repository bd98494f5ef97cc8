"""Grad-CAM computed by hand, and positions of layers on the sequence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.errors import InputError
from noncoder.interpret.attribution import AttributionConfig, attribute
from noncoder.interpret.attribution.gradcam import class_activation, to_bases
from noncoder.interpret.layers import Layer, find_layer, list_layers, watching
from noncoder.models import SequenceModel, create_model, list_models
from tests.interpret.attribution.small import TASKS, WINDOW, Tiny, hot, lively, make_codes

LOCAL = ["compact", "danq", "danq-jaspar", "deepatt", "deepsea", "ncnet-brr", "wideresnet-lstm", "wideresnet-txl"]
"""Models whose features each see only a region of the sequence."""


def test_both_variants_by_hand() -> None:
    activations = torch.tensor([[[1.0, 2.0, 0.0], [3.0, 0.0, 1.0]]])  # two channels, three positions
    gradients = torch.tensor([[[3.0, 0.0, 0.0], [-1.0, -1.0, -4.0]]])  # channel weights 1 and -2
    paper = class_activation(activations, gradients, "paper")
    report = class_activation(activations, gradients, "report")
    torch.testing.assert_close(paper, torch.tensor([[0.0, 2.0, 0.0]]))  # of -5, 2 and -2
    torch.testing.assert_close(report, torch.tensor([[1.0, 2.0, 0.0]]))
    torch.testing.assert_close(class_activation(-activations, gradients, "report"), torch.tensor([[6.0, 0.0, 2.0]]))


def test_a_track_is_interpolated_between_centres() -> None:
    """Two positions 4 bp apart, the first centred on base 2."""
    layer = Layer("x", "Conv1d", 1, 2, step=4.0, first=2.0, last=False)
    track = to_bases(torch.tensor([[0.0, 8.0]]), layer, 10)
    torch.testing.assert_close(track, torch.tensor([[0.0, 0, 0, 2, 4, 6, 8, 8, 8, 8]]))
    halves = Layer("x", "MaxPool1d", 1, 3, step=2.0, first=0.5, last=False)
    np.testing.assert_allclose(
        to_bases(torch.tensor([[1.0, 5.0, 3.0]]), halves, 6)[0], np.interp(np.arange(6), [0.5, 2.5, 4.5], [1, 5, 3])
    )
    alone = Layer("x", "Conv1d", 1, 1, step=16.0, first=80.0, last=False)
    torch.testing.assert_close(to_bases(torch.tensor([[3.0]]), alone, 5), torch.full((1, 5), 3.0))


@pytest.mark.parametrize("variant", ["paper", "report"])
def test_gradcam_of_a_small_model_by_hand(variant: str) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv1d(4, 5, 3)
    weight = torch.randn(5, 10)
    model = Tiny(lambda x: (F.relu(convolution(x)) * weight).sum(dim=1, keepdim=True))
    model.layer = convolution
    codes = make_codes(2, 12, unknown=False)
    with torch.no_grad():
        activations = convolution(hot(codes))
        weights = ((activations > 0) * weight).mean(dim=2, keepdim=True)
        weighted = weights * activations
        cam = weighted.sum(dim=1).clamp(min=0) if variant == "paper" else weighted.clamp(min=0).sum(dim=1)
    expected = np.stack([np.interp(np.arange(12), np.arange(10) + 1, row) for row in cam.numpy()])
    settings = AttributionConfig(layer="first", variant=variant)
    found = attribute(model, codes, 0, "gradcam", settings)
    np.testing.assert_allclose(found.projected, expected, atol=1e-6)
    guided = attribute(model, codes, 0, "guided-backprop", settings).values
    both = attribute(model, codes, 0, "guided-gradcam", settings).values
    np.testing.assert_allclose(both, guided * expected[:, None], atol=1e-6)


@pytest.mark.parametrize("name", list_models())
def test_gradcam_works_at_every_layer(name: str) -> None:
    model, codes = lively(name), make_codes(2)
    layers = list_layers(model)
    assert len({layer.name for layer in layers}) == len(layers)
    x = hot(codes)
    part = next(model.children())
    part.training = True  # a model need not be in one mode throughout
    assert list_layers(model) == layers
    assert part.training
    assert not model.training
    part.training = False
    for layer in layers:
        with torch.no_grad(), watching(model, layer) as kept:
            logits = model(x)
        assert layer.by_channel(kept[0]).shape == (2, layer.channels, layer.positions)
        assert 0 <= layer.centres[0] <= layer.centres[-1] < WINDOW
        torch.testing.assert_close(logits, model(x))
    assert "features" not in vars(model)
    chosen = {"first", "last", layers[0].name, layers[len(layers) // 2].name, layers[-1].name}
    for place in chosen:
        found = attribute(model, codes, 0, "gradcam", AttributionConfig(layer=place, variant="report"))
        assert np.isfinite(found.values).all()
        assert (found.values >= 0).all()
        assert found.values.any() or found.warnings


@pytest.mark.parametrize("name", list_models())
def test_first_and_last_name_the_expected_layers(name: str) -> None:
    model = lively(name)
    first, last = find_layer(model, "first"), find_layer(model, "last")
    assert last.name == "features"
    with torch.no_grad():
        assert last.by_channel(model.features(hot(make_codes(1)))).shape == (1, last.channels, last.positions)
    expected = {"chromdl": "depthwise", "deepsea": "convolutions.0", "compact": "stem", "ncnet-brr": "stem"}
    expected |= {"ncnet-rbr": "blocks.0.convolutions.0", "wideresnet-lstm": "front", "wideresnet-txl": "front"}
    assert first.name == expected.get(name, "convolution")


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("name", LOCAL)
def test_positions_lie_in_the_middle_of_their_receptive_fields(name: str, place: str) -> None:
    """Receptive fields are measured by gradients: the bases that change a position, over sequences and channels."""
    model = lively(name)
    layer = find_layer(model, place)
    x = hot(make_codes(40, unknown=False)).requires_grad_()
    with watching(model, layer) as kept:
        model(x)
    output = layer.by_channel(kept[0])
    for at in {layer.positions // 2, layer.positions // 3}:
        (gradient,) = torch.autograd.grad(output[:, :, at].square().sum(), x, retain_graph=True)
        seen = np.flatnonzero(gradient.abs().amax(dim=(0, 1)).numpy())
        if seen[0] > 0 and seen[-1] < WINDOW - 1:  # else the window's end cuts the receptive field
            assert (seen[0] + seen[-1]) / 2 == pytest.approx(layer.centres[at], abs=2)
        elif len(seen) < WINDOW:
            inner = seen[-1] if seen[0] == 0 else seen[0]
            assert abs(inner - layer.centres[at]) > 1


@pytest.mark.parametrize(("width", "stride", "padding", "dilation"), [(7, 2, 3, 1), (7, 2, 1, 1), (5, 3, 4, 2)])
def test_padding_moves_positions_to_the_left(width: int, stride: int, padding: int, dilation: int) -> None:
    class Strided(SequenceModel):
        def __init__(self) -> None:
            super().__init__(1, 100, TASKS_CONFIG)
            self.convolution = nn.Conv1d(4, 1, width, stride, padding, dilation)
            self.output = nn.Linear(1, 1)

        def features(self, x: Tensor) -> Tensor:
            y: Tensor = self.convolution(x)
            return y

        def head(self, features: Tensor) -> Tensor:
            y: Tensor = self.output(features.mean(dim=2))
            return y

    model = Strided()
    layer = find_layer(model, "convolution")
    x = torch.zeros(1, 4, 100, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.features(x)[0, 0, 10], x)
    seen = np.flatnonzero(gradient[0].abs().sum(dim=0).numpy())
    assert layer.centres[10] == (seen[0] + seen[-1]) / 2
    assert layer.step == stride
    assert layer.first == dilation * (width - 1) / 2 - padding


def test_the_activation_peaks_at_the_motif() -> None:
    """An unpadded convolution that detects one word, and a pooling: the peak lies on the word."""

    class Finder(SequenceModel):
        def __init__(self) -> None:
            super().__init__(1, 100, TASKS_CONFIG)
            self.convolution = nn.Conv1d(4, 1, 9)
            self.output = nn.Linear(1, 1)
            with torch.no_grad():
                self.convolution.weight.copy_(hot(WORD[None])[0] - 0.25)
                self.convolution.bias.fill_(-5.0)  # type: ignore[union-attr]
                self.output.weight.fill_(1)

        def features(self, x: Tensor) -> Tensor:
            return F.max_pool1d(F.relu(self.convolution(x), inplace=True), 2)

        def head(self, features: Tensor) -> Tensor:
            logits: Tensor = self.output(features.sum(dim=2))
            return logits

    codes = make_codes(1, 100, unknown=False, seed=3)
    codes[0, 60:69] = WORD
    for layer in ("first", "last", "convolution"):
        found = attribute(Finder(), codes, 0, "gradcam", AttributionConfig(layer=layer))
        assert found.projected[0].argmax() == pytest.approx(64, abs=1)


WORD = np.array([0, 0, 1, 2, 3, 1, 1, 3, 0], dtype=np.uint8)
TASKS_CONFIG = create_model("compact", TASKS, WINDOW, {"channels": 8, "dilations": [1]}).config


def test_an_unknown_layer_is_refused_with_a_list_of_all_layers() -> None:
    model = lively("wideresnet-txl")
    with pytest.raises(InputError, match=r"(?s)blocks\.2.*did you mean 'blocks\.1'") as error:
        find_layer(model, "block.1")
    for layer in list_layers(model):
        assert layer.name in str(error.value)


def test_the_features_of_deepsea_have_the_expected_positions() -> None:
    model = create_model("deepsea", 2, 1000, {"hidden": 4})
    last = find_layer(model, "last")
    # 8 bp kernels and poolings by 4: centres 3.5, then 1.5 further, 4 * 3.5, 4 * 1.5, 16 * 3.5.
    assert (last.positions, last.step, last.first) == (53, 16.0, 3.5 + 1.5 + 14 + 6 + 56)
