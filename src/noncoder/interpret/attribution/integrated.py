"""Integrated gradients, through captum."""

from __future__ import annotations

import torch
from torch import Tensor

from noncoder.data.loading import one_hot
from noncoder.interpret.attribution.methods import AttributionConfig, AttributionPart, register
from noncoder.interpret.attribution.references import contributions, reference_count, references, unshuffled
from noncoder.interpret.attribution.target import Target


@register(
    "integrated-gradients",
    about="gradients averaged along the path from references to the sequence; exact in the limit of many steps",
    source="Sundararajan et al. 2017, arXiv:1703.01365; over shuffles: Erion et al. 2021, arXiv:1906.10670",
    copies=reference_count,
)
def integrated_gradients(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """Contributions of all bases, averaged over the references."""
    from captum.attr import IntegratedGradients

    # Without the product with the inputs, which would zero the multipliers of absent bases.
    method = IntegratedGradients(target, multiply_by_inputs=False)
    x, against = one_hot(codes), references(codes, settings)
    rows = x.repeat_interleave(against.shape[1], dim=0)
    begins = against.flatten(0, 1)
    multipliers, before = [], []
    each = settings.batch_size
    for row, begin in zip(torch.split(rows, each), torch.split(begins, each), strict=True):
        multipliers.append(method.attribute(row, begin, n_steps=settings.steps, internal_batch_size=each).detach())
        with torch.no_grad():
            before.append(target(begin).double())
    with torch.no_grad():
        logits = target(x).double()
    shape = against.shape[:2]
    explained = logits - torch.cat(before).view(shape).mean(dim=1)
    values = contributions(torch.cat(multipliers).view(against.shape).to(x.dtype), against)
    return AttributionPart(values, explained, unshuffled(against, x))
