"""One task to look into, as every step sees it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from noncoder.config import InterpretConfig
from noncoder.data.store import Store
from noncoder.interpret.attribution import AttributionSettings
from noncoder.interpret.choosing import Scored, Windows
from noncoder.predictor import Predictor
from noncoder.runs.folder import TaskFolder


@dataclass(frozen=True)
class Job:
    """One task to look into.

    Args:
        folder: Where its files go.
        predictor: The trained model.
        column: The task's column.
        windows: The windows that are looked at.
        scored: The split that they come from; None for windows from elsewhere.
        store: The dataset; None without.
        config: What is done.
    """

    folder: TaskFolder
    predictor: Predictor
    column: int
    windows: Windows
    scored: Scored | None
    store: Store | None
    config: InterpretConfig

    @property
    def task(self) -> str:
        """The task's name."""
        return self.predictor.tasks[self.column].name

    def say(self, step: str) -> None:
        """Tells on standard error which step begins."""
        print(f"interpret {self.task}: {step}", file=sys.stderr, flush=True)

    @property
    def settings(self) -> AttributionSettings:
        """Those of the attribution methods."""
        c = self.config
        return AttributionSettings(
            references=c.references, layer=c.layer, variant=c.cam, seed=c.seed, batch_size=c.batch_size
        )

    @property
    def bin(self) -> tuple[int, int]:
        """First base of the labelled bin in a window, and one past its last."""
        flank = (self.predictor.window - self.predictor.bin) // 2
        return flank, flank + self.predictor.bin
