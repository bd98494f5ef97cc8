"""In-silico mutagenesis as an attribution."""

from __future__ import annotations

import torch
from torch import Tensor

from noncoder.interpret.attribution.methods import AttributionConfig, AttributionPart, register
from noncoder.interpret.attribution.target import Target
from noncoder.interpret.mutagenesis import mutate

_TOGETHER = 8  # sequences between two reports of progress; mutants are batched by `mutate`


@register(
    "ism",
    about="the logit with each base at each position, less its mean over the four: exact, and slow",
    source="Zhou & Troyanskaya 2015, doi:10.1038/nmeth.3547",
    copies=lambda settings: max(1, settings.batch_size // _TOGETHER),
)
def ism(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """The effect of each base, less the mean effect of the four."""
    mutations = mutate(target.model, codes.cpu().numpy(), list(target.tasks), batch_size=settings.batch_size)
    effects = torch.from_numpy(mutations.substitutions).mean(dim=3)
    return AttributionPart((effects - effects.mean(dim=1, keepdim=True)).to(codes.device))
