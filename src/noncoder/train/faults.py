"""Detection of a non-finite loss or gradient and of an exploding loss; reports the fault and saves it for debugging."""

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
from noncoder.predictor.inference import restoring_modes
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import Fault
from noncoder.runs.run_recipe import read_run
from noncoder.train.module import TrainingModule
from noncoder.train.passes import Passes
from noncoder.train.prepare import prepare
from noncoder.train.ranks import World, gather, mean_over_ranks
from noncoder.train.seeding import seed_batch
from noncoder.train.storage import read_checkpoint, write_checkpoint

RECENT, REFERENCE = 16, 64
"""Batches whose median loss is compared, and batches of each reference median."""
_CHECK_EVERY = 50  # batches; each check waits for the device


class FaultNoticedError(Exception):
    """A fault in a completed step; repeating the steps with a check before each one locates it."""


class Explosion:
    """Detector of an exploding loss.

    A loss has exploded if the median of the last 16 batches exceeds `factor` times the lowest median of 64 consecutive
    batches so far (at the start: of the first 16). Medians are robust to single outlying batches. The lowest median is
    the reference because a running one would follow a slowly rising loss.

    Args:
        factor: Largest allowed ratio; 0 for no limit.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.losses: list[float] = []
        self.lowest = math.inf

    def add(self, loss: float) -> float | None:
        """Adds the loss of a batch; returns the limit that the loss exceeds, or None."""
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
    """Stops a training whose loss or gradient is not finite, or whose loss explodes.

    With `closely`, every step is checked before it changes the weights; on a CPU this costs nothing. On a GPU it would
    make the process wait for the device in every step. There, the losses and norms of 50 batches are checked together,
    and before every checkpoint and validation, so that no checkpoint contains broken weights. After a fault, the steps
    since the last checkpoint are repeated with `closely` to locate it.

    With float16, infinite gradients are a normal part of loss scaling, which skips these steps; gradients are not
    checked.

    Args:
        passes: The training batches.
        world: The processes.
        files: Paths of the fault's description, JSON, and of the weights before the faulty step.
        seed: The recipe's seed.
        closely: Check each step before it changes the weights.
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
        """Returns the losses for the detection of an explosion."""
        return {"losses": list(self.explosion.losses), "lowest": self.explosion.lowest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the losses."""
        self.explosion.losses, self.explosion.lowest = list(state["losses"]), state["lowest"]

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Registers `gradient` as the module's callback for gradient norms."""
        assert isinstance(module, TrainingModule)
        self._trainer = trainer
        module.on_gradient_norm = self.gradient

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, number: int) -> None:
        """Stores the batch number, counted from the start of the training."""
        self.number = number

    def on_before_backward(self, trainer: pl.Trainer, module: pl.LightningModule, loss: Tensor) -> None:
        """Stores the loss of a batch; the argument `loss` may be scaled, so the module's mean loss is used."""
        assert isinstance(module, TrainingModule)
        self._losses.append((self.number, module.mean_loss))

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, number: int
    ) -> None:
        """Checks after every 50 batches."""
        if not self.closely and len(self._losses) >= _CHECK_EVERY:
            self.check()

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Checks, so that broken weights are not validated."""
        self.check()

    def gradient(self, norm: Tensor) -> None:
        """Stores the norm of the gradient before the step."""
        assert self._trainer is not None
        if self._trainer.precision != "16-mixed":
            self._norms.append((self.number, norm.detach()))
        if self.closely:
            self.check()

    def check(self) -> None:
        """Checks all losses and norms since the last check; all processes must call it together.

        Raises:
            TrainingError: The next step has a fault.
            FaultNoticedError: A completed step had a fault.
        """
        taken, self._losses = self._losses, []
        norms, self._norms = self._norms, []
        if not taken:
            return
        # One transfer for all values, because each transfer waits for the device.
        values = mean_over_ranks(torch.stack([value.float() for _, value in (*taken, *norms)])).tolist()
        losses = {number: value for (number, _), value in zip(taken, values, strict=False)}
        sizes = {number: value for (number, _), value in zip(norms, values[len(taken) :], strict=True)}
        for number, loss in losses.items():
            if not math.isfinite(loss):
                self._stop(f"the loss is {loss}", number, loss, sizes.get(number))
            limit = self.explosion.add(loss)
            if limit is not None:
                self._stop(f"the loss has exploded from {limit / self.explosion.factor:.4g}", number, loss, None)
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
        fault = Fault(
            what=what, step=trainer.global_step + 1, batch=number, **{"pass": epoch}, position=position,
            batches_a_pass=len(self.passes.batches), loss=str(loss), gradient_norm=None if norm is None else str(norm),
            layer=layer, rank=self.world.rank, ranks=self.world.ranks, precision=str(trainer.precision),
            windows=windows.tolist(),
        )  # fmt: skip
        if self.world.rank == 0:
            fault.write(self.files[0])
            write_checkpoint({"state_dict": module.state_dict()}, self.files[1])
        raise TrainingError(*_fault_message(fault, self.files[0]))

    @contextmanager
    def reading_again(self, module: TrainingModule, number: int) -> Iterator[Batch]:
        """Yields an earlier batch with its random state set, in training mode; restores position and modes on exit."""
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


def _fault_message(fault: Fault, file: Path) -> tuple[str, str, str]:
    windows, shown = fault.windows, ", ".join(map(str, fault.windows[:6]))
    more = f" and {len(windows) - 6} more" if len(windows) > 6 else ""
    norm = f"; norm of the gradient {fault.gradient_norm}" if fault.gradient_norm else ""
    found = (
        f"{fault.what}, in step {fault.step}: epoch {fault.epoch + 1}, batch {fault.position + 1} of "
        f"{fault.batches_a_pass}, windows {shown}{more} of the store\n"
        f"loss {fault.loss}{norm}; {fault.layer or 'the outputs of all layers are finite'}"
    )
    hint = (
        "try a lower train.learning_rate, a stricter train.clip or train.precision=32-true; "
        f"noncoder.train.load_fault returns the batch and the weights ({file})"
    )
    return found, "", hint


@torch.no_grad()
def first_broken_layer(model: nn.Module, batch: Batch) -> str:
    """Returns a message that names the first computed layer whose output is not finite; empty if all are finite."""
    broken: list[str] = []

    def note(name: str, output: Any) -> None:
        parts = output if isinstance(output, tuple | list) else (output,)
        if not broken and any(isinstance(part, Tensor) and not bool(torch.isfinite(part).all()) for part in parts):
            broken.append(name)

    hooks = [
        layer.register_forward_hook(lambda _, __, output, name=name: note(name, output))
        for name, layer in model.named_modules()
        if name and not any(layer.children())
    ]
    try:
        output = model(batch.inputs()[0])
    finally:
        for hook in hooks:
            hook.remove()
    note("the model's output", output)
    return f"the first layer whose output is not finite is {broken[0]}" if broken else ""


def _broken_gradient(model: nn.Module) -> str:
    """Returns a message that names the last parameter with a non-finite gradient; empty if all are finite."""
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            return f"all layers' outputs are finite, but the gradient of {name} is not"
    return ""


def load_fault(run: str | Path) -> tuple[Batch, TrainingModule]:
    """Loads the batch that stopped a training, and the module with its weights before that step, on the CPU.

    The random state is restored: `module.training_step(batch, 0)` returns the reported loss, in the precision of the
    training. For a training with several processes, the batch is the first process's part.

    Args:
        run: The run's folder.

    Raises:
        InputError: The run has no recorded fault.
        StoreError: The store does not exist any more.
    """
    folder, config = RunFolder(Path(run)), read_run(run)
    fault = Fault.read(folder.train.fault)
    if fault is None:
        raise InputError(
            f"{run} has no recorded fault", expected=f"{folder.train.fault}, written when training stops at a fault"
        )
    prepared = prepare(config, trained_tasks(open_store(config.store), config.train), Share(0, fault.ranks))
    module, batches = prepared.module, prepared.passes.batches
    module.load_state_dict(read_checkpoint(folder.train.fault_weights)["state_dict"])
    module.on_fit_start()
    reduced = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(fault.precision)
    if reduced is not None:
        module.__dict__["network"] = module.__dict__["run_model"] = _Reduced(module.network, reduced)
    module.train()
    batches.load_state_dict({"epoch": fault.epoch, "position": fault.position})
    batch = next(iter(batches))
    seed_batch(config.seed, fault.batch, 0)
    return batch, module


class _Reduced(nn.Module):
    """Model in mixed precision on the CPU."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, x: Tensor) -> Tensor:
        """Returns the logits."""
        with torch.autocast("cpu", self.dtype):
            logits: Tensor = self.model(x)
        return logits
