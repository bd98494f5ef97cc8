"""What training reads: pass after pass as one road, cut into optimiser steps and validations."""

from __future__ import annotations

import math
from collections.abc import Iterator

from noncoder.config import TrainConfig
from noncoder.data.loading import Batch, Batches
from noncoder.errors import ConfigError


class Passes:
    """The batches of a whole training, one pass after the other.

    An optimiser step takes `accumulate` batches, also where a pass ends in between: its last batches and the first of
    the next pass make one step. So every step weighs alike, and validations fall between two steps. Lightning takes
    all of it for one epoch; left to itself, it would make a smaller step of what is left over at each pass's end.

    Args:
        batches: The training split.
        settings: How many passes, batches a step and validations.

    Raises:
        ConfigError: A step would take more batches than a pass has.
    """

    def __init__(self, batches: Batches, settings: TrainConfig) -> None:
        self.batches, self.accumulate = batches, settings.accumulate
        if settings.accumulate > len(batches):
            raise ConfigError(
                f"train.accumulate is {settings.accumulate}, but a pass has {len(batches)} batches of "
                f"{batches.batch_size}: a step would take windows twice",
                expected=f"at most {len(batches)}",
                hint="a smaller train.accumulate or train.batch_size",
            )
        steps = settings.epochs * len(batches) / settings.accumulate
        # Between two validations there has to be a step after which a checkpoint can be saved.
        most = max(1, min(round(settings.epochs * settings.validations), int(steps / 2)))
        # As many validations as there are in whole intervals that come to little more than the passes asked for.
        enough = max(math.ceil(steps), 1.02 * steps)
        validations = next(n for n in range(most, 0, -1) if n * math.ceil(steps / n) <= enough)
        self.interval = max(1, math.ceil(steps / validations))
        """Optimiser steps from one validation to the next; the last step is followed by one."""
        self.steps = self.interval * validations
        """Optimiser steps in all."""

    @property
    def steps_per_pass(self) -> float:
        """Optimiser steps a pass."""
        return len(self.batches) / self.accumulate

    def __len__(self) -> int:
        """Batches in all; with a length, Lightning does not read ahead, and the position is that of the training."""
        return self.steps * self.accumulate

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield from self.batches

    def state_dict(self) -> dict[str, int]:
        """The place of the next batch."""
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes to where `state_dict` was taken."""
        self.batches.load_state_dict(state)

    def place(self, number: int) -> tuple[int, int]:
        """The pass of a batch, counted from the start of the training, and its place in the pass."""
        return divmod(number, len(self.batches))

    def weight(self, number: int) -> float:
        """What a batch's mean loss counts for in its step, 1 on average: its windows over those of the step's batches.

        The last batch of a pass is smaller, or larger by a window; this way a step's gradient is the mean over its
        windows all the same.
        """
        first = number - number % self.accumulate
        group = [self._windows(first + i) for i in range(self.accumulate)]
        return self._windows(number) * self.accumulate / sum(group)

    @property
    def windows(self) -> int:
        """Windows in all that the training reads."""
        passes, more = self.place(len(self))
        return passes * self.batches.indices.size + sum(self.batches.size_of(i) for i in range(more))

    def _windows(self, number: int) -> int:
        return self.batches.size_of(self.place(number)[1])
