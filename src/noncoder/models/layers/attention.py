"""Self-attention, and the plain Transformer encoder (BERT-like: Devlin et al. 2019, arXiv:1810.04805)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from noncoder.errors import ConfigError
from noncoder.models.layers.dropout import Dropout


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attention with a learned bias on the scores: softmax(query @ key.T + bias) @ value.

    This is PyTorch's fused kernel, except for training on a CPU: there the fused kernel gives the bias no gradient, and
    PyTorch's fallback is slower than this function.

    Args:
        query: (…, L, D), scaled.
        key: (…, K, D).
        value: (…, K, D).
        bias: (…, L, K).

    Returns:
        (…, L, D).
    """
    if query.is_cuda:
        # cuDNN's kernel, which PyTorch prefers on recent GPUs, gives the bias no gradient either and would raise.
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
            return F.scaled_dot_product_attention(query, key, value, bias.to(query.dtype), scale=1.0)
    if not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(query, key, value, bias.to(query.dtype), scale=1.0)
    return (query @ key.transpose(-1, -2) + bias).softmax(dim=-1) @ value


class HeadConvolution(nn.Module):
    """A depthwise convolution over the queries, keys and values of all heads (So et al. 2021, arXiv:2109.08668).

    Args:
        width: Channels, C of (N, L, C).
        kernel: Width, odd unless causal; 1 for no convolution.
        causal: Whether a position reads only itself and those before it.
    """

    def __init__(self, width: int, kernel: int, causal: bool) -> None:
        super().__init__()
        if kernel % 2 == 0 and not causal:
            raise ConfigError(f"a convolution of {kernel} positions in the heads", expected="an odd width")
        self.before = kernel - 1 if causal else kernel // 2
        self.after = kernel - 1 - self.before
        self.convolution = nn.Conv1d(width, width, kernel, groups=width, bias=False) if kernel > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        if self.convolution is None:
            return x
        padded = F.pad(x.transpose(1, 2), (self.before, self.after))
        y: Tensor = self.convolution(padded).transpose(1, 2)
        return y


class FeedForward(nn.Module):
    """Two linear maps at each position; their output is added to the input, and the sum is normalized.

    Args:
        width: d of (N, L, d).
        inner: Units between the two maps.
        activation: Activation between the two maps.
        dropout: Dropout after each map.
    """

    def __init__(self, width: int, inner: int, activation: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, inner), activation, Dropout(dropout), nn.Linear(inner, width), Dropout(dropout)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, d) -> (N, L, d)."""
        y: Tensor = self.norm(x + self.layers(x))
        return y


class SelfAttention(nn.Module):
    """Attention of all positions to all; its output is added to the input, and the sum is normalized.

    Args:
        width: d of (N, L, d).
        heads: H.
        head_width: Width of a head's queries, keys and values.
        kernel: Width of the convolution in each head's queries, keys and values; 1 for none.
        dropout: Dropout of the heads' output.
    """

    def __init__(self, width: int, heads: int, head_width: int, kernel: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.qkv = nn.Linear(width, 3 * heads * head_width)
        self.convolution = HeadConvolution(3 * heads * head_width, kernel, causal=False)
        self.output = nn.Linear(heads * head_width, width)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, d) -> (N, L, d)."""
        batch, length, _ = x.shape
        qkv = self.convolution(self.qkv(x)).view(batch, length, 3, self.heads, self.head_width)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        y: Tensor = self.norm(x + self.dropout(self.output(attended.transpose(1, 2).flatten(2))))
        return y


class Encoder(nn.Module):
    """The plain Transformer encoder: learned absolute positions, norms after the residual sums, GELU.

    Args:
        length: L of (N, L, d).
        width: d.
        layers: Number of layers.
        heads: Attention heads.
        head_width: Width of a head.
        inner: Units of the feed-forward parts.
        kernel: Width of the convolutions in the heads; 1 for none.
        dropout: Dropout of the input and of each part's output.
    """

    def __init__(
        self, length: int, width: int, layers: int, heads: int, head_width: int, inner: int, kernel: int, dropout: float
    ) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(length, width))
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.Sequential(
                SelfAttention(width, heads, head_width, kernel, dropout),
                FeedForward(width, inner, nn.GELU(), dropout),
            )
            for _ in range(layers)
        )
        initialise_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, d) -> (N, L, d)."""
        x = self.dropout(self.norm(x + self.positions))
        for layer in self.layers:
            x = layer(x)
        return x


def initialise_normal(module: nn.Module, spread: float = 0.02) -> None:
    """Draws matrices and free parameters from N(0, spread²), as BERT and Transformer-XL do; biases become 0.

    Norms start at 1 (HuggingFace's Transformer-XL draws them close to 1), convolutions in the heads as in PyTorch.
    """
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if isinstance(part, nn.Conv1d | nn.LayerNorm):
                continue
            if isinstance(part, nn.Linear) and name == "bias":
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=spread)
