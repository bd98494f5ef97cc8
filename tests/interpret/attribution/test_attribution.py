"""Tests of every registered method on every model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noncoder.cli.interpret import interpret
from noncoder.config import RunConfig
from noncoder.errors import InputError, UnknownNameError
from noncoder.interpret.attribution import (
    AttributionConfig,
    Target,
    attribute,
    attribution_method,
    list_attributions,
    register,
)
from noncoder.interpret.method_names import method_names
from noncoder.models import SequenceModel, create_model, list_models
from noncoder.pipeline import interpret_run, run_recipe
from noncoder.sequence.encoding import one_hot
from tests.interpret.attribution.small import QUICK, TASKS, WINDOW, hot, lively, make_codes, make_lively
from tests.models.test_models import SMALL

GRADIENTS = ["input-x-gradient", "saliency", "smooth-grad", "guided-backprop"]
METHODS = [name for name in list_attributions() if name != "ism"]  # test_ism.py tests it
BOTH = [(model, method) for model in list_models() for method in METHODS]


def state(model: SequenceModel) -> list[Any]:
    """Returns the parts of a model that a method could leave changed."""
    hooks = [len(part._forward_hooks) + len(part._backward_hooks) for part in model.modules()]
    asked = [(parameter.requires_grad, parameter.grad is None) for parameter in model.parameters()]
    return [hooks, asked, [part.training for part in model.modules()], sorted(vars(model))]


@pytest.mark.parametrize(("name", "method"), BOTH)
def test_values_are_complete_and_the_model_is_unchanged(name: str, method: str) -> None:
    model, codes = lively(name), make_codes()
    model.train()
    frozen = next(model.parameters())
    frozen.requires_grad_(False)
    weights, before = [tensor.clone() for tensor in model.state_dict().values()], state(model)
    done: list[int] = []
    found = attribute(model, codes, 1, method, QUICK, progress=done.append)
    assert state(model) == before
    for old, new in zip(weights, model.state_dict().values(), strict=True):
        assert torch.equal(old, new)
    frozen.requires_grad_(True)
    model.eval()

    assert sum(done) == len(codes)
    assert found.values.shape == (3, 4, WINDOW)
    assert found.values.dtype == np.float32
    assert np.isfinite(found.values).all()
    assert not found.values.transpose(0, 2, 1)[codes == 4].any()
    assert found.values.any() or "zero everywhere" in found.warnings[0]
    assert found.hypothetical == attribution_method(method).hypothetical
    present = one_hot(codes).astype(bool)
    if found.hypothetical:
        assert found.values[~present & (codes != 4)[:, None]].any() == found.values.any()
    else:
        assert not found.values[~present].any()
    np.testing.assert_array_equal(found.projected, np.where(present, found.values, 0).sum(axis=1))


@pytest.mark.parametrize("method", ["deeplift", "gradcam", "integrated-gradients", "smooth-grad"])
@pytest.mark.parametrize("name", list_models())
def test_attributions_of_a_sequence_do_not_depend_on_its_batch(name: str, method: str) -> None:
    codes = make_codes()
    together = attribute(lively(name), codes, 0, method, QUICK)
    again = attribute(lively(name), codes, 0, method, QUICK)
    np.testing.assert_array_equal(together.values, again.values)
    alone = attribute(lively(name), codes[1:2], 0, method, QUICK.model_copy(update={"batch_size": 2}))
    scale = np.abs(together.values).max()
    np.testing.assert_allclose(alone.values[0], together.values[1], atol=2e-4 * scale)


@pytest.mark.parametrize("name", list_models())
def test_a_gradient_is_the_slope_of_the_logit(name: str) -> None:
    """In double precision along random directions, and in single precision by `attribute`."""
    model = make_lively(name, SMALL[name])
    codes = make_codes(2, unknown=False)
    single = attribute(model, codes, [0, 2], "input-x-gradient", AttributionConfig(correct=False)).values
    target, x = Target(model.double(), (0, 2)), hot(codes).double()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    # Compact always weighs positions in single precision; its only kinks are the maxima.
    gradient, step = target.gradient(x), 1e-5 if name == "compact" else 1e-6
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        way = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        slope = (target(x + step * way) - target(x - step * way)) / (2 * step)
        torch.testing.assert_close((gradient * way).sum(dim=(1, 2)), slope, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(single, gradient.numpy(), atol=1e-3 * np.abs(single).max())


@pytest.mark.parametrize("method", GRADIENTS)
def test_corrected_gradients_have_no_mean_over_the_bases(method: str) -> None:
    codes = make_codes(2, unknown=False)
    plain, corrected = (
        attribute(lively("compact"), codes, 0, method, QUICK.model_copy(update={"correct": correct})).values
        for correct in (False, True)
    )
    if method == "saliency":  # has no signs
        plain = attribute(lively("compact"), codes, 0, "input-x-gradient", AttributionConfig(correct=False)).values
        np.testing.assert_allclose(corrected, np.abs(plain - plain.mean(axis=1, keepdims=True)), atol=1e-6)
    else:
        np.testing.assert_allclose(corrected, plain - plain.mean(axis=1, keepdims=True), atol=1e-6)
        assert np.abs(plain.mean(axis=1)).max() > 1e-4


def test_smooth_grad_with_hardly_any_noise_is_the_gradient() -> None:
    codes = make_codes(2)
    smooth = attribute(lively("compact"), codes, 0, "smooth-grad", AttributionConfig(noise=1e-6, samples=2))
    plain = attribute(lively("compact"), codes, 0, "input-x-gradient")
    np.testing.assert_allclose(smooth.values, plain.values, atol=1e-4 * np.abs(plain.values).max())


@pytest.mark.parametrize("method", ["deeplift", "integrated-gradients", "smooth-grad"])
def test_another_seed_gives_other_values(method: str) -> None:
    codes = make_codes(1)
    one, other = (
        attribute(lively("compact"), codes, 0, method, QUICK.model_copy(update={"seed": seed})) for seed in (0, 1)
    )
    assert np.abs(one.values - other.values).max() > 1e-3 * np.abs(one.values).max()


@pytest.mark.parametrize("method", ["deeplift", "input-x-gradient", "integrated-gradients"])
def test_several_tasks_are_explained_as_their_mean(method: str) -> None:
    codes, model = make_codes(2), lively("danq")
    both = attribute(model, codes, [0, 2], method, QUICK).values
    each = [attribute(model, codes, task, method, QUICK).values for task in (0, 2)]
    np.testing.assert_allclose(both, (each[0] + each[1]) / 2, atol=1e-5 * np.abs(both).max() + 1e-6)


def test_wrong_input_is_refused() -> None:
    model, codes = lively("compact"), make_codes()
    with pytest.raises(UnknownNameError, match="did you mean 'deeplift'"):
        attribute(model, codes, 0, "deep-lift")
    for tasks in (TASKS, -1, [0, 7], []):
        with pytest.raises(InputError, match="task"):
            attribute(model, codes, tasks, "saliency")
    for wrong in (codes[:, :-1], codes[0], codes.astype(int), codes[:0], codes + 3, codes.tolist()):
        with pytest.raises(InputError):
            attribute(model, wrong, 0, "saliency")
    with pytest.raises(InputError, match="fit_window"):
        attribute(model, codes[:, :-1], 0, "saliency")
    with pytest.raises(InputError, match="did you mean 'features'"):
        attribute(model, codes, 0, "gradcam", AttributionConfig(layer="feature"))


def test_weights_that_are_not_finite_are_refused() -> None:
    torch.manual_seed(0)
    model = create_model("compact", TASKS, WINDOW, {"channels": 8, "dilations": [1]})
    with torch.no_grad():
        model.output.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"output\.weight"):
        attribute(model, make_codes(), 0, "saliency")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["compact", "wideresnet-txl"])
def test_sequences_of_n_alone_have_values_of_zero(name: str, method: str) -> None:
    codes = make_codes(2)
    codes[1] = 4
    found = attribute(lively(name), codes, 0, method, QUICK)
    assert not found.values[1].any()
    assert found.values[0].any() or method.endswith("gradcam")
    assert any("all N" in warning for warning in found.warnings)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_model_gets_a_warning(method: str) -> None:
    torch.manual_seed(0)
    model = create_model("compact", TASKS, WINDOW, {"channels": 8, "dilations": [1]})
    with torch.no_grad():
        model.output.weight.zero_()
    found = attribute(model, make_codes(), 0, method, QUICK)
    assert not found.values.any()
    assert any("zero everywhere in 3 of 3" in warning for warning in found.warnings)


def test_a_sequence_without_other_shuffles_gets_a_warning() -> None:
    codes = make_codes(2, unknown=False)
    codes[1] = 0
    found = attribute(lively("compact"), codes, 0, "deeplift", QUICK)
    assert any("its own reference" in warning for warning in found.warnings)
    assert found.explained is not None
    assert found.explained[1] == 0


def test_two_methods_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="deeplift"):
        register("deeplift", about="", source="")(attribution_method("deeplift").explain)


def test_the_help_lists_every_method() -> None:
    assert method_names() == list_attributions()
    options = {option.name: option for option in interpret.params}
    assert options["method"].metavar == f"[{'|'.join(list_attributions())}]"


def test_an_unknown_method_is_refused_before_training_and_before_loading(tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = RunConfig.model_validate({"run": run, "interpret": {"method": "grad-cam"}})
    with pytest.raises(UnknownNameError, match=r"(?s)expected: .*ism.*did you mean 'gradcam'"):
        run_recipe(recipe)
    with pytest.raises(UnknownNameError, match="did you mean 'gradcam'"):
        interpret_run(run, {"method": "grad-cam"})
    assert not run.exists()


def test_every_method_has_a_description_and_a_source() -> None:
    for name in list_attributions():
        method = attribution_method(name)
        assert method.about
        assert method.source
    for key, field in AttributionConfig.model_fields.items():
        assert field.description, key
