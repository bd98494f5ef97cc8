"""Dense training: regions of several bins, against training window by window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noncoder.config import RunConfig
from noncoder.data.loading import Batches
from noncoder.data.regions import RegionBatches
from noncoder.data.store import Store, open_store
from noncoder.errors import ConfigError, InputError, TrainingError
from noncoder.models import count_operations
from noncoder.runs.folder import RunFolder
from noncoder.train import load_fault, train
from noncoder.train.prepare import prepare, read_passes
from tests.conftest import make_store, random_genome
from tests.train.making import COMPACT, DANQ, logged, make_recipe, weights
from tests.train.test_devices import check_equal, in_two_processes
from tests.train.test_resume import kill_again_and_again

DEEPSEA = {"name": "deepsea", "parameters": {"hidden": 8, "conv_dropout": 0, "dropout": 0}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of 200 bp every 80 bp, a tenth left out; some labels are unknown."""
    folder, rng = tmp_path_factory.mktemp("dense"), np.random.default_rng(0)
    genome = random_genome({"a": 9_000, "b": 5_000})
    places = [(name, start) for name, text in genome.items() for start in range(-40, len(text) - 120, 80)]
    places = [place for place in places if rng.random() > 0.1]
    n = len(places)
    return make_store(
        folder / "s.zarr", genome, places, rng.integers(0, 2, (n, 3), dtype=np.uint8), window=200, bin=80,
        split=(np.arange(n) % 40 > 30).astype(np.uint8), known=(rng.random((n, 3)) < 0.8).astype(np.uint8),
    ).path  # fmt: skip


def test_regions_of_one_bin_train_as_windows_do(tmp_path: Path, store: Path) -> None:
    runs = [make_recipe(tmp_path / str(dense), store, model=COMPACT, dense=dense) for dense in (0, 1)]
    for config in runs:
        train(config)
    one, other = (weights(config.run) for config in runs)
    assert all(torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-6) for name in one)
    assert [row["windows"] for row in logged(runs[0].run)] == [row["windows"] for row in logged(runs[1].run)]


@pytest.mark.parametrize("mixup", [0, 0.4])
def test_the_loss_of_a_region_is_that_of_its_windows(tmp_path: Path, store: Path, mixup: float) -> None:
    # DeepSEA's convolutions have no padding.
    config = make_recipe(tmp_path / "r", store, model=DEEPSEA, dense=8, batch_size=24, mixup=mixup, l1=1e-3)
    opened = open_store(store)
    prepared = prepare(config, opened)
    module, batch = prepared.module, next(iter(prepared.passes))
    x, labels, known = batch.inputs()
    windows = x.unfold(2, 200, 80).transpose(1, 2).flatten(0, 1)
    logits = prepared.model(windows)
    loss = module.training_step(batch, 0)
    torch.testing.assert_close(loss, module.training_loss(logits, labels, known))
    assert len(windows) == len(labels) == 24
    module.on_fit_start()  # the penalty reads what enters the last layer
    assert module.training_step(batch, 0) > loss
    module.on_fit_end()


def test_training_learns_the_planted_motif(tmp_path: Path) -> None:
    genome, rng = random_genome({"a": 60_000}), np.random.default_rng(1)
    text = list(genome["a"])
    labels = np.zeros((700, 1), dtype=np.uint8)
    for i in rng.choice(700, 200, replace=False):
        text[80 * i + 90 : 80 * i + 102] = "TGACTCATGCAA"
        labels[i] = 1
    path = make_store(
        tmp_path / "s.zarr", {"a": "".join(text)}, [("a", 80 * i) for i in range(700)], labels, window=200, bin=80,
        split=(np.arange(700) >= 560).astype(np.uint8),
    ).path  # fmt: skip
    model = {"name": "compact", "parameters": {"channels": 24, "dilations": [1], "heads": 4}}
    config = make_recipe(
        tmp_path / "r", path, model=model, dense=8, batch_size=32, epochs=30, learning_rate=0.01, patience=30
    )
    summary = train(config)
    assert summary is not None
    assert summary.best is not None
    assert summary.best.average_precision is not None
    assert summary.best.average_precision > 0.9


def test_killed_again_and_again_it_ends_bit_identical(tmp_path: Path, store: Path) -> None:
    settings = {"dense": 4, "epochs": 16, "shift": 9, "accumulate": 2, "average": 0.8, "validations": 0.7,
                "patience": 99, "keep_best": 99, "mixup": 0.2}  # fmt: skip
    kill_again_and_again(tmp_path, store, kills=4, seed=3, threads=1, **settings)


def test_two_processes_train_as_one(tmp_path: Path, store: Path) -> None:
    settings = {"dense": 3, "batch_size": 12, "accumulate": 2, "l1": 1e-3, "mixup": 0.4, "shift": 5}
    one, two = (make_recipe(tmp_path / name, store, model=DANQ, **settings) for name in ("one", "two"))
    train(one)
    done = in_two_processes(two, tmp_path / "two.yaml")
    assert done.returncode == 0, done.stderr
    check_equal(one.run, two.run)


def test_an_epoch_counts_windows(tmp_path: Path, store: Path) -> None:
    config = make_recipe(tmp_path / "r", store, model=COMPACT, dense=8, batch_size=16, epochs=3)
    summary = train(config)
    assert summary is not None
    assert summary.epochs is not None
    n = open_store(store).indices("train").size
    assert summary.epochs == pytest.approx(3, abs=0.1)
    assert int(logged(config.run)[-1]["windows"]) == round(summary.epochs * n)


def test_a_fault_is_kept_with_its_region(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_recipe(tmp_path / "r", store, model=COMPACT, dense=4, learning_rate=1e30, clip=0, decay="constant",
                         warmup=0)  # fmt: skip
    with pytest.raises(TrainingError):
        train(config)
    batch, module = load_fault(config.run)
    fault = RunFolder(config.run).train.fault.read_text()
    assert '"windows"' in fault
    assert batch.labels.shape[1:] == (4, 3)
    assert not torch.isfinite(module.training_step(batch, 0))


def test_fewer_operations_are_counted() -> None:
    alone = count_operations("compact", 5, 1000)
    together = count_operations("compact", 5, 1000, None, 32, 200)
    assert 4 < alone / together < 5
    # The trunk on 7,200 bp and the head on 32 windows.
    assert count_operations("compact", 5, 1000, None, 1, 200) == alone


class TestRefusals:
    def refused(self, tmp_path: Path, store: Path | Store, message: str, model: Any = None, **settings: Any) -> None:
        path = store.path if isinstance(store, Store) else store
        config: RunConfig = make_recipe(tmp_path / "r", path, model=model or COMPACT, **settings)
        with pytest.raises(InputError, match=message):
            train(config)

    def test_windows_that_lie_apart(self, tmp_path: Path) -> None:
        apart = make_store(
            tmp_path / "s.zarr", random_genome({"a": 20_000}), [("a", 900 * i) for i in range(20)],
            np.eye(20, 3, dtype=np.uint8), window=200, bin=80,
            split=(np.arange(20) > 15).astype(np.uint8),
        )  # fmt: skip
        self.refused(tmp_path, apart, "12% of the bins in regions of 8 bins have a window", dense=8)

    def test_a_model_that_reads_windows_alone(self, tmp_path: Path, store: Path) -> None:
        self.refused(tmp_path, store, "deepatt reads windows alone", {"name": "deepatt", "parameters": {}}, dense=4)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [({"dense": 17}, "a region of 17 bins is more than batch_size"), ({"dense": 4, "resample": 0.5}, "resample")],
    )
    def test_settings_that_do_not_fit(self, tmp_path: Path, store: Path, settings: Any, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            make_recipe(tmp_path / "r", store, **settings)


def test_windows_are_read_by_default(tmp_path: Path, store: Path) -> None:
    opened = open_store(store)
    assert type(read_passes(make_recipe(tmp_path / "r", store), opened).batches) is Batches
    assert type(read_passes(make_recipe(tmp_path / "r", store, dense=4), opened).batches) is RegionBatches
