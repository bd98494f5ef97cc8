"""Methods based on the gradient at the sequence."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.data.loading import one_hot
from noncoder.interpret.attribution.methods import AttributionConfig, AttributionPart, register
from noncoder.interpret.attribution.references import seed_of
from noncoder.interpret.attribution.rules import Guided
from noncoder.interpret.attribution.target import Target
from noncoder.sequence.encoding import N_CODE


def corrected(gradient: Tensor, settings: AttributionConfig) -> Tensor:
    """Subtracts the mean over the four bases from a gradient (N, 4, L), unless the settings keep it.

    Columns of one-hot DNA sum to one, so a network never sees data that vary along the mean, and its gradient in that
    direction is noise (Majdandzic et al. 2023, doi:10.1186/s13059-023-02956-3).
    """
    return gradient - gradient.mean(dim=1, keepdim=True) if settings.correct else gradient


def _generator(codes: NDArray[np.uint8], seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(codes, seed))


@register(
    "input-x-gradient",
    about="gradient with respect to each base; for the present base this is input times gradient",
    source="Shrikumar et al. 2016, arXiv:1605.01713; Majdandzic et al. 2023, doi:10.1186/s13059-023-02956-3",
)
def input_x_gradient(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """Gradient with respect to each base."""
    return AttributionPart(corrected(target.gradient(one_hot(codes)), settings))


@register(
    "saliency",
    about="absolute gradient with respect to each base",
    source="Simonyan et al. 2014, arXiv:1312.6034; Majdandzic et al. 2023, doi:10.1186/s13059-023-02956-3",
)
def saliency(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """Absolute gradient with respect to each base."""
    return AttributionPart(corrected(target.gradient(one_hot(codes)), settings).abs())


@register(
    "smooth-grad",
    about="gradient with respect to each base, averaged over noisy copies of the sequence",
    source="Smilkov et al. 2017, arXiv:1706.03825",
    copies=lambda settings: settings.samples,
)
def smooth_grad(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """Mean gradient with respect to each base; Ns get no noise."""
    x, known = one_hot(codes), (codes != N_CODE).unsqueeze(1)
    shape = (settings.samples, *x.shape[1:])
    noise = torch.stack(  # the noise of a sequence does not depend on its batch
        [torch.randn(shape, generator=_generator(row, settings.seed)) for row in codes.cpu().numpy()]
    )
    rows = (x[:, None] + settings.noise * noise.to(x.device) * known[:, None]).flatten(0, 1)
    gradients = torch.cat([target.gradient(some) for some in torch.split(rows, settings.batch_size)])
    return AttributionPart(corrected(gradients.view(len(x), *shape).mean(dim=1), settings))


@register(
    "guided-backprop",
    about="gradient that passes only positive values through every rectifier, forward and backward",
    source="Springenberg et al. 2015, arXiv:1412.6806",
)
def guided_backprop(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """Guided gradient with respect to each base."""
    return AttributionPart(corrected(guided_gradient(target, one_hot(codes)), settings))


def guided_gradient(target: Target, x: Tensor) -> Tensor:
    """Returns the gradient of guided backpropagation with respect to x, (N, 4, L)."""
    x = x.detach().requires_grad_()
    with Guided():
        logits = target(x)
    return torch.autograd.grad(logits.sum(), x)[0]
