"""Coordination of the processes of a training: strategy, ownership of the folder, checkpoint to resume from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy

from noncoder.config import RunConfig, TrainConfig
from noncoder.data.store import Store
from noncoder.errors import ConfigError, NoncoderError
from noncoder.files import locked
from noncoder.runs.folder import RunFolder
from noncoder.train.claim import claim
from noncoder.train.ranks import World, from_first
from noncoder.train.storage import check_checkpoint, choose_checkpoint

# Passes the first process's checkpoint to the processes that Lightning starts as copies of it.
_CHECKPOINT_VARIABLE = "NONCODER_TRAIN_FROM"


def make_strategy(settings: TrainConfig, world: World, accelerator: str) -> Any:
    """Returns Lightning's strategy for the processes.

    Raises:
        ConfigError: The recipe sets FSDP with settings that it does not support.
    """
    if world.ranks == 1:
        return "auto"
    if settings.strategy == "ddp":
        return DDPStrategy()
    if accelerator != "gpu":
        raise ConfigError("train.strategy is fsdp, which needs GPUs", hint="train.strategy=ddp")
    if settings.average or settings.average_last:
        raise ConfigError(
            "train.average needs complete weights on each device, but fsdp shards them", hint="train.strategy=ddp"
        )
    if settings.max_norm:
        raise ConfigError(
            "train.max_norm needs complete weights on each device, but fsdp shards them", hint="train.strategy=ddp"
        )
    if settings.optimizer == "muon":
        raise ConfigError(
            "muon needs complete matrices on each device, but fsdp shards them", hint="train.strategy=ddp"
        )
    # One file, from which any number of devices can resume.
    return FSDPStrategy(state_dict_type="full")


def join(world: World, accelerator: str) -> None:
    """Joins the process group if torchrun or SLURM has started all processes.

    Processes that Lightning starts join later, within Lightning.
    """
    if world.external and world.ranks > 1 and not dist.is_initialized():
        import lightning.pytorch as pl

        # Lightning later finds the group initialised and keeps it.
        trainer = pl.Trainer(
            accelerator=accelerator, devices=world.devices, num_nodes=world.nodes, strategy=DDPStrategy(),
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.strategy.setup_environment()


@contextmanager
def claimed(folder: RunFolder, config: RunConfig, store: Store, world: World, force: bool) -> Iterator[None]:
    """Claims and locks the run's folder in the first process; the other processes wait for the outcome.

    Raises:
        NoncoderError: See `claim`; raised in the first process only, the others exit.
    """
    with ExitStack() as held:
        problem: NoncoderError | None = None
        if world.rank == 0:
            try:
                held.enter_context(locked(folder.train.path))
                claim(folder, config, store, force)
            except NoncoderError as error:
                problem = error
        problem = from_first(problem)
        if problem is not None:
            if world.rank > 0:
                raise SystemExit(0)  # the first process reports the problem
            raise problem
        yield


def checkpoint_to_resume_from(
    folder: RunFolder, world: World, training: str, shapes: Mapping[str, tuple[int, ...]]
) -> str | None:
    """Returns the checkpoint to resume from, the same for all processes, or None; the first process chooses it.

    Args:
        folder: The run's folder.
        world: The processes.
        training: Digest of the training's inputs.
        shapes: Shapes of the weights by name.

    Raises:
        InputError: Checkpoints exist, but none can be used.
    """
    if world.rank > 0 and not world.external and not dist.is_initialized():
        return os.environ.get(_CHECKPOINT_VARIABLE) or None  # Lightning has just started this one
    found = choose_checkpoint(folder.train.last, folder.train.previous) if world.rank == 0 else None
    if found is not None:
        check_checkpoint(found, training, shapes)
    chosen = str(from_first(found) or "")
    os.environ[_CHECKPOINT_VARIABLE] = chosen
    return chosen or None
