from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from noncoder.train import checkpoint


@pytest.mark.parametrize(("cost", "saves"), [(0.0, 10), (1.0, 5), (5.0, 1)])
def test_saving_takes_at_most_a_twentieth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cost: float, saves: int
) -> None:
    clock, saved = [0.0], []

    def save(path: Path) -> None:
        path.touch()
        saved.append(clock[0])
        clock[0] += cost

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    last = checkpoint.LastCheckpoint(tmp_path / "last.ckpt", every=10, batches_between_validations=1000)
    trainer: Any = SimpleNamespace(global_step=0, save_checkpoint=save)
    for step in range(1, 101):
        clock[0] += 1
        trainer.global_step = step
        last.on_train_batch_end(trainer, None, None, None, step)  # type: ignore[arg-type]
    assert len(saved) == saves
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
