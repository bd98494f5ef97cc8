"""The section of a recipe on training."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from noncoder.config.augment import AugmentConfig, read_preset
from noncoder.config.base import Section, refuse_idle
from noncoder.config.loss import LossConfig
from noncoder.config.watch import WatchConfig

# Which settings say something only with some of the optimisers, or of the kinds of decay.
_OF_OPTIMIZERS = {
    "betas": ("adamw", "adam", "muon"),
    "amsgrad": ("adamw", "adam"),
    "momentum": ("sgd",),
    "muon_momentum": ("muon",),
    "dampening": ("sgd",),
    "rho": ("rmsprop", "keras-rmsprop"),
    "epsilon": ("adamw", "adam", "rmsprop", "keras-rmsprop", "muon"),
}
_OF_DECAYS = {
    "decay_factor": ("step", "plateau"),
    "decay_every": ("step",),
    "decay_rate": ("inverse",),
    "decay_patience": ("plateau",),
    "decay_floor": ("plateau", "cyclical"),
    "cycle_rise": ("one-cycle",),
    "cycle_start": ("one-cycle",),
    "cycle_end": ("one-cycle",),
    "cycle_momentum": ("one-cycle",),
    "cycle_passes": ("cyclical",),
    "cycle_shape": ("cyclical",),
}
# The decays that rise by themselves.
_CYCLES = ("one-cycle", "cyclical")


def _output_bias(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("prevalence", "zero") or (number and 0 < value < 1):
        return value
    raise ValueError("should be 'prevalence', 'zero' or a share above 0 and below 1, e.g. 0.02")


def _kind_alone(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


Share = Annotated[float, Field(ge=0, lt=1)]
Compile = Annotated[
    Literal["auto", "none", "default", "max-autotune"],
    BeforeValidator(
        lambda value: {True: "default", False: "none"}.get(value, value) if isinstance(value, bool) else value
    ),
]
OutputBias = Annotated[float | Literal["prevalence", "zero"], BeforeValidator(_output_bias)]


class TrainConfig(Section):
    """How the network is trained."""

    epochs: float = Field(6, gt=0)
    """Passes over the training split."""
    batch_size: int = Field(128, ge=1)
    """Windows a forward pass, over all devices together."""
    accumulate: int = Field(1, ge=1)
    """Batches an optimiser step; a step may take the last of a pass and the first of the next."""
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "keras-rmsprop", "muon"] = "adamw"
    """The optimiser; `keras-rmsprop` is that of the first versions of Keras, with epsilon inside the square root;
    `muon` is Muon for the matrices and kernels of hidden layers and adamw for all else."""
    loss: Annotated[LossConfig, BeforeValidator(_kind_alone)] = LossConfig()
    """What training makes small. Validation tells the plain binary cross-entropy, so that runs can be compared."""
    learning_rate: float = Field(2e-3, gt=0)
    """The highest learning rate."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """What the running means of the gradient and of its square keep a step; adamw, adam and muon."""
    amsgrad: bool = False
    """Divide by the largest mean square so far, not by the present one; adamw and adam."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """What the running sum of the gradients keeps a step; sgd."""
    dampening: float = Field(0, ge=0, le=1)
    """The share of each gradient that the running sum leaves out; sgd. Torch7 leaves out `momentum` of it."""
    muon_momentum: float = Field(0.95, ge=0, lt=1)
    """What the running mean of a hidden matrix's gradients keeps a step; muon."""
    rho: float = Field(0.9, ge=0, lt=1)
    """What the running mean of the squared gradient keeps a step; both kinds of rmsprop."""
    epsilon: float | None = Field(None, gt=0)
    """What keeps the division by the root of the mean square finite; by default 1e-8, with keras-rmsprop
    1e-6."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate rises linearly from zero."""
    warmup_steps: int = Field(0, ge=0)
    """In place of `warmup`: optimiser steps of the rise, the last of them at the full rate; 0 for `warmup`."""
    decay: Literal["cosine", "linear", "constant", "step", "inverse", "plateau", "one-cycle", "cyclical"] = "cosine"
    """How the learning rate falls after the warm-up: to zero at the end (`cosine`, `linear`), not at all, by a factor
    every so many passes (`step`), as 1 / (1 + `decay_rate` * optimiser steps) (`inverse`), or by a factor when
    validations get no better (`plateau`). Without a warm-up: one rise and fall (`one-cycle`), or many (`cyclical`)."""
    decay_factor: float = Field(0.9, gt=0, le=1)
    """What the learning rate is multiplied by every `decay_every` passes (step), or after `decay_patience` validations
    without a better one (plateau)."""
    decay_every: float = Field(1, gt=0)
    """Passes after which the learning rate is multiplied by `decay_factor`; step."""
    decay_rate: float = Field(0, ge=0)
    """How fast the learning rate falls, a step; inverse."""
    decay_patience: int = Field(2, ge=1)
    """Validations without a better one, by `monitor`, after which the learning rate falls; plateau."""
    decay_floor: float | None = Field(None, ge=0, le=1)
    """Lowest share of the highest learning rate; plateau (by default 0) and cyclical (by default 0.25)."""
    cycle_rise: float = Field(0.3, gt=0, lt=1)
    """Share of the steps over which the learning rate rises; one-cycle."""
    cycle_start: float = Field(25, ge=1)
    """The learning rate starts at its highest divided by this; one-cycle."""
    cycle_end: float = Field(1e4, ge=1)
    """The learning rate ends at where it started divided by this; one-cycle."""
    cycle_momentum: tuple[Share, Share] | None = None
    """Highest and lowest of the momentum (sgd, muon) and the first of `betas` (adam, adamw, muon), which falls while
    the learning rate rises and rises while it falls, e.g. [0.95, 0.85]; by default neither moves; one-cycle."""
    cycle_passes: float = Field(4, gt=0)
    """Passes that one rise and fall of the learning rate take; cyclical."""
    cycle_shape: Literal["triangular", "triangular2"] = "triangular"
    """Whether every rise goes to the highest learning rate, or each half as high above the lowest as the one before;
    cyclical."""
    weight_decay: float = Field(0.01, ge=0)
    """With adamw and muon, the decay of weight matrices and kernels, apart from the gradient; biases and norms have
    none. With the other optimisers an L2 penalty of half of this on all parameters, in the gradient."""
    l1: float = Field(0, ge=0)
    """L1 penalty on what enters the last layer, summed over units and windows of a batch; it is part of the logged
    training loss."""
    max_norm: float = Field(0, ge=0)
    """Largest norm of the weights into one output unit of a convolution or linear layer, kept after every optimiser
    step; 0 for no limit."""
    clip: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0 for no clipping."""
    average: float = Field(0.0, ge=0, lt=1)
    """Decay a step of the exponential moving average of the weights that is validated and kept, with batch norms that
    see training windows anew; 0 for none."""
    average_last: float = Field(0.0, ge=0, lt=1)
    """In place of `average`: share of the optimiser steps, the last ones, over which the weights are averaged equally
    (SWA); 0 for none."""
    one_class: Literal["refuse", "leave-out", "keep"] = "refuse"
    """What to do with tasks whose known labels in the training split are all positive or all negative: `refuse` to
    train, `leave-out` these tasks, which the predictor then does not have, or `keep` them."""
    shift: int = Field(0, ge=0)
    """Training windows are moved by up to this many bp either way."""
    random_strand: bool = True
    """Read each training window from a strand drawn at random, or all from the forward strand."""
    augment: Annotated[AugmentConfig, BeforeValidator(read_preset)] = AugmentConfig()
    """Changes to training windows; by default none."""
    mixup: float = Field(0, ge=0)
    """Training windows and their labels are mixed in pairs (arXiv:1710.09412), by shares from the distribution
    Beta(mixup, mixup); 0 for none."""
    resample: float = Field(0, ge=0, le=1)
    """How much more often windows with rare positives are drawn: a window weighs the largest of its positive tasks'
    (share of positives)**-resample; 0 draws each window once a pass."""
    resample_cap: float = Field(10, ge=1)
    """How many times the smallest of these weights the largest may be."""
    validations: float = Field(1, gt=0)
    """Validations a pass."""
    monitor: Literal["average_precision", "loss"] = "average_precision"
    """What makes a validation better than another: a higher mean average precision or a lower loss. The weights of the
    best are kept."""
    patience: int = Field(5, ge=1)
    """Validations without a better one, by `monitor`, after which training stops."""
    precision: Literal["auto", "32-true", "tf32", "bf16-mixed", "16-mixed"] = "auto"
    """Arithmetic of the forward and backward passes; `auto` is bfloat16 where the device computes in it. `tf32` is
    float32 whose products a GPU rounds to 10 bits of mantissa, which is many times faster than `32-true`."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train."""
    compile: Compile = "auto"
    """Compile the network with torch.compile: `default`; `max-autotune`, which tries kernels for minutes; or `none`.
    `auto` compiles on a GPU. It costs up to a minute at the start."""
    output_bias: OutputBias = "prevalence"
    """Where the last layer's bias starts: `prevalence`, at the logit of each task's share of positives in training; a
    number such as 0.02, at the logit of this share for every task; `zero`."""
    devices: int = Field(1, ge=1)
    """Devices of each machine, a process each; each takes its part of every batch. Under torchrun or SLURM leave it
    out: what they started counts."""
    nodes: int = Field(1, ge=1)
    """Machines; torchrun or SLURM starts the processes on them."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """With several devices: `ddp`, the network is on each; `fsdp`, its weights and the optimiser's state are spread
    over GPUs, for networks that one cannot hold."""
    keep_best: int = Field(1, ge=1)
    """How many of the best validations' weights are kept as files; the best of them is the one that is used."""
    explosion: float = Field(10, ge=0)
    """Training stops where the loss is this many times what it was: the median of 16 batches against the lowest median
    of 64 so far; 0 for never."""
    watch: WatchConfig = WatchConfig()
    """What is recorded of the training; nothing here changes what it comes to."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_idle(self, self.optimizer, _OF_OPTIMIZERS)
        refuse_idle(self, self.decay, _OF_DECAYS)
        unset = self.warmup in (0, type(self).model_fields["warmup"].default)
        if self.warmup_steps and not unset:
            raise ValueError("give either warmup or warmup_steps")
        if self.decay in _CYCLES and (self.warmup_steps or not unset):
            raise ValueError(f"{self.decay} rises by itself: set warmup to 0 and leave out warmup_steps")
        if self.average and self.average_last:
            raise ValueError("give either average (EMA) or average_last (SWA)")
        if not self.resample and self.resample_cap != type(self).model_fields["resample_cap"].default:
            raise ValueError("resample_cap says nothing without resample")
        if self.cycle_momentum and self.optimizer in ("rmsprop", "keras-rmsprop"):
            raise ValueError(f"{self.optimizer} has no momentum for cycle_momentum to move")
        return self
