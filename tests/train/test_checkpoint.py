from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from noncoder.runs.folder import TrainFolder
from noncoder.train.checkpoint import BestCheckpoints, LastCheckpoint
from noncoder.train.storage import Storage
from tests.conftest import listing


@pytest.mark.parametrize(("cost", "saves"), [(0.0, 10), (0.05, 10), (0.09, 10), (0.15, 6), (1.0, 1)])
def test_saving_takes_little_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cost: float, saves: int
) -> None:
    clock, saved = [0.0], []

    def save(path: Path) -> None:
        path.touch()
        saved.append(clock[0])
        clock[0] += cost

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    best = BestCheckpoints(TrainFolder(tmp_path), 1, Storage(), weights_only=True)
    last = LastCheckpoint(tmp_path / "last.ckpt", tmp_path / "previous.ckpt", 10, 1000, best)
    trainer: Any = SimpleNamespace(global_step=0, save_checkpoint=save, world_size=1, is_global_zero=True)
    for step in range(1, 101):
        clock[0] += 1
        trainer.global_step = step
        last.on_train_batch_end(trainer, None, None, None, step)  # type: ignore[arg-type]
    assert len(saved) == saves
    assert listing(tmp_path) == (["last.ckpt", "previous.ckpt"] if saves > 1 else ["last.ckpt"])


def test_a_file_that_a_checkpoint_speaks_of_stays_until_none_does(tmp_path: Path) -> None:
    best = BestCheckpoints(TrainFolder(tmp_path), 1, Storage(), weights_only=True)
    trainer: Any = SimpleNamespace(global_step=0, is_global_zero=True, callback_metrics={})
    trainer.save_checkpoint = lambda path, _: path.write_text(path.name)

    def validate(step: int, score: float) -> list[str]:
        trainer.global_step, trainer.callback_metrics = step, {"score": score}
        best.on_validation_end(trainer, None)  # type: ignore[arg-type]
        assert (tmp_path / "best.ckpt").read_text() == f"best-{best.best:08d}.ckpt"
        return [name[5:13].lstrip("0") for name in listing(tmp_path) if name.startswith("best-")]

    assert validate(1, 0.5) == ["1"]
    best.saved(trainer)
    state = best.state_dict()
    assert validate(2, float("nan")) == ["1"]
    assert validate(3, 0.5) == ["1"], "an equal one is no better"
    assert validate(4, 0.6) == ["1", "4"]
    assert validate(5, 0.7) == ["1", "5"]
    # A process that resumes from the checkpoint finds the files that the checkpoint refers to.
    again = BestCheckpoints(TrainFolder(tmp_path), 1, Storage(), weights_only=True)
    again.load_state_dict(state)
    assert again.best == 1
    assert again.path(1).exists()
    best.saved(trainer)
    assert validate(6, 0.1) == ["1", "5"], "the one before last still speaks of it"
    best.saved(trainer)
    assert validate(7, 0.1) == ["5"]
