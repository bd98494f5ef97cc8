"""The processes of one training: which of them this is, and what they tell each other.

With one process nothing here waits, and nothing is sent.
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
        rank: Which of them this is.
        devices: Processes on each machine, one a device.
        nodes: Machines.
        external: Whether something else than this package started them: torchrun or SLURM.
    """

    rank: int = 0
    devices: int = 1
    nodes: int = 1
    external: bool = False

    @property
    def ranks(self) -> int:
        """How many processes."""
        return self.devices * self.nodes

    @property
    def share(self) -> Share:
        """The part of each batch that this process reads."""
        return Share(self.rank, self.ranks)


def find_world(settings: TrainConfig) -> World:
    """The processes that a launcher has started, or else those that the recipe asks for.

    Raises:
        ConfigError: The recipe asks for another number than was started, or for several machines without a launcher.
    """
    found = _launched()
    asked = settings.devices * settings.nodes
    if found is None:
        if settings.nodes > 1:
            raise ConfigError(
                f"train.nodes is {settings.nodes}, and nothing has started the processes on them",
                hint="start it on each machine with torchrun, or with srun on SLURM; see docs/how-to/use-a-cluster.md",
            )
        cores = os.cpu_count() or 1
        if settings.devices > cores and not torch.cuda.is_available():
            raise ConfigError(
                f"train.devices is {settings.devices}, and this machine has {cores} CPU cores and no GPU",
                expected=f"at most {cores}, a process each",
            )
        rank = int(os.environ.get("LOCAL_RANK", "0")) if settings.devices > 1 else 0
        return World(rank, settings.devices)
    if asked not in (1, found.ranks):
        raise ConfigError(
            f"train.devices={settings.devices} and train.nodes={settings.nodes} are {asked} processes, but "
            f"{found.ranks} were started",
            hint="leave both out: what torchrun or SLURM started counts",
        )
    return found


def _launched() -> World | None:
    if TorchElasticEnvironment.detect():
        environment: Any = TorchElasticEnvironment()
        devices = int(os.environ.get("LOCAL_WORLD_SIZE", environment.world_size()))
    elif SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) > 1:
        if "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise ConfigError(
                f"SLURM has started {os.environ['SLURM_NTASKS']} processes without saying how many on each machine",
                hint="give sbatch or srun --ntasks-per-node in place of --ntasks",
            )
        environment = SLURMEnvironment(auto_requeue=False)
        devices = int(os.environ["SLURM_NTASKS_PER_NODE"])
    else:
        return None
    return World(environment.global_rank(), devices, environment.world_size() // devices, external=True)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def from_first(value: T) -> T:
    """What the first process has, in all of them."""
    if not _several():
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def is_first() -> bool:
    """Whether this is the first process, which alone prints and writes."""
    return not _several() or dist.get_rank() == 0


def weight_of_sum(batch: Batch) -> int:
    """What a sum over a process's windows is multiplied by, for the mean over processes to be the whole batch's sum.

    That is the processes, or 0 where this one's windows stand in for none.
    """
    if not _several():
        return 1
    return 0 if batch.stands_in else dist.get_world_size()


def gather_on_first(value: list[T]) -> list[list[T]]:
    """What each process has, by rank, in the first; in the others only empty lists."""
    if not _several():
        return [value]
    first = dist.get_rank() == 0
    values: list[Any] | None = [None] * dist.get_world_size() if first else None
    dist.gather_object(value, values)
    return [[]] * dist.get_world_size() if values is None else values


def gather(value: T) -> list[T]:
    """What each process has, by rank, in all of them."""
    if not _several():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def mean_over_ranks(values: Tensor) -> Tensor:
    """The mean over the processes of a tensor of the same shape in each."""
    if not _several():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether it is true in at least one process."""
    if not _several():
        return flag
    flags = torch.tensor([int(flag)], device=device)
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags.item())


def weight_of_part(batch: Batch) -> Tensor | float:
    """What a process's mean loss of its part is multiplied by, for the mean over processes to be the whole batch's.

    That is its share of the known labels, times the processes. All processes must ask for it together.
    """
    if not _several():
        return 1.0
    known = batch.labels.numel() if batch.known is None else batch.known.sum()
    mine = torch.as_tensor(known, dtype=torch.float32, device=batch.labels.device)
    return mine / mean_over_ranks(mine).clamp(min=1.0 / dist.get_world_size())
