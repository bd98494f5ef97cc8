"""Dense layers at the end of a network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.models.layers.dropout import Dropout


class NormalisedLinear(nn.Linear):
    """A linear map whose outputs' weight vectors have length one, so that none is favoured for its length.

    Weight vector normalisation (Kim & Kim 2019, arXiv:1912.01857) as the 2020 report meant it; there the weights were
    to be set to length one after each backward pass, here the forward pass does it, and the gradient knows it.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(…, features in) -> (…, features out)."""
        return F.linear(input, F.normalize(self.weight, dim=1), self.bias)


class DenseBlock(nn.Sequential):
    """A linear map, batch norm, which makes its bias needless, ReLU and dropout.

    Args:
        features_in: F of (N, F).
        features_out: F' of (N, F').
        dropout: Share of the units that are left out.
    """

    def __init__(self, features_in: int, features_out: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(features_in, features_out, bias=False),
            nn.BatchNorm1d(features_out),
            nn.ReLU(),
            Dropout(dropout),
        )
