"""Grad-CAM and guided Grad-CAM at any layer."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from noncoder.data.loading import one_hot
from noncoder.interpret.attribution.gradients import corrected, guided_gradient
from noncoder.interpret.attribution.methods import AttributionConfig, AttributionPart, register
from noncoder.interpret.attribution.target import Target
from noncoder.interpret.layers import Layer, find_layer, watching


def class_activation(activations: Tensor, gradients: Tensor, variant: Literal["paper", "report"]) -> Tensor:
    """Computes the Grad-CAM map from a layer's activations and their gradients, (N, C, P) -> (N, P).

    The weight of a channel is its mean gradient over positions. "paper" takes the positive part of the weighted sum
    over channels; "report" sums the positive parts of the weighted channels.
    """
    weighted = activations * gradients.mean(dim=2, keepdim=True)
    return F.relu(weighted.sum(dim=1)) if variant == "paper" else F.relu(weighted).sum(dim=1)


def to_bases(track: Tensor, layer: Layer, window: int) -> Tensor:
    """Interpolates a track over a layer's positions (N, P) to bases (N, L).

    Interpolation is linear between the centres of the positions' receptive fields, which unpadded convolutions and
    poolings shift. The values are constant before the first and after the last centre.
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
    about="activation of a layer's channels, weighted by their mean gradients and interpolated to base pairs",
    source="Selvaraju et al. 2017, arXiv:1610.02391",
    hypothetical=False,
)
def gradcam(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """Class activation, the same for all four bases."""
    return AttributionPart(_cam(target, codes, settings).unsqueeze(1).expand(-1, 4, -1))


@register(
    "guided-gradcam",
    about="guided backpropagation times the class activation",
    source="Selvaraju et al. 2017, arXiv:1610.02391",
)
def guided_gradcam(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """Guided gradient of each base times the class activation."""
    guided = corrected(guided_gradient(target, one_hot(codes)), settings)
    return AttributionPart(guided * _cam(target, codes, settings).unsqueeze(1))
