"""Values sum to the difference of the logits, or a warning says that they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.interpret.attribution import AttributionConfig, Target, attribute
from noncoder.interpret.attribution.references import references, seed_of, shuffles
from noncoder.interpret.attribution.rules import Rescale
from noncoder.models import SequenceModel, create_model, list_models
from noncoder.predictor.inference import differentiating
from tests.interpret.attribution.small import TASKS, WINDOW, Tiny, hot, lively, make_codes, make_lively
from tests.models.test_models import CORNERS, REFUSED, SMALL, corners


def worst(model: SequenceModel, method: str = "deeplift", **settings: Any) -> float:
    """Returns the largest error as a fraction of the mean difference."""
    found = attribute(model, make_codes(4), 0, method, AttributionConfig(references=4, **settings))
    assert found.explained is not None
    with torch.no_grad():
        logits = model(hot(found.codes))[:, 0].double().numpy()
        against = references(torch.from_numpy(found.codes), AttributionConfig(references=4, **settings))
        means = model(against.flatten(0, 1))[:, 0].double().view(against.shape[:2]).mean(dim=1).numpy()
    np.testing.assert_allclose(found.explained, logits - means, atol=1e-4)
    return float(np.abs(found.completeness_error).max() / np.abs(found.explained).mean())


@pytest.mark.parametrize("name", list_models())
def test_deeplift_adds_up_for_every_model(name: str) -> None:
    assert worst(lively(name)) < 1e-3


EXTRA = [
    (name, corner)
    for name in list_models()
    for corner in (*corners(name), *CORNERS.get(name, []))
    if not (len(corner) == 1 and (name, *next(iter(corner.items()))) in REFUSED)
    and not any("dropout" in key or key in ("lstm_biases", "motifs", "hidden") for key in corner)
]


@pytest.mark.parametrize(("name", "corner"), EXTRA, ids=str)
def test_deeplift_adds_up_in_every_corner_of_the_settings(name: str, corner: dict[str, Any]) -> None:
    assert worst(make_lively(name, SMALL[name] | corner)) < 2e-3


@pytest.mark.parametrize("baseline", ["uniform", "zeros"])
@pytest.mark.parametrize("name", ["deepsea", "danq"])
def test_deeplift_adds_up_against_plain_baselines(name: str, baseline: str) -> None:
    assert worst(lively(name), baseline=baseline) < 1e-3


@pytest.mark.parametrize("name", ["compact", "danq"])
def test_integrated_gradients_add_up_with_more_steps(name: str) -> None:
    few, many = (worst(lively(name), "integrated-gradients", steps=steps, batch_size=500) for steps in (3, 60))
    assert many < 0.1
    assert many < few


def test_incomplete_attributions_get_a_warning() -> None:
    codes = make_codes(4)
    rough = attribute(lively("deepsea"), codes, 0, "integrated-gradients", AttributionConfig(references=2, steps=1))
    (warning,) = rough.warnings
    assert "not exact for this model" in warning
    assert "more steps" in warning
    # Softmax and layer norm with a single node at the midpoint.
    coarse = attribute(lively("wideresnet-txl"), codes, 0, "deeplift", AttributionConfig(references=2, nodes=1))
    (warning,) = coarse.warnings
    assert "ism" in warning
    assert attribute(lively("wideresnet-txl"), codes, 0, "deeplift", AttributionConfig(references=2)).warnings == ()


def test_methods_without_references_have_no_expected_sum() -> None:
    found = attribute(lively("compact"), make_codes(), 0, "saliency")
    assert found.explained is None
    with pytest.raises(ValueError, match="saliency"):
        _ = found.completeness_error


@pytest.mark.parametrize("name", list_models())
def test_rules_do_not_change_the_logits(name: str) -> None:
    model, rules, x = lively(name), Rescale(2), hot(make_codes())
    with differentiating(model):
        target = Target(model, (0,))
        expected = target(x)
        torch.testing.assert_close(rules.record(target, x), expected)
        torch.testing.assert_close(rules.compare(target, x.clone().requires_grad_()), expected)


def test_deeplift_equals_tangermeme_for_a_model_of_modules() -> None:
    from tangermeme.deep_lift_shap import _nonlinear, deep_lift_shap

    model, codes = lively("deepsea").eval(), make_codes(2, unknown=False)
    ours = AttributionConfig(references=5, batch_size=8)
    theirs = deep_lift_shap(
        model,
        hot(codes),
        target=1,
        references=references(torch.from_numpy(codes), ours),
        hypothetical=True,
        device="cpu",
        additional_nonlinear_ops={nn.Threshold: _nonlinear},  # tangermeme does not know it
    ).numpy()
    found = attribute(model, codes, 1, "deeplift", ours).values
    np.testing.assert_allclose(found, theirs, atol=2e-5 * np.abs(theirs).max())


def _attention(x: Tensor) -> Tensor:
    """Masked attention, gates, norms and overlapping max-pooling, all called as functions."""
    y = x.transpose(1, 2) @ (torch.arange(32).view(4, 8) * 7.0).sin()
    hidden = torch.zeros(30, 30).masked_fill(torch.ones(30, 30).triu(1).bool(), float("-inf"))
    y = F.layer_norm((y @ y.transpose(1, 2) + hidden).softmax(-1) @ y + F.scaled_dot_product_attention(y, y, y), (8,))
    y = F.max_pool1d(y.transpose(1, 2), 3, stride=2, padding=1) * F.silu(F.max_pool1d(y.transpose(1, 2), 3, 2, 1))
    y = F.relu(y, inplace=True) / (1 + y.square().sum(dim=1, keepdim=True).sqrt())
    return y * torch.linspace(-1, 2, y[0].numel()).view(y.shape[1:])


def test_deeplift_adds_up_for_functions_of_every_kind() -> None:
    codes = make_codes(3, 30, unknown=False)
    found = attribute(Tiny(_attention, window=30), codes, 0, "deeplift", AttributionConfig(references=3, nodes=32))
    assert found.explained is not None
    assert np.abs(found.explained).max() > 1e-2
    np.testing.assert_allclose(found.completeness_error, 0, atol=1e-4 * np.abs(found.explained).max())


def test_the_rescale_rule_by_hand() -> None:
    """y = relu(2 a - 1 c) at one position: from a = 0, c = 1 (0) to a = 1, c = 0 (2): 2 over a difference of 3."""
    weight = torch.tensor([2.0, -1.0, 0.0, 0.0])
    rules = Rescale(1)
    model = Tiny(lambda x: F.relu((x * weight[:, None]).sum(dim=1, keepdim=True)), window=1)
    with differentiating(model):
        x, reference = torch.eye(4)[None, :, :1], torch.eye(4)[None, :, 1:2].clone().requires_grad_()
        rules.record(model, x)
        (multipliers,) = torch.autograd.grad(rules.compare(model, reference).sum(), reference)
    torch.testing.assert_close(multipliers.flatten(), weight * 2 / 3)


def test_guided_backpropagation_equals_captum_for_a_model_of_modules() -> None:
    from captum.attr import GuidedBackprop

    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv1d(4, 8, 5), nn.ReLU(), nn.Conv1d(8, 8, 3), nn.ReLU())
    codes = make_codes(3, 12, unknown=False)
    found = attribute(Tiny(layers), codes, 0, "guided-backprop", AttributionConfig(correct=False)).values
    with pytest.warns(UserWarning, match="backward hooks"):
        theirs = GuidedBackprop(Tiny(layers)).attribute(hot(codes).requires_grad_(), target=0)
    np.testing.assert_allclose(found, theirs.detach().numpy(), atol=1e-6)


def test_guided_backpropagation_at_a_smooth_rectifier_keeps_its_slope() -> None:
    codes = make_codes(1, 12, unknown=False)
    x = hot(codes)
    found = attribute(Tiny(lambda x: F.gelu(x) - 2 * F.gelu(x - 1)), codes, 0, "guided-backprop",
                      AttributionConfig(correct=False)).values  # fmt: skip
    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.gelu(point).sum(), point)  # the other term's incoming gradient is negative
    np.testing.assert_allclose(found, slope.numpy(), atol=1e-6)


def test_references_keep_dinucleotide_counts_and_the_places_of_n() -> None:
    codes = make_codes(1)[0]
    shuffled = shuffles(codes, 5, seed=3)
    assert shuffled.shape == (5, WINDOW)
    assert ((shuffled == 4) == (codes == 4)).all()
    assert len(np.unique(shuffled, axis=0)) == 5
    bases = codes[codes != 4]

    def pairs(row: Any) -> list[int]:
        return sorted((4 * row[:-1].astype(int) + row[1:]).tolist())

    for row in shuffled:
        assert pairs(row[row != 4]) == pairs(bases)
        assert (row != codes).any()
    np.testing.assert_array_equal(shuffled, shuffles(codes, 5, seed=3))
    assert (shuffled != shuffles(codes, 5, seed=4)).any()
    assert seed_of(codes, 0) != seed_of(codes[::-1].copy(), 0)


@pytest.mark.parametrize("bases", [0, 1, 2, 3, 4])
def test_sequences_of_few_bases_have_references(bases: int) -> None:
    codes = np.full(20, 4, dtype=np.uint8)
    codes[5 : 5 + bases] = np.arange(bases)
    assert shuffles(codes, 3, seed=0).shape == (3, 20)


def test_plain_baselines_are_zero_where_the_sequence_has_n() -> None:
    codes = torch.tensor([[0, 4, 3]], dtype=torch.uint8)
    uniform = references(codes, AttributionConfig(baseline="uniform"))
    np.testing.assert_array_equal(uniform[0, 0, 0], [0.25, 0, 0.25])
    assert not references(codes, AttributionConfig(baseline="zeros")).any()


def test_deeplift_adds_up_through_two_layers_of_lstm() -> None:
    torch.manual_seed(0)
    model = create_model("wideresnet-lstm", TASKS, WINDOW, {"width": 64, "core_layers": 2, "hidden": 0})
    assert worst(model.eval()) < 1e-2
