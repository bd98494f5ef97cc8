"""Dense layers at the end of a network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.models.layers.dropout import Dropout


class NormalisedLinear(nn.Linear):
    """A linear map whose weight vectors have norm one, so that no output is favoured for the norm of its weights.

    Weight vector normalisation (Kim & Kim 2019, arXiv:1912.01857). The 2020 report sets the norms to one after each
    backward pass; here the forward pass normalizes, so the gradient takes it into account.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(…, features in) -> (…, features out)."""
        return F.linear(input, F.normalize(self.weight, dim=1), self.bias)


class DenseBlock(nn.Sequential):
    """A linear map without bias (the batch norm replaces it), batch norm, ReLU and dropout.

    Args:
        features_in: F of (N, F).
        features_out: F' of (N, F').
        dropout: Fraction of the units that are dropped.
    """

    def __init__(self, features_in: int, features_out: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(features_in, features_out, bias=False),
            nn.BatchNorm1d(features_out),
            nn.ReLU(),
            Dropout(dropout),
        )
