"""Loggers of a training (TensorBoard, Weights & Biases, MLflow), and its description at the start."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from noncoder.config import RunConfig, WatchConfig
from noncoder.data.store import Store
from noncoder.errors import ConfigError
from noncoder.files import read_json, write_json
from noncoder.models import SequenceModel, count_parameters
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import TrainingStart, Validation
from noncoder.train.provenance import device_name


def check_loggers(watch: WatchConfig) -> None:
    """Checks that all loggers of the recipe are installed.

    Raises:
        ConfigError: A logger is not installed; the hint names the extra that installs it.
    """
    for name in watch.loggers:
        if name != "auto" and find_spec(name) is None:
            raise ConfigError(
                f"train.watch.loggers names {name}, which is not installed",
                hint=f"pip install 'noncoder[{name}]', or remove it: the CSV logs are always written",
            )


def make_loggers(config: RunConfig, folder: RunFolder) -> list[Logger]:
    """Returns the loggers of a recipe; empty in all processes but the first.

    A resumed training continues the logger's run that it started, whose identifier is stored in the folder.

    Raises:
        ConfigError: Weights & Biases or MLflow cannot be reached.
    """
    if rank_zero_only.rank:  # type: ignore[attr-defined]
        return []
    watch, kept = config.train.watch, folder.train.loggers
    known = read_json(kept) or {}
    name = watch.name or config.run.resolve().name
    loggers: list[Logger] = []
    for kind in dict.fromkeys(watch.loggers):
        if kind == "wandb":
            loggers.append(_wandb(watch, folder, name, known))
        elif kind == "mlflow":
            loggers.append(_mlflow(watch, folder, name, known))
        elif kind == "tensorboard" or ("tensorboard" not in watch.loggers and find_spec("tensorboard") is not None):
            loggers.append(TolerantTensorBoard(folder.train.path, name="tensorboard", version=""))
    for logger in loggers:
        place = _place(logger)
        # MLflow accepts a parameter only once, so a resumed training must not send the settings again.
        if place and known.get(place) != logger.version:
            logger.log_hyperparams(config.model_dump(mode="json"))
            known[place] = logger.version
            write_json(kept, known)
    return loggers


def _place(logger: Logger) -> str | None:
    """Returns the key of a logger's run in loggers.json; None if the logger has no identifiers."""
    if isinstance(logger, TolerantMlflow):
        return logger.place
    return "wandb" if isinstance(logger, WandbLogger) else None


def finish_loggers(loggers: Sequence[Logger], best: Validation | None = None) -> None:
    """Logs the best validation, if given, and ends the run of Weights & Biases in this process."""
    for logger in loggers:
        if best and isinstance(logger, WandbLogger | MLFlowLogger):
            known = {f"best/{key}": float(value) for key, value in best if value is not None}
            logger.log_metrics(known, step=best.step)
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=0 if best else 1)


class EndLoggers(pl.Callback):
    """Ends the run of Weights & Biases in this process if training is interrupted."""

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Marks the run as not finished."""
        finish_loggers(trainer.loggers)


def _wandb(watch: WatchConfig, folder: RunFolder, name: str, known: Mapping[str, str]) -> Logger:
    import wandb

    logger = WandbLogger(
        name, folder.train.path, id=known.get("wandb", secrets.token_hex(4)), project=watch.project,
        settings=wandb.Settings(console="off", save_code=False, quiet=True),
    )  # fmt: skip
    try:
        _ = logger.experiment
    except wandb.Error as error:
        raise ConfigError(
            f"Weights & Biases does not start: {error}",
            hint="`wandb login`; or WANDB_MODE=offline, then `wandb sync`; or remove it from train.watch.loggers",
        ) from error
    return logger


def _mlflow(watch: WatchConfig, folder: RunFolder, name: str, known: Mapping[str, str]) -> Logger:
    from mlflow.exceptions import MlflowException

    before = os.environ.get("MLFLOW_TRACKING_URI")
    uri = watch.tracking or before or f"sqlite:///{folder.mlflow}"
    # A local database stores no files; they go beside it, because MLflow's default is the working directory.
    here = Path(uri.removeprefix("sqlite:///")).resolve().parent if uri.startswith("sqlite:///") else None
    files = None if here is None else (here / "mlartifacts").as_uri()
    try:
        logger = TolerantMlflow(watch.project, name, uri, run_id=known.get(f"mlflow {uri}"), artifact_location=files)
        logger.place = f"mlflow {uri}"
        _ = logger.experiment
    except MlflowException as error:
        raise ConfigError(
            f"MLflow cannot use {uri}: {error}",
            expected="a server or a database, such as http://host:5000 or sqlite:///mlflow.db",
            hint="give another train.watch.tracking, or remove mlflow from train.watch.loggers",
        ) from error
    finally:
        # Lightning's logger makes MLflow set this variable, which the next training of this process would use.
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        os.environ |= {} if before is None else {"MLFLOW_TRACKING_URI": before}
    return logger


class _Tolerant:
    """Logger that is switched off after its first external failure, so that training continues."""

    _service = ""
    _lost = False

    def _try(self, function: Any, *values: Any) -> None:
        if self._lost:
            return
        try:
            function(*values)
        except Exception as error:
            cause = self._from_outside(error)
            if cause is None:
                raise
            self._lost = True
            print(f"{self._service} failed and is switched off; training continues: {cause}", file=sys.stderr)

    def _from_outside(self, error: Exception) -> BaseException | None:
        """Returns the external cause of an error; None for a programming error, which is raised."""
        return error if isinstance(error, OSError) else None


class TolerantMlflow(_Tolerant, MLFlowLogger):
    """MLflow logger that tolerates an unreachable server; the CSV logs are complete."""

    _service = "MLflow"
    place = "mlflow"

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Sends metrics to the server."""
        self._try(super().log_metrics, metrics, step)

    def log_file(self, path: Path) -> None:
        """Stores a copy of a file with the run."""
        self._try(lambda: self.experiment.log_artifact(self.run_id, str(path)))

    def finalize(self, status: str = "success") -> None:
        """Marks the run as ended."""
        self._try(super().finalize, status)

    def _from_outside(self, error: Exception) -> BaseException | None:
        from mlflow.exceptions import MlflowException

        return error if isinstance(error, MlflowException) else super()._from_outside(error)


class TolerantTensorBoard(_Tolerant, TensorBoardLogger):
    """TensorBoard logger that tolerates a full disk, after which its writer repeats the same error."""

    _service = "TensorBoard"

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Writes metrics."""
        self._try(super().log_metrics, metrics, step)

    def log_figure(self, figure: Figure, step: int) -> None:
        """Writes a figure."""
        self._try(lambda: self.experiment.add_figure("gradient flow", figure, global_step=step))

    def save(self) -> None:
        """Writes buffered events."""
        self._try(super().save)

    def finalize(self, status: str) -> None:
        """Closes the file."""
        self._try(super().finalize, status)

    def _from_outside(self, error: Exception) -> BaseException | None:
        # Lightning wraps every error of the writer in an error about the value.
        return error.__cause__ if isinstance(error.__cause__, OSError) else super()._from_outside(error)


def show_figure(logger: Logger, figure: Figure, path: Path, step: int) -> None:
    """Sends a figure, also saved at `path`, to a logger."""
    if isinstance(logger, TolerantTensorBoard):
        logger.log_figure(figure, step)
    elif isinstance(logger, WandbLogger):
        logger.log_image("gradient flow", [str(path)])
    elif isinstance(logger, TolerantMlflow):
        logger.log_file(path)


def describe_start(config: RunConfig, store: Store, model: SequenceModel, trainer: pl.Trainer) -> TrainingStart:
    """Describes a training at its start, so that it can be compared before it ends and without its store."""
    windows = store.indices("train").size
    return TrainingStart(
        model=model.name,
        n_parameters=count_parameters(model),
        steps=trainer.max_steps,
        windows=windows,
        tasks=len(store.tasks),
        positives_per_window=float(store.positives("train").sum()) / windows,
        device=device_name(trainer.strategy.root_device),
        threads=torch.get_num_threads(),
        precision=str(trainer.precision),
        accumulate=config.train.accumulate,
        store=str(store.path),
        store_digest=store.digest,
    )
