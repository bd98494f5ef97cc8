"""Who trains from Python hears of each validation and may stop the training there."""

from __future__ import annotations

from collections.abc import Callable

import lightning.pytorch as pl

from noncoder.train.log import CsvLog

OnValidation = Callable[[dict[str, float]], bool | None]
"""Takes the row of valid.csv by column; the training stops where it returns true."""


class ValidationHook(pl.Callback):
    """Calls a function after each validation; it comes after the log, whose last row it reads.

    Args:
        call: The function, if any.
        log: The log of validations.
    """

    def __init__(self, call: OnValidation | None, log: CsvLog) -> None:
        self.call, self.rows = call, log  # Lightning puts a function of its own in `log`
        self.stopped = False

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Tells of the validation; what is logged is rounded, so that a score is one number everywhere."""
        if self.call is None or trainer.sanity_checking:
            return
        # The first process has the log; all of them stop together.
        stop = trainer.is_global_zero and self.call({name: float(x) for name, x in self.rows.read()[-1].items()})
        if trainer.strategy.reduce_boolean_decision(bool(stop), all=False):
            self.stopped = trainer.should_stop = True
