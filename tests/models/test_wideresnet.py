"""The report's models: sizes, the folded embedding, and every setting that it compared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from noncoder.errors import ConfigError
from noncoder.models import count_parameters, create_model, layer_table
from noncoder.models.layers.dense import NormalisedLinear
from noncoder.models.wideresnet import BiLSTM, WideResNet
from tests.models.test_models import one_hot_dna

SMALL = {"width": 16, "expansion": 2, "core_layers": 1, "hidden": 8}


def small(name: str = "wideresnet-txl", window: int = 64, **settings: Any) -> WideResNet:
    torch.manual_seed(0)
    model = create_model(name, 3, window, SMALL | settings).eval()
    assert isinstance(model, WideResNet)
    return model


def parts(name: str) -> dict[str, int]:
    rows = layer_table(name, 919, depth=1)
    return {row.name: row.parameters for row in rows}


def test_the_parts_have_the_sizes_of_the_reports_first_table() -> None:
    txl = parts("wideresnet-txl")
    embedding = 4 * 64
    assert txl["front"] - embedding + txl["blocks"] + txl["norm"] == 4_710_784
    assert txl["core"] == 1_287_936
    assert txl["hidden"] + txl["output"] == 33_240_471
    assert sum(txl.values()) == 39_239_447
    lstm = parts("wideresnet-lstm")
    assert lstm["front"] - embedding + lstm["blocks"] + lstm["norm"] == 8_894_512
    assert lstm["core"] == 1_988_096
    assert lstm["hidden"] + lstm["output"] == 34_028_695
    assert sum(lstm.values()) == 44_911_559


def test_the_blocks_end_at_125_positions_of_256_channels() -> None:
    shapes = {row.name: row.shape for row in layer_table("wideresnet-txl", 919)}
    assert [shapes[f"blocks.{i}"] for i in range(3)] == [(64, 1, 500), (128, 1, 250), (256, 1, 125)]
    assert shapes["core.attentions.5"] == (125, 256)


def test_embedding_and_first_convolution_are_those_of_an_embedding_layer() -> None:
    model = small(embedding=5, stem_kernel=7)
    codes = torch.randint(0, 4, (2, 64), generator=torch.manual_seed(1))
    assert model.front.embedding is not None
    embedded = nn.functional.embedding(codes, model.front.embedding.weight.T).transpose(1, 2)
    expected = nn.functional.conv1d(embedded, model.front.stem.weight[:, :, 0], padding=3)
    computed = model.front(nn.functional.one_hot(codes, 4).float().transpose(1, 2))
    torch.testing.assert_close(computed[:, :, 0], expected, atol=1e-5, rtol=1e-5)


def test_one_hot_and_embedding_agree_when_weights_are_set_so() -> None:
    """An embedding whose first four numbers are the one-hot code, read by the same first convolution."""
    plain, embedded = small(embedding=0), small(embedding=6)
    weights = plain.state_dict() | {
        "front.embedding.weight": torch.eye(6)[:, :4],
        "front.stem.weight": nn.functional.pad(plain.front.stem.weight.detach(), (0, 0, 0, 0, 0, 2)),
    }
    embedded.load_state_dict(weights)
    x = one_hot_dna(3, 64)
    torch.testing.assert_close(embedded(x), plain(x), atol=1e-5, rtol=1e-5)


def test_an_n_is_nothing_or_an_a_as_in_the_reports_data() -> None:
    x = one_hot_dna(2, 64)
    with_n, with_a = x.clone(), x.clone()
    with_n[:, :, 10:14] = 0
    with_a[:, :, 10:14] = torch.tensor([1.0, 0, 0, 0])[:, None]
    as_a, as_zeros = small(unknown="A"), small(unknown="zeros")
    torch.testing.assert_close(as_a(with_n), as_zeros(with_a), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(as_zeros(with_n), as_zeros(with_a), atol=1e-4)


def test_the_head_reads_the_blocks_and_the_core_position_by_position() -> None:
    """The order of the report's flattening, which its weights need."""
    model = small(hidden=0)
    x = one_hot_dna(2, 64)
    features = model.features(x).transpose(1, 2)
    assert model.core is not None
    expected = model.output(torch.cat([features, model.core(features)], dim=2).flatten(1))
    torch.testing.assert_close(model(x), expected)


def test_without_a_core_nothing_stands_beside_the_blocks() -> None:
    model = small(core="none", hidden=0, skip="concat")
    x = one_hot_dna(2, 64)
    torch.testing.assert_close(model(x), model.output(model.features(x).transpose(1, 2).flatten(1)))


@pytest.mark.parametrize("core", ["lstm", "transformer-xl", "encoder"])
@pytest.mark.parametrize("skip", ["none", "concat", "add"])
@pytest.mark.parametrize("skip_norm", [True, False])
def test_cores_and_ways_around_them_go_together(core: str, skip: str, skip_norm: bool) -> None:
    model = small(core=core, skip=skip, skip_norm=skip_norm, directions="add").train()
    model(one_hot_dna(4, 64)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert (model.skip_norm is not None) == (skip_norm and skip != "none")


def test_the_lstm_s_directions_are_concatenated_or_added() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 3)
    both, summed = BiLSTM(3, 1, "concat", 0.0), BiLSTM(3, 1, "add", 0.0)
    summed.load_state_dict(both.state_dict())
    forward, backward = both(x).chunk(2, dim=2)
    torch.testing.assert_close(summed(x), forward + backward)


def test_more_of_what_the_report_tried_changes_the_size_as_its_formula_says() -> None:
    def size(**settings: Any) -> int:
        with torch.device("meta"):
            return count_parameters(create_model("wideresnet-txl", 919, 1000, settings))

    base = size()
    assert size(embedding=0) == base - 256 - 32 * 60 * 7
    assert size(hidden=0) == base - 64_000 * 512 - 1024 - 512 * 919 + 64_000 * 919
    assert size(skip="none") == base - 32_000 * 512
    assert size(cardinality=32) == base - sum(3 * c * c * 31 // 32 for c in (256, 512, 1024))
    assert size(squeeze=8) == base + sum(2 * c * (c // 8) + c + c // 8 for c in (64, 128, 256))
    assert size(core_kernel=3) == base + 6 * 192 * 3
    assert size(bidirectional=True) == base
    assert size(wvn=True) == base
    assert size(strides=[2, 1, 2, 1, 2, 1], expansion=4) < base


def test_weight_vector_normalisation_is_really_active() -> None:
    model = small(wvn=True)
    assert isinstance(model.output, NormalisedLinear)
    x = one_hot_dna(2, 64)
    before = model(x)
    with torch.no_grad():
        model.output.weight *= 7
    torch.testing.assert_close(model(x), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stem_kernel": 4}, "even"),
        ({"block_kernel": 2}, "even"),
        ({"width": 20}, "multiple"),
        ({"core": "lstm", "skip": "add"}, "directions=add"),
        ({"cardinality": 3}, "groups"),
        ({"core_kernel": 2, "bidirectional": True}, "heads"),
        ({"width": 27, "strides": [3]}, "even width"),
    ],
)
def test_settings_that_do_not_go_together_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**settings)
