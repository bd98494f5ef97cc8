"""Transformer-XL against HuggingFace's, and against a plain computation of attention."""

from __future__ import annotations

import math
import shutil
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from noncoder.errors import ConfigError
from noncoder.models.layers import slots, transformerxl
from noncoder.models.layers.attention import attend
from noncoder.models.layers.transformerxl import Reach, TransformerXL

EXACT = Reach(causal=True, slots=256, same_length=True)


def make(reach: Reach, width: int = 24, layers: int = 2, kernel: int = 1, seed: int = 0) -> TransformerXL:
    """A small one with large weights, whose attention is far from even."""
    torch.manual_seed(seed)
    model = TransformerXL(width, layers, 3, 8, 20, reach, kernel).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def huggingface(width: int, layers: int, heads: int, head_width: int, inner: int, reach: Reach) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers 4.35 is older than this torch
        transformers = pytest.importorskip("transformers", reason="transformers, the reference, is not installed")
        if not hasattr(transformers, "TransfoXLModel"):
            pytest.skip("this transformers has no Transformer-XL; 4.35.2 has")
        config = transformers.TransfoXLConfig(
            vocab_size=4, d_embed=8, d_model=width, n_head=heads, d_head=head_width, d_inner=inner, n_layer=layers,
            mem_len=reach.slots, same_length=reach.same_length, cutoffs=[1],
        )  # fmt: skip
        return transformers.TransfoXLModel(config).eval()


def copy_weights(ours: TransformerXL, theirs: Any) -> None:
    with torch.no_grad():
        a: Any  # mypy knows the parts of a ModuleList as modules only
        f: Any
        for a, f, layer in zip(ours.attentions, ours.feed_forwards, theirs.layers, strict=True):
            other = layer.dec_attn
            for mine, its in (
                (a.qkv, other.qkv_net), (a.position, other.r_net), (a.output, other.o_net), (a.norm, other.layer_norm),
                (f.layers[0], layer.pos_ff.CoreNet[0]), (f.layers[3], layer.pos_ff.CoreNet[3]),
                (f.norm, layer.pos_ff.layer_norm),
            ):  # fmt: skip
                its.load_state_dict(mine.state_dict())
            other.r_w_bias.copy_(a.content_bias)
            other.r_r_bias.copy_(a.position_bias)


def test_the_reports_setting_equals_huggingface() -> None:
    """Six layers of four heads on 125 positions, with 256 slots of zeros; also the gradients."""
    torch.manual_seed(0)
    ours = TransformerXL(256, 6, 4, 16, 256, EXACT).eval()
    theirs = huggingface(256, 6, 4, 16, 256, EXACT)
    copy_weights(ours, theirs)
    x = torch.randn(2, 125, 256)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = ours(a), theirs(inputs_embeds=b).last_hidden_state
    assert (y - expected).abs().max() < 1e-5
    weight = torch.randn_like(y)
    (y * weight).sum().backward()
    (expected * weight).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert (a.grad - b.grad).abs().max() < 1e-4
    for attention, layer in zip(ours.attentions, theirs.layers, strict=True):
        mine, its = attention.position_bias.grad, layer.dec_attn.r_r_bias.grad
        torch.testing.assert_close(mine, its, atol=1e-3, rtol=1e-3)
    assert sum(parameter.numel() for parameter in ours.parameters()) == 1_287_936
    assert sum(parameter.numel() for parameter in theirs.parameters()) == 1_287_936 + 2_574


@pytest.mark.parametrize("same_length", [True, False])
@pytest.mark.parametrize("length", [1, 7, 16, 40])
def test_three_segments_equal_huggingface(same_length: bool, length: int) -> None:
    """Shorter than the memory, as long, and longer; the second and third segment see the memory of those before."""
    reach = Reach(causal=True, slots=16, same_length=same_length)
    ours, theirs = make(reach), huggingface(24, 2, 3, 8, 20, reach)
    copy_weights(ours, theirs)
    memory, its = None, None
    for i in range(3):
        x = torch.randn(2, length, 24, generator=torch.manual_seed(i))
        with torch.no_grad():
            y, memory = ours.recur(x, memory)
            expected = theirs(inputs_embeds=x, mems=its)
        its = expected.mems
        assert (y - expected.last_hidden_state).abs().max() < 1e-5
        for mine, other in zip(memory, its, strict=True):
            assert (mine - other.transpose(0, 1)).abs().max() < 1e-5


def plain(model: TransformerXL, x: Tensor, reach: Reach) -> Tensor:
    """Every query and key by itself, with the zero memory written out, in float64 loops."""
    model, x = model.double(), x.double()
    length, width = x.shape
    for attention, feed_forward in zip(model.attentions, model.feed_forwards, strict=True):
        a: Any = attention
        keys = torch.cat([x.new_zeros(reach.slots, width), x])
        q, k, v = a.qkv(keys).view(-1, 3, a.heads, a.head_width).unbind(1)
        out = torch.zeros(length, a.heads, a.head_width, dtype=torch.float64)
        for i in range(length):
            for h in range(a.heads):
                query = q[reach.slots + i, h]
                scores, values = [], []
                for j in range(len(keys)):
                    distance = reach.slots + i - j
                    if (reach.causal and distance < 0) or (reach.same_length and distance >= reach.slots):
                        continue
                    angle = distance / 10000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
                    place = a.position(torch.cat([angle.sin(), angle.cos()])).view(a.heads, a.head_width)[h]
                    score = (query + a.content_bias[h]) @ k[j, h] + (query + a.position_bias[h]) @ place
                    scores.append(score / math.sqrt(a.head_width))
                    values.append(v[j, h])
                out[i, h] = torch.stack(scores).softmax(0) @ torch.stack(values)
        x = feed_forward(a.norm(x + a.output(out.flatten(1))))
    return x


@pytest.mark.parametrize(
    "reach",
    [
        Reach(causal=False),
        Reach(causal=True),
        Reach(causal=True, slots=6),
        Reach(causal=True, slots=6, same_length=True),
        Reach(causal=True, slots=20, same_length=True),
    ],
)
def test_it_is_the_sum_over_keys_of_the_paper(reach: Reach) -> None:
    model = make(reach)
    x = torch.randn(1, 9, 24, generator=torch.manual_seed(3))
    with torch.no_grad():
        computed, expected = model(x)[0], plain(make(reach), x[0], reach)
    torch.testing.assert_close(computed.double(), expected, atol=1e-5, rtol=1e-4)
    # Where gradients are kept, slots of zeros are one key.
    torch.testing.assert_close(model(x)[0].double(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "reach", [EXACT, Reach(True, 5), Reach(True, 5, True), Reach(True, 30, True), Reach(True, 30), Reach(True)]
)
@pytest.mark.parametrize("cached", [1, 1000, 1 << 17])
def test_queries_from_a_position_on_are_those_of_all(
    reach: Reach, cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the keys and values of the positions before; several sequences, in parts that a cache holds."""
    monkeypatch.setattr(slots, "_CACHED", cached)
    layer: Any = make(reach).double().attentions[0]
    x = torch.randn(5, 23, 24, dtype=torch.float64, generator=torch.manual_seed(0))
    for keeps_gradients in (True, False):
        with torch.set_grad_enabled(keeps_gradients):
            whole = layer(x, transformerxl.make_view(x, 0, True, reach))
            query, key, value = layer.project(x)
            for first in (1, 4, 5, 6, 13, 22):
                rest = x[:, first:]
                view = transformerxl.make_view(rest, first, True, reach)
                y = layer.mix(rest, query[:, :, first:], key, value, view)
                torch.testing.assert_close(y, whole[:, first:], atol=1e-12, rtol=1e-12)
            if keeps_gradients:
                trained = whole
    torch.testing.assert_close(whole, trained.detach(), atol=1e-12, rtol=1e-12)


def test_a_causal_reach_sees_nothing_ahead_and_a_bidirectional_one_does() -> None:
    x = torch.randn(1, 12, 24, generator=torch.manual_seed(0))
    changed = x.clone()
    changed[:, 8] += 1
    with torch.no_grad():
        for kernel in (1, 3):
            causal = make(Reach(True, 16, True), kernel=kernel)
            moved = (causal(changed) - causal(x)).abs().amax(dim=2)[0]
            assert (moved[:8] == 0).all()
            assert moved[8] > 0
            both = make(Reach(False), kernel=kernel)
            assert ((both(changed) - both(x)).abs().amax(dim=2)[0] > 0).all()


@pytest.mark.parametrize("reach", [Reach(True, 20, True), Reach(True, 4, True), Reach(True, 3), Reach(False)])
def test_gradients_are_those_of_finite_differences(reach: Reach) -> None:
    model = make(reach, width=8, layers=1).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64, generator=torch.manual_seed(1), requires_grad=True)
    parameters = {name: p for name, p in model.named_parameters() if "norm" not in name}

    def call(x: Tensor, *values: Tensor) -> Any:
        return torch.func.functional_call(model, dict(zip(parameters, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *parameters.values()), fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reach", [EXACT, Reach(False)])
def test_half_precision_trains(dtype: torch.dtype, reach: Reach) -> None:
    """The report's could not run in float16: its mask did not fit in."""
    model = make(reach)
    x = torch.randn(2, 30, 24, generator=torch.manual_seed(0))
    expected = model(x)
    with torch.autocast("cpu", dtype):
        y = model(x)
        with torch.no_grad():
            assert (model(x) - expected).abs().max() < 0.2
    y.float().square().sum().backward()  # outside, as trainers do it
    assert torch.isfinite(y).all()
    assert (y - expected).abs().max() < 0.2
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    whole = make(reach).to(dtype)
    assert torch.isfinite(whole(x.to(dtype))).all()


@pytest.mark.parametrize("reach", [EXACT, Reach(False)])
def test_it_compiles_as_one_graph(reach: Reach) -> None:
    model = make(reach)
    x = torch.randn(2, 30, 24, generator=torch.manual_seed(0))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    y, expected = compiled(x), model(x)
    torch.testing.assert_close(y, expected)
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("reach", [EXACT, Reach(False)])
def test_inductor_gives_the_same(reach: Reach) -> None:
    model = make(reach)
    x = torch.randn(2, 30, 24, generator=torch.manual_seed(0))
    y = torch.compile(model)(x)
    torch.testing.assert_close(y, model(x), atol=1e-5, rtol=1e-4)
    y.sum().backward()


def test_the_fused_kernel_and_its_stand_in_agree() -> None:
    query, key, value = (torch.randn(2, 3, n, 8, generator=torch.manual_seed(n)) for n in (5, 6, 6))
    bias = torch.randn(2, 3, 5, 6).masked_fill(torch.rand(5, 6) < 0.3, float("-inf"))
    bias[..., 0] = 0
    trained = attend(query.requires_grad_(), key, value, bias)
    with torch.no_grad():
        fused = attend(query, key, value, bias)
    torch.testing.assert_close(trained, fused)


def test_what_makes_no_sense_is_told() -> None:
    with pytest.raises(ConfigError, match="same_length"):
        make(Reach(True, 0, True))
    with pytest.raises(ConfigError, match="bidirectional"):
        make(Reach(False, 8))
