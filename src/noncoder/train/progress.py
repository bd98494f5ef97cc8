"""What is told of a training to those who watch it, and what is known of it when it starts."""

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
    """Tells of a logger that is not installed, before anything is done.

    Raises:
        ConfigError: It names the extra that installs it.
    """
    for name in watch.loggers:
        if name != "auto" and find_spec(name) is None:
            raise ConfigError(
                f"train.watch.loggers names {name}, which is not installed",
                hint=f"pip install 'noncoder[{name}]', or leave it out: the CSV logs are always written",
            )


def make_loggers(config: RunConfig, folder: RunFolder) -> list[Logger]:
    """The loggers of a recipe; a training that goes on is told to the run that it began, whose name the folder keeps.

    Of several processes the first alone tells.

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
        # MLflow takes a setting once; a training that goes on has told it.
        if place and known.get(place) != logger.version:
            logger.log_hyperparams(config.model_dump(mode="json"))
            known[place] = logger.version
            write_json(kept, known)
    return loggers


def _place(logger: Logger) -> str | None:
    """Where a logger keeps runs by names of its own."""
    if isinstance(logger, TolerantMlflow):
        return logger.place
    return "wandb" if isinstance(logger, WandbLogger) else None


def finish_loggers(loggers: Sequence[Logger], best: Validation | None = None) -> None:
    """Tells the best validation, where there is one, and ends the run of Weights & Biases in this process."""
    for logger in loggers:
        if best and isinstance(logger, WandbLogger | MLFlowLogger):
            known = {f"best/{key}": float(value) for key, value in best if value is not None}
            logger.log_metrics(known, step=best.step)
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=0 if best else 1)


class EndLoggers(pl.Callback):
    """Ends the run of Weights & Biases in this process where training is interrupted."""

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Marks it as not finished."""
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
            hint="`wandb login`; or WANDB_MODE=offline, and `wandb sync` afterwards; or leave it out",
        ) from error
    return logger


def _mlflow(watch: WatchConfig, folder: RunFolder, name: str, known: Mapping[str, str]) -> Logger:
    from mlflow.exceptions import MlflowException

    before = os.environ.get("MLFLOW_TRACKING_URI")
    uri = watch.tracking or before or f"sqlite:///{folder.mlflow}"
    # A database on this machine keeps no files: they lie beside it, and not where the command happened to be called.
    here = Path(uri.removeprefix("sqlite:///")).resolve().parent if uri.startswith("sqlite:///") else None
    files = None if here is None else (here / "mlartifacts").as_uri()
    try:
        logger = TolerantMlflow(watch.project, name, uri, run_id=known.get(f"mlflow {uri}"), artifact_location=files)
        logger.place = f"mlflow {uri}"
        _ = logger.experiment
    except MlflowException as error:
        raise ConfigError(
            f"MLflow cannot use {uri}: {error}",
            expected="a server or a database, as http://host:5000 or sqlite:///mlflow.db",
            hint="give another train.watch.tracking, or leave mlflow out",
        ) from error
    finally:
        # Lightning's logger has MLflow set it, and the next training of this process would take it for the user's.
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        os.environ |= {} if before is None else {"MLFLOW_TRACKING_URI": before}
    return logger


class _Tolerant:
    """What fails in a logger once, outside of this process, does not end a training of days; it is told no more."""

    _who = ""
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
            print(f"{self._who} fails and is told nothing more; training goes on: {cause}", file=sys.stderr)

    def _from_outside(self, error: Exception) -> BaseException | None:
        """What the place that is written to is to blame for; None where it is an error of ours."""
        return error if isinstance(error, OSError) else None


class TolerantMlflow(_Tolerant, MLFlowLogger):
    """MLflow's logger, for a server that may go away; the CSV logs have all there is."""

    _who = "MLflow"
    place = "mlflow"

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Tells the server."""
        self._try(super().log_metrics, metrics, step)

    def log_file(self, path: Path) -> None:
        """Keeps a copy of a file with the run."""
        self._try(lambda: self.experiment.log_artifact(self.run_id, str(path)))

    def finalize(self, status: str = "success") -> None:
        """Marks the run as ended."""
        self._try(super().finalize, status)

    def _from_outside(self, error: Exception) -> BaseException | None:
        from mlflow.exceptions import MlflowException

        return error if isinstance(error, MlflowException) else super()._from_outside(error)


class TolerantTensorBoard(_Tolerant, TensorBoardLogger):
    """TensorBoard's logger, for a disk that may be full; its writer raises the same error ever after."""

    _who = "TensorBoard"

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Writes them."""
        self._try(super().log_metrics, metrics, step)

    def log_figure(self, figure: Figure, step: int) -> None:
        """Writes a figure."""
        self._try(lambda: self.experiment.add_figure("gradient flow", figure, global_step=step))

    def save(self) -> None:
        """Writes what waits."""
        self._try(super().save)

    def finalize(self, status: str) -> None:
        """Ends the file."""
        self._try(super().finalize, status)

    def _from_outside(self, error: Exception) -> BaseException | None:
        # Lightning takes every error of the writer for one of the value.
        return error.__cause__ if isinstance(error.__cause__, OSError) else super()._from_outside(error)


def show_figure(logger: Logger, figure: Figure, path: Path, step: int) -> None:
    """Tells a logger of a figure, which lies in a file, too."""
    if isinstance(logger, TolerantTensorBoard):
        logger.log_figure(figure, step)
    elif isinstance(logger, WandbLogger):
        logger.log_image("gradient flow", [str(path)])
    elif isinstance(logger, TolerantMlflow):
        logger.log_file(path)


def describe_start(config: RunConfig, store: Store, model: SequenceModel, trainer: pl.Trainer) -> TrainingStart:
    """What is known of a training when it starts, so that it can be compared before it ends and without its store."""
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
