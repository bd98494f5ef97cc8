"""Recipe section on logging of a training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from noncoder.config.section import Section

LoggerName = Literal["auto", "tensorboard", "wandb", "mlflow"]


class WatchConfig(Section):
    """What is logged during training besides the CSV logs; no setting here changes the result of training."""

    loggers: tuple[LoggerName, ...] = ("auto",)
    """Loggers besides the CSV logs: `tensorboard`, `wandb` (Weights & Biases), `mlflow`; `auto` is TensorBoard if it
    is installed; [] for none."""
    project: str = Field("noncoder", min_length=1)
    """Project in Weights & Biases, or experiment in MLflow."""
    name: str = ""
    """Name of the run there; by default the name of the run's folder."""
    tracking: str = ""
    """Tracking address of MLflow, such as http://host:5000 or sqlite:///mlflow.db; by default $MLFLOW_TRACKING_URI,
    else mlflow.db beside the run's folder."""
    gradients_every: Annotated[int, Field(ge=0)] | Literal["log"] = "log"
    """Optimiser steps between two records of every layer's gradients, weights and updates: `log` for steps 1, 2, 5, 10,
    20, 50 and so on; 0 for none."""
