"""Pooling over the positions of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CentreBias(nn.Module):
    """A learned number for each position and output, a smooth function of the distance from the window's centre.

    It is a sum of Gaussian bumps over the distance in bp, equal on both sides, so both strands are treated alike.

    Args:
        outputs: Number of outputs, K.
        step: Distance between neighbouring positions, bp.
        reach: Larger distances count as this one, bp.
        bumps: Number of bumps.
    """

    def __init__(self, outputs: int, step: float, reach: float = 500.0, bumps: int = 16) -> None:
        super().__init__()
        self.step, self.reach = step, reach
        # Initially positions within about 150 bp of the centre count, and those beyond hardly count.
        self.heights = nn.Parameter((-((torch.linspace(0, reach, bumps) / 150) ** 2)).clamp(min=-4).repeat(outputs, 1))

    def forward(self, length: int) -> Tensor:
        """(L, K) for L positions."""
        device = self.heights.device
        # Computed at each call: as a buffer, loading weights would have to draw the model's weights first.
        centres = torch.linspace(0, self.reach, self.heights.shape[1], device=device).to(self.heights.dtype)
        positions = torch.arange(length, device=device)
        distance = ((positions - (length - 1) / 2).abs() * self.step).clamp(max=self.reach)
        width = centres[1] - centres[0]
        bumps = torch.exp(-0.5 * ((distance[:, None] - centres) / width) ** 2)
        return (bumps / bumps.sum(dim=1, keepdim=True)) @ self.heights.T


class AttentionPool(nn.Module):
    """Weighted means over positions, one per head; the weights depend on content and on the distance from the centre.

    Args:
        channels: C of (N, L, C).
        heads: H.
        step: Distance between neighbouring positions, bp.
    """

    def __init__(self, channels: int, heads: int, step: float) -> None:
        super().__init__()
        self.query = nn.Linear(channels, heads, bias=False)
        nn.init.zeros_(self.query.weight)  # initially the weights depend on the distance only
        self.bias = CentreBias(heads, step)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, H * C)."""
        scores = self.query(x).float() + self.bias(x.shape[1])
        weights = scores.softmax(dim=1).to(x.dtype)
        return torch.bmm(weights.transpose(1, 2), x).flatten(1)
