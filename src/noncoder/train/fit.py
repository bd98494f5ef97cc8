"""From a recipe and a store to a predictor."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from noncoder.config import RunConfig, TrainConfig
from noncoder.data.augmentation import Augmentation
from noncoder.data.loading import Batches, Draws
from noncoder.data.resampling import window_weights
from noncoder.data.store import Store, open_store
from noncoder.files import locked, plain_json, write_json
from noncoder.models import (
    SequenceModel,
    check_model,
    count_operations,
    count_parameters,
    create_model,
    set_prior_bias,
)
from noncoder.predictor import Predictor
from noncoder.train.averaging import make_averaging
from noncoder.train.checkpoint import LastCheckpoint
from noncoder.train.device import (
    choose_accelerator,
    choose_compile,
    choose_precision,
    keep_freed_memory,
    products_of_float32,
    use_fitting_threads,
)
from noncoder.train.hook import OnValidation, ValidationHook
from noncoder.train.log import TrainingLog
from noncoder.train.module import TrainingModule
from noncoder.train.provenance import device_name, git_commit, package_versions
from noncoder.train.run import RunFolder, claim
from noncoder.train.speed import Pace
from noncoder.train.weights import task_weights

_ROWS_OF_LOG = 400


def train(config: RunConfig, force: bool = False, on_validation: OnValidation | None = None) -> dict[str, Any]:
    """Trains a model, or goes on where an interrupted training of the same recipe stopped.

    On a CPU the process keeps freed memory from then on, which makes steps faster.

    Args:
        config: The recipe.
        force: Start anew where a training lies already.
        on_validation: Told the row of valid.csv after each validation; stops the training by returning true.

    Returns:
        The content of train/summary.json; nothing where `on_validation` stopped the training, which is then unfinished.

    Raises:
        ConfigError: The folder holds a training of another recipe.
        StoreError: The store is missing or damaged.
        InputError: The store has no training or validation split, the training is finished already, or another
            process is at it.
    """
    # Before the folder is taken.
    check_model(config.model.name, config.model.parameters)
    store = open_store(config.store)
    task_weights(config.train.loss, store)
    folder = RunFolder(config.run)
    with locked(folder.train):
        return _train(config, folder, store, claim(folder, config, store, force), on_validation)


def _train(
    config: RunConfig, folder: RunFolder, store: Store, resume: bool, on_validation: OnValidation | None
) -> dict[str, Any]:
    pl.seed_everything(config.seed, verbose=False)
    model = create_model(config.model.name, len(store.tasks), store.window, config.model.parameters)
    settings = config.train
    set_prior_bias(model, _first_shares(settings, store))
    training = _training(config, store)
    validation = Batches(store, store.indices("valid"), 2 * settings.batch_size)
    steps, interval = _plan(settings, len(training))
    accelerator = choose_accelerator(settings)
    compiled = choose_compile(settings, accelerator)
    steps_per_pass = math.ceil(len(training) / settings.accumulate)
    module = TrainingModule(model, settings, steps, steps_per_pass, compiled, task_weights(settings.loss, store))
    log = TrainingLog(
        folder.train, training.indices.size, settings.batch_size,
        every=max(1, steps * settings.accumulate // _ROWS_OF_LOG),
    )  # fmt: skip
    pace = Pace(
        training,
        validation,
        log,
        3 * count_operations(model.name, len(store.tasks), store.window, config.model.parameters),
    )
    hook = ValidationHook(on_validation, log.valid_file)
    started = datetime.now(UTC)
    with warnings.catch_warnings(), products_of_float32(settings):
        _quieten()
        watchers = [*make_averaging(settings, training, steps), log, pace, hook]
        trainer = _trainer(config, folder, steps, interval, watchers)
        checkpoint = str(folder.last) if resume else None
        try:
            trainer.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True if resume else None)
        except SystemExit:
            # Lightning turns Ctrl-C into an exit of its own.
            raise KeyboardInterrupt from None
    if hook.stopped:
        return {}
    best = _load_best(folder, model)
    summary: dict[str, Any] = plain_json(_summary(config, store, model, trainer, log, best, started))
    summary["speed"] = None if pace.speed is None else pace.speed._asdict()
    Predictor(model, store.tasks, store.bin, {"store_digest": store.digest, "training": summary}).save(folder.predictor)
    write_json(folder.summary, summary)
    return summary


def _training(config: RunConfig, store: Store) -> Batches:
    """The training windows, drawn and changed as the recipe says."""
    settings, indices = config.train, store.indices("train")
    weights = window_weights(store, indices, settings.resample, settings.resample_cap) if settings.resample else None
    draws = Draws(config.seed, True, settings.random_strand, settings.shift, weights, settings.mixup)
    change = Augmentation(settings.augment, settings.epochs) if settings.augment.kinds else None
    return Batches(store, indices, settings.batch_size, draws, change=change)


def _first_shares(settings: TrainConfig, store: Store) -> torch.Tensor:
    """The share of positives that each task is predicted to have before training, (T,)."""
    if settings.output_bias == "prevalence":
        known = torch.from_numpy(store.known_counts("train")).clamp(min=1)
        return torch.from_numpy(store.positives("train")) / known
    return torch.full((len(store.tasks),), 0.5 if settings.output_bias == "zero" else settings.output_bias)


def _plan(settings: TrainConfig, batches: int) -> tuple[int, int]:
    """Optimiser steps in all, and between validations; the last step is followed by a validation."""
    steps = settings.epochs * batches / settings.accumulate
    validations = max(1, min(round(settings.epochs * settings.validations), int(steps)))
    interval = max(1, math.ceil(steps / validations))
    return interval * validations, interval


def _trainer(
    config: RunConfig, folder: RunFolder, steps: int, interval: int, watchers: Sequence[Callback]
) -> pl.Trainer:
    settings = config.train
    averaged = bool(settings.average or settings.average_last)
    callbacks: list[Callback] = [
        *watchers,
        EarlyStopping("score", mode="max", patience=settings.patience),
        # Without the optimiser's state, half or two thirds of a checkpoint; averaged weights are part of a callback's.
        ModelCheckpoint(
            folder.train, "best", monitor="score", mode="max", save_weights_only=not averaged,
            enable_version_counter=False,
        ),
        # After all others, whose states it saves.
        LastCheckpoint(folder.last, max(1, steps // 20), interval * settings.accumulate),
    ]  # fmt: skip
    accelerator = choose_accelerator(settings)
    if accelerator == "cpu":
        keep_freed_memory()
        use_fitting_threads()
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
        "device": device_name(trainer.strategy.root_device),
        "threads": torch.get_num_threads(),
        "precision": str(trainer.precision),
        "seed": config.seed,
        "store": str(store.path),
        "store_digest": store.digest,
        "versions": package_versions(),
        "git": git_commit(),
        "started": started.isoformat(timespec="seconds"),
    }
