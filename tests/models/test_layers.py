"""Blocks that several models use: convolutions, dropout, residual blocks, dense layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from noncoder.errors import ConfigError
from noncoder.models.layers.attention import Encoder, HeadConvolution, SelfAttention
from noncoder.models.layers.convolution import SequenceConv
from noncoder.models.layers.dense import NormalisedLinear
from noncoder.models.layers.dropout import Dropout
from noncoder.models.layers.residual import Bottleneck, SqueezeExcitation


@pytest.mark.parametrize(
    ("kernel", "padding", "dilation", "length"),
    [(3, 1, 1, 9), (5, 4, 2, 12), (8, 0, 1, 20), (1, 0, 1, 5), (3, 5, 1, 4)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_of_the_convolution_are_pytorchs(
    kernel: int, padding: int, dilation: int, length: int, bias: bool
) -> None:
    torch.manual_seed(0)
    ours = SequenceConv(16, 6, kernel, padding, dilation, bias=bias)
    x = torch.randn(3, 16, 1, length).to(memory_format=torch.channels_last)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    y = ours(a)
    expected = nn.functional.conv2d(b, ours.weight, ours.bias, padding=(0, padding), dilation=(1, dilation))
    torch.testing.assert_close(y, expected)
    gradient = torch.randn_like(y)
    (by_weight,) = torch.autograd.grad(expected, ours.weight, gradient, retain_graph=True)
    expected.backward(gradient)
    ours.zero_grad()
    y.backward(gradient)
    torch.testing.assert_close(ours.weight.grad, by_weight, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-5)
    assert (ours.bias is not None) == bias
    if ours.bias is not None:
        torch.testing.assert_close(ours.bias.grad, gradient.sum(dim=(0, 2, 3)), atol=1e-5, rtol=1e-5)


def test_a_convolution_in_groups_or_half_precision_is_pytorchs_own() -> None:
    x = torch.randn(2, 4, 1, 9, requires_grad=True)
    grouped = SequenceConv(4, 6, 3, 1, groups=2)
    torch.testing.assert_close(
        grouped(x), nn.functional.conv2d(x, grouped.weight, grouped.bias, padding=(0, 1), groups=2)
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert SequenceConv(4, 6, 3, 1)(x).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_leaves_out_its_share_and_scales_the_rest(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(200, 1000, dtype=dtype, requires_grad=True)
    y = Dropout(0.3)(x)
    kept = y != 0
    # Five standard deviations of the share of 200,000 draws.
    assert abs(kept.float().mean() - 0.7) < 5 * (0.3 * 0.7 / 200_000) ** 0.5
    assert y.dtype == dtype
    torch.testing.assert_close(
        y[kept], torch.full_like(y[kept], 1 / 0.7), rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=0
    )
    y.sum().backward()
    torch.testing.assert_close(x.grad, y)
    # Neighbours are independent: four share a draw of the generator.
    together = (kept[:, :-1] & kept[:, 1:]).float().mean()
    assert abs(together - 0.49) < 0.01


def test_dropout_is_drawn_anew_repeats_with_the_seed_and_rests_in_evaluation() -> None:
    drop, x = Dropout(0.5), torch.ones(64, 33)
    torch.manual_seed(1)
    first, second = drop(x), drop(x)
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(drop(x), first)
    assert drop.eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_dropout_keeps_the_order_in_memory() -> None:
    image = torch.randn(2, 8, 1, 5).to(memory_format=torch.channels_last)
    assert Dropout(0.5)(image).is_contiguous(memory_format=torch.channels_last)
    turned = torch.randn(2, 5, 8).transpose(1, 2)
    assert Dropout(0.5)(turned).stride() == turned.stride()
    part = torch.randn(4, 6)[:, ::2]
    assert Dropout(0.5)(part).shape == (4, 3)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_pre_activation_bottleneck_is_its_formula(stride: int) -> None:
    torch.manual_seed(0)
    block = Bottleneck(4, 8, 6, 3, stride, 1, 0, "pre").eval()
    for norm in (*block.norms, block.shortcut_norm):
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        assert norm.running_mean is not None
        norm.running_mean.normal_()
    x = torch.randn(2, 4, 1, 9)

    def normed(norm: nn.Module, y: torch.Tensor) -> torch.Tensor:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        shift, spread = norm.running_mean[:, None], (norm.running_var + 1e-5).sqrt()[:, None]
        return torch.relu((y - shift) / spread * norm.weight[:, None] + norm.bias[:, None])

    def weight(convolution: nn.Module) -> torch.Tensor:
        assert isinstance(convolution.weight, torch.Tensor)
        return convolution.weight[:, :, 0]

    y = x[:, :, 0]
    y1 = torch.einsum("oi,nil->nol", weight(block.convolutions[0])[:, :, 0], normed(block.norms[0], y)[..., ::stride])
    y2 = nn.functional.conv1d(normed(block.norms[1], y1), weight(block.convolutions[1]), padding=1)
    y3 = torch.einsum("oi,nil->nol", weight(block.convolutions[2])[:, :, 0], normed(block.norms[2], y2))
    around = torch.einsum("oi,nil->nol", weight(block.shortcut)[:, :, 0], normed(block.shortcut_norm, y)[..., ::stride])
    torch.testing.assert_close(block(x)[:, :, 0], y3 + around, atol=1e-5, rtol=1e-4)


def test_the_post_activation_bottleneck_ends_in_a_relu() -> None:
    torch.manual_seed(0)
    block = Bottleneck(4, 8, 6, 3, 2, 2, 2, "post")
    y = block(torch.randn(3, 4, 1, 10))
    assert y.shape == (3, 8, 1, 5)
    assert (y >= 0).all()
    assert (y == 0).any()


def test_squeeze_and_excitation_scales_each_channel_between_0_and_1() -> None:
    block = SqueezeExcitation(8, 4)
    x = torch.rand(2, 8, 1, 5) + 0.1
    ratio = block(x) / x
    assert ((ratio > 0) & (ratio < 1)).all()
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio))


def test_normalised_weight_vectors_have_length_one_whatever_training_does() -> None:
    torch.manual_seed(0)
    layer = NormalisedLinear(5, 3)
    x = torch.randn(4, 5)
    y = layer(x)
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([[2.0], [0.1], [30.0]]))
    torch.testing.assert_close(layer(x), y)
    unit = layer.weight / layer.weight.norm(dim=1, keepdim=True)
    torch.testing.assert_close(y, x @ unit.T + layer.bias)


def test_self_attention_is_its_formula() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(6, heads=2, head_width=4).eval()
    x = torch.randn(1, 5, 6)
    q, k, v = layer.qkv(x).view(5, 3, 2, 4).permute(1, 2, 0, 3)
    heads = ((q @ k.transpose(1, 2)) / 2).softmax(dim=-1) @ v
    expected = layer.norm(x + layer.output(heads.permute(1, 0, 2).flatten(1)))
    torch.testing.assert_close(layer(x), expected)


def test_the_encoder_knows_positions() -> None:
    torch.manual_seed(0)
    encoder = Encoder(length=6, width=8, layers=1, heads=2, head_width=4, inner=8, kernel=3, dropout=0.0).eval()
    nn.init.normal_(encoder.positions)
    x = torch.randn(1, 6, 8)
    assert not torch.allclose(encoder(x.flip(1)).flip(1), encoder(x), atol=1e-3)


def test_a_convolution_in_the_heads_reads_neighbours_and_one_of_even_width_is_told() -> None:
    convolution = HeadConvolution(4, 3, causal=False)
    x = torch.zeros(1, 7, 4)
    x[:, 3] = 1
    assert convolution(x)[0].abs().sum(dim=1).nonzero()[:, 0].tolist() == [2, 3, 4]
    assert HeadConvolution(4, 1, causal=False)(x) is x
    with pytest.raises(ConfigError, match="heads"):
        HeadConvolution(4, 2, causal=False)
