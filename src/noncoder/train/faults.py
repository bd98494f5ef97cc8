"""A loss or gradient that is no number, or a loss that explodes: found, told, and kept to be looked into."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from noncoder.data.loading import Batch, Share
from noncoder.data.selection import trained_tasks
from noncoder.data.store import open_store
from noncoder.errors import InputError, TrainingError
from noncoder.files import read_json, write_json
from noncoder.predictor.inference import restoring_modes
from noncoder.runs.folder import RunFolder
from noncoder.runs.run_recipe import read_run
from noncoder.train.module import TrainingModule
from noncoder.train.passes import Passes
from noncoder.train.prepare import prepare
from noncoder.train.ranks import World, gather, mean_over_ranks
from noncoder.train.seeding import seed_batch
from noncoder.train.storage import read_checkpoint, write_checkpoint

RECENT, REFERENCE = 16, 64
"""Batches whose median loss is compared, and those that make what it is compared with."""
_LOOK_EVERY = 50  # batches; each look waits for the device


class FaultNoticedError(Exception):
    """Something went wrong in a step that is over; the same steps, watched closely, show what."""


class Explosion:
    """Tells when a loss has exploded.

    It has where the median of the last 16 batches is more than `factor` times the lowest median of 64 in a row so far,
    at the start that of the first 16.
    Medians, as single batches may be far off; the lowest so far, as a loss that climbs slowly would take a running one
    along.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.losses: list[float] = []
        self.lowest = math.inf

    def add(self, loss: float) -> float | None:
        """Takes the loss of a batch; what it should at most be, where it has exploded."""
        self.losses.append(loss)
        if len(self.losses) % RECENT:
            return None
        limit = self.factor * self.lowest
        if self.factor and math.isfinite(limit) and statistics.median(self.losses[-RECENT:]) > max(limit, 1e-6):
            return limit
        if len(self.losses) == (RECENT if self.lowest == math.inf else REFERENCE):
            self.lowest = min(self.lowest, statistics.median(self.losses))
            self.losses.clear()
        return None


class FaultWatch(pl.Callback):
    """Stops a training whose loss or gradient is no number, or whose loss explodes.

    Watched closely, each step is looked at before it changes a weight; on a CPU that costs nothing. On a GPU it would
    have the process wait for the device in every step: there, the losses and norms of 50 batches are looked at
    together, and before every checkpoint and validation, so that no checkpoint holds what is broken. What is noticed
    then is found by the same steps once more from the last checkpoint, watched closely.

    With float16, an infinite gradient is what the scaling of the loss is made to try; such a step is skipped.

    Args:
        passes: What is read.
        world: The processes.
        files: Where the fault is told, JSON, and where the weights are kept with which it happens.
        seed: The recipe's.
        closely: Look at each step before it is made.
        explosion: See `Explosion`.
    """

    def __init__(
        self, passes: Passes, world: World, files: tuple[Path, Path], seed: int, closely: bool, explosion: float
    ) -> None:
        self.passes, self.world, self.files, self.seed, self.closely = passes, world, files, seed, closely
        self.explosion = Explosion(explosion)
        self.number = 0
        self._losses: list[tuple[int, Tensor]] = []
        self._norms: list[tuple[int, Tensor]] = []
        self._trainer: pl.Trainer | None = None

    def state_dict(self) -> dict[str, Any]:
        """What the loss was so far."""
        return {"losses": list(self.explosion.losses), "lowest": self.explosion.lowest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on comparing."""
        self.explosion.losses, self.explosion.lowest = list(state["losses"]), state["lowest"]

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Has the module tell of losses and gradients."""
        assert isinstance(module, TrainingModule)
        self._trainer = trainer
        module.tell_gradient = self.gradient

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, number: int) -> None:
        """Takes the number of a batch, which counts from the start of the training."""
        self.number = number

    def on_before_backward(self, trainer: pl.Trainer, module: pl.LightningModule, loss: Tensor) -> None:
        """Takes the loss of a batch; what is given may be scaled."""
        assert isinstance(module, TrainingModule)
        self._losses.append((self.number, module.mean_loss))

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, number: int
    ) -> None:
        """Looks, now and then."""
        if not self.closely and len(self._losses) >= _LOOK_EVERY:
            self.look()

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Looks: what is broken is not validated."""
        self.look()

    def gradient(self, norm: Tensor) -> None:
        """Takes the norm of the gradient, before the step."""
        assert self._trainer is not None
        if self._trainer.precision != "16-mixed":
            self._norms.append((self.number, norm.detach()))
        if self.closely:
            self.look()

    def look(self) -> None:
        """Looks at all that was taken since the last look; all processes do so together.

        Raises:
            TrainingError: The step ahead is broken.
            FaultNoticedError: A step that is over was.
        """
        taken, self._losses = self._losses, []
        norms, self._norms = self._norms, []
        if not taken:
            return
        # Together, as each transfer waits for the device.
        values = mean_over_ranks(torch.stack([value.float() for _, value in (*taken, *norms)])).tolist()
        losses = {number: value for (number, _), value in zip(taken, values, strict=False)}
        sizes = {number: value for (number, _), value in zip(norms, values[len(taken) :], strict=True)}
        for number, loss in losses.items():
            if not math.isfinite(loss):
                self._stop(f"the loss is {loss}", number, loss, sizes.get(number))
            limit = self.explosion.add(loss)
            if limit is not None:
                self._stop(f"the loss has exploded, it was {limit / self.explosion.factor:.4g}", number, loss, None)
            if not math.isfinite(sizes.get(number, 0.0)):
                self._stop(f"the norm of the gradient is {sizes[number]}", number, loss, sizes[number])

    def _stop(self, what: str, number: int, loss: float, norm: float | None) -> None:
        if not self.closely:
            raise FaultNoticedError(f"{what} in batch {number}")
        trainer = self._trainer
        assert trainer is not None
        module = trainer.lightning_module
        assert isinstance(module, TrainingModule)
        epoch, position = self.passes.place(number)
        windows = self.passes.batches.windows_of(epoch, position)
        with self.reading_again(module, number) as batch, trainer.precision_plugin.forward_context():
            layer = first_broken_layer(module.network, batch)
        layers = [found for found in gather(layer) if found]
        layer = layers[0] if layers else _broken_gradient(module.model)
        fault = {
            "what": what, "step": trainer.global_step + 1, "batch": number, "pass": epoch, "position": position,
            "batches_a_pass": len(self.passes.batches), "loss": str(loss), "gradient_norm": None if norm is None else
            str(norm), "layer": layer, "rank": self.world.rank, "ranks": self.world.ranks,
            "precision": str(trainer.precision), "windows": windows.tolist(),
        }  # fmt: skip
        if self.world.rank == 0:
            write_json(self.files[0], fault)
            write_checkpoint({"state_dict": module.state_dict()}, self.files[1])
        raise TrainingError(*_told(fault, self.files[0]))

    @contextmanager
    def reading_again(self, module: TrainingModule, number: int) -> Iterator[Batch]:
        """A batch of the past, with the random numbers it had; then training could go on as before."""
        batches = self.passes.batches
        before = batches.state_dict()
        epoch, position = self.passes.place(number)
        batches.load_state_dict({"epoch": epoch, "position": position})
        batch = next(iter(batches)).to(module.device)
        batches.load_state_dict(before)
        with restoring_modes(module):
            module.train()
            seed_batch(self.seed, number, self.world.rank)
            yield batch


def _told(fault: dict[str, Any], file: Path) -> tuple[str, str, str]:
    windows, shown = fault["windows"], ", ".join(map(str, fault["windows"][:6]))
    more = f" and {len(windows) - 6} more" if len(windows) > 6 else ""
    norm = f"; norm of the gradient {fault['gradient_norm']}" if fault["gradient_norm"] else ""
    found = (
        f"{fault['what']}, in step {fault['step']}: pass {fault['pass'] + 1}, batch {fault['position'] + 1} of "
        f"{fault['batches_a_pass']}, windows {shown}{more} of the store\n"
        f"loss {fault['loss']}{norm}; {fault['layer'] or 'every layer gives finite numbers'}"
    )
    hint = (
        "try a lower train.learning_rate, a stricter train.clip or train.precision=32-true; "
        f"noncoder.train.load_fault gives the batch and the weights ({file})"
    )
    return found, "", hint


@torch.no_grad()
def first_broken_layer(model: nn.Module, batch: Batch) -> str:
    """The first layer whose output of a batch is not finite, by the order in which they are computed; or empty."""
    broken: list[str] = []

    def look(name: str, output: Any) -> None:
        parts = output if isinstance(output, tuple | list) else (output,)
        if not broken and any(isinstance(part, Tensor) and not bool(torch.isfinite(part).all()) for part in parts):
            broken.append(name)

    hooks = [
        layer.register_forward_hook(lambda _, __, output, name=name: look(name, output))
        for name, layer in model.named_modules()
        if name and not any(layer.children())
    ]
    try:
        output = model(batch.inputs()[0])
    finally:
        for hook in hooks:
            hook.remove()
    look("the model's output", output)
    return f"the first layer whose output is not finite is {broken[0]}" if broken else ""


def _broken_gradient(model: nn.Module) -> str:
    """The parameter nearest to the output whose gradient is not finite; or empty."""
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            return f"every layer's output is finite, but not the gradient of {name}"
    return ""


def load_fault(run: str | Path) -> tuple[Batch, TrainingModule]:
    """What stopped a training: the batch, and the module with the weights it had, on the CPU.

    The random numbers are set to what they were: `module.training_step(batch, 0)` gives the loss that was told, in the
    arithmetic of the training. For several processes it is the first one's part of the batch.

    Args:
        run: The run's folder.

    Raises:
        InputError: No fault is kept there.
        StoreError: The store is not there any more.
    """
    folder, config = RunFolder(Path(run)), read_run(run)
    fault = read_json(folder.train.fault)
    if fault is None:
        raise InputError(
            f"{run} holds no fault", expected=f"{folder.train.fault}, written when training stops at a fault"
        )
    prepared = prepare(config, trained_tasks(open_store(config.store), config.train), Share(0, fault["ranks"]))
    module, batches = prepared.module, prepared.passes.batches
    module.load_state_dict(read_checkpoint(folder.train.fault_weights)["state_dict"])
    module.on_fit_start()
    reduced = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(fault["precision"])
    if reduced is not None:
        module.__dict__["network"] = module.__dict__["run_model"] = _Reduced(module.network, reduced)
    module.train()
    batches.load_state_dict({"epoch": fault["pass"], "position": fault["position"]})
    batch = next(iter(batches))
    seed_batch(config.seed, fault["batch"], 0)
    return batch, module


class _Reduced(nn.Module):
    """A model in the arithmetic of a mixed precision."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        with torch.autocast("cpu", self.dtype):
            logits: Tensor = self.model(x)
        return logits
