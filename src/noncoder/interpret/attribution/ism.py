"""In-silico mutagenesis as an attribution."""

from __future__ import annotations

import torch
from torch import Tensor

from noncoder.interpret.attribution.methods import AttributionConfig, AttributionPart, register
from noncoder.interpret.attribution.target import Target
from noncoder.interpret.mutagenesis import mutate

_SEQUENCES = 8  # per progress report; `mutate` batches the mutants


@register(
    "ism",
    about="logit with each base at each position, minus the mean of the four: exact but slow",
    source="Zhou & Troyanskaya 2015, doi:10.1038/nmeth.3547",
    copies=lambda settings: max(1, settings.batch_size // _SEQUENCES),
)
def ism(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """Effect of each base minus the mean effect of the four bases."""
    mutations = mutate(target.model, codes.cpu().numpy(), list(target.tasks), batch_size=settings.batch_size)
    effects = torch.from_numpy(mutations.substitutions).mean(dim=3)
    return AttributionPart((effects - effects.mean(dim=1, keepdim=True)).to(codes.device))
