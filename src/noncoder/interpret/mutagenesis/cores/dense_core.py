"""Dense layers at the end of a head. The first one is a sum over positions, which is kept as partial sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.interpret.mutagenesis.change import Change
from noncoder.models.layers.dense import DenseBlock, NormalisedLinear


class Tail:
    """Layers that read all positions: a linear map with optional batch norm and ReLU, and the last layer.

    Without a hidden layer, the last layer is the sum over positions, computed only for the requested tasks.

    Args:
        hidden: Layer before the last; None without one.
        output: Last layer.
        positions: P of the features.
        around: Number of channels of a skip connection, concatenated before the core's channels; 0 for none.
        added: Whether a skip connection adds the features to the core's outputs.
    """

    def __init__(
        self, hidden: nn.Linear | DenseBlock | None, output: nn.Linear, positions: int, around: int, added: bool = False
    ) -> None:
        last = F.normalize(output.weight, dim=1) if isinstance(output, NormalisedLinear) else output.weight
        self.last, self.last_bias = last.detach(), output.bias.detach()
        self.norm = hidden[1] if isinstance(hidden, DenseBlock) else None
        self.hidden = hidden is not None
        first, bias = self.last, self.last_bias
        if hidden is not None:
            linear = linear_of(hidden)
            first = linear.weight.detach()
            bias = first.new_zeros(first.shape[0]) if linear.bias is None else linear.bias.detach()
        self.bias = bias
        parts = first.view(len(first), positions, -1).permute(1, 2, 0)  # (P, C, M)
        self.core = parts[:, around:].contiguous()
        self.around = parts[:, :around].contiguous() if around else self.core if added else None
        self._chosen: tuple[tuple[int, ...], Tensor, Tensor | None] | None = None

    def weights(self, tasks: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Returns the weights of the core's outputs and of the skip connection, (P, C, M); None without one."""
        if self.hidden:
            return self.core, self.around
        if self._chosen is None or self._chosen[0] != tuple(tasks):
            around = None if self.around is None else self.sums(self.around, tasks)
            self._chosen = tuple(tasks), self.sums(self.core, tasks), around
        return self._chosen[1:]

    def around_sums(self, features: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
        """Returns the bias plus the sums of the skip connection on features (1, C, P), (M,).

        Args:
            features: Features of the unmutated sequence.
            norm: Norm on the skip connection, (N, C, P) -> (N, C, P).
        """
        if self.around is None:
            return self.bias
        return self.bias + sums_before(norm(features)[0].t(), self.around)[-1]

    def sums(self, of_all: Tensor, tasks: Sequence[int]) -> Tensor:
        """Selects from sums (…, M) those that the tasks need."""
        return of_all if self.hidden else of_all[..., list(tasks)]

    def logits(self, sums: Tensor, tasks: Sequence[int]) -> Tensor:
        """Returns logits (b, tasks) from sums (b, M), which are overwritten."""
        if not self.hidden:
            return sums
        y = sums if self.norm is None else self.norm(sums)
        chosen = list(tasks)
        return F.linear(y.relu_(), self.last[chosen], self.last_bias[chosen])


def linear_of(layer: nn.Linear | DenseBlock) -> nn.Linear:
    """Returns the linear map of a dense layer."""
    return cast(nn.Linear, layer[0]) if isinstance(layer, DenseBlock) else layer


def sums_before(y: Tensor, weight: Tensor) -> Tensor:
    """Sums y (P, C) times weights (P, C, M) over all positions before each position, and over all: (P + 1, M)."""
    parts = torch.bmm(y.unsqueeze(1), weight).squeeze(1).double().cumsum(dim=0)
    return F.pad(parts, (0, 0, 1, 0)).to(y.dtype)


def add_changes(
    sums: Tensor, features: Tensor, change: Change, weight: Tensor, transform: Callable[[Tensor], Tensor]
) -> None:
    """Updates the sums (b, M) of a linear map of all features for changed features.

    Args:
        sums: Sums for the unmutated features; changed in place.
        features: Unmutated features, (P, C).
        change: Changed features.
        weight: Weights of the linear map, (P, C, M).
        transform: Positionwise layer before the map, on (N, C, positions).
    """
    before = transform(features.t().unsqueeze(0))[0].t()
    after = transform(change.values)
    for at, rows, offset in changed_at(change.start, after.shape[2], len(features)):
        sums[rows].addmm_(after[rows].gather(2, index(offset, after)).squeeze(2) - before[at], weight[at])


def index(offset: Tensor, values: Tensor) -> Tensor:
    """Expands offsets (n,) to an index (n, C, 1) into values (b, C, w) along w."""
    return offset[:, None, None].expand(-1, values.shape[1], 1)


def changed_at(start: Tensor, width: int, positions: int) -> list[tuple[int, slice, Tensor]]:
    """Lists every changed position with the rows that change it and the index into each row's `width` values.

    Args:
        start: First changed position of each row, (b,), ascending; negative before the first position.
        width: Changed positions per row.
        positions: P; positions past the end are left out.
    """
    begin, end = bounds(start, width, positions)
    return [
        (at, slice(begin[at], end[at]), at - start[begin[at] : end[at]])
        for at in range(positions)
        if begin[at] < end[at]
    ]


def bounds(start: Tensor, width: int, positions: int) -> tuple[list[int], list[int]]:
    """Returns, for each position, the first row whose change ends there or later, and the first that starts later."""
    start, at = start.contiguous(), torch.arange(positions, device=start.device)
    begin = torch.searchsorted(start, at - width, right=True)
    end = torch.searchsorted(start, at, right=True)
    return begin.tolist(), end.tolist()
