"""How the processes of a training come together: who starts them, who takes the folder, where they go on from."""

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

# Tells the processes that Lightning starts, copies of this one, what the first has found in the folder.
_TOLD = "NONCODER_TRAIN_FROM"


def make_strategy(settings: TrainConfig, world: World, accelerator: str) -> Any:
    """How Lightning has the processes work together.

    Raises:
        ConfigError: FSDP is asked for where it cannot be.
    """
    if world.ranks == 1:
        return "auto"
    if settings.strategy == "ddp":
        return DDPStrategy()
    if accelerator != "gpu":
        raise ConfigError("train.strategy is fsdp, which needs GPUs", hint="train.strategy=ddp")
    if settings.average or settings.average_last:
        raise ConfigError("train.average needs whole weights, which fsdp does not have", hint="train.strategy=ddp")
    if settings.max_norm:
        raise ConfigError("train.max_norm needs whole weights, which fsdp does not have", hint="train.strategy=ddp")
    if settings.optimizer == "muon":
        raise ConfigError("muon needs whole matrices, which fsdp does not have", hint="train.strategy=ddp")
    # One file that any number of devices can go on from.
    return FSDPStrategy(state_dict_type="full")


def join(world: World, accelerator: str) -> None:
    """Meets the other processes, where torchrun or SLURM has started them all at once.

    Those that Lightning starts meet when it has started them.
    """
    if world.external and world.ranks > 1 and not dist.is_initialized():
        import lightning.pytorch as pl

        # Lightning finds the processes joined later, and leaves it at that.
        trainer = pl.Trainer(
            accelerator=accelerator, devices=world.devices, num_nodes=world.nodes, strategy=DDPStrategy(),
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.strategy.setup_environment()


@contextmanager
def claimed(folder: RunFolder, config: RunConfig, store: Store, world: World, force: bool) -> Iterator[None]:
    """The run's folder for this training: the first process takes it, the others go by what it found.

    Raises:
        NoncoderError: See `claim`; in the first process alone, the others end.
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
                raise SystemExit(0)  # the first one tells
            raise problem
        yield


def checkpoint_to_go_on_from(
    folder: RunFolder, world: World, training: str, shapes: Mapping[str, tuple[int, ...]]
) -> str | None:
    """The same checkpoint for all processes; the first finds one that is complete.

    Args:
        folder: The run's.
        world: The processes.
        training: The digest of what the training is made from.
        shapes: The shapes of its weights.

    Raises:
        InputError: None of those that are there can be used.
    """
    if world.rank > 0 and not world.external and not dist.is_initialized():
        return os.environ.get(_TOLD) or None  # just started by the first, which it meets within Lightning
    found = choose_checkpoint(folder.train.last, folder.train.previous) if world.rank == 0 else None
    if found is not None:
        check_checkpoint(found, training, shapes)
    told = str(from_first(found) or "")
    os.environ[_TOLD] = told
    return told or None
