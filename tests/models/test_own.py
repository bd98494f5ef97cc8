"""Models in a user's own Python file: what is taken, what is refused and how, and what of it the package finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noncoder.errors import ConfigError, InputError
from noncoder.interpret.attribution import AttributionConfig, attribute, list_attributions
from noncoder.interpret.layers import find_layer, list_layers
from noncoder.interpret.motifs.filters import find_first_layer, first_layer_motifs
from noncoder.interpret.mutagenesis import mutate
from noncoder.models import (
    check_model,
    count_operations,
    count_parameters,
    create_model,
    last_layer,
    layer_table,
    set_prior_bias,
)
from noncoder.models.own import is_file_name, is_named, source_digest
from tests.models.ownfiles import DERIVED, PLAIN, SPLIT, SUM, switch_account, write_model
from tests.models.test_models import one_hot_dna

TASKS, WINDOW = 3, 60


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    switch_account(monkeypatch, tmp_path / "state")


def codes(n: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4, (n, WINDOW), dtype=np.uint8)


def test_a_plain_module_is_a_model(tmp_path: Path) -> None:
    model = create_model(write_model(tmp_path), TASKS, WINDOW, {"channels": 4})
    x = one_hot_dna(5, WINDOW)
    torch.testing.assert_close(model.eval()(x), model.network(x))  # type: ignore[operator]
    assert (model.tasks, model.window, model.name) == (TASKS, WINDOW, f"{tmp_path / 'net.py'}:Net")
    assert model.config.model_dump() == {"channels": 4, "dropout": 0.1}
    assert model.network.reads.out_channels == 4  # type: ignore[union-attr]
    assert model.train()(x).shape == (5, TASKS)


def test_settings_are_checked_by_the_signature(tmp_path: Path) -> None:
    name = write_model(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'channels'"):
        check_model(name, {"chanels": 4})
    with pytest.raises(ConfigError, match="channels: input should be a valid integer"):
        check_model(name, {"channels": "many"})
    with pytest.raises(ConfigError, match="activation"):  # its default is no JSON value: it is no setting
        check_model(name, {"activation": "GELU"})


def test_a_signature_may_be_inherited(tmp_path: Path) -> None:
    write_model(tmp_path, PLAIN + "\n\nclass Small(Net):\n    pass\n")
    with pytest.raises(ConfigError, match="channels: input should be a valid integer"):
        check_model(f"{tmp_path / 'net.py'}:Small", {"channels": "many"})


def test_any_parameters_where_the_class_takes_any(tmp_path: Path) -> None:
    text = PLAIN + "\n\ndef make(tasks, window, **parameters):\n    return Net(tasks, window, **parameters)\n"
    write_model(tmp_path, text)
    model = create_model(f"{tmp_path / 'net.py'}:make", TASKS, WINDOW, {"channels": 5})
    assert model.config.model_dump() == {"channels": 5}
    assert model.network.reads.out_channels == 5  # type: ignore[union-attr]


def test_a_model_of_the_base_class_keeps_its_config(tmp_path: Path) -> None:
    name = write_model(tmp_path, DERIVED)
    model = create_model(name, TASKS, WINDOW, {"channels": 2})
    assert type(model).__name__ == "Net"
    assert model.has_features
    assert last_layer(model) is model.output
    with pytest.raises(ConfigError, match="channels"):
        create_model(name, TASKS, WINDOW, {"channels": 0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAIN.replace("tasks, window, ", "n_classes, "), "without tasks and window by name"),
        (PLAIN.replace("tasks, window, ", "tasks, window, model_dump=1, "), "cannot be a setting"),
        (PLAIN.replace("def forward", "def forwards"), "fails on one-hot DNA"),
        (PLAIN.replace("5 * channels, tasks", "5 * channels, 7"), r"gives torch.float32 \(4, 7\)"),
        (PLAIN.replace("return self.last(", "return self.oops("), r"net.py, line \d+\): AttributeError.*oops"),
        (PLAIN.replace("nn.Linear(5 * channels", "nn.Linear(6 * channels"), r"net.py, line \d+\): RuntimeError"),
        (PLAIN.replace("super().__init__()", "1 / 0"), r"cannot be built .*line 11\): ZeroDivisionError"),
        (PLAIN.replace("class Net", "import nothing_of_this_name\n\n\nclass Net"), "ModuleNotFoundError"),
        (PLAIN.replace("class Net", "class Net("), "SyntaxError"),
        (PLAIN.replace(".flatten(1)))", ".flatten(1))).sigmoid()"),
         "leave out the sigmoid"),
        ("class Net:\n    def __init__(self, tasks, window):\n        pass\n", "made a Net"),
        ("from torch import nn\nclass Net(nn.Module):\n    def __init__(self, tasks, window):\n"
         "        super().__init__()\n", "has no parameters"),
        ("Net = 3\n", "Net is a int"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    # Many tasks: that all logits of a fresh network lie between 0 and 1 by chance is out of the question.
    with pytest.raises(InputError, match=message):
        create_model(write_model(tmp_path, text), 12, WINDOW)


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    write_model(tmp_path)
    for name, message in (
        (f"{tmp_path / 'net.py'}:Nte", "did you mean 'Net'"),
        (f"{tmp_path / 'net.py'}", "no class in it"),
        (f"{tmp_path / 'nett.py'}:Net", r"did you mean '.*net\.py'"),
        (f"{tmp_path}.py:Net", "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            create_model(name, TASKS, WINDOW)
    (tmp_path / "dir.py").mkdir()
    with pytest.raises(InputError, match="is not a file"):
        create_model(f"{tmp_path / 'dir.py'}:Net", TASKS, WINDOW)
    assert is_file_name("a/b.py:Net")
    assert is_file_name("b.py")
    assert not is_file_name("deepsea")


def test_a_trial_leaves_the_random_state_and_the_modes_alone(tmp_path: Path) -> None:
    name = write_model(tmp_path, PLAIN.replace("        self.drop", "        self.reads.eval()\n        self.drop"))
    torch.manual_seed(3)
    model = create_model(name, TASKS, WINDOW)
    after = torch.rand(4)
    torch.manual_seed(3)
    nn.Conv1d(4, 6, 9), nn.Linear(30, TASKS)
    torch.testing.assert_close(after, torch.rand(4))
    assert model.training
    assert not model.network.reads.training  # type: ignore[union-attr]


def test_lazy_layers_are_made_by_the_trial(tmp_path: Path) -> None:
    name = write_model(tmp_path, PLAIN.replace("nn.Linear(5 * channels, tasks)", "nn.LazyLinear(tasks)"))
    assert count_parameters(create_model(name, TASKS, WINDOW)) == 4 * 6 * 9 + 6 + 30 * TASKS + TASKS


@pytest.mark.parametrize(("text", "found"), [(PLAIN, True), (SPLIT, True), (SUM, False)])
def test_the_last_linear_layer_is_found(tmp_path: Path, text: str, found: bool) -> None:
    model = create_model(write_model(tmp_path, text), TASKS, WINDOW)
    share = torch.tensor([0.1, 0.5, 0.8])
    assert set_prior_bias(model, share) is found
    assert (last_layer(model) is not None) is found
    if found:
        torch.testing.assert_close(model.network.last.bias.sigmoid(), share)  # type: ignore[union-attr,operator]
        assert len(model.state_dict()) == len(dict(model.network.named_parameters()))  # type: ignore[union-attr]


def test_a_bias_that_is_changed_afterwards_is_no_last_layer(tmp_path: Path) -> None:
    model = create_model(write_model(tmp_path, PLAIN.replace("return self.last(", "return 2 * self.last(")), 3, WINDOW)
    assert last_layer(model) is None


def test_features_and_head_count_only_if_they_give_the_same(tmp_path: Path) -> None:
    model = create_model(write_model(tmp_path, SPLIT), TASKS, WINDOW)
    assert model.has_features
    assert [layer.name for layer in list_layers(model)][-1] == "features"
    x = one_hot_dna(300, WINDOW)
    model.train()
    torch.manual_seed(0)
    with_dropout = model(x)
    torch.manual_seed(0)
    torch.testing.assert_close(with_dropout, model.network(x))  # type: ignore[operator]
    wrong = SPLIT.replace("return self.last(y.flatten(1))", "return 2 * self.last(y.flatten(1))")
    assert not create_model(write_model(tmp_path, wrong), TASKS, WINDOW).has_features


def test_grad_cam_of_a_model_without_features(tmp_path: Path) -> None:
    model = create_model(write_model(tmp_path), TASKS, WINDOW).eval()
    last = find_layer(model, "last")
    # An adaptive pooling has no fixed step: the layer before it is the last whose places are known.
    assert (last.name, last.positions, last.first) == ("network.act", WINDOW - 8, 4.0)
    assert find_layer(model, "first").name == "network.reads"
    found = attribute(model, codes(), 1, "gradcam")
    x = one_hot_dna(1, WINDOW)
    y = model.network.act(model.network.reads(x)).detach().requires_grad_()  # type: ignore[union-attr,operator]
    logit = model.network.last(model.network.pool(y).flatten(1))[0, 1]  # type: ignore[union-attr,operator]
    gradient = torch.autograd.grad(logit, y)[0]
    expected = (y * gradient.mean(dim=2, keepdim=True)).sum(dim=1).relu()[0].detach().numpy()
    one = attribute(model, x[0].argmax(dim=0).to(torch.uint8).numpy()[None], 1, "gradcam")
    np.testing.assert_allclose(one.values[0].sum(axis=0)[4:-4], expected, atol=1e-6)
    assert found.values.shape == (3, 4, WINDOW)


def test_every_method_reads_a_plain_module(tmp_path: Path) -> None:
    model = create_model(write_model(tmp_path), TASKS, WINDOW).eval()
    settings = AttributionConfig(references=2)
    for method in list_attributions():
        found = attribute(model, codes(2), 0, method, settings)
        assert np.isfinite(found.values).all(), method
        assert found.values.any(), method


def test_a_model_without_layers_says_what_is_missing(tmp_path: Path) -> None:
    model = create_model(write_model(tmp_path, SUM), TASKS, WINDOW)
    with pytest.raises(InputError, match=r"no layer .* has channels and positions"):
        attribute(model, codes(), 0, "gradcam")
    with pytest.raises(InputError, match="no convolution that reads the bases"):
        find_first_layer(model)
    effects = mutate(model, codes(1))
    weight = model.network.weight.detach().numpy()  # type: ignore[union-attr,operator]
    row = codes(1)[0]
    expected = weight - weight[:, row, np.arange(WINDOW)][:, None]
    np.testing.assert_allclose(effects.substitutions[0].transpose(2, 0, 1), expected, atol=1e-5)


@pytest.mark.parametrize("text", [PLAIN, SPLIT, DERIVED])
def test_mutagenesis_and_filters(tmp_path: Path, text: str) -> None:
    model = create_model(write_model(tmp_path, text), TASKS, WINDOW).eval()
    effects = mutate(model, codes(1), region=(10, 12))
    assert "brute force" in effects.strategy
    changed = codes(1)
    changed[0, 10] = (changed[0, 10] + 1) % 4
    with torch.no_grad():
        logits = [
            model(torch.eye(4)[torch.from_numpy(some.astype(int))].transpose(1, 2)) for some in (codes(1), changed)
        ]
    difference = (logits[1] - logits[0])[0].numpy()
    np.testing.assert_allclose(effects.substitutions[0, changed[0, 10], 10], difference, atol=1e-5)
    assert find_first_layer(model).width == 9
    assert first_layer_motifs(model, codes(40))


def test_layers_and_operations(tmp_path: Path) -> None:
    name = write_model(tmp_path)
    rows = layer_table(name, TASKS, WINDOW)
    assert rows[0].name == "network.reads"
    assert rows[-1].shape == (TASKS,)
    assert count_operations(name, TASKS, WINDOW) == 2 * (4 * 9 * 6 * (WINDOW - 8) + 30 * TASKS)


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_operations_of_recurrent_layers_count_once(tmp_path: Path, kind: str) -> None:
    text = (
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self, tasks, window):\n"
        f"        super().__init__()\n        self.rnn = nn.{kind}(4, 8, batch_first=True)\n"
        "        self.last = nn.Linear(8, tasks)\n    def forward(self, x):\n"
        "        return self.last(self.rnn(x.transpose(1, 2))[0][:, -1])\n"
    )
    gates = {"GRU": 3, "LSTM": 4}[kind]
    expected = 2 * (WINDOW * gates * 8 * (4 + 8) + 8 * TASKS)
    assert count_operations(write_model(tmp_path, text), TASKS, WINDOW) == expected


def test_a_file_is_noted_once_it_is_named(tmp_path: Path) -> None:
    name = write_model(tmp_path)
    digest = source_digest(name)
    assert digest is not None
    assert not is_named(digest)
    create_model(name, TASKS, WINDOW)
    assert is_named(digest)
    note = tmp_path / "state/noncoder/named-sources" / digest
    assert note.read_text() == f"{tmp_path / 'net.py'}\n"
    assert not is_named("../named-sources/" + digest)
    assert source_digest("deepsea") is None


def test_an_edited_file_is_run_again(tmp_path: Path) -> None:
    name = write_model(tmp_path)
    assert check_model(name, {}).model_dump()["channels"] == 6
    write_model(tmp_path, PLAIN.replace("channels: int = 6", "channels: int = 7"))
    assert check_model(name, {}).model_dump()["channels"] == 7


def test_without_a_home_naming_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    model = create_model(write_model(tmp_path), TASKS, WINDOW)
    assert isinstance(model(one_hot_dna(2, WINDOW)), Tensor)
