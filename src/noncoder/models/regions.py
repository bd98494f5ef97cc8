"""A model on regions of several bins: the trunk reads each base once, the head reads each window's features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from noncoder.errors import InputError
from noncoder.models.base import SequenceModel


class RegionModel(nn.Module):
    """A model that gives the logits of all windows of a region, and shares the trunk's work between them.

    Bin i of a region has the window that begins at base `step * i`. Windows overlap, so window by window the trunk
    would read each base window / step times. If `step` is no multiple of the model's `feature_step`, the trunk reads
    the region once for each of the offsets that windows have on its grid of positions.

    The logits are those of `model`, apart from what the trunk sees beyond a window's ends: the region's real bases in
    place of padding. A trunk without padding gives the same logits.

    Args:
        model: A model whose `feature_step` is set.
        bins: Bins per region, R.
        step: Distance between neighbouring bins, bp.

    Raises:
        InputError: The model declares no `feature_step`.
    """

    def __init__(self, model: SequenceModel, bins: int, step: int) -> None:
        super().__init__()
        if model.feature_step is None:
            raise InputError(
                f"{model.name or type(model).__name__} reads windows alone",
                expected="a model whose trunk is convolutional and declares its `feature_step`, such as compact",
                hint="leave train.dense out",
            )
        self.model, self.bins, self.step = model, bins, step
        self.grids = math.lcm(step, model.feature_step) // step
        """How many offsets windows have on the trunk's grid of positions."""
        if self.grids > 1 and self.grids * self.length >= bins * model.window:
            raise InputError(
                f"{model.name or type(model).__name__} has a position every {model.feature_step} bp, and windows begin "
                f"every {step} bp: its trunk would read a region of {bins} bins {self.grids} times",
                hint="more bins per region, a pooling that divides the bin, or train.dense=0",
            )
        self._stride = self.grids * step // model.feature_step
        self._width = feature_width(model)

    @property
    def length(self) -> int:
        """Length of a region, bp."""
        return (self.bins - 1) * self.step + self.model.window

    def forward(self, x: Tensor) -> Tensor:
        """One-hot DNA (N, 4, length) -> logits (N * R, T), the bins of a region one after the other.

        Raises:
            InputError: The input has another shape.
        """
        if x.ndim != 3 or x.shape[1] != 4 or x.shape[2] != self.length:
            raise InputError(f"an input of shape {tuple(x.shape)}", expected=f"one-hot DNA (N, 4, {self.length})")
        grids = min(self.grids, self.bins)
        if grids == 1:
            return self._head(x, self.bins).flatten(0, 1)
        logits = [self._on_grid(x, grid) for grid in range(grids)]
        together = x.new_empty(0) if not logits else logits[0].new_empty(len(x), self.bins, logits[0].shape[2])
        for grid, part in enumerate(logits):
            together[:, grid :: self.grids] = part
        return together.flatten(0, 1)

    def _on_grid(self, x: Tensor, grid: int) -> Tensor:
        """Logits (N, bins on the grid, T) of every `grids`-th bin, from bin `grid` on."""
        count = -(-(self.bins - grid) // self.grids)
        first = grid * self.step
        return self._head(x[:, :, first : first + (count - 1) * self.grids * self.step + self.model.window], count)

    def _head(self, x: Tensor, count: int) -> Tensor:
        features = self.model.features(x)
        windows = features.unfold(2, self._width, self._stride)[:, :, :count]
        logits = self.model.head(windows.transpose(1, 2).flatten(0, 1))
        return logits.view(len(x), count, logits.shape[1])


def feature_width(model: SequenceModel) -> int:
    """Positions of a model's features for one window."""
    weight = next(model.parameters())
    modes = [(part, part.training) for part in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            return int(model.features(weight.new_zeros(1, 4, model.window)).shape[2])
    finally:
        for part, mode in modes:
            part.training = mode
