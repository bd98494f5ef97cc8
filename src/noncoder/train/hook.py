"""Callback of a Python caller after each validation."""

from __future__ import annotations

from collections.abc import Callable

import lightning.pytorch as pl

from noncoder.train.log import CsvLog

OnValidation = Callable[[dict[str, float]], bool | None]
"""Receives the row of valid.csv by column; training stops if it returns True."""


class ValidationHook(pl.Callback):
    """Calls a function after each validation; must come after the log, whose last row it reads.

    Args:
        call: The function; None for none.
        log: The log of validations.
    """

    def __init__(self, call: OnValidation | None, log: CsvLog) -> None:
        self.call, self.rows = call, log  # Lightning uses the attribute `log`
        self.stopped = False

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Calls the function with the logged, rounded values, so that a score is the same number everywhere."""
        if self.call is None or trainer.sanity_checking:
            return
        # Only the first process has the log; all processes stop together.
        stop = trainer.is_global_zero and self.call({name: float(x) for name, x in self.rows.read()[-1].items()})
        if trainer.strategy.reduce_boolean_decision(bool(stop), all=False):
            self.stopped = trainer.should_stop = True
