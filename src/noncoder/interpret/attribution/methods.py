"""Attributions, their settings, and the registry of methods.

A new method is a file in this folder with one decorated function. The test suite of all methods then covers it.
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
    """Settings of the attribution methods; each method reads only its own."""

    references: int = Field(20, ge=1)
    """Shuffled references per sequence, for DeepLIFT and integrated gradients with the baseline "shuffles"."""
    baseline: Literal["shuffles", "uniform", "zeros"] = "shuffles"
    """References of DeepLIFT and integrated gradients: dinucleotide shuffles of the sequence, 0.25 for each base, or
    zeros."""
    steps: int = Field(20, ge=1)
    """Steps of integrated gradients between a reference and the sequence."""
    nodes: int = Field(8, ge=1)
    """Quadrature nodes of DeepLIFT for functions that are neither elementwise nor products: softmax, layer norm."""
    samples: int = Field(20, ge=1)
    """Noisy copies of each sequence, for smooth-grad."""
    noise: float = Field(0.1, gt=0)
    """Standard deviation of the noise of smooth-grad, in units of the one-hot code."""
    correct: bool = True
    """Subtract the mean over the four bases from gradients (saliency, input-x-gradient, smooth-grad, guided
    backpropagation). The mean has no meaning: replacing one base by another never moves along it."""
    layer: str = "last"
    """Layer of Grad-CAM: a layer's name, "first" for the first convolution, "last" for the input of the head."""
    variant: Literal["paper", "report"] = "paper"
    """Where Grad-CAM removes negative values: after the sum over channels (the original paper) or in each channel
    before it (the 2020 report)."""
    seed: int = Field(0, ge=0)
    """Random seed of shuffles and noise. Those of a sequence depend on the seed and the sequence, not on its batch."""
    batch_size: int = Field(64, ge=1)
    """Sequences per forward pass; references, steps and noisy copies count as sequences."""


@dataclass(frozen=True)
class Attribution:
    """Contribution of each base to a model's logit.

    Attributes:
        method: One of `list_attributions()`.
        codes: Sequences, uint8 (n, L).
        values: Contribution of each base, or its contribution if it replaced the present base, float32 (n, 4, L).
            Methods without such hypothetical values have zeros at absent bases. All values at an N are zero.
        hypothetical: Whether the values of absent bases are meaningful.
        explained: Logit minus the mean logit of the references, float64 (n,), the expected sum of `projected`; None
            for a method without this property.
        warnings: Sentences for the reader, e.g. that the method is not exact for this model or that all values are
            zero.
    """

    method: str
    codes: NDArray[np.uint8]
    values: NDArray[np.float32]
    hypothetical: bool
    explained: NDArray[np.float64] | None
    warnings: tuple[str, ...]

    @property
    def projected(self) -> NDArray[np.float32]:
        """Value of the present base, (n, L); 0 at N."""
        projected: NDArray[np.float32] = np.where(one_hot(self.codes), self.values, 0).sum(axis=1)
        return projected

    @property
    def total(self) -> NDArray[np.float64]:
        """Sum of `projected` over positions, (n,)."""
        total: NDArray[np.float64] = self.projected.sum(axis=1, dtype=np.float64)
        return total

    @property
    def completeness_error(self) -> NDArray[np.float64]:
        """`total` minus `explained`, in logits, (n,).

        Raises:
            ValueError: The method has no expected sum.
        """
        if self.explained is None:
            raise ValueError(f"the values of {self.method} have no expected sum")
        return self.total - self.explained


class AttributionPart(NamedTuple):
    """Result of a method for a batch of sequences.

    Attributes:
        values: Contributions, (b, 4, L).
        explained: Logit minus the mean logit of the references, (b,); None for a method without this property.
        notes: Warnings about the sequences; equal notes of several batches are reported once.
    """

    values: Tensor
    explained: Tensor | None = None
    notes: tuple[str, ...] = ()


Explain = Callable[[Target, Tensor, AttributionConfig], AttributionPart]
"""(target, codes uint8 (b, L) on the model's device, settings) -> part, called with gradients enabled."""


@dataclass(frozen=True)
class Method:
    """Registered attribution method.

    Attributes:
        name: Name of the method.
        explain: Function that computes the attributions.
        about: One-line description.
        source: Paper of the method.
        hypothetical: Whether the method gives values to absent bases.
        copies: Number of copies of each sequence that the method evaluates, from the settings; the batch size is
            divided by it.
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
    """Registers a function as an attribution method; the arguments are those of `Method`."""

    def add(explain: Explain) -> Explain:
        if name in _METHODS:
            raise ValueError(f"the attribution method {name!r} already exists")
        _METHODS[name] = Method(name, explain, about, source, hypothetical, copies)
        return explain

    return add


def list_attributions() -> list[str]:
    """Returns the names of all methods, sorted."""
    return sorted(_METHODS)


def attribution_method(name: str) -> Method:
    """Returns the method of a name.

    Raises:
        UnknownNameError: The method does not exist; the message lists all methods and suggests the nearest name.
    """
    if name not in _METHODS:
        raise UnknownNameError("attribution method", name, _METHODS)
    return _METHODS[name]
