"""Grad-CAM and guided Grad-CAM at any layer."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from noncoder.data.loading import one_hot
from noncoder.interpret.attribution.gradients import guided_gradient
from noncoder.interpret.attribution.methods import AttributionConfig, AttributionPart, register
from noncoder.interpret.attribution.target import Target, subtract_mean
from noncoder.interpret.layers import Layer, find_layer, watching


def class_activation(activations: Tensor, gradients: Tensor, variant: Literal["paper", "report"]) -> Tensor:
    """Grad-CAM's map from a layer's activations and the gradients by them, (N, C, P) -> (N, P).

    A channel weighs as much as its mean gradient over positions. The paper takes the positive part of the weighted sum
    over channels; the report sums the positive parts of the channels.
    """
    weighted = activations * gradients.mean(dim=2, keepdim=True)
    return F.relu(weighted.sum(dim=1)) if variant == "paper" else F.relu(weighted).sum(dim=1)


def to_bases(track: Tensor, layer: Layer, window: int) -> Tensor:
    """A track over a layer's positions (N, P), on bases (N, L).

    Linear between the centres of the positions' receptive fields, which unpadded convolutions and poolings move;
    before the first and after the last centre it keeps their values.
    """
    bases, centres = np.arange(window), layer.centres
    right = np.searchsorted(centres, bases).clip(1, max(1, layer.positions - 1))
    if layer.positions == 1:
        return track.expand(-1, window)
    share = ((bases - centres[right - 1]) / (centres[right] - centres[right - 1])).clip(0, 1)
    after = torch.from_numpy(right).to(track.device)
    return torch.lerp(track[:, after - 1], track[:, after], torch.from_numpy(share).to(track))


def _cam(target: Target, codes: Tensor, settings: AttributionConfig) -> Tensor:
    layer = find_layer(target.model, settings.layer)
    x = one_hot(codes).requires_grad_()
    with watching(target.model, layer) as kept:
        logits = target(x)
    (gradient,) = torch.autograd.grad(logits.sum(), kept[:1], allow_unused=True, materialize_grads=True)
    activations = layer.by_channel(kept[0].detach())
    return to_bases(class_activation(activations, layer.by_channel(gradient), settings.variant), layer, codes.shape[1])


@register(
    "gradcam",
    about="how active the channels of a layer are that speak for the task, brought to base pairs",
    source="Selvaraju et al. 2017, arXiv:1610.02391",
    hypothetical=False,
)
def gradcam(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """The class activation, the same for all bases."""
    return AttributionPart(_cam(target, codes, settings).unsqueeze(1).expand(-1, 4, -1))


@register(
    "guided-gradcam",
    about="guided backpropagation where the class activation is",
    source="Selvaraju et al. 2017, arXiv:1610.02391",
)
def guided_gradcam(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """The guided gradient at all bases, times the class activation."""
    guided = guided_gradient(target, one_hot(codes))
    if settings.correct:
        guided = subtract_mean(guided)
    return AttributionPart(guided * _cam(target, codes, settings).unsqueeze(1))
