"""The processes of a training and their communication.

With one process, no function here waits or sends anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor

from noncoder.config import TrainConfig
from noncoder.data.loading import Batch, Share
from noncoder.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes of a training.

    Args:
        rank: Rank of this process.
        devices: Processes per machine, one per device.
        nodes: Number of machines.
        external: Whether torchrun or SLURM started the processes, not this package.
    """

    rank: int = 0
    devices: int = 1
    nodes: int = 1
    external: bool = False

    @property
    def ranks(self) -> int:
        """Number of processes."""
        return self.devices * self.nodes

    @property
    def share(self) -> Share:
        """The part of each batch that this process reads."""
        return Share(self.rank, self.ranks)


def find_world(settings: TrainConfig) -> World:
    """Returns the processes that a launcher has started, or else those of the recipe.

    Raises:
        ConfigError: The recipe sets another number of processes than was started, or several machines without a
            launcher.
    """
    found = _launched()
    asked = settings.devices * settings.nodes
    if found is None:
        if settings.nodes > 1:
            raise ConfigError(
                f"train.nodes is {settings.nodes}, but no launcher has started the processes on them",
                hint="start it on each machine with torchrun, or with srun on SLURM; see docs/how-to/use-a-cluster.md",
            )
        cores = os.cpu_count() or 1
        if settings.devices > cores and not torch.cuda.is_available():
            raise ConfigError(
                f"train.devices is {settings.devices}, but this machine has {cores} CPU cores and no GPU",
                expected=f"at most {cores}, one process per core",
            )
        rank = int(os.environ.get("LOCAL_RANK", "0")) if settings.devices > 1 else 0
        return World(rank, settings.devices)
    if asked not in (1, found.ranks):
        raise ConfigError(
            f"train.devices={settings.devices} and train.nodes={settings.nodes} are {asked} processes, but "
            f"{found.ranks} were started",
            hint="remove both settings: torchrun or SLURM determines the number",
        )
    return found


def _launched() -> World | None:
    if TorchElasticEnvironment.detect():
        environment: Any = TorchElasticEnvironment()
        devices = int(os.environ.get("LOCAL_WORLD_SIZE", environment.world_size()))
    elif SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) > 1:
        if "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise ConfigError(
                f"SLURM has started {os.environ['SLURM_NTASKS']} processes without their number per machine",
                hint="give sbatch or srun --ntasks-per-node instead of --ntasks",
            )
        environment = SLURMEnvironment(auto_requeue=False)
        devices = int(os.environ["SLURM_NTASKS_PER_NODE"])
    else:
        return None
    return World(environment.global_rank(), devices, environment.world_size() // devices, external=True)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def from_first(value: T) -> T:
    """Broadcasts the first process's value to all processes."""
    if not _several():
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def is_first() -> bool:
    """Returns whether this is the first process, the only one that prints and writes."""
    return not _several() or dist.get_rank() == 0


def weight_of_sum(batch: Batch) -> int:
    """Returns the factor for a sum over a process's windows that makes the mean over processes the batch's sum.

    It is the number of processes, or 0 if this process's windows are only placeholders.
    """
    if not _several():
        return 1
    return 0 if batch.stands_in else dist.get_world_size()


def gather_on_first(value: list[T]) -> list[list[T]]:
    """Returns the lists of all processes, by rank, in the first process; empty lists in the others."""
    if not _several():
        return [value]
    first = dist.get_rank() == 0
    values: list[Any] | None = [None] * dist.get_world_size() if first else None
    dist.gather_object(value, values)
    return [[]] * dist.get_world_size() if values is None else values


def gather(value: T) -> list[T]:
    """Returns the values of all processes, by rank, in all processes."""
    if not _several():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def mean_over_ranks(values: Tensor) -> Tensor:
    """Returns the mean over processes of a tensor, which has the same shape in each."""
    if not _several():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def any_rank(flag: bool, device: torch.device) -> bool:
    """Returns whether the flag is true in at least one process."""
    if not _several():
        return flag
    flags = torch.tensor([int(flag)], device=device)
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags.item())


def weight_of_part(batch: Batch) -> Tensor | float:
    """Returns the factor for a process's mean loss that makes the mean over processes the batch's mean loss.

    It is the process's share of the known labels times the number of processes. All processes must call it together.
    """
    if not _several():
        return 1.0
    known = batch.labels.numel() if batch.known is None else batch.known.sum()
    mine = torch.as_tensor(known, dtype=torch.float32, device=batch.labels.device)
    return mine / mean_over_ranks(mine).clamp(min=1.0 / dist.get_world_size())
