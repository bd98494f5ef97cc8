"""DeepSEA (Zhou & Troyanskaya, Nature Methods 2015, doi:10.1038/nmeth.3547).

Three convolutions and a fully connected layer. The published weights have 925 units in that layer, the released
training code 919. For 919 tasks and 1,000 bp: 52,843,119 and 52,532,319 parameters.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from noncoder.config import Section
from noncoder.errors import InputError
from noncoder.models.layers.dropout import Dropout
from noncoder.models.registry import SequenceModel, register

_KERNEL, _POOL = 8, 4


class DeepSeaConfig(Section):
    """Settings of DeepSEA; the defaults are the published model."""

    hidden: int = Field(925, ge=1)
    """Units of the fully connected layer: 925 in the published weights, 919 in the released training code."""
    conv_dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout after the first and the second convolution."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout after the third convolution."""


def _rectifier() -> nn.Threshold:
    # The authors' rectifier returns 1e-6, not 0, for values that are not positive.
    return nn.Threshold(0, 1e-6)


@register(
    "deepsea",
    DeepSeaConfig,
    about="three convolutions and a wide fully connected layer",
    source="Zhou & Troyanskaya 2015, doi:10.1038/nmeth.3547",
)
class DeepSea(SequenceModel):
    """DeepSEA.

    Args:
        tasks: Number of tasks, T.
        window: Length of the input, L, bp; at least 163.
        config: Its settings.

    Raises:
        InputError: The window is too short for three convolutions and two poolings.
    """

    def __init__(self, tasks: int, window: int, config: DeepSeaConfig) -> None:
        super().__init__(tasks, window, config)
        length, self.feature_step = window, _POOL**2
        for pooled in (True, True, False):
            length = (length - _KERNEL + 1) // (_POOL if pooled else 1)
        if length < 1:
            raise InputError(f"a window of {window} bp is too short for deepsea", expected="163 bp or more")
        self.convolutions = nn.Sequential(
            nn.Conv1d(4, 320, _KERNEL),
            _rectifier(),
            nn.MaxPool1d(_POOL),
            Dropout(config.conv_dropout),
            nn.Conv1d(320, 480, _KERNEL),
            _rectifier(),
            nn.MaxPool1d(_POOL),
            Dropout(config.conv_dropout),
            nn.Conv1d(480, 960, _KERNEL),
            _rectifier(),
            Dropout(config.dropout),
        )
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(960 * length, config.hidden), _rectifier())
        self.output = nn.Linear(config.hidden, tasks)

    def features(self, x: Tensor) -> Tensor:
        """(N, 4, L) -> (N, 960, 53) for 1,000 bp."""
        features: Tensor = self.convolutions(x)
        return features

    def head(self, features: Tensor) -> Tensor:
        """(N, 960, 53) -> (N, T)."""
        logits: Tensor = self.output(self.hidden(features))
        return logits
