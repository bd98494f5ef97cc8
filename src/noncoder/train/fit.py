"""Training of a recipe's model on a store."""

from __future__ import annotations

import logging
import shlex
import sys
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import nn

from noncoder.config import RunConfig
from noncoder.data.selection import TaskSelection, trained_tasks
from noncoder.data.store import Store, open_store
from noncoder.errors import NoncoderError, TrainingError
from noncoder.files import file_digests
from noncoder.machine import Stopped, needing_memory
from noncoder.models import SequenceModel, check_model, count_operations
from noncoder.predictor import Predictor
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import TrainingSpeed, TrainingSummary, Validation
from noncoder.threads import divide, limit_torch
from noncoder.train.averaging import make_averaging
from noncoder.train.checkpoint import BestCheckpoints, LastCheckpoint
from noncoder.train.claim import check_place, training_digest
from noncoder.train.device import (
    choose_accelerator,
    choose_compile,
    choose_precision,
    keep_freed_memory,
    products_of_float32,
)
from noncoder.train.faults import FaultNoticedError, FaultWatch
from noncoder.train.gradient_flow import make_watchers
from noncoder.train.hook import OnValidation, ValidationHook
from noncoder.train.launch import checkpoint_to_resume_from, claimed, join, make_strategy
from noncoder.train.log import TrainingLog
from noncoder.train.passes import Passes
from noncoder.train.prepare import PreparedTraining, prepare, read_passes, report_undefined_scores
from noncoder.train.progress import check_loggers, describe_start, finish_loggers, make_loggers
from noncoder.train.provenance import git_commit, package_versions
from noncoder.train.ranks import World, find_world, from_first
from noncoder.train.seeding import BatchByBatch
from noncoder.train.speed import Pace
from noncoder.train.storage import Storage, read_checkpoint
from noncoder.train.task_weights import task_weights

_ROWS_OF_LOG = 400


def train(config: RunConfig, force: bool = False, on_validation: OnValidation | None = None) -> TrainingSummary | None:
    """Trains a model, or resumes an interrupted training of the same recipe.

    On a CPU, the process keeps freed memory for reuse from then on, which makes steps faster. With several devices,
    one process per device calls this function; all processes return the same.

    Args:
        config: The recipe.
        force: Start again if the folder already holds a training.
        on_validation: Called with the row of valid.csv after each validation; training stops if it returns True.

    Returns:
        The summary; None if `on_validation` stopped the training, which is then unfinished.

    Raises:
        ConfigError: The folder holds a training of another recipe, or settings contradict each other.
        StoreError: The store is missing or damaged.
        InputError: The store has no training or validation split, a task lacks a class in training, the training has
            already finished, or another process is running it.
        TrainingError: The loss or the gradient is not finite, or the loss explodes.
        KeyboardInterrupt: Training was interrupted; the message says how to resume.
    """
    # Validate everything before claiming the folder.
    check_place(config.run)
    check_model(config.model.name, config.model.parameters)
    check_loggers(config.train.watch)
    store, world, folder = (
        trained_tasks(open_store(config.store), config.train),
        find_world(config.train),
        RunFolder(config.run),
    )
    read_passes(config, store)
    if world.rank == 0:
        report_undefined_scores(store, config.train)
    task_weights(config.train.loss, store)
    with warnings.catch_warnings(), products_of_float32(config.train):
        quieten()
        join(world, choose_accelerator(config.train))
        with claimed(folder, config, store, world, force):
            return _train(config, folder, store, world, on_validation)


def _train(
    config: RunConfig, folder: RunFolder, store: Store, world: World, on_validation: OnValidation | None
) -> TrainingSummary | None:
    started = datetime.now(UTC)
    closely = choose_accelerator(config.train, say=False) == "cpu"
    fitted = None
    try:
        fitted = _fit(config, folder, store, world, closely, on_validation)
    except FaultNoticedError as noticed:
        if world.rank == 0:
            print(
                f"{noticed}; repeating the steps since the last checkpoint, with a check before each", file=sys.stderr
            )
    if fitted is None:  # outside the except clause, whose traceback keeps the first training in memory
        fitted = _fit(config, folder, store, world, True, on_validation)
    if fitted.hook.stopped:
        return None
    nothing: TrainingSummary | None = None
    if world.rank > 0:
        return from_first(nothing)
    try:
        fitted.best.finish()
        model = _load_best(folder, fitted.prepared.model, training_digest(config, store))
        summary = _summary(config, store, fitted, started)
        info = {"store_digest": store.digest, "training": summary.to_json()}
        Predictor(model, store.tasks, store.bin, info).save(folder.predictor.path)
        summary.write(folder.train.summary)
        finish_loggers(fitted.trainer.loggers, summary.best)
    except NoncoderError:
        from_first(nothing)
        raise
    for path in (folder.train.previous, folder.train.fault, folder.train.fault_weights):
        path.unlink(missing_ok=True)
    return from_first(summary)


@dataclass(frozen=True)
class _Fitted:
    """Training whose steps are done."""

    prepared: PreparedTraining
    trainer: pl.Trainer
    log: TrainingLog
    pace: Pace
    best: BestCheckpoints
    hook: ValidationHook


def _fit(
    config: RunConfig, folder: RunFolder, store: Store, world: World, closely: bool, on_validation: OnValidation | None
) -> _Fitted:
    settings, accelerator = config.train, choose_accelerator(config.train, say=False)
    prepared = prepare(config, store, world.share, choose_compile(settings, accelerator))
    passes = prepared.passes
    # Complete steps, so that the speed in each row includes the optimiser.
    every = max(1, passes.steps // _ROWS_OF_LOG) * settings.accumulate
    log = TrainingLog(folder.train, passes.batches.indices.size, passes.windows, every)
    model = config.model
    pace = Pace(
        passes.batches, prepared.validation, log,
        3 * count_operations(
            model.name, len(store.tasks), store.window, model.parameters, settings.dense or 1, store.bin
        ),
    )  # fmt: skip
    files = (folder.train.fault, folder.train.fault_weights)
    watch = FaultWatch(passes, world, files, config.seed, closely, settings.explosion)
    training = training_digest(config, store)
    storage = Storage(training)
    averaging = make_averaging(settings, passes.batches, passes.steps)
    # Averaged weights are part of a callback's state.
    best = BestCheckpoints(folder.train, settings.keep_best, storage, weights_only=not averaging)
    last = LastCheckpoint(
        folder.train.last,
        folder.train.previous,
        max(1, passes.steps // 20),
        passes.interval * settings.accumulate,
        best,
        watch.check,
    )
    hook = ValidationHook(on_validation, log.valid_file)
    callbacks: list[Callback] = [
        *averaging,
        BatchByBatch(passes, config.seed, world.rank),
        watch,
        log,
        pace,
        hook,
        *make_watchers(log, folder.train, settings.watch),
        EarlyStopping("score", mode="max", patience=settings.patience),
        best,
        last,  # after all others, whose states it saves
    ]
    trainer = _trainer(config, folder, passes, world, callbacks, storage)
    _warn_about_batch_norm(prepared.model, world, trainer)
    if world.rank == 0:
        _report_left_out(store)
        describe_start(config, store, prepared.model, trainer).write(folder.train.started)
    shapes = {name: tuple(tensor.shape) for name, tensor in prepared.module.state_dict().items()}
    checkpoint = checkpoint_to_resume_from(folder, world, training, shapes)
    doing = f"training {config.model.name} in batches of {settings.batch_size} windows of {store.window:,} bp"
    try:
        with needing_memory(doing, f"a train.batch_size below {settings.batch_size}, or a smaller model"):
            trainer.fit(
                prepared.module, passes, prepared.validation, ckpt_path=checkpoint,
                weights_only=True if checkpoint else None,
            )  # fmt: skip
    except SystemExit:
        # Lightning turns Ctrl-C into SystemExit.
        if world.rank > 0:
            raise SystemExit(0) from None
        raise Stopped(_how_to_resume(folder), last.number) from None
    except TrainingError:
        if world.rank > 0:
            raise SystemExit(0) from None
        raise
    return _Fitted(prepared, trainer, log, pace, best, hook)


def _how_to_resume(folder: RunFolder) -> str:
    if not folder.train.last.exists():
        return "no checkpoint was saved yet; the same command starts again"
    return (
        f"training is saved in {folder.train.last}; resume with the same command or\n"
        f"noncoder train {shlex.quote(str(folder.recipe))}"
    )


def _trainer(
    config: RunConfig, folder: RunFolder, passes: Passes, world: World, callbacks: list[Callback], storage: Storage
) -> pl.Trainer:
    settings = config.train
    accelerator = choose_accelerator(settings, say=False)
    limit_torch()
    if not world.external:
        divide(world.devices)
    if accelerator == "cpu":
        keep_freed_memory()
    return pl.Trainer(
        accelerator=accelerator,
        devices=world.devices,
        num_nodes=world.nodes,
        strategy=make_strategy(settings, world, accelerator),
        sync_batchnorm=world.ranks > 1 and accelerator == "gpu",
        use_distributed_sampler=False,
        precision=choose_precision(settings, accelerator),
        max_steps=passes.steps,
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip or None,
        val_check_interval=passes.interval * settings.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        # Lightning would detect SLURM's environment even if SLURM started only this process.
        plugins=[storage] if world.external or world.ranks == 1 else [storage, LightningEnvironment()],
        enable_checkpointing=False,  # Lightning's own checkpoints; BestCheckpoints and LastCheckpoint replace them
        logger=make_loggers(config, folder),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder.train.path,
    )


def _warn_about_batch_norm(model: SequenceModel, world: World, trainer: pl.Trainer) -> None:
    norms = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())
    if norms and world.ranks > 1 and world.rank == 0 and trainer.strategy.root_device.type == "cpu":
        print(
            f"{model.name} has batch norm, which torch does not synchronise between processes on CPUs: each process "
            "normalises its own part of a batch, so the result differs from that of a single process",
            file=sys.stderr,
        )


def _report_left_out(store: Store) -> None:
    if isinstance(store, TaskSelection):
        names = store.left_out
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        print(f"{len(names)} tasks with labels of one class only are left out of training ({shown})", file=sys.stderr)


def quieten() -> None:
    """Suppresses Lightning's advice to users; call it within `warnings.catch_warnings`."""
    # The advice is about data loaders with worker processes, which are not used here.
    warnings.filterwarnings("ignore", module="lightning")
    for name in logging.root.manager.loggerDict:
        if name.startswith(("lightning.pytorch", "lightning.fabric")):
            logging.getLogger(name).setLevel(logging.ERROR)


def _load_best(folder: RunFolder, model: SequenceModel, training: str) -> SequenceModel:
    checkpoint = read_checkpoint(folder.train.best, training)
    prefix = "model."
    weights = checkpoint["state_dict"].items()
    model.load_state_dict({k.removeprefix(prefix): v for k, v in weights if k.startswith(prefix)})
    return model.cpu().eval()


def _summary(config: RunConfig, store: Store, fitted: _Fitted, started: datetime) -> TrainingSummary:
    model, trainer, log = fitted.prepared.model, fitted.trainer, fitted.log
    finished = trainer.global_step >= trainer.max_steps
    speed = fitted.pace.speed
    start = describe_start(config, store, model, trainer)
    return TrainingSummary(
        **dict(start) | {"steps": trainer.global_step},
        parameters=model.config.model_dump(mode="json"),
        epochs=log.windows / log.n_windows,
        seconds=round(log.seconds, 2),
        windows_per_second=round(log.windows / max(1e-9, log.seconds - log.validating), 1),
        best=Validation(step=fitted.best.best, **fitted.best.measured[fitted.best.best]),
        speed=None if speed is None else TrainingSpeed(**speed._asdict()),
        stopped="all steps done" if finished else f"no better validation in {config.train.patience}",
        devices=trainer.world_size,
        seed=config.seed,
        left_out=store.left_out if isinstance(store, TaskSelection) else (),
        versions=package_versions(),
        git=git_commit(),
        started=started.isoformat(timespec="seconds"),
        digests=file_digests(RunFolder(config.run).train.files),
    )
