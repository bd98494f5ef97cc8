"""A wide residual network, a recurrent or attention core, and a skip connection around it to a dense head.

The models of the 2020 report (R. Chaves Moreno, github.com/Rvbens/non-coding-DNA-classifier at commit 49de66a) are
the defaults: `wideresnet-txl` with its Transformer-XL and `wideresnet-lstm`. For 919 tasks and 1,000 bp they have
39,239,447 and 44,911,559 parameters. The report counts 39,242,021 for the first, because it includes 2,574 unused
weights of word embeddings.

The report's comparisons are settings: embedding or one-hot, blocks, expansion (Wide ResNet, arXiv:1605.07146),
cardinality (ResNeXt, arXiv:1611.05431), squeeze-and-excitation (arXiv:1709.01507), activation before or after the
convolutions (arXiv:1603.05027), the core, the skip connection, and weight vector normalisation (arXiv:1912.01857).
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from noncoder.config import Section
from noncoder.errors import ConfigError, InputError
from noncoder.models.layers.attention import Encoder
from noncoder.models.layers.convolution import as_image
from noncoder.models.layers.dense import DenseBlock, NormalisedLinear
from noncoder.models.layers.dropout import Dropout
from noncoder.models.layers.recurrent import float32_on_cpu
from noncoder.models.layers.residual import Bottleneck
from noncoder.models.layers.transformerxl import Reach, TransformerXL
from noncoder.models.registry import SequenceModel, register


class WideResNetConfig(Section):
    """Settings of the wide residual network; the defaults are the report's model with Transformer-XL."""

    embedding: int = Field(64, ge=0)
    """Width of the learned embedding of a base; 0 for one-hot."""
    unknown: Literal["zeros", "A"] = "zeros"
    """Encoding of N: zeros, or A as in the report's data, which only its weights need."""
    stem_kernel: int = Field(7, ge=1)
    """Width of the first convolution, bp, odd."""
    stem_norm: bool = False
    """Batch norm and ReLU after the first convolution."""
    width: int = Field(256, ge=1)
    """Channels after the last block; they grow by each block's stride up to this."""
    strides: tuple[Annotated[int, Field(ge=1)], ...] = Field((2, 2, 2), min_length=1)
    """Stride of each residual block, which divides the positions and multiplies the channels; one block per number."""
    block_kernel: int = Field(3, ge=1)
    """Width of the middle convolution of a block, odd."""
    expansion: float = Field(16, gt=0)
    """Channels inside a block, as a multiple of a quarter of its output channels (Wide ResNet)."""
    cardinality: int = Field(1, ge=1)
    """Groups of the middle convolution of a block (ResNeXt)."""
    squeeze: int = Field(0, ge=0)
    """Reduction of the squeeze-and-excitation at the end of a block; 0 for none."""
    activation: Literal["pre", "post"] = "pre"
    """Norm and ReLU before each convolution of a block, or after it."""
    resnet_dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout after the last block."""
    core: Literal["none", "lstm", "transformer-xl", "encoder"] = "transformer-xl"
    """What reads along the sequence between the blocks and the head; `encoder` is the plain Transformer encoder."""
    core_layers: int | None = Field(None, ge=1)
    """Layers of the core; by default 6, or 1 for an LSTM."""
    core_heads: int = Field(4, ge=1)
    """Attention heads per layer."""
    core_head_width: int = Field(16, ge=1)
    """Width of a head's queries, keys and values."""
    core_inner: int = Field(256, ge=1)
    """Units of the feed-forward parts of an attention core."""
    core_kernel: int = Field(1, ge=1)
    """Width of the convolutions in the attention heads; 1 for none."""
    core_dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout inside an attention core, or after the LSTM."""
    bidirectional: bool = False
    """Whether Transformer-XL sees both sides of a position, without memory, or only the positions before it."""
    memory: int = Field(256, ge=0)
    """Slots of zero memory before the first position, for a Transformer-XL that sees one side."""
    same_length: bool = True
    """Whether each of its queries sees as many keys as there are slots."""
    directions: Literal["concat", "add"] = "concat"
    """How the two directions of the LSTM are joined."""
    skip: Literal["none", "concat", "add"] = "concat"
    """How the blocks' output bypasses the core to the head; without a core there is no bypass."""
    skip_norm: bool = False
    """Batch norm on the bypass."""
    hidden: int = Field(512, ge=0)
    """Units of the dense layer before the last; 0 for none."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout before the last layer."""
    wvn: bool = False
    """Weight vector normalisation: the weights of each task in the last layer have norm one."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.stem_kernel % 2 == 0 or self.block_kernel % 2 == 0:
            raise ValueError(
                "a kernel of an even width shifts the sequence: stem_kernel and block_kernel should be odd"
            )
        if self.width % prod(self.strides):
            raise ValueError(f"width {self.width} should be a multiple of the product of the strides {self.strides}")
        if self.skip == "add" and self.core == "lstm" and self.directions == "concat":
            raise ValueError("the LSTM's two directions are twice as wide as the skip connection: directions=add")
        if self.core in ("transformer-xl", "encoder") and self.width % 2:
            raise ValueError(f"an attention core needs an even width, not {self.width}")
        return self


class WideResNetLstmConfig(WideResNetConfig):
    """Settings of the wide residual network; the defaults are the report's model with an LSTM."""

    width: int = Field(352, ge=1)
    """Channels after the last block; they grow by each block's stride up to this."""
    core: Literal["none", "lstm", "transformer-xl", "encoder"] = "lstm"
    """What reads along the sequence between the blocks and the head; `encoder` is the plain Transformer encoder."""
    core_dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout inside an attention core, or after the LSTM."""
    hidden: int = Field(256, ge=0)
    """Units of the dense layer before the last; 0 for none."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Dropout before the last layer."""


class Front(nn.Module):
    """The embedding of bases and the first convolution.

    Both are linear, so they are multiplied into one convolution of one-hot DNA; the wide embedding of each base is
    never computed.

    Args:
        embedding: Width of the embedding; 0 for one-hot.
        channels: Channels of the convolution.
        kernel: Width of the convolution, odd.
        unknown: Encoding of N.
    """

    def __init__(self, embedding: int, channels: int, kernel: int, unknown: Literal["zeros", "A"]) -> None:
        super().__init__()
        self.unknown, self.padding = unknown, (0, kernel // 2)
        self.embedding = nn.Linear(4, embedding, bias=False) if embedding else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight)  # as nn.Embedding does
        self.stem = nn.Conv2d(embedding or 4, channels, (1, kernel), padding=self.padding, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) -> (N, C, 1, L)."""
        if self.unknown == "A":
            x = torch.cat([x[:, :1] + 1 - x.sum(dim=1, keepdim=True), x[:, 1:]], dim=1)
        if self.embedding is None:
            y: Tensor = self.stem(as_image(x))
            return y
        kernel = torch.einsum("ceik,eb->cbik", self.stem.weight, self.embedding.weight)
        return F.conv2d(as_image(x), kernel, padding=self.padding)


class BiLSTM(nn.Module):
    """A bidirectional LSTM, then dropout.

    Args:
        width: Input channels, and units of each direction.
        layers: Number of layers.
        directions: Whether the two directions are concatenated or added.
        dropout: Dropout of the output.
    """

    def __init__(self, width: int, layers: int, directions: Literal["concat", "add"], dropout: float) -> None:
        super().__init__()
        self.width = 2 * width if directions == "concat" else width
        self.lstm = nn.LSTM(width, width, layers, bidirectional=True, batch_first=True)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, 2C), or (N, L, C) if the directions are added."""
        with float32_on_cpu(x) as x:
            y, _ = self.lstm(x)
        if self.width < y.shape[2]:
            y = y.unflatten(2, (2, self.width)).sum(dim=2)
        out: Tensor = self.dropout(y)
        return out


@register(
    "wideresnet-lstm",
    WideResNetLstmConfig,
    about="wide residual network, LSTM and a skip connection: the report's second model",
    source="R. Chaves Moreno 2020, github.com/Rvbens/non-coding-DNA-classifier",
)
@register(
    "wideresnet-txl",
    WideResNetConfig,
    about="wide residual network, Transformer-XL and a skip connection: the report's first model",
    source="R. Chaves Moreno 2020, github.com/Rvbens/non-coding-DNA-classifier",
)
class WideResNet(SequenceModel):
    """The wide residual network with a core.

    Args:
        tasks: Number of tasks, T.
        window: Length of the input, L, bp; at least the product of the strides.
        config: Its settings.

    Raises:
        InputError: The window is too short.
        ConfigError: The groups do not divide the channels inside a block.
    """

    def __init__(self, tasks: int, window: int, config: WideResNetConfig) -> None:
        super().__init__(tasks, window, config)
        step = prod(config.strides)
        if window < step:
            raise InputError(f"a window of {window} bp is too short for a wide ResNet", expected=f"{step} bp or more")
        # Squeeze-and-excitation takes means over all positions of a window.
        self.feature_step = None if config.squeeze else step
        channels = config.width // step
        self.front = Front(config.embedding, channels, config.stem_kernel, config.unknown)
        self.stem_norm = nn.BatchNorm2d(channels) if config.stem_norm else None
        self.blocks = nn.Sequential()
        self.positions = window
        for stride in config.strides:
            self.blocks.append(_block(channels, channels * stride, stride, config))
            channels, self.positions = channels * stride, -(-self.positions // stride)
        # Blocks that end in a norm and ReLU need no further norm.
        self.norm = nn.BatchNorm2d(channels) if config.activation == "pre" else None
        self.resnet_dropout = Dropout(config.resnet_dropout)
        self.core = _core(self.positions, config)
        self.skip = config.skip if self.core is not None else "none"
        self.skip_norm = nn.BatchNorm1d(channels) if config.skip_norm and self.skip != "none" else None
        width = self.core.width if isinstance(self.core, BiLSTM) else channels
        features = self.positions * (width + channels if self.skip == "concat" else width)
        self.hidden = DenseBlock(features, config.hidden, config.dropout) if config.hidden else None
        linear = NormalisedLinear if config.wvn else nn.Linear
        self.output = linear(config.hidden or features, tasks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, x: Tensor) -> Tensor:
        """(N, 4, L) -> (N, C, positions): the output of the residual blocks."""
        y = self.front(x)
        if self.stem_norm is not None:
            y = F.relu(self.stem_norm(y), inplace=True)
        y = self.blocks(y)
        if self.norm is not None:
            y = F.relu(self.norm(y), inplace=True)
        return y.squeeze(2)  # type: ignore[no-any-return]

    def head(self, features: Tensor) -> Tensor:
        """(N, C, positions) -> (N, T): the core, its bypass, and the dense layers."""
        x = self.resnet_dropout(features.transpose(1, 2))
        y = x if self.core is None else self.core(x)
        if self.skip != "none":
            around = x if self.skip_norm is None else self.skip_norm(x.transpose(1, 2)).transpose(1, 2)
            y = torch.cat([around, y], dim=2) if self.skip == "concat" else around + y
        y = y.flatten(1)
        logits: Tensor = self.output(y if self.hidden is None else self.hidden(y))
        return logits


def _block(channels_in: int, channels_out: int, stride: int, config: WideResNetConfig) -> Bottleneck:
    inner = max(1, round(channels_out * config.expansion / 4))
    if inner % config.cardinality:
        raise ConfigError(
            f"a block with {inner} channels inside, in {config.cardinality} groups",
            expected="a cardinality that divides the channels", hint="change cardinality, expansion or width",
        )  # fmt: skip
    return Bottleneck(
        channels_in, channels_out, inner, config.block_kernel, stride, config.cardinality, config.squeeze,
        config.activation,
    )  # fmt: skip


def _core(positions: int, config: WideResNetConfig) -> BiLSTM | TransformerXL | Encoder | None:
    c = config
    layers = c.core_layers or (1 if c.core == "lstm" else 6)
    if c.core == "lstm":
        return BiLSTM(c.width, layers, c.directions, c.core_dropout)
    if c.core == "encoder":
        return Encoder(
            positions, c.width, layers, c.core_heads, c.core_head_width, c.core_inner, c.core_kernel,
            c.core_dropout,
        )  # fmt: skip
    if c.core == "transformer-xl":
        reach = Reach(False) if c.bidirectional else Reach(True, c.memory, c.same_length and c.memory > 0)
        return TransformerXL(
            c.width, layers, c.core_heads, c.core_head_width, c.core_inner, reach, c.core_kernel, c.core_dropout
        )
    return None
