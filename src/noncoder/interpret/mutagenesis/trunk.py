"""Convolutional part of a model, as a list of nodes that each read a few neighbouring positions.

A node is a sum of convolutions, a positionwise function, or max-pooling. From this list the engine (`windows.py`)
derives the positions that a mutation reaches. Values have the channels last: (positions, C).
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
    """Half-open range of positions; an empty one still has a place."""

    start: int
    end: int

    @property
    def width(self) -> int:
        """Number of positions."""
        return self.end - self.start


class Grid(NamedTuple):
    """Geometry of a layer: output j reads positions j * stride - padding + i * dilation, i from 0 to taps - 1."""

    taps: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def reach(self, span: Span) -> Span:
        """Returns the outputs whose range overlaps a span, or that read both sides of an empty span."""
        start = -(-(span.start + self.padding - (self.taps - 1) * self.dilation) // self.stride)
        return Span(start, max(start, (span.end - 1 + self.padding) // self.stride + 1))

    def read(self, span: Span) -> Span:
        """Returns the positions that a span of outputs reads."""
        start = span.start * self.stride - self.padding
        return Span(start, start + (span.width - 1) * self.stride + (self.taps - 1) * self.dilation + 1)


@dataclass(frozen=True)
class Term:
    """Term of a sum: a convolution of a node's values, or the values themselves if there are no weights.

    Attributes:
        source: Node that it reads.
        grid: Geometry of the convolution.
        weight: Weights (taps, groups, C, C') with the input and output channels of a group; None for the identity.
    """

    source: int
    grid: Grid = field(default_factory=Grid)
    weight: Tensor | None = None

    def full(self, x: Tensor) -> Tensor:
        """Computes the values at all positions, (L, C) -> (L', C')."""
        if self.weight is None:
            return x
        taps, groups, channels, outputs = self.weight.shape
        weight = self.weight.permute(1, 3, 2, 0).reshape(groups * outputs, channels, taps)
        g = self.grid
        return F.conv1d(x.t()[None], weight, None, g.stride, g.padding, g.dilation, groups)[0].t()


@dataclass(frozen=True)
class Sum:
    """Sum of terms with an optional bias (C,)."""

    terms: tuple[Term, ...]
    bias: Tensor | None

    def full(self, values: Sequence[Tensor]) -> Tensor:
        """Computes the values at all positions from the values of all earlier nodes."""
        total = self.terms[0].full(values[self.terms[0].source])
        for term in self.terms[1:]:
            total = total + term.full(values[term.source])
        return total if self.bias is None else total + self.bias


@dataclass(frozen=True)
class Pointwise:
    """Positionwise function of the channels, (…, C) -> (…, C), which can overwrite its input."""

    source: int
    function: Function

    def full(self, values: Sequence[Tensor]) -> Tensor:
        """Computes the values at all positions from the values of all earlier nodes."""
        return self.function(values[self.source].clone())


@dataclass(frozen=True)
class Maximum:
    """Max-pooling; positions outside the sequence count as minus infinity."""

    source: int
    grid: Grid
    ceil: bool

    def full(self, values: Sequence[Tensor]) -> Tensor:
        """Computes the values at all positions from the values of all earlier nodes."""
        g = self.grid
        x = values[self.source].t()[None]
        return F.max_pool1d(x, g.taps, g.stride, g.padding, g.dilation, self.ceil)[0].t()


Node = Sum | Pointwise | Maximum


def sources(node: Node) -> tuple[int, ...]:
    """Returns the nodes that a node reads."""
    return tuple(term.source for term in node.terms) if isinstance(node, Sum) else (node.source,)


@dataclass
class Trunk:
    """Nodes in the order of computation; node 0 is one-hot DNA, the last node is the features.

    Attributes:
        nodes: All nodes except node 0: node i is `nodes[i - 1]`.
        strides: Distance between neighbouring positions of each node, bp, node 0 first.
    """

    nodes: list[Node] = field(default_factory=list)
    strides: list[int] = field(default_factory=lambda: [1])

    def _append(self, node: Node, stride: int) -> int:
        self.nodes.append(node)
        self.strides.append(stride)
        return len(self.nodes)

    def pointwise(self, source: int, function: Function) -> int:
        """Adds a positionwise function of the channels, (…, C) -> (…, C), which can overwrite its input."""
        return self._append(Pointwise(source, function), self.strides[source])

    def maximum(self, source: int, width: int, grid: Grid | None = None, ceil: bool = False) -> int:
        """Adds max-pooling over `width` positions, with stride `width` unless a grid is given."""
        grid = grid or Grid(width, width)
        return self._append(Maximum(source, grid, ceil), self.strides[source] * grid.stride)

    def add(self, *terms: tuple[Term, Tensor | None]) -> int:
        """Adds a sum of terms, each with its bias (see `convolution`)."""
        biases = [bias for _, bias in terms if bias is not None]
        term = terms[0][0]
        bias = torch.stack(biases).sum(dim=0) if biases else None
        return self._append(Sum(tuple(term for term, _ in terms), bias), self.strides[term.source] * term.grid.stride)

    def last_reader(self) -> list[int]:
        """Returns, for each node, the last node that reads it."""
        last = list(range(len(self.nodes) + 1))
        for i, node in enumerate(self.nodes, start=1):
            for source in sources(node):
                last[source] = i
        return last

    def full(self, x: Tensor) -> list[Tensor]:
        """Computes the values of every node, each (positions, C), from one-hot DNA (4, L) of one sequence."""
        values = [x.t().contiguous()]
        for node in self.nodes:
            values.append(node.full(values).contiguous())
        return values


def convolution(
    source: int, layer: nn.Conv1d | nn.Conv2d, norm: Norm | None = None, weight: Tensor | None = None
) -> tuple[Term, Tensor | None]:
    """Returns a convolution along the sequence as a term and its bias.

    Args:
        source: Node that it reads.
        layer: The layer; the last axis of a two-dimensional kernel lies along the sequence.
        norm: Batch norm after it, which is folded into the weights.
        weight: Weights that replace the layer's own.
    """
    weight = layer.weight if weight is None else weight
    weight = weight.detach().flatten(2)  # (groups * C', C, taps)
    bias = None if layer.bias is None else layer.bias.detach()
    if norm is not None:
        scale, shift = affine(norm)
        weight = weight * scale[:, None, None]
        bias = shift if bias is None else shift + bias * scale
    padding = layer.padding[-1]
    assert not isinstance(padding, str), "layers of this package have numeric padding"
    grid = Grid(weight.shape[2], layer.stride[-1], int(padding), layer.dilation[-1])
    grouped = weight.view(layer.groups, -1, *weight.shape[1:]).permute(3, 0, 2, 1).contiguous()
    return Term(source, grid, grouped), bias


def affine(norm: Norm) -> tuple[Tensor, Tensor]:
    """Returns scale and shift, (C,) each, of batch norm in evaluation mode."""
    assert norm.running_mean is not None, "batch norms of this package have running means"
    assert norm.running_var is not None, "batch norms of this package have running variances"
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias.detach() - norm.running_mean * scale


def normed(norm: Norm, activation: Function) -> Function:
    """Returns batch norm in evaluation mode followed by an activation that can overwrite its input."""
    scale, shift = affine(norm)

    def function(x: Tensor) -> Tensor:
        return activation(torch.addcmul(shift, x, scale, out=x))

    return function
