"""One suite for every model: registering a model is what gives it these tests."""

from __future__ import annotations

from math import prod
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import torch

from noncoder.config import Section
from noncoder.errors import ConfigError, InputError, UnknownNameError
from noncoder.models import (
    SequenceModel,
    count_parameters,
    create_model,
    layer_table,
    list_models,
    model_entry,
    register,
    set_prior_bias,
)
from noncoder.models.layers.pooling import CentreBias
from noncoder.models.registry import build_empty

TASKS, WINDOW = 7, 240


def one_hot_dna(n: int, window: int = WINDOW, seed: int = 0) -> torch.Tensor:
    codes = np.random.default_rng(seed).integers(0, 4, (n, window))
    return torch.from_numpy(np.eye(4, dtype=np.float32)[codes].transpose(0, 2, 1).copy())


# Settings that make a model small enough for a test of each of its corners; a model without an entry is tested whole.
SMALL: dict[str, dict[str, Any]] = {
    "chromdl": {"gru_units": 4, "separable": 12, "kernels": 8, "units": 8},
    "compact": {"channels": 16, "heads": 2},
    "danq": {"kernels": 16, "units": 8, "hidden": 32},
    "danq-jaspar": {"kernels": 16, "units": 8, "hidden": 32},
    "deepatt": {"kernels": 64, "units": 32, "attention": 64, "hidden": 64},
    "deepsea": {"hidden": 16},
    "ncnet-brr": {"stem": 16, "widths": [8, 16], "units": 8, "hidden": 32},
    "ncnet-rbr": {"widths": [8, 16], "units": 8, "hidden": 32},
    "wideresnet-lstm": {"width": 16, "expansion": 2, "hidden": 32},
    "wideresnet-txl": {"width": 16, "expansion": 2, "core_layers": 2, "hidden": 32},
}
# Corners that no choice, switch or zero shows.
CORNERS: dict[str, list[dict[str, Any]]] = {
    "danq": [{"gates": "hard-sigmoid", "second_lstm": "forward"}],
    "wideresnet-lstm": [
        {"core_layers": 2, "directions": "add", "skip": "add"},
        {"strides": [2, 1, 4], "width": 64, "expansion": 0.5},
    ],
    "wideresnet-txl": [
        {"cardinality": 2},
        {"squeeze": 2, "activation": "post"},
        {"core_kernel": 3},
        {"core_kernel": 3, "bidirectional": True, "skip": "add", "skip_norm": True},
        {"core_kernel": 3, "core": "encoder"},
        {"strides": [1, 2, 1, 4], "width": 64, "stem_kernel": 1, "block_kernel": 5},
        {"memory": 7},
        {"memory": 40, "same_length": False},
    ],
}
# Corners that are mistakes: a message, not a model, is what they should give.
REFUSED = {("wideresnet-lstm", "skip", "add")}


def corners(name: str) -> list[dict[str, Any]]:
    """Each other choice of a setting with choices, both values of a switch, and 0 where it is allowed."""
    found: list[dict[str, Any]] = []
    for key, field in model_entry(name).config.model_fields.items():
        if get_origin(field.annotation) is Literal:
            found += [{key: choice} for choice in get_args(field.annotation) if choice != field.default]
        elif field.annotation is bool:
            found.append({key: not field.default})
        elif any(getattr(limit, "ge", None) == 0 for limit in field.metadata) and field.default != 0:
            found.append({key: 0})
    return found


@pytest.fixture(params=list_models())
def model(request: pytest.FixtureRequest) -> SequenceModel:
    torch.manual_seed(0)
    return create_model(request.param, TASKS, WINDOW)


def test_logits_have_the_shape_of_windows_by_tasks(model: SequenceModel) -> None:
    logits = model.eval()(one_hot_dna(3))
    assert logits.shape == (3, TASKS)
    assert logits.dtype == torch.float32


def test_head_of_features_is_the_model(model: SequenceModel) -> None:
    x = one_hot_dna(2)
    model.eval()
    torch.testing.assert_close(model.head(model.features(x)), model(x))


def test_every_parameter_receives_a_gradient(model: SequenceModel) -> None:
    model.train()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        model(one_hot_dna(8)), torch.randint(0, 2, (8, TASKS)).float()
    )
    loss.backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:  # one of the two LSTM biases, where the paper's LSTM has one
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_gradient_reaches_the_sequence(model: SequenceModel) -> None:
    x = one_hot_dna(2).requires_grad_()
    model.eval()(x).sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=(1, 2)) > 0).all()


def test_logits_do_not_depend_on_the_batch(model: SequenceModel) -> None:
    x = one_hot_dna(6)
    model.eval()
    with torch.no_grad():
        together = model(x)
        alone = torch.cat([model(x[i : i + 1]) for i in range(6)])
        shuffled = model(x.flip(0)).flip(0)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shuffled, together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "corner"),
    [(name, corner) for name in list_models() for corner in (*corners(name), *CORNERS.get(name, []))],
    ids=str,
)
def test_a_model_is_whole_in_every_corner_of_its_settings(name: str, corner: dict[str, Any]) -> None:
    torch.manual_seed(0)
    settings = SMALL.get(name, {}) | corner
    if len(corner) == 1 and (name, *next(iter(corner.items()))) in REFUSED:
        with pytest.raises(ConfigError):
            create_model(name, TASKS, WINDOW, settings)
        return
    model = create_model(name, TASKS, WINDOW, settings)
    x = one_hot_dna(4)
    x[0, :, 100:] = 0
    model(x).square().sum().backward()
    for part, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, part
            assert torch.isfinite(parameter.grad).all(), part
            assert parameter.grad.abs().sum() > 0, part
    model.eval()
    with torch.no_grad():
        together, alone = model(x), torch.cat([model(x[i : i + 1]) for i in range(4)])
    assert together.shape == (4, TASKS)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


def test_a_window_of_n_gives_finite_logits(model: SequenceModel) -> None:
    assert torch.isfinite(model.eval()(torch.zeros(2, 4, WINDOW))).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", list_models())
def test_mixed_precision_trains(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = create_model(name, TASKS, WINDOW, SMALL.get(name))
    with torch.autocast("cpu", dtype):
        logits = model(one_hot_dna(4))
    torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), torch.ones(4, TASKS)).backward()
    for part, parameter in model.named_parameters():
        assert parameter.grad is not None, part
        assert parameter.grad.dtype == torch.float32, part
        assert torch.isfinite(parameter.grad).all(), part


@pytest.mark.parametrize("name", list_models())
def test_a_tiny_batch_can_be_learned_by_heart(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, TASKS, WINDOW, SMALL.get(name))
    x, y = one_hot_dna(6), torch.randint(0, 2, (6, TASKS), generator=torch.manual_seed(1)).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2 if name in SMALL else 1e-3)
    model.train()
    losses: list[float] = []
    for _ in range(100):  # most need 20; DeepATT's queries begin alike and need 60
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if np.mean(losses[-3:]) < 0.7 * losses[0]:
            return
    pytest.fail(f"{name} has not learned six windows in 100 steps: {losses[0]:.3f} to {losses[-1]:.3f}")


def test_another_window_or_shape_is_told(model: SequenceModel) -> None:
    for shape in ((2, 4, WINDOW - 1), (2, WINDOW, 4), (4, WINDOW), (1, 2, 4, WINDOW)):
        with pytest.raises(InputError, match=rf"one-hot DNA \(N, 4, {WINDOW}\), the window of {model.name}") as told:
            model(torch.zeros(shape))
        assert str(shape) in told.value.found


def test_no_window_gives_no_logits(model: SequenceModel) -> None:
    for mode in (True, False):
        assert model.train(mode)(one_hot_dna(1)[:0]).shape == (0, TASKS)


def compiles_whole(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, TASKS, WINDOW, SMALL.get(name)).eval()
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(one_hot_dna(2)), model(one_hot_dna(2)))


@pytest.mark.parametrize("name", ["compact", "deepsea", "wideresnet-txl"])
def test_a_model_compiles_as_one_graph(name: str) -> None:
    compiles_whole(name)


@pytest.mark.parametrize("name", list_models())
def test_every_model_compiles_as_one_graph_where_recurrent_layers_may(name: str) -> None:
    with torch._dynamo.config.patch(allow_rnn=True):
        compiles_whole(name)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # within the compiler
def test_compiled_code_gives_the_same() -> None:
    model = create_model("compact", TASKS, WINDOW, SMALL["compact"]).eval()
    torch.compiler.reset()
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model, fullgraph=True)(one_hot_dna(2)), model(one_hot_dna(2)))


@pytest.mark.parametrize("name", list_models())
def test_a_batch_without_windows_gives_gradients_of_zero(name: str) -> None:
    model = create_model(name, TASKS, WINDOW, SMALL.get(name, {})).train()
    logits = model(one_hot_dna(0))
    assert logits.shape == (0, TASKS)
    logits.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("name", list_models())
def test_an_empty_model_takes_weights_and_becomes_the_same(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, TASKS, WINDOW, SMALL.get(name)).eval()
    state = torch.get_rng_state()
    empty = build_empty(model_entry(name), TASKS, WINDOW, SMALL.get(name, {})).eval()
    if all(key in model.state_dict() for key, _ in model.named_buffers()):
        assert torch.equal(torch.get_rng_state(), state), "weights were drawn"
    empty.load_state_dict(model.state_dict())
    ours, theirs = ({**dict(one.named_parameters()), **dict(one.named_buffers())} for one in (empty, model))
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        assert torch.equal(tensor, theirs[key]), key
        assert tensor.stride() == theirs[key].stride(), key
        assert tensor.requires_grad == theirs[key].requires_grad, key
    with torch.no_grad():
        assert torch.equal(empty(one_hot_dna(3)), model(one_hot_dna(3)))
    empty.train()(one_hot_dna(4)).sum().backward()


def test_prior_bias_is_the_logit_of_the_share_of_positives(model: SequenceModel) -> None:
    share = torch.linspace(0, 0.9, TASKS)
    set_prior_bias(model, share)
    expected = share.clamp(min=1e-6)
    if model.output.bias.numel() == 1:
        expected = expected.mean(0, keepdim=True)
    torch.testing.assert_close(torch.sigmoid(model.output.bias), expected)


def test_a_window_that_is_too_short_is_told() -> None:
    for name in list_models():
        with pytest.raises(InputError, match="too short"):
            create_model(name, TASKS, 4)


@pytest.mark.parametrize("name", list_models())
def test_every_setting_is_explained_and_a_wrong_one_is_told(name: str) -> None:
    entry = model_entry(name)
    assert entry.source
    assert entry.about
    for key, field in entry.config.model_fields.items():
        assert field.description, key
    key = next(iter(entry.config.model_fields))
    with pytest.raises(ConfigError, match=f"did you mean '{key}'"):
        create_model(name, TASKS, WINDOW, {key[:-1]: 1})


def test_an_unknown_model_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'deepsea'"):
        create_model("DeepSee", TASKS)


def test_no_tasks_is_an_error() -> None:
    with pytest.raises(InputError, match="0 tasks"):
        create_model("compact", 0)


def test_two_models_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="deepsea"):
        register("deepsea", Section, about="", source="")(SequenceModel)


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("deepsea", {}, 52_843_119),  # the published weights (FC 925)
        ("deepsea", {"hidden": 919}, 52_532_319),  # the released training code
        ("compact", {}, 1_280_023),
        ("danq", {}, 46_926_479),  # one bias a gate, as Keras
        ("danq", {"lstm_biases": 2}, 46_929_039),
        ("danq-jaspar", {}, 67_892_175),
        ("danq-jaspar", {"lstm_biases": 2}, 67_896_271),
        ("deepatt", {}, 7_808_057),
        ("deepatt", {"lstm_biases": 2}, 7_812_153),
        ("ncnet-brr", {}, 8_663_767),  # within 0.3% of the published file's size
        ("ncnet-rbr", {}, 2_239_007),  # within 1%
        ("wideresnet-txl", {}, 39_239_447),
        ("wideresnet-lstm", {}, 44_911_559),
    ],
)
def test_parameter_counts_for_919_tasks_of_1000_bp(name: str, parameters: dict[str, int], expected: int) -> None:
    with torch.device("meta"):
        assert count_parameters(create_model(name, 919, 1000, parameters)) == expected


def test_chromdl_has_keras_total_with_the_statistics_of_its_norm() -> None:
    """Keras counts a batch norm's running means and variances; what training changes is 512 fewer."""
    for biases, total in ((1, 10_414_957), (2, 10_417_005)):
        with torch.device("meta"):
            model = create_model("chromdl", 919, 1000, {"lstm_biases": biases})
        statistics = sum(buffer.numel() for name, buffer in model.named_buffers() if name.startswith("norm.running"))
        assert statistics == 512
        assert count_parameters(model) + statistics == total


@pytest.mark.parametrize("name", list_models())
def test_the_table_of_layers_holds_every_parameter_and_ends_at_the_tasks(name: str) -> None:
    for depth in (1, 2, 9):
        rows = layer_table(name, TASKS, WINDOW, depth=depth)
        with torch.device("meta"):
            assert sum(row.parameters for row in rows) == count_parameters(create_model(name, TASKS, WINDOW))
    assert len(layer_table(name, TASKS, WINDOW)) > 2
    last = rows[-1].shape
    assert last is not None
    assert prod(last) == TASKS


def test_deepsea_begins_as_its_formula_says() -> None:
    """The first layers re-computed with NumPy: convolution, threshold with its floor of 1e-6, pooling by four."""
    torch.manual_seed(0)
    model = create_model("deepsea", 3, 200).eval()
    x = one_hot_dna(1, 200)
    weight, bias = (p.detach().double().numpy() for p in model.convolutions[0].parameters())  # type: ignore[index,union-attr]
    columns = np.lib.stride_tricks.sliding_window_view(x[0].double().numpy(), 8, axis=1)
    expected = np.einsum("ock,cpk->op", weight, columns) + bias[:, None]
    expected = np.where(expected > 0, expected, 1e-6)
    expected = expected[:, : expected.shape[1] // 4 * 4].reshape(320, -1, 4).max(axis=2)
    computed = model.convolutions[:3](x)[0].detach().numpy()  # type: ignore[index,operator]
    np.testing.assert_allclose(computed, expected, atol=1e-5)


def test_the_centre_bias_is_alike_on_both_sides_and_flat_far_out() -> None:
    """It depends on the distance from the centre only, whichever the length."""
    torch.manual_seed(0)
    bias = CentreBias(outputs=3, step=8)
    torch.nn.init.normal_(bias.heights)
    for length in (29, 30, 301):
        values = bias(length)
        assert values.shape == (length, 3)
        torch.testing.assert_close(values, values.flip(0))
    far = bias(301)[:20]
    torch.testing.assert_close(far, far[:1].expand_as(far))


@pytest.mark.parametrize("key", ["stem_kernel", "kernel"])
def test_compact_refuses_a_kernel_of_even_width(key: str) -> None:
    with pytest.raises(InputError, match="even"):
        create_model("compact", 2, WINDOW, {key: 4})
