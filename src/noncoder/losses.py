"""Training losses on logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def binary_cross_entropy(logits: Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
    """The mean binary cross-entropy over the known labels, in nats.

    Args:
        logits: (N, T).
        labels: (N, T), 0 or 1, of any type.
        known: (N, T), true where the label counts; None for everywhere.

    Returns:
        A scalar; 0 where no label is known.
    """
    losses = F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none")
    if known is None:
        return losses.mean()
    return (losses * known).sum() / known.sum().clamp(min=1)
