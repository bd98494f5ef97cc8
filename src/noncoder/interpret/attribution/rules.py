"""Replaces derivatives of nonlinear functions in a network, whether called in a module or as a function.

A `TorchFunctionMode` intercepts every call of a PyTorch function. If a rule is registered for the function's name, the
rule replaces its derivative in the backward pass. All other functions (convolutions, linear maps, norms with running
statistics, sums, reshaping) are linear in the activations and keep their derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from noncoder.interpret.attribution import unrolled

Gradients = Sequence[Tensor | None]


class Call:
    """Call of a function in which some arguments are tensors that depend on the input.

    Args:
        function: The function.
        args: Positional arguments.
        kwargs: Keyword arguments.
        spots: Places of these tensors: indices into `args`, keys of `kwargs`.
    """

    def __init__(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], spots: Sequence[int | str]):
        self.function, self.args, self.kwargs, self.spots = function, args, kwargs, spots
        self.other: Sequence[Tensor] = ()
        """The same tensors in the recorded forward pass, with one row per sequence."""

    @property
    def name(self) -> str:
        """Name of the function."""
        return _name(self.function)

    def __call__(self, *tensors: Tensor) -> Any:
        """Calls the function on other tensors."""
        args, kwargs = list(self.args), dict(self.kwargs)
        for spot, tensor in zip(self.spots, tensors, strict=True):
            if isinstance(spot, int):
                args[spot] = tensor
            else:
                kwargs[spot] = tensor
        return self.function(*args, **kwargs)

    def recorded(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Returns the recorded tensors, repeated to the shapes of these."""
        return [_tiled(other, tensor) for other, tensor in zip(self.other, tensors, strict=True)]

    def pull(self, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
        """Returns the gradients with respect to the tensors, from those with respect to the function's outputs."""
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
"""(call, its tensors, gradients with respect to its outputs) -> gradients with respect to its tensors."""


class Rules(TorchFunctionMode):
    """Context in which rules replace the derivatives of functions in the backward pass.

    In-place variants chosen by `inplace=True` run out of place.

    Args:
        rules: Rule of each function, by the function's name.
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
        return self.apply(rule, func, args, kwargs)

    def apply(self, rule: Rule, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Calls a function that has a rule."""
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
    """DeepLIFT: derivatives are replaced by differences between forward passes over sequences and references.

    `record` runs the sequences. `compare` then runs references, any number of times; gradients with respect to its
    input are DeepLIFT's multipliers. Both make the same calls in the same order, so the tensors of a call are compared
    whatever their axes mean. The R references of B sequences are ordered (R * B, …): reference by reference, all
    sequences within each.

    - Elementwise functions (ReLU, GELU, sigmoid, …) follow the rescale rule: the difference of the outputs divided by
      the difference of the inputs (Shrikumar et al. 2017, arXiv:1704.02685).
    - Max-pooling assigns the difference of each output to the positions of the maxima in either forward pass.
    - Products of two tensors that both depend on the input (attention, gates) have the derivative at the midpoint.
    - All other nonlinear functions (softmax, layer norm) have the derivative averaged along the straight line between
      the two inputs by Gauss-Legendre quadrature, the integrated gradients of this one function.

    LSTM and GRU run step by step through these rules.

    Every rule keeps the sum: contributions add up to the difference of the logits, except for the quadrature error.

    Args:
        nodes: Nodes of the quadrature.
    """

    def __init__(self, nodes: int) -> None:
        path = average_along_path(nodes)
        super().__init__(
            dict.fromkeys(_MIXING | set(_STEP_BY_STEP), path)
            | dict.fromkeys(_PRODUCTS, average_along_path(1))
            | {"mul": halve}
            | dict.fromkeys(_KINKED | _SMOOTH, rescale)
            | dict.fromkeys(_POOLINGS, route_maxima)
        )
        self._record: list[Mapping[int | str, Tensor]] | None = None
        self._at = 0
        self.recording = False

    def record(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Returns a function's value for the sequences (B, 4, L), and records its calls."""
        self._record, self.recording = [], True
        try:
            with self:
                return function(x)
        finally:
            self.recording = False

    def compare(self, function: Callable[[Tensor], Tensor], references: Tensor) -> Tensor:
        """Returns the function's value for the references (R * B, 4, L), ready for the backward pass."""
        self._at = 0
        with self:
            return function(references)

    def apply(self, rule: Rule, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Calls a function that has a rule: records its tensors, or compares them with the recorded ones."""
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
    """Rescale rule: the quotient of the differences of output and input replaces the derivative.

    Where the two inputs are too close, the derivative at their midpoint replaces the quotient. For a smooth function
    they are too close below 1e-3: there the midpoint derivative is off by the order of the squared difference, whereas
    the rounding error of the quotient grows with the inverse difference. At a kink the midpoint derivative can be
    entirely wrong, so for functions with kinks only differences within rounding are too close.
    """
    (reference,), (gradient,) = tensors, gradients
    (x,) = call.recorded(tensors)
    assert gradient is not None
    difference = x - reference
    close = _rounding(difference, x, reference) if call.name in _KINKED else difference.abs() < 1e-3
    multiplied = _tiled(call(*call.other), reference).sub(call(reference)).div_(difference).mul_(gradient)
    at = close.nonzero(as_tuple=True)
    if len(at[0]):
        multiplied[at] = call.pull([(reference[at] + x[at]) / 2], [gradient[at]])[0]
    return [multiplied]


def route_maxima(call: Call, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
    """Rule of max-pooling: assigns the difference of each maximum to the position of the larger of the two maxima.

    A position that holds the sequence's maximum and has the same value in the reference gets the plain derivative.
    """
    (reference,), (raw,), (gradient,) = tensors, call.other, gradients
    assert gradient is not None
    kwargs = {**call.kwargs, "return_indices": True}
    maxima, at = (_tiled(part, gradient) for part in call.function(raw, *call.args[1:], **kwargs))
    before, at_before = call.function(reference, *call.args[1:], **kwargs)
    shape = (*reference.shape[:2], -1)
    old, x = reference.reshape(shape), _tiled(raw, reference).reshape(shape)
    maxima, at, before, at_before, gradient = (part.flatten(2) for part in (maxima, at, before, at_before, gradient))
    winner = torch.where(maxima > before, at, at_before)
    new, previous = x.gather(2, winner), old.gather(2, winner)
    difference = new - previous
    tiny = _rounding(difference, new, previous)  # dividing by rounding errors would make the share arbitrary
    share = ((maxima - before) / difference.masked_fill(tiny, 1)).masked_fill_(tiny, 0)
    previous = old.gather(2, at)
    unchanged = _rounding(maxima - previous, maxima, previous)
    found = torch.zeros_like(old).scatter_add_(2, winner, gradient * share)
    return [found.scatter_add_(2, at, gradient * unchanged).view(reference.shape)]


def halve(call: Call, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
    """Rule of elementwise products: a factor's multiplier is the mean of the other factor in the two forward passes."""
    (gradient,) = gradients
    assert gradient is not None
    first, second = ((one + other) / 2 for one, other in zip(tensors, call.recorded(tensors), strict=True))
    return [(gradient * factor).sum_to_size(of.shape) for factor, of in zip((second, first), tensors, strict=True)]


def average_along_path(nodes: int) -> Rule:
    """Returns a rule that averages the derivative along the line from the reference's tensors to the sequence's.

    Args:
        nodes: Nodes of Gauss-Legendre quadrature.
    """
    points, weights = np.polynomial.legendre.leggauss(nodes)

    def rule(call: Call, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
        found, others = [torch.zeros_like(tensor) for tensor in tensors], call.recorded(tensors)
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            at = [_between(tensor, other, float(point)) for tensor, other in zip(tensors, others, strict=True)]
            for total, part in zip(found, call.pull(at, gradients), strict=True):
                total.add_(part, alpha=float(weight))
        return found

    return rule


def guide(call: Call, tensors: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
    """Rule of guided backpropagation: sets negative gradients to zero, then applies the rectifier's own derivative.

    Smooth rectifiers (GELU, SiLU, ELU, softplus) follow the same rule.
    """
    return call.pull(tensors, [None if gradient is None else gradient.clamp(min=0) for gradient in gradients])


class Guided(Rules):
    """Context with guided backpropagation (Springenberg et al. 2015, arXiv:1412.6806) at every rectifier."""

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
_POOLINGS = frozenset({"max_pool1d", "max_pool2d"})
_STEP_BY_STEP = {"lstm": unrolled.lstm, "gru": unrolled.gru}
_OTHER_NAMES = {"_threshold": "threshold", "multiply": "mul", "true_divide": "div", "truediv": "div", "clip": "clamp"}


def _name(func: Any) -> str:
    name = getattr(func, "__name__", "").removeprefix("__").removesuffix("__")
    return _OTHER_NAMES.get(name, name)


def _tensors(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[int | str, Tensor]:
    found: dict[int | str, Tensor] = {i: value for i, value in enumerate(args) if isinstance(value, Tensor)}
    return found | {name: value for name, value in kwargs.items() if isinstance(value, Tensor)}


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    # Masked attention scores are minus infinity at both ends, where interpolation would give NaN.
    return torch.where(start == end, start, start + share * (end - start))


def _rounding(difference: Tensor, x: Tensor, reference: Tensor) -> Tensor:
    """Returns where a difference is within rounding error."""
    return difference.abs() <= 1e-6 * torch.maximum(x.abs(), reference.abs())


def _tiled(x: Tensor, like: Tensor) -> Tensor:
    """Repeats a tensor of B sequences to the shape of one of R * B references, along any axis that holds them."""
    if x.shape == like.shape:
        return x
    return x.repeat([there // here for there, here in zip(like.shape, x.shape, strict=True)])
