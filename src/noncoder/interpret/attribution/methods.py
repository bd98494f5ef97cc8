"""What an attribution is, its settings, and the methods by name.

A new method is a file in this folder and one decorator; the test suite of all methods is then its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from noncoder.config import Section
from noncoder.errors import UnknownNameError
from noncoder.interpret.attribution.target import Target
from noncoder.sequence.encoding import one_hot


class AttributionConfig(Section):
    """Settings of the attribution methods; each reads those that concern it."""

    references: int = Field(20, ge=1)
    """Shuffled sequences with which each sequence is compared: DeepLIFT, and integrated gradients from shuffles."""
    baseline: Literal["shuffles", "uniform", "zeros"] = "shuffles"
    """With what DeepLIFT and integrated gradients compare: dinucleotide shuffles of the sequence, a quarter of each
    base, or nothing at all."""
    steps: int = Field(20, ge=1)
    """Steps of integrated gradients between a reference and the sequence."""
    nodes: int = Field(8, ge=1)
    """Steps with which DeepLIFT averages what is neither element by element nor a product: softmax, layer norm."""
    samples: int = Field(20, ge=1)
    """Noisy copies of each sequence: smooth-grad."""
    noise: float = Field(0.1, gt=0)
    """Standard deviation of that noise, in units of the one-hot code."""
    correct: bool = True
    """Whether the mean over the bases is taken off gradients (saliency, input x gradient, smooth-grad, guided
    backpropagation): a change of one base into another never moves along it."""
    layer: str = "last"
    """Where Grad-CAM looks: a layer's name, "first" for the first convolution, "last" for what the head reads."""
    variant: Literal["paper", "report"] = "paper"
    """Where Grad-CAM cuts off what is negative: after the sum over channels as in its paper, or in each channel before
    it as in the 2020 report."""
    seed: int = Field(0, ge=0)
    """Of shuffles and noise. Those of a sequence depend on it and on the sequence, not on the others of the batch."""
    batch_size: int = Field(64, ge=1)
    """Sequences a pass, references, steps and noisy copies counted."""


@dataclass(frozen=True)
class Attribution:
    """What a model's logit owes to each base.

    Attributes:
        method: One of `list_attributions()`.
        codes: The sequences, uint8 (n, L).
        values: What each base contributes, or would if it stood there, float32 (n, 4, L); of methods that know the base
            alone that stands there, zeros elsewhere. Zeros at N.
        hypothetical: Whether the values of the bases that do not stand there mean something.
        explained: The logit less the mean logit of the references, float64 (n,), which `projected` should sum to; None
            where the method makes no such claim.
        warnings: What a reader should know: where the method is not exact for this model, where it found nothing.
    """

    method: str
    codes: NDArray[np.uint8]
    values: NDArray[np.float32]
    hypothetical: bool
    explained: NDArray[np.float64] | None
    warnings: tuple[str, ...]

    @property
    def projected(self) -> NDArray[np.float32]:
        """The value of the base that stands there, (n, L); 0 at N."""
        projected: NDArray[np.float32] = np.where(one_hot(self.codes), self.values, 0).sum(axis=1)
        return projected

    @property
    def total(self) -> NDArray[np.float64]:
        """The sum of `projected`, (n,)."""
        total: NDArray[np.float64] = self.projected.sum(axis=1, dtype=np.float64)
        return total

    @property
    def completeness_error(self) -> NDArray[np.float64]:
        """`total` less `explained`, in logits, (n,).

        Raises:
            ValueError: The method claims no sum.
        """
        if self.explained is None:
            raise ValueError(f"{self.method} does not claim that its values sum to anything")
        return self.total - self.explained


class AttributionPart(NamedTuple):
    """What a method finds for some sequences.

    Attributes:
        values: (b, 4, L).
        explained: The logit less the mean logit of the references, (b,); None without a claim.
        notes: What the method has to say about them; the same note is told once.
    """

    values: Tensor
    explained: Tensor | None = None
    notes: tuple[str, ...] = ()


Explain = Callable[[Target, Tensor, AttributionConfig], AttributionPart]
"""(target, codes uint8 (b, L) on the model's device, settings) -> part; gradients are enabled."""


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        name: Its name.
        explain: Its function.
        about: A line about it.
        source: The paper that it follows.
        hypothetical: Whether it values bases that do not stand there.
        copies: How many copies of each sequence it passes: so many fewer sequences are given to it at once.
    """

    name: str
    explain: Explain
    about: str
    source: str
    hypothetical: bool
    copies: Callable[[AttributionConfig], int]


_METHODS: dict[str, Method] = {}


def _one(_: AttributionConfig) -> int:
    return 1


def register(
    name: str,
    about: str,
    source: str,
    hypothetical: bool = True,
    copies: Callable[[AttributionConfig], int] = _one,
) -> Callable[[Explain], Explain]:
    """Registers a method under a name; the arguments are those of `Method`."""

    def add(explain: Explain) -> Explain:
        if name in _METHODS:
            raise ValueError(f"two attribution methods are called {name!r}")
        _METHODS[name] = Method(name, explain, about, source, hypothetical, copies)
        return explain

    return add


def list_attributions() -> list[str]:
    """The names of all methods, sorted."""
    return sorted(_METHODS)


def attribution_method(name: str) -> Method:
    """What is registered under a name.

    Raises:
        UnknownNameError: Nothing is; the message offers the nearest name.
    """
    if name not in _METHODS:
        raise UnknownNameError("attribution method", name, _METHODS)
    return _METHODS[name]
