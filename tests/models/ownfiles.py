"""Python files with models, as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from noncoder.models.own import source

PLAIN = '''
"""Networks of my own."""

from torch import nn


class Net(nn.Module):
    """A small network."""

    def __init__(self, tasks, window, channels: int = 6, dropout: float = 0.1, activation=nn.ReLU):
        super().__init__()
        self.reads = nn.Conv1d(4, channels, 9)
        self.act = activation()
        self.pool = nn.AdaptiveMaxPool1d(5)
        self.drop = nn.Dropout(dropout)
        self.last = nn.Linear(5 * channels, tasks)

    def forward(self, x):
        return self.last(self.drop(self.pool(self.act(self.reads(x))).flatten(1)))
'''
SPLIT = (
    PLAIN.replace("AdaptiveMaxPool1d(5)", "MaxPool1d(10)")
    .replace("5 * ch", "(window - 8) // 10 * ch")
    .replace(
        "    def forward(self, x):\n"
        "        return self.last(self.drop(self.pool(self.act(self.reads(x))).flatten(1)))\n",
        "    def features(self, x):\n        return self.pool(self.act(self.reads(x)))\n\n"
        "    def head(self, y):\n        return self.last(y.flatten(1))\n\n"
        "    def forward(self, x):\n        return self.last(self.drop(self.features(x).flatten(1)))\n",
    )
)
DERIVED = '''
from pydantic import Field
from torch import nn

from noncoder.config import Section
from noncoder.models import SequenceModel


class NetConfig(Section):
    channels: int = Field(6, ge=1)
    """Channels of the convolution."""


class Net(SequenceModel):
    def __init__(self, tasks: int, window: int, config: NetConfig) -> None:
        super().__init__(tasks, window, config)
        self.reads = nn.Conv1d(4, config.channels, 9)
        self.output = nn.Linear(config.channels, tasks)

    def features(self, x):
        return self.reads(x).relu()

    def head(self, y):
        return self.output(y.amax(dim=2))
'''
SUM = '''
import torch
from torch import nn


class Net(nn.Module):
    """No linear layer, and no layer with positions."""

    def __init__(self, tasks, window):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(tasks, 4, window) / window**0.5)

    def forward(self, x):
        return torch.einsum("ncl,tcl->nt", x, self.weight)
'''


def write_model(folder: Path, text: str = PLAIN, name: str = "net.py") -> str:
    """Writes a file; the name of its model Net."""
    (folder / name).write_text(text)
    return f"{folder / name}:Net"


def switch_account(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """From here on the process is that of a user who has named no file yet."""
    patch.setenv("XDG_STATE_HOME", str(folder))
    patch.setattr(source, "_named", set())
