from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from noncoder.config import TrainConfig
from noncoder.data.loading import Batch, one_hot
from noncoder.losses import binary_cross_entropy
from noncoder.models import SequenceModel, create_model
from noncoder.train.module import TrainingModule


def small_model() -> SequenceModel:
    torch.manual_seed(0)
    return create_model("deepsea", 3, 200, {"hidden": 6, "conv_dropout": 0, "dropout": 0})


@pytest.fixture(scope="module")
def batch() -> Batch:
    rng = torch.Generator().manual_seed(1)
    return Batch(
        torch.randint(0, 5, (4, 200), generator=rng, dtype=torch.uint8),
        torch.randint(0, 2, (4, 3), generator=rng, dtype=torch.uint8),
        None,
    )


def loss_and_gradients(batch: Batch, **settings: Any) -> tuple[Tensor, dict[str, Tensor]]:
    module = TrainingModule(small_model(), TrainConfig(**settings), steps=10, steps_per_epoch=5)
    module.on_fit_start()
    loss = module.training_step(batch, 0)
    loss.backward()
    module.on_fit_end()
    assert not module.model.output._forward_pre_hooks
    return loss.detach(), {name: p.grad for name, p in module.model.named_parameters() if p.grad is not None}


def test_the_loss_is_the_cross_entropy(batch: Batch) -> None:
    loss, _ = loss_and_gradients(batch)
    assert loss == binary_cross_entropy(small_model()(one_hot(batch.codes)), batch.labels)


def test_l1_penalises_what_enters_the_last_layer_summed_over_units_and_windows(batch: Batch) -> None:
    plain, gradients = loss_and_gradients(batch)
    loss, penalised = loss_and_gradients(batch, l1=0.25)
    model = small_model()
    entering = model.get_submodule("hidden")(model.features(one_hot(batch.codes)))
    assert entering.shape == (4, 6)
    expected = 0.25 * entering.abs().sum()
    torch.testing.assert_close(loss - plain, expected.detach())
    expected.backward()
    for name, parameter in model.named_parameters():
        if name.startswith("output"):
            assert torch.equal(penalised[name], gradients[name])
        else:
            assert parameter.grad is not None
            torch.testing.assert_close(penalised[name] - gradients[name], parameter.grad, atol=1e-6, rtol=1e-4)


def test_validation_is_not_penalised(batch: Batch) -> None:
    module = TrainingModule(small_model(), TrainConfig(l1=0.25), steps=10, steps_per_epoch=5)
    module.on_fit_start()
    module.eval()
    module.validation_step(batch, 0)
    assert module._last_input is None
