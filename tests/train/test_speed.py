from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from noncoder.config import TrainConfig
from noncoder.models import count_operations, create_model
from noncoder.train.device import choose_compile, products_of_float32
from noncoder.train.speed import Speed, peak_rate


def test_operations_of_convolutions_and_products_are_those_that_torch_counts() -> None:
    model = create_model("deepsea", 5, 400).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 4, 400))
    assert count_operations("deepsea", 5, 400) == counter.get_total_flops()


@pytest.mark.parametrize("name", ["danq", "ncnet-brr"])
def test_operations_of_recurrent_layers_are_those_of_their_steps(name: str) -> None:
    # On a device without numbers PyTorch takes the steps one by one, and its counter sees their products.
    with torch.device("meta"):
        model = create_model(name, 5, 400).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(2, 4, 400))
    assert count_operations(name, 5, 400) == pytest.approx(counter.get_total_flops() / 2, rel=1e-9)


def test_a_layered_lstm_counts_the_width_between_its_layers() -> None:
    settings = {"core": "lstm", "core_layers": 3, "width": 64, "core_dropout": 0.0}
    with torch.device("meta"):
        model = create_model("wideresnet-lstm", 5, 200, settings).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 4, 200))
    assert count_operations("wideresnet-lstm", 5, 200, settings) == counter.get_total_flops()


def test_the_speed_says_what_a_device_could_do_and_whether_it_waits() -> None:
    fast = Speed(2000, 2.0, 0.02, 3e9, 60e12)
    assert fast.peak_share == pytest.approx(0.1)
    assert "2,000 windows/s, 6.0 TFLOP/s, 10% of the rate" in fast.text()
    assert "waited" not in fast.text()
    assert "waited for windows to be read for 40% of the time" in Speed(2000, 40.0, 0.4, 3e9, None).text()
    assert "waited" not in Speed(2000, 1.0, 0.4, 3e9, None).text()  # the first read of a store, in a short training


def test_the_rate_of_a_product_is_finite() -> None:
    assert 1e8 < peak_rate(torch.device("cpu"), torch.float32, repeats=2) < 1e15


def test_how_float32_is_multiplied_is_set_for_the_training_alone() -> None:
    def state() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), bool(torch.backends.cudnn.allow_tf32)

    before = state()
    for precision, expected in (("32-true", ("highest", False)), ("tf32", ("high", True)), ("auto", ("high", True))):
        with products_of_float32(TrainConfig.model_validate({"precision": precision})):
            assert state() == expected
        assert state() == before


def test_what_is_compiled() -> None:
    assert choose_compile(TrainConfig(), "cpu") == "none"
    assert choose_compile(TrainConfig.model_validate({"compile": True}), "cpu") == "default"
    assert choose_compile(TrainConfig.model_validate({"compile": False}), "gpu") == "none"
    assert choose_compile(TrainConfig(compile="max-autotune"), "cpu") == "max-autotune"
