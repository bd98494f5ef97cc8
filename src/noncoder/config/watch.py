"""The section of a recipe on watching a training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from noncoder.config.base import Section

LoggerName = Literal["auto", "tensorboard", "wandb", "mlflow"]


class WatchConfig(Section):
    """What is recorded of a training beside its CSV logs; nothing here changes what it comes to."""

    loggers: tuple[LoggerName, ...] = ("auto",)
    """Who is told besides the CSV logs: `tensorboard`, `wandb` (Weights & Biases), `mlflow`; `auto` is TensorBoard
    where it is installed; [] for nobody."""
    project: str = Field("noncoder", min_length=1)
    """The project of Weights & Biases, or the experiment of MLflow, that the run belongs to."""
    name: str = ""
    """The run's name there; by default that of the run's folder."""
    tracking: str = ""
    """Where MLflow keeps its runs: an address such as http://host:5000 or sqlite:///mlflow.db; by default
    $MLFLOW_TRACKING_URI, else mlflow.db beside the run's folder."""
    gradients_every: Annotated[int, Field(ge=0)] | Literal["log"] = "log"
    """Optimiser steps between two records of every layer's gradients, weights and updates: `log` for steps 1, 2, 5, 10,
    20, 50 and so on; 0 for none."""
