"""All epochs of a training as one stream of batches, divided into optimiser steps and validations."""

from __future__ import annotations

import math
from collections.abc import Iterator

from noncoder.config import TrainConfig
from noncoder.data.loading import Batch, Batches
from noncoder.errors import ConfigError


class Passes:
    """All epochs as one stream of batches.

    An optimiser step takes `accumulate` batches; a step at the end of an epoch combines its last batches with the first
    of the next epoch. All steps thus have equal weight, and validations fall between two steps. For Lightning the
    stream is a single epoch; with one Lightning epoch per epoch, the remaining batches would make a smaller step.

    Args:
        batches: The training split.
        settings: Numbers of epochs, batches per step and validations.

    Raises:
        ConfigError: A step would take more batches than an epoch has.
    """

    def __init__(self, batches: Batches, settings: TrainConfig) -> None:
        self.batches, self.accumulate = batches, settings.accumulate
        if settings.accumulate > len(batches):
            raise ConfigError(
                f"train.accumulate is {settings.accumulate}, but an epoch has {len(batches)} batches of "
                f"{batches.batch_size}: a step would use the same windows twice",
                expected=f"at most {len(batches)}",
                hint="a smaller train.accumulate or train.batch_size",
            )
        steps = settings.epochs * len(batches) / settings.accumulate
        # There must be a step between two validations, because no checkpoint is saved in a step before a validation.
        most = max(1, min(round(settings.epochs * settings.validations), int(steps / 2)))
        # The largest number of equal intervals, in whole steps, that exceed the requested epochs by at most 2 percent.
        enough = max(math.ceil(steps), 1.02 * steps)
        validations = next(n for n in range(most, 0, -1) if n * math.ceil(steps / n) <= enough)
        self.interval = max(1, math.ceil(steps / validations))
        """Optimiser steps between two validations; a validation follows the last step."""
        self.steps = self.interval * validations
        """Total optimiser steps."""

    @property
    def steps_per_epoch(self) -> float:
        """Optimiser steps per epoch."""
        return len(self.batches) / self.accumulate

    def __len__(self) -> int:
        """Total batches; with a length, Lightning does not prefetch, so the position is that of the training."""
        return self.steps * self.accumulate

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield from self.batches

    def state_dict(self) -> dict[str, int]:
        """Returns the position of the next batch."""
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restores the position."""
        self.batches.load_state_dict(state)

    def place(self, number: int) -> tuple[int, int]:
        """Returns the epoch, from 0, and the position in it of a batch counted from the start of the training."""
        return divmod(number, len(self.batches))

    def weight(self, number: int) -> float:
        """Returns the weight of a batch's mean loss in its step: its windows over the mean of the step's batches.

        The last batch of an epoch is smaller, or larger by one window; with these weights, a step's gradient is still
        the mean over its windows.
        """
        first = number - number % self.accumulate
        group = [self._windows(first + i) for i in range(self.accumulate)]
        return self._windows(number) * self.accumulate / sum(group)

    @property
    def windows(self) -> int:
        """Total windows that the training reads."""
        epochs, more = self.place(len(self))
        return epochs * self.batches.indices.size + sum(self.batches.size_of(i) for i in range(more))

    def _windows(self, number: int) -> int:
        return self.batches.size_of(self.place(number)[1])
