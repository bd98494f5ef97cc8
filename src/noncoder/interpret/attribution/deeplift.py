"""DeepLIFT with shuffled references, an estimate of SHAP values."""

from __future__ import annotations

import torch
from torch import Tensor

from noncoder.data.loading import one_hot
from noncoder.interpret.attribution.methods import AttributionConfig, AttributionPart, register
from noncoder.interpret.attribution.references import contributions, reference_count, references, unshuffled
from noncoder.interpret.attribution.rules import Rescale
from noncoder.interpret.attribution.target import Target


@register(
    "deeplift",
    about="DeepLIFT's rescale rule against shuffled references (DeepLIFT/SHAP)",
    source="Shrikumar et al. 2017, arXiv:1704.02685; Lundberg & Lee 2017, arXiv:1705.07874",
    copies=reference_count,
)
def deeplift(target: Target, codes: Tensor, settings: AttributionConfig) -> AttributionPart:
    """Contributions of all bases, averaged over the references."""
    x, against = one_hot(codes), references(codes, settings)
    rules = Rescale(settings.nodes)
    logits = rules.record(target, x).detach()
    multipliers, before = [], []
    for some in torch.split(against, max(1, settings.batch_size // len(x)), dim=1):
        # References first, sequences second: `Rescale` repeats the recorded tensors in this order.
        rows = some.transpose(0, 1).flatten(0, 1).contiguous().requires_grad_()
        outputs = rules.compare(target, rows)
        (found,) = torch.autograd.grad(outputs.sum(), rows)
        multipliers.append(found.view(some.shape[1], len(x), *x.shape[1:]).transpose(0, 1))
        before.append(outputs.detach().view(some.shape[1], len(x)).t())
    explained = logits.double() - torch.cat(before, dim=1).double().mean(dim=1)
    return AttributionPart(contributions(torch.cat(multipliers, dim=1), against), explained, unshuffled(against, x))
