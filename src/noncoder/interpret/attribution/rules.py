"""Replaces the derivative of what is not linear in a network, wherever it is called: in a module or as a function.

Every call of a PyTorch function passes through a mode. Where a rule stands under the function's name, its derivative in
the backward pass is the rule's. All else (convolutions, linear maps, norms by running statistics, sums, reshaping) is
linear in the activations and keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from noncoder.interpret.attribution import unrolled

Gradients = Sequence[Tensor | None]


class Call:
    """A call of a function, of which some of the arguments are tensors that depend on the input.

    Args:
        function: What is called.
        args: Its arguments.
        kwargs: Its arguments by name.
        spots: Where the tensors stand: numbers among `args`, names among `kwargs`.
    """

    def __init__(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], spots: Sequence[int | str]):
        self.function, self.args, self.kwargs, self.spots = function, args, kwargs, spots
        self.other: Sequence[Tensor] = ()
        """The same tensors in the pass that this one is compared with, of one copy of each sequence."""

    @property
    def name(self) -> str:
        """The function's name."""
        return _name(self.function)

    def __call__(self, *tensors: Tensor) -> Any:
        """The function of other tensors."""
        args, kwargs = list(self.args), dict(self.kwargs)
        for spot, tensor in zip(self.spots, tensors, strict=True):
            if isinstance(spot, int):
                args[spot] = tensor
            else:
                kwargs[spot] = tensor
        return self.function(*args, **kwargs)

    def beside(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The same tensors in the other pass, repeated for these."""
        return [_tiled(other, tensor) for other, tensor in zip(self.other, tensors, strict=True)]

    def pull(self, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
        """The gradients by the tensors, from those by what the function gives."""
        with torch.enable_grad():
            points = [tensor.detach().requires_grad_() for tensor in tensors]
            outputs = self(*points)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        known = [(y, g) for y, g in zip(outputs, gradients, strict=True) if g is not None]
        found = torch.autograd.grad(
            [y for y, _ in known], points, [g for _, g in known], allow_unused=True, materialize_grads=True
        )
        return list(found)


Rule = Callable[[Call, Sequence[Tensor], Gradients], list[Tensor]]
"""(call, its tensors, the gradients by what it gives) -> the gradients by its tensors."""


class Rules(TorchFunctionMode):
    """Within it, calls that a rule is for have that rule in the backward pass.

    Functions that would write into their input do not.

    Args:
        rules: By the function's name.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        super().__init__()
        self.rules = rules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        rule = self.rules.get(_name(func))
        if rule is None:
            return func(*args, **kwargs)
        if "inplace" in kwargs:
            kwargs = {**kwargs, "inplace": False}
        return self.called(rule, func, args, kwargs)

    def called(self, rule: Rule, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What a call gives that a rule is for."""
        spots = [spot for spot, value in _tensors(args, kwargs).items() if value.requires_grad]
        if not spots:
            return func(*args, **kwargs)
        call = Call(func, args, kwargs, spots)
        return _Ruled.apply(rule, call, *(_tensors(args, kwargs)[spot] for spot in spots))  # type: ignore[no-untyped-call]


class _Ruled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rule: Rule, call: Call, *tensors: Tensor) -> Any:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.rule, ctx.call = rule, call
        return call(*tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        if all(gradient is None for gradient in gradients):
            return (None,) * (2 + len(ctx.saved_tensors))
        return None, None, *ctx.rule(ctx.call, ctx.saved_tensors, gradients)


class Rescale(Rules):
    """DeepLIFT: derivatives become differences between a pass over sequences and one over references.

    First `record` passes over the sequences, then references are passed, as many times as are wanted; their gradients
    by the input are DeepLIFT's multipliers. Both passes make the same calls in the same order, so that the tensors of
    one are compared with those of the other whatever their axes mean. References of B sequences come as (R * B, …),
    all sequences once before any comes again.

    - element by element (ReLU, GELU, sigmoid, …): the difference of the outputs over that of the inputs, the rescale
      rule (Shrikumar et al. 2017, arXiv:1704.02685);
    - max-pooling: each output's difference goes to the inputs that were the maximum, in either pass;
    - products of two tensors that both depend on the input (attention, gates): the derivative halfway between the two;
    - all else that is not linear (softmax, layer norm): the derivative averaged over the way from one to the other, by
      Gauss and Legendre's quadrature: integrated gradients of this one function.

    LSTM and GRU are taken step by step through these rules.

    Each keeps the sum: contributions add up to the difference of the logits, but for the quadrature's error.

    Args:
        nodes: Points of the quadrature.
    """

    def __init__(self, nodes: int) -> None:
        path = along_the_way(nodes)
        super().__init__(
            dict.fromkeys(_MIXING | set(_STEP_BY_STEP), path)
            | dict.fromkeys(_PRODUCTS, along_the_way(1))
            | {"mul": halve}
            | dict.fromkeys(_KINKED | _SMOOTH, rescale)
            | dict.fromkeys(_POOLINGS.values(), route_maxima)
        )
        self._record: list[Mapping[int | str, Tensor]] | None = None
        self._at = 0
        self.recording = False

    def record(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """What a function gives of the sequences, (B, 4, L); its calls are remembered."""
        self._record, self.recording = [], True
        try:
            with self:
                return function(x)
        finally:
            self.recording = False

    def compare(self, function: Callable[[Tensor], Tensor], references: Tensor) -> Tensor:
        """What the function gives of the references, (R * B, 4, L), ready for the backward pass."""
        self._at = 0
        with self:
            return function(references)

    def called(self, rule: Rule, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What a call gives that a rule is for; in one pass it is remembered, in the others compared."""
        name = _name(func)
        if name in _STEP_BY_STEP:
            with self:
                return _STEP_BY_STEP[name](*args)
        assert self._record is not None
        if self.recording:
            self._record.append({spot: value.detach() for spot, value in _tensors(args, kwargs).items()})
            return func(*args, **kwargs)
        record, self._at = self._record[self._at], self._at + 1
        tensors = _tensors(args, kwargs)
        spots = [spot for spot, value in tensors.items() if value.requires_grad]
        if not spots or (name in _PRODUCTS and len(spots) < 2) or (name == "div" and spots == [0]):  # linear
            return func(*args, **kwargs)
        call = Call(func, args, kwargs, spots)
        call.other = [record[spot] for spot in spots]
        return _Ruled.apply(rule, call, *(tensors[spot] for spot in spots))  # type: ignore[no-untyped-call]


def rescale(call: Call, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
    """The rescale rule; where the two inputs are too close to divide by their difference, the derivative halfway."""
    (reference,), (gradient,) = tensors, gradients
    (x,) = call.beside(tensors)
    assert gradient is not None
    difference = x - reference
    # The derivative is off by the square of the difference, or by all at a kink; the quotient by rounding over it.
    close = _rounding(difference, x, reference) if call.name in _KINKED else difference.abs() < 1e-3
    multiplied = _tiled(call(*call.other), reference).sub(call(reference)).div_(difference).mul_(gradient)
    at = close.nonzero(as_tuple=True)
    if len(at[0]):
        multiplied[at] = call.pull([(reference[at] + x[at]) / 2], [gradient[at]])[0]
    return [multiplied]


def route_maxima(call: Call, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
    """Max-pooling: the difference of a maximum goes to the input that was the larger of the two.

    An input that is the sequence's maximum, and the same in the reference, has the plain derivative.
    """
    (reference,), (raw,), (gradient,) = tensors, call.other, gradients
    assert gradient is not None
    asked = {**call.kwargs, "return_indices": True}
    maxima, at = (_tiled(part, gradient) for part in call.function(raw, *call.args[1:], **asked))
    before, at_before = call.function(reference, *call.args[1:], **asked)
    shape = (*reference.shape[:2], -1)
    old, x = reference.reshape(shape), _tiled(raw, reference).reshape(shape)
    maxima, at, before, at_before, gradient = (part.flatten(2) for part in (maxima, at, before, at_before, gradient))
    winner = torch.where(maxima > before, at, at_before)
    new, was = x.gather(2, winner), old.gather(2, winner)
    moved = new - was
    still = _rounding(moved, new, was)  # which would decide how much of the derivative is whose
    share = ((maxima - before) / moved.masked_fill(still, 1)).masked_fill_(still, 0)
    was = old.gather(2, at)
    unmoved = _rounding(maxima - was, maxima, was)
    found = torch.zeros_like(old).scatter_add_(2, winner, gradient * share)
    return [found.scatter_add_(2, at, gradient * unmoved).view(reference.shape)]


def halve(call: Call, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
    """Products element by element: each factor's multiplier is the mean of the other in the two passes."""
    (gradient,) = gradients
    assert gradient is not None
    first, second = ((one + other) / 2 for one, other in zip(tensors, call.beside(tensors), strict=True))
    return [(gradient * factor).sum_to_size(of.shape) for factor, of in zip((second, first), tensors, strict=True)]


def along_the_way(nodes: int) -> Rule:
    """The derivative, averaged over the straight way from the reference's tensors to the sequence's."""
    points, weights = np.polynomial.legendre.leggauss(nodes)

    def rule(call: Call, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
        found, others = [torch.zeros_like(tensor) for tensor in tensors], call.beside(tensors)
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            at = [_between(tensor, other, float(point)) for tensor, other in zip(tensors, others, strict=True)]
            for total, part in zip(found, call.pull(at, gradients), strict=True):
                total.add_(part, alpha=float(weight))
        return found

    return rule


def guide(call: Call, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
    """Guided backpropagation: a rectifier lets through what is positive, going forward and going back.

    Smooth rectifiers (GELU, SiLU, ELU, softplus) let through the positive part of what comes back, times their own
    derivative.
    """
    return call.pull(tensors, [None if gradient is None else gradient.clamp(min=0) for gradient in gradients])


class Guided(Rules):
    """Guided backpropagation (Springenberg et al. 2015, arXiv:1412.6806) at every rectifier."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(_RECTIFIERS, guide))


_RECTIFIERS = frozenset(
    {"relu", "threshold", "relu6", "leaky_relu", "gelu", "silu", "mish", "elu", "selu", "celu", "softplus"}
)
_KINKED = frozenset(
    {"relu", "threshold", "relu6", "leaky_relu", "hardtanh", "hardsigmoid", "clamp", "clamp_min", "clamp_max", "abs"}
)
_SMOOTH = frozenset(
    {"gelu", "silu", "mish", "elu", "selu", "celu", "softplus", "sigmoid", "tanh", "logsigmoid", "exp", "log"}
    | {"log1p", "sqrt", "rsqrt", "square", "reciprocal", "erf", "sin", "cos"}
)
_PRODUCTS = frozenset({"mul", "matmul", "bmm", "einsum"})
_MIXING = frozenset(
    {"softmax", "log_softmax", "logsumexp", "scaled_dot_product_attention", "layer_norm", "rms_norm", "group_norm"}
    | {"normalize", "div", "pow", "rnn_tanh", "rnn_relu", "zero_memory_score"}
)
_STEP_BY_STEP = {"lstm": unrolled.lstm, "gru": unrolled.gru}
_OTHER_NAMES = {"_threshold": "threshold", "multiply": "mul", "true_divide": "div", "truediv": "div", "clip": "clamp"}


def _name(func: Any) -> str:
    if func in _POOLINGS:
        return _POOLINGS[func]
    name = getattr(func, "__name__", "").removeprefix("__").removesuffix("__")
    return _OTHER_NAMES.get(name, name)


# They are chosen by a function that is made twice and has no name of its own.
_POOLINGS = {F.max_pool1d: "max_pool1d", F.max_pool2d: "max_pool2d"}


def _tensors(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[int | str, Tensor]:
    found: dict[int | str, Tensor] = {i: value for i, value in enumerate(args) if isinstance(value, Tensor)}
    return found | {name: value for name, value in kwargs.items() if isinstance(value, Tensor)}


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    # Scores of what is hidden are minus infinity at both ends: there is nothing between them.
    return torch.where(start == end, start, start + share * (end - start))


def _rounding(difference: Tensor, x: Tensor, reference: Tensor) -> Tensor:
    """Whether a difference is one of rounding alone."""
    return difference.abs() <= 1e-6 * torch.maximum(x.abs(), reference.abs())


def _tiled(x: Tensor, like: Tensor) -> Tensor:
    """The tensor of B sequences as often as R * B references need it, along whichever axis holds them."""
    if x.shape == like.shape:
        return x
    return x.repeat([there // here for there, here in zip(like.shape, x.shape, strict=True)])
