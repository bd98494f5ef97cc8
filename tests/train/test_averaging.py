from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import noncoder
from noncoder.config import RunConfig, TrainConfig
from noncoder.data.loading import Batches, EpochDraws
from noncoder.metrics import rank
from noncoder.models import create_model
from noncoder.runs.folder import RunFolder
from noncoder.train import train
from noncoder.train.averaging import AveragedWeights, make_averaging, renew_batch_norms, some_of
from noncoder.train.module import TrainingModule
from tests.conftest import small_store
from tests.train.making import summary_of

Steps = list[dict[str, Tensor]]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[Steps, Steps]:
    """Filled by a training: the weights after each step, and the mean at its end."""
    seen: Steps = []
    means: Steps = []
    update, end = AveragedWeights.on_train_batch_end, AveragedWeights.on_train_end

    def keep(self: AveragedWeights, trainer: Any, module: Any, *rest: Any) -> None:
        update(self, trainer, module, *rest)
        seen.append({name: p.detach().clone() for name, p in module.named_parameters()})

    def finish(self: AveragedWeights, trainer: Any, module: Any) -> None:
        end(self, trainer, module)
        means.append({name: p.detach().clone() for name, p in module.named_parameters()})

    monkeypatch.setattr(AveragedWeights, "on_train_batch_end", keep)
    monkeypatch.setattr(AveragedWeights, "on_train_end", finish)
    return seen, means


def test_the_weights_of_the_last_steps_are_averaged_equally(
    recipe: Callable[..., RunConfig], watched: tuple[Steps, Steps]
) -> None:
    train(recipe(average_last=0.25, epochs=2, decay="constant", learning_rate=0.01))
    seen, (means,) = watched
    chosen = seen[-max(1, round(0.25 * len(seen))) :]
    assert len(chosen) > 4
    for name, mean in means.items():
        expected = torch.stack([weights[name] for weights in chosen]).mean(0)
        torch.testing.assert_close(mean, expected, atol=1e-6, rtol=1e-4)
        assert not torch.equal(mean, chosen[-1][name]) or not mean.any()


def test_an_exponential_mean_keeps_its_share_a_step(
    recipe: Callable[..., RunConfig], watched: tuple[Steps, Steps]
) -> None:
    train(recipe(average=0.8, epochs=1, decay="constant", learning_rate=0.01))
    seen, (means,) = watched
    for name, mean in means.items():
        expected = seen[0][name]
        for weights in seen[1:]:
            expected = 0.8 * expected + 0.2 * weights[name]
        torch.testing.assert_close(mean, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("settings", [{"average_last": 0.3}, {"average_last": 0.9}, {"average": 0.9}], ids=str)
def test_the_average_is_what_is_validated_and_kept(
    recipe: Callable[..., RunConfig], store_path: Path, settings: dict[str, float]
) -> None:
    config = recipe(learning_rate=0.01, epochs=3, **settings)
    summary = summary_of(config)
    store = noncoder.open_store(store_path)
    logits = noncoder.load(config.run).predict_store(store, store.indices("valid"), "forward")
    measured = rank(logits, store.read_labels(store.indices("valid")))
    assert np.nanmean(measured.average_precision) == pytest.approx(summary["best"]["average_precision"], abs=1e-5)


def test_before_the_average_begins_training_is_that_without_it(recipe: Callable[..., RunConfig]) -> None:
    kept = {}
    for run, settings in (("with", {"average_last": 0.05}), ("without", {})):
        config = recipe(run, epochs=2, validations=2, **settings)
        train(config)
        kept[run] = RunFolder(config.run).train.validations.read_text().splitlines()
    columns = [i for i, name in enumerate(kept["with"][0].split(",")) if name != "seconds"]
    rows = {run: [[line.split(",")[i] for i in columns] for line in lines] for run, lines in kept.items()}
    assert rows["with"][:4] == rows["without"][:4]
    assert rows["with"][4] != rows["without"][4]


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Batches:
    store = small_store(tmp_path_factory.mktemp("averaging") / "s.zarr", n_tasks=3)
    return Batches(store, store.indices(), 10, EpochDraws(3, shuffle=True, random_strand=True, shift=2))


def test_batch_norms_come_to_the_statistics_of_the_windows(batches: Batches) -> None:
    model = create_model("compact", 3, 20, {"channels": 4, "dilations": [1], "heads": 2, "pool": 2, "dropout": 0.5})
    module = TrainingModule(model, TrainConfig(), steps=1, steps_per_epoch=1).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(part.running_mean, 7)  # type: ignore[arg-type]
    entering: list[Tensor] = []
    norm = model.get_submodule("stem_norm")
    handle = norm.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
    windows, state = some_of(batches), torch.get_rng_state()
    renew_batch_norms(module, windows)
    handle.remove()
    assert torch.equal(state, torch.get_rng_state()), "dropout drew"
    assert not any(part.training for part in model.modules())
    assert norm.momentum == 0.1
    x = torch.cat(entering)
    assert len(x) == 60
    torch.testing.assert_close(norm.running_mean, x.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    per_batch = torch.stack([part.var((0, 2, 3)) for part in entering]).mean(0)
    torch.testing.assert_close(norm.running_var, per_batch, atol=1e-5, rtol=1e-4)
    before = norm.running_mean.clone()  # type: ignore[operator]
    renew_batch_norms(module, windows)
    assert torch.equal(before, norm.running_mean)  # type: ignore[arg-type]


def test_some_windows_are_spread_over_the_split(batches: Batches) -> None:
    few = some_of(batches, 12)
    assert few.indices.tolist() == list(range(0, 60, 5))
    assert torch.equal(next(iter(few)).codes, next(iter(some_of(batches, 12))).codes)
    assert some_of(batches).indices.tolist() == list(range(60))


def test_no_average_unless_asked_for(batches: Batches) -> None:
    assert make_averaging(TrainConfig(), batches, 100) == []
    (ema,) = make_averaging(TrainConfig(average=0.9), batches, 100)
    assert isinstance(ema, AveragedWeights)
    assert ema.should_update(0)
    (tail,) = make_averaging(TrainConfig(average_last=0.2), batches, 100)
    assert isinstance(tail, AveragedWeights)
    assert [tail.should_update(step) for step in (79, 80, 99)] == [False, True, True]
    assert not tail.should_update(epoch_idx=99)
