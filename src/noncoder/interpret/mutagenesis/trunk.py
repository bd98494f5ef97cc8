"""The convolutional part of a model, as a list of nodes that each read a few neighbouring positions.

A node is a sum of convolutions, a function of each position by itself, or max-pooling. From such a list the engine
(`windows.py`) knows what a mutation can reach. Values are kept with the channels innermost: (positions, C).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Function = Callable[[Tensor], Tensor]
Norm = nn.BatchNorm1d | nn.BatchNorm2d


class Span(NamedTuple):
    """Positions from `start` up to `end`; an empty one still says where it lies."""

    start: int
    end: int

    @property
    def width(self) -> int:
        """How many positions."""
        return self.end - self.start


class Grid(NamedTuple):
    """Which positions output j reads: j * stride - padding + i * dilation, i from 0 to taps - 1."""

    taps: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def reach(self, span: Span) -> Span:
        """The outputs that read from the positions of a span, or from both sides of an empty one."""
        start = -(-(span.start + self.padding - (self.taps - 1) * self.dilation) // self.stride)
        return Span(start, max(start, (span.end - 1 + self.padding) // self.stride + 1))

    def read(self, span: Span) -> Span:
        """The positions that a span of outputs reads."""
        start = span.start * self.stride - self.padding
        return Span(start, start + (span.width - 1) * self.stride + (self.taps - 1) * self.dilation + 1)


@dataclass(frozen=True)
class Term:
    """One part of a sum: a convolution of a node's values, or the values themselves where there are no weights.

    Attributes:
        source: The node that is read.
        grid: Its geometry.
        weight: (taps, groups, C, C') of a group's channels in and out; None for the values as they are.
    """

    source: int
    grid: Grid = field(default_factory=Grid)
    weight: Tensor | None = None

    def full(self, x: Tensor) -> Tensor:
        """The values at all positions, (L, C) -> (L', C')."""
        if self.weight is None:
            return x
        taps, groups, channels, outputs = self.weight.shape
        weight = self.weight.permute(1, 3, 2, 0).reshape(groups * outputs, channels, taps)
        g = self.grid
        return F.conv1d(x.t()[None], weight, None, g.stride, g.padding, g.dilation, groups)[0].t()


@dataclass(frozen=True)
class Sum:
    """The sum of terms and, where there is one, a bias (C,)."""

    terms: tuple[Term, ...]
    bias: Tensor | None

    def full(self, values: Sequence[Tensor]) -> Tensor:
        """The values at all positions, from those of all nodes before."""
        total = self.terms[0].full(values[self.terms[0].source])
        for term in self.terms[1:]:
            total = total + term.full(values[term.source])
        return total if self.bias is None else total + self.bias


@dataclass(frozen=True)
class Pointwise:
    """A function of each position's channels, (…, C) -> (…, C), which may overwrite what it is given."""

    source: int
    function: Function

    def full(self, values: Sequence[Tensor]) -> Tensor:
        """The values at all positions, from those of all nodes before."""
        return self.function(values[self.source].clone())


@dataclass(frozen=True)
class Maximum:
    """Max-pooling; positions outside count as minus infinity."""

    source: int
    grid: Grid
    ceil: bool

    def full(self, values: Sequence[Tensor]) -> Tensor:
        """The values at all positions, from those of all nodes before."""
        g = self.grid
        x = values[self.source].t()[None]
        return F.max_pool1d(x, g.taps, g.stride, g.padding, g.dilation, self.ceil)[0].t()


Node = Sum | Pointwise | Maximum


def sources(node: Node) -> tuple[int, ...]:
    """The nodes that a node reads."""
    return tuple(term.source for term in node.terms) if isinstance(node, Sum) else (node.source,)


@dataclass
class Trunk:
    """Nodes in the order in which they are computed; node 0 is one-hot DNA, the last one the features.

    Attributes:
        nodes: All nodes but node 0: node i is `nodes[i - 1]`.
        strides: bp between neighbouring positions of each node, node 0 first.
    """

    nodes: list[Node] = field(default_factory=list)
    strides: list[int] = field(default_factory=lambda: [1])

    def _append(self, node: Node, stride: int) -> int:
        self.nodes.append(node)
        self.strides.append(stride)
        return len(self.nodes)

    def pointwise(self, source: int, function: Function) -> int:
        """Adds a function of each position's channels, (…, C) -> (…, C); it may overwrite what it is given."""
        return self._append(Pointwise(source, function), self.strides[source])

    def maximum(self, source: int, width: int, grid: Grid | None = None, ceil: bool = False) -> int:
        """Adds max-pooling of `width` positions each, side by side unless a grid says otherwise."""
        grid = grid or Grid(width, width)
        return self._append(Maximum(source, grid, ceil), self.strides[source] * grid.stride)

    def add(self, *terms: tuple[Term, Tensor | None]) -> int:
        """Adds a sum of terms, each with its bias (see `convolution`)."""
        biases = [bias for _, bias in terms if bias is not None]
        term = terms[0][0]
        bias = torch.stack(biases).sum(dim=0) if biases else None
        return self._append(Sum(tuple(term for term, _ in terms), bias), self.strides[term.source] * term.grid.stride)

    def last_reader(self) -> list[int]:
        """For each node, the last one that reads it."""
        last = list(range(len(self.nodes) + 1))
        for i, node in enumerate(self.nodes, start=1):
            for source in sources(node):
                last[source] = i
        return last

    def full(self, x: Tensor) -> list[Tensor]:
        """The values of every node for one sequence, each (positions, C), from one-hot DNA (4, L)."""
        values = [x.t().contiguous()]
        for node in self.nodes:
            values.append(node.full(values).contiguous())
        return values


def convolution(
    source: int, layer: nn.Conv1d | nn.Conv2d, norm: Norm | None = None, weight: Tensor | None = None
) -> tuple[Term, Tensor | None]:
    """A convolution along the sequence as a term and its bias.

    Args:
        source: The node that is read.
        layer: The layer; of a kernel with two sides the last one lies along the sequence.
        norm: Batch norm after it, which becomes part of the weights.
        weight: What takes the place of the layer's weight.
    """
    weight = layer.weight if weight is None else weight
    weight = weight.detach().flatten(2)  # (groups * C', C, taps)
    bias = None if layer.bias is None else layer.bias.detach()
    if norm is not None:
        scale, shift = affine(norm)
        weight = weight * scale[:, None, None]
        bias = shift if bias is None else shift + bias * scale
    padding = layer.padding[-1]
    assert not isinstance(padding, str), "a layer of ours says its padding in numbers"
    grid = Grid(weight.shape[2], layer.stride[-1], int(padding), layer.dilation[-1])
    grouped = weight.view(layer.groups, -1, *weight.shape[1:]).permute(3, 0, 2, 1).contiguous()
    return Term(source, grid, grouped), bias


def affine(norm: Norm) -> tuple[Tensor, Tensor]:
    """Scale and shift, each (C,), of batch norm in evaluation mode."""
    assert norm.running_mean is not None, "batch norms of ours keep their means"
    assert norm.running_var is not None, "batch norms of ours keep their variances"
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias.detach() - norm.running_mean * scale


def normed(norm: Norm, activation: Function) -> Function:
    """Batch norm in evaluation mode, then an activation that may overwrite what it is given."""
    scale, shift = affine(norm)

    def function(x: Tensor) -> Tensor:
        return activation(torch.addcmul(shift, x, scale, out=x))

    return function
