"""Trunks: descriptions of all models compared with their features, and reach of mutations in random layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noncoder.interpret.mutagenesis.edits import Edits, Kind, list_edits, shifted
from noncoder.interpret.mutagenesis.families import NotLocalError, describe_trunk
from noncoder.interpret.mutagenesis.heads import splice
from noncoder.interpret.mutagenesis.incremental import Incremental
from noncoder.interpret.mutagenesis.trunk import Grid, Span, Term, Trunk, convolution, normed
from noncoder.interpret.mutagenesis.windows import Reference
from noncoder.models import list_models
from tests.interpret.mutagenesis.reference import as_x, random_codes, scatter_weights, small_model
from tests.models.test_models import CORNERS, REFUSED, corners

CASES = [(name, parameters) for name in list_models() for parameters in ({}, *corners(name), *CORNERS.get(name, []))]


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_a_described_trunk_gives_the_features(name: str, parameters: dict[str, Any]) -> None:
    if any((name, key, value) in REFUSED for key, value in parameters.items() if isinstance(value, str)):
        return
    model = small_model(name, 171, parameters)
    try:
        trunk = describe_trunk(model)
    except NotLocalError:
        assert name in ("chromdl", "ncnet-rbr") or parameters.get("squeeze") or parameters.get("order") == "lstm-blocks"
        return
    x = as_x(random_codes(1, 171))
    with torch.no_grad():
        np.testing.assert_allclose(trunk.full(x[0])[-1].t(), model.features(x)[0], rtol=1e-10, atol=1e-10)


Layers = list[Callable[[Tensor], Tensor]]


@st.composite
def local_layers(draw: st.DrawFn) -> tuple[Trunk, Layers]:
    """A few layers of random geometry, as a trunk and as PyTorch layers."""
    trunk, at, channels = Trunk(), 0, 4
    layers: Layers = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["convolution", "maximum", "residual", "norm"]))
        if kind == "maximum":
            taps, stride, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 2))
            grid, ceil = Grid(taps, stride, draw(st.integers(0, taps // 2)), dilation), draw(st.booleans())
            at = trunk.maximum(at, taps, grid, ceil)
            layers.append(nn.MaxPool1d(*grid, ceil_mode=ceil))
        elif kind == "norm":
            norm = nn.BatchNorm1d(channels).double().eval()
            scatter_weights(norm)
            at = trunk.pointwise(at, normed(norm, F.relu_))
            layers.append(lambda x, norm=norm: F.relu(norm(x)))  # type: ignore[misc]
        elif kind == "residual":
            dilation, kernel = draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 5]))
            layer = nn.Conv1d(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation).double()
            at = trunk.add((Term(at), None), convolution(at, layer))
            layers.append(lambda x, layer=layer: x + layer(x))  # type: ignore[misc]
        else:
            kernel, stride = draw(st.integers(1, 9)), draw(st.integers(1, 4))
            padding, dilation = draw(st.integers(0, 5)), draw(st.integers(1, 3))
            layer = nn.Conv1d(channels, 6, kernel, stride, padding, dilation, draw(st.sampled_from([1, 2]))).double()
            at, channels = trunk.add(convolution(at, layer)), 6
            layers.append(layer)
    return trunk, layers


@settings(max_examples=120, deadline=None)
@given(local_layers(), st.integers(60, 75), st.sampled_from(["substitution", "deletion", "insertion"]))
def test_changed_features_of_random_layers(made: tuple[Trunk, Layers], length: int, kind: Kind) -> None:
    trunk, layers = made

    def features(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    codes = random_codes(1, length)[0]
    edits = list_edits(kind, codes, (0, length))
    with torch.no_grad():
        try:
            plain = features(as_x(edits.apply(codes)))
        except RuntimeError:  # the sequence is too short for the layers
            return
        ours = Incremental(trunk, None, torch.device("cpu"), torch.float64)  # type: ignore[arg-type]
        before, after = (trunk.full(as_x(part[None])[0]) for part in (codes, shifted(codes, kind)))
        reference = Reference(before, before if kind == "substitution" else after)
        width = before[-1].shape[0] if kind != "substitution" else ours._width(kind, before[-1].shape[0])
        change = ours.change(reference, edits, width)
        found = splice(before[-1].t()[None], change)
    assert (change.start.diff() >= 0).all()
    assert int(change.start.min()) >= 0
    assert int(change.start.max()) < before[-1].shape[0]
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-10 * max(1, float(plain.abs().max())))


@given(
    st.integers(1, 6), st.integers(1, 4), st.integers(0, 5), st.integers(1, 3), st.integers(0, 20), st.integers(0, 4)
)
def test_reach_contains_the_outputs_that_overlap_a_span(
    taps: int, stride: int, padding: int, dilation: int, start: int, width: int
) -> None:
    grid, span = Grid(taps, stride, padding, dilation), Span(start, start + width)
    reached = grid.reach(span)
    for output in range(-10, 40):
        read = [output * stride - padding + tap * dilation for tap in range(taps)]
        touches = min(read) < span.end and max(read) >= span.start
        assert touches == (reached.start <= output < reached.end)


def test_edits_equal_edits_made_by_hand() -> None:
    codes = np.array([0, 1, 4, 3], dtype=np.uint8)
    assert len(list_edits("substitution", codes, (0, 4))) == 13
    np.testing.assert_array_equal(list_edits("deletion", codes, (1, 3)).apply(codes), [[0, 4, 3, 4], [0, 1, 3, 4]])
    inserted = Edits("insertion", np.array([0, 3]), np.array([2, 1], dtype=np.uint8)).apply(codes)
    np.testing.assert_array_equal(inserted, [[2, 0, 1, 4], [0, 1, 4, 1]])
    np.testing.assert_array_equal(shifted(codes, "deletion"), [1, 4, 3, 4])
    np.testing.assert_array_equal(shifted(codes, "insertion"), [4, 0, 1, 4])


def test_strides_that_do_not_divide_are_refused() -> None:
    trunk = Trunk()
    at = trunk.maximum(trunk.maximum(0, 2), 2)
    trunk.strides[at] = 3
    with pytest.raises(ValueError, match="strides"):
        Incremental(trunk, None, torch.device("cpu"), torch.float64)  # type: ignore[arg-type]
