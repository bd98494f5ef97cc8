"""From a recipe and a store to a predictor."""

from __future__ import annotations

import json
import logging
import math
import platform
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint

from noncoder.config import RunConfig, TrainConfig, read_recipe, write_recipe
from noncoder.data.loading import Batches
from noncoder.data.store import Store, open_store
from noncoder.errors import ConfigError, InputError
from noncoder.models import SequenceModel, count_parameters, create_model, set_prior_bias
from noncoder.predictor import Predictor
from noncoder.train.checkpoint import LastCheckpoint
from noncoder.train.log import TrainingLog
from noncoder.train.module import TrainingModule

_ROWS_OF_LOG = 400


@dataclass(frozen=True)
class RunFolder:
    """Where a run's files lie."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The whole recipe, every key written out."""
        return self.path / "recipe.yaml"

    @property
    def train(self) -> Path:
        """Logs and checkpoints."""
        return self.path / "train"

    @property
    def last(self) -> Path:
        """The checkpoint from which training goes on."""
        return self.train / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best validation."""
        return self.train / "best.ckpt"

    @property
    def summary(self) -> Path:
        """What training came to; it exists when training has finished."""
        return self.train / "summary.json"

    @property
    def predictor(self) -> Path:
        """The trained model."""
        return self.path / "predictor"


def train(config: RunConfig, force: bool = False) -> dict[str, Any]:
    """Trains a model, or goes on where an interrupted training of the same recipe stopped.

    Args:
        config: The recipe.
        force: Start anew where a training lies already.

    Returns:
        The content of train/summary.json.

    Raises:
        ConfigError: The folder holds a training of another recipe.
        StoreError: The store is missing or damaged.
        InputError: The store has no training or validation split, or the training is finished already.
    """
    folder = RunFolder(config.run)
    store = open_store(config.store)
    resume = _claim(folder, config, store, force)
    pl.seed_everything(config.seed, verbose=False)
    model = create_model(config.model.name, len(store.tasks), store.window, config.model.parameters)
    if config.train.prior_bias:
        known = torch.from_numpy(store.known_counts("train")).clamp(min=1)
        set_prior_bias(model, torch.from_numpy(store.positives("train")) / known)
    settings = config.train
    training = Batches(
        store, store.indices("train"), settings.batch_size, config.seed, shuffle=True, random_strand=True,
        shift=settings.shift,
    )  # fmt: skip
    validation = Batches(store, store.indices("valid"), 2 * settings.batch_size)
    steps, interval = _plan(settings, len(training))
    module = TrainingModule(model, settings, steps)
    log = TrainingLog(
        folder.train, training.indices.size, settings.batch_size,
        every=max(1, steps * settings.accumulate // _ROWS_OF_LOG),
    )  # fmt: skip
    started = datetime.now(UTC)
    with warnings.catch_warnings():
        _quieten()
        trainer = _trainer(config, folder, steps, interval, log)
        checkpoint = str(folder.last) if resume else None
        try:
            trainer.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True if resume else None)
        except SystemExit:
            # Lightning turns Ctrl-C into an exit of its own.
            raise KeyboardInterrupt from None
    best = _load_best(folder, model)
    summary = _summary(config, store, model, trainer, log, best, started)
    Predictor(model, store.tasks, store.bin, {"store_digest": store.digest, "training": summary}).save(folder.predictor)
    write_json(folder.summary, summary)
    return summary


def _claim(folder: RunFolder, config: RunConfig, store: Store, force: bool) -> bool:
    """Takes the folder for this recipe; true where a checkpoint of it lies there."""
    if force and folder.train.exists():
        shutil.rmtree(folder.train)
    if folder.summary.exists():
        raise InputError(f"{folder.path} holds a finished training", mend="give another run=, or --force to train anew")
    try:
        folder.train.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder.path}: {error.strerror}", mend="choose another run=") from error
    claim = folder.train / "claim.json"
    mine = _claim_of(config, store)
    if folder.last.exists() and claim.exists():
        theirs = json.loads(claim.read_text())
        if theirs != mine:
            changed = ", ".join(_differences(theirs, mine))
            raise ConfigError(
                f"{folder.path} holds an unfinished training of another recipe: {changed}",
                mend="give the old values, another run=, or --force to train anew",
            )
        return True
    write_json(claim, mine)
    folder.recipe.write_text(write_recipe(config))
    return False


def is_trained(config: RunConfig, store: Store) -> bool:
    """Whether the run's folder holds a finished training of this recipe.

    Raises:
        ConfigError: It holds a finished training of another recipe.
    """
    folder = RunFolder(config.run)
    if not folder.summary.exists():
        return False
    changed = _differences(json.loads((folder.train / "claim.json").read_text()), _claim_of(config, store))
    if changed:
        raise ConfigError(
            f"{folder.path} holds a finished training of another recipe: {', '.join(changed)}",
            mend="give another run=, or --force to train anew",
        )
    return True


def _claim_of(config: RunConfig, store: Store) -> dict[str, Any]:
    """All that decides what a training comes to."""
    return {
        "seed": config.seed,
        "model": config.model.model_dump(mode="json"),
        "train": config.train.model_dump(mode="json", exclude={"device"}),
        "store": store.digest,
    }


def _differences(old: Any, new: Any, key: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in sorted({*old, *new})
            for line in _differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if old == new else [f"{key} was {old!r}, is {new!r}"]


def _plan(settings: TrainConfig, batches: int) -> tuple[int, int]:
    """Optimiser steps in all, and between validations; the last step is followed by a validation."""
    steps = settings.epochs * batches / settings.accumulate
    validations = max(1, min(round(settings.epochs * settings.validations), int(steps)))
    interval = max(1, math.ceil(steps / validations))
    return interval * validations, interval


def _trainer(config: RunConfig, folder: RunFolder, steps: int, interval: int, log: TrainingLog) -> pl.Trainer:
    settings = config.train
    callbacks: list[Callback] = [
        log,
        EarlyStopping("score", mode="max", patience=settings.patience),
        ModelCheckpoint(folder.train, "best", monitor="score", mode="max", enable_version_counter=False),
        # After all others, whose states it saves.
        LastCheckpoint(folder.last, max(1, steps // 20), interval * settings.accumulate),
    ]  # fmt: skip
    if settings.average:
        callbacks.insert(0, EMAWeightAveraging(decay=settings.average))
    accelerator = _accelerator(settings)
    return pl.Trainer(
        accelerator=accelerator,
        devices=1,
        precision=choose_precision(settings, accelerator),
        max_steps=steps,
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip or None,
        val_check_interval=interval * settings.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        logger=_tensorboard(folder),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder.train,
    )


def _tensorboard(folder: RunFolder) -> Any:
    if find_spec("tensorboard") is None:
        return False
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder.train, name="tensorboard", version="")


def _accelerator(settings: TrainConfig) -> str:
    if settings.device == "cpu" and torch.cuda.is_available():
        print(f"a GPU is there and unused: {torch.cuda.get_device_name()} (train.device=cpu)", file=sys.stderr)
    if settings.device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("train.device is gpu, but there is no GPU that torch can use", mend="train.device=cpu")
    return "cpu" if settings.device == "cpu" or not torch.cuda.is_available() else "gpu"


def choose_precision(settings: TrainConfig, accelerator: str) -> Any:
    """The arithmetic of this machine: for "auto", bfloat16 where the processor computes in it, else float32."""
    if settings.precision != "auto":
        return settings.precision
    native = torch.cuda.is_bf16_supported(False) if accelerator == "gpu" else _cpu_has_bfloat16()
    return "bf16-mixed" if native else "32-true"


def _cpu_has_bfloat16() -> bool:
    # Without these instructions, bfloat16 is emulated and slower than float32.
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def _quieten() -> None:
    # Lightning's advice is about data loaders of worker processes, which the batches here are not.
    warnings.filterwarnings("ignore", module="lightning")
    for name in logging.root.manager.loggerDict:
        if name.startswith(("lightning.pytorch", "lightning.fabric")):
            logging.getLogger(name).setLevel(logging.ERROR)


def _load_best(folder: RunFolder, model: SequenceModel) -> dict[str, Any]:
    checkpoint = torch.load(folder.best, map_location="cpu", weights_only=True)
    prefix = "model."
    weights = checkpoint["state_dict"].items()
    model.load_state_dict({k.removeprefix(prefix): v for k, v in weights if k.startswith(prefix)})
    model.cpu().eval()
    return {"step": int(checkpoint["global_step"])}


def _summary(
    config: RunConfig,
    store: Store,
    model: SequenceModel,
    trainer: pl.Trainer,
    log: TrainingLog,
    best: dict[str, Any],
    started: datetime,
) -> dict[str, Any]:
    rows = {int(row["step"]): row for row in log.valid_file.read()}
    best |= {key: float(rows[best["step"]][key]) for key in ("auroc", "average_precision", "loss")}
    finished = trainer.global_step >= trainer.max_steps
    return {
        "model": model.name,
        "parameters": model.config.model_dump(mode="json"),
        "n_parameters": count_parameters(model),
        "epochs": log.windows / log.n_windows,
        "steps": trainer.global_step,
        "seconds": round(log.seconds, 2),
        "windows_per_second": round(log.windows / max(1e-9, log.seconds - log.validating), 1),
        "best": best,
        "stopped": "all steps done" if finished else f"no better validation in {config.train.patience}",
        "device": _device_name(trainer.strategy.root_device),
        "threads": torch.get_num_threads(),
        "precision": str(trainer.precision),
        "seed": config.seed,
        "store": str(store.path),
        "store_digest": store.digest,
        "versions": _versions(),
        "git": _git_commit(),
        "started": started.isoformat(timespec="seconds"),
    }


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.cpu.get_capabilities().get("cpu_name", "")) or platform.machine()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("noncoder", "torch", "lightning", "numpy", "zarr"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git_commit() -> str | None:
    """The commit of the source that is running, where it runs from a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def write_json(path: Path, values: Any) -> None:
    """Writes a JSON file that is complete or absent."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps(values, indent=1))
    partial.replace(path)


def read_run(folder: str | Path) -> RunConfig:
    """The recipe of a run's folder.

    Raises:
        ConfigError: The folder is no run.
    """
    recipe = RunFolder(Path(folder)).recipe
    if not recipe.is_file():
        raise ConfigError(f"{folder} is no run: it has no {recipe.name}", mend="make one with `noncoder run RECIPE`")
    return read_recipe(recipe)
