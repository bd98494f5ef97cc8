"""One task to interpret, with results that several steps need: attributions, Grad-CAM and mutations, computed once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.config import InterpretConfig
from noncoder.data.store import Store
from noncoder.interpret.attribution import AttributionConfig, attribute
from noncoder.interpret.choosing import ChosenWindows, Scored
from noncoder.interpret.layers import find_layer
from noncoder.interpret.mutagenesis import mutate
from noncoder.interpret.task_arrays import Found, load_arrays, load_found, save_arrays, save_found
from noncoder.predictor import Predictor
from noncoder.runs.folder import TaskFolder


@dataclass(frozen=True)
class Job:
    """One task to interpret.

    Results are written for the report and for a later attempt, and kept in memory: files of an interrupted attempt are
    read, and no step reads a file that another step has just written.

    Args:
        folder: Folder of the task's files.
        predictor: The trained model.
        column: The task's column.
        windows: The windows to interpret.
        scored: The split that they come from; None for windows from elsewhere.
        store: The dataset; None without one.
        config: Settings of the interpretation.
    """

    folder: TaskFolder
    predictor: Predictor
    column: int
    windows: ChosenWindows
    scored: Scored | None
    store: Store | None
    config: InterpretConfig

    @property
    def task(self) -> str:
        """The task's name."""
        return self.predictor.tasks[self.column].name

    def say(self, step: str) -> None:
        """Prints on standard error that a step begins."""
        print(f"interpret {self.task}: {step}", file=sys.stderr, flush=True)

    @property
    def settings(self) -> AttributionConfig:
        """The settings of the attribution method."""
        c = self.config
        return AttributionConfig(
            references=c.references, layer=c.layer, variant=c.cam, seed=c.seed, batch_size=c.batch_size
        )

    @property
    def bin(self) -> tuple[int, int]:
        """First base and end of the labelled bin in a window."""
        flank = (self.predictor.window - self.predictor.bin) // 2
        return flank, flank + self.predictor.bin

    @cached_property
    def found(self) -> Found:
        """The attributions of the windows.

        Raises:
            NoncoderError: The method does not support this model.
        """
        found = load_found(self.folder, self.windows, self.config.method)
        if found is not None:
            return found
        codes, model, method = self.windows.codes, self.predictor.model, self.config.method
        with progress_bar(total=len(codes), desc=f"{self.task}: {method}", unit="windows") as bar:
            attribution = attribute(model, codes, self.column, method, self.settings, bar.update)
        logit = self.predictor.predict_logits(codes, "forward", self.config.batch_size)[:, self.column]
        found = Found(self.windows, attribution, logit)
        save_found(self.folder, found)
        return found

    @cached_property
    def activation(self) -> NDArray[np.floating[Any]]:
        """The class activation (Grad-CAM) of the windows, (n, L).

        Raises:
            InputError: The model has no such layer.
        """
        stored = load_arrays(self.folder.gradcam, "cam", "layer", "step")
        if stored is None:
            model, method = self.predictor.model, "gradcam"
            layer = find_layer(model, self.config.layer)
            if self.config.method == method:
                found = self.found.attribution
            else:
                found = attribute(model, self.windows.codes, self.column, method, self.settings)
            stored = {"cam": found.projected, "layer": np.array(layer.name), "step": np.array(layer.step)}
            save_arrays(self.folder.gradcam, stored)
        return stored["cam"]

    @cached_property
    def mutations(self) -> Mapping[str, NDArray[Any]]:
        """Effects of all substitutions in the first m windows.

        "index" (m,), their positions among the windows; "codes" (m, L); "substitutions" (m, 4, L) and "importance"
        (m, L) as in `noncoder.interpret.mutagenesis.Mutations`; "strategy".
        """
        stored = load_arrays(self.folder.mutations, "index", "codes", "substitutions", "importance", "strategy")
        if stored is None:
            index = np.arange(min(self.config.mutated, len(self.windows)))
            found = mutate(self.predictor.model, self.windows.codes[index], [self.column])
            stored = {
                "index": index,
                "codes": found.codes,
                "substitutions": found.substitutions[..., 0],
                "importance": found.importance[..., 0],
                "strategy": np.array(found.strategy),
            }
            save_arrays(self.folder.mutations, stored)
        return stored
