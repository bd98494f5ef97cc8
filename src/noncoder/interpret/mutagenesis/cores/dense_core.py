"""The dense layers at a head's end, the first of which is a sum over positions that can be kept in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.interpret.mutagenesis.change import Change
from noncoder.models.layers.dense import DenseBlock, NormalisedLinear


class Tail:
    """The layers that read all positions: a linear map, perhaps batch norm and ReLU, and the last layer.

    Where there is no hidden layer, the last layer is the sum over positions, and only the tasks asked for are summed.

    Args:
        hidden: The layer before the last; None for none.
        output: The last layer.
        positions: P of the features.
        around: Channels that reach these layers beside the core's, before them; 0 for none.
        added: Whether the features are added to what the core gives.
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
        """What multiplies the core's outputs and the features to give the sums, (P, C, M); the latter may be none."""
        if self.hidden:
            return self.core, self.around
        if self._chosen is None or self._chosen[0] != tuple(tasks):
            around = None if self.around is None else self.sums(self.around, tasks)
            self._chosen = tuple(tasks), self.sums(self.core, tasks), around
        return self._chosen[1:]

    def sums(self, of_all: Tensor, tasks: Sequence[int]) -> Tensor:
        """Of sums (…, M), those that the tasks need."""
        return of_all if self.hidden else of_all[..., list(tasks)]

    def logits(self, sums: Tensor, tasks: Sequence[int]) -> Tensor:
        """(b, M) -> (b, tasks); the sums are used up."""
        if not self.hidden:
            return sums
        y = sums if self.norm is None else self.norm(sums)
        chosen = list(tasks)
        return F.linear(y.relu_(), self.last[chosen], self.last_bias[chosen])


def linear_of(layer: nn.Linear | DenseBlock) -> nn.Linear:
    """The linear map of a dense layer."""
    return cast(nn.Linear, layer[0]) if isinstance(layer, DenseBlock) else layer


def sums_before(y: Tensor, weight: Tensor) -> Tensor:
    """Sums of y (P, C) times weights (P, C, M) over all positions before each, and over all: (P + 1, M)."""
    parts = torch.bmm(y.unsqueeze(1), weight).squeeze(1).double().cumsum(dim=0)
    return F.pad(parts, (0, 0, 1, 0)).to(y.dtype)


def add_changes(
    sums: Tensor, features: Tensor, change: Change, weight: Tensor, transform: Callable[[Tensor], Tensor]
) -> None:
    """Adds to sums (b, M) what changed features add to a linear map of all features.

    Args:
        sums: Of the features before the change.
        features: These, (P, C).
        change: The changed ones.
        weight: The map, (P, C, M).
        transform: What lies before the map, on (N, C, positions) and position by position.
    """
    before = transform(features.t().unsqueeze(0))[0].t()
    after = transform(change.values)
    for at, rows, offset in changed_at(change.start, after.shape[2], len(features)):
        sums[rows].addmm_(after[rows].gather(2, index(offset, after)).squeeze(2) - before[at], weight[at])


def index(offset: Tensor, values: Tensor) -> Tensor:
    """Offsets (n,) as an index into values (b, C, w) along w: (n, C, 1)."""
    return offset[:, None, None].expand(-1, values.shape[1], 1)


def changed_at(start: Tensor, width: int, positions: int) -> list[tuple[int, slice, Tensor]]:
    """For every position that changes: it, which rows change it, and at which of their `width` values.

    Args:
        start: First changed position of each row, (b,), ascending; below 0 where it lies before the first position.
        width: Changed positions of a row.
        positions: P; what lies past them is left out.
    """
    begin, end = bounds(start, width, positions)
    return [
        (at, slice(begin[at], end[at]), at - start[begin[at] : end[at]])
        for at in range(positions)
        if begin[at] < end[at]
    ]


def bounds(start: Tensor, width: int, positions: int) -> tuple[list[int], list[int]]:
    """For each position, the first row that has not ended its change before, and the first that has not begun it."""
    start, at = start.contiguous(), torch.arange(positions, device=start.device)
    begin = torch.searchsorted(start, at - width, right=True)
    end = torch.searchsorted(start, at, right=True)
    return begin.tolist(), end.tolist()
