"""Recipe section on training."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from noncoder.config.augment import AugmentConfig, read_preset
from noncoder.config.loss import LossConfig
from noncoder.config.section import Section, refuse_idle
from noncoder.config.watch_config import WatchConfig

# Settings that only some optimisers, or some kinds of decay, use.
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
# Decays that include their own rise.
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
    """Settings of training."""

    epochs: float = Field(6, gt=0)
    """Number of epochs over the training split; a fraction is allowed."""
    batch_size: int = Field(128, ge=1)
    """Windows per forward pass, over all devices together."""
    accumulate: int = Field(1, ge=1)
    """Batches per optimiser step; a step may combine the last batches of an epoch and the first of the next."""
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "keras-rmsprop", "muon"] = "adamw"
    """Optimiser. `keras-rmsprop` is that of the first versions of Keras, with epsilon inside the square root; `muon`
    is Muon for the matrices and kernels of hidden layers and adamw for all other parameters."""
    loss: Annotated[LossConfig, BeforeValidator(_kind_alone)] = LossConfig()
    """Training loss. Validation always reports plain binary cross-entropy, so that runs can be compared."""
    learning_rate: float = Field(2e-3, gt=0)
    """Highest learning rate."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Decay rates per step of the running means of the gradient and of its square; adamw, adam and muon."""
    amsgrad: bool = False
    """Divide by the largest mean square so far, not by the current one; adamw and adam."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Factor per step for the running sum of gradients; sgd."""
    dampening: float = Field(0, ge=0, le=1)
    """Fraction of each gradient after the first that is not added to the running sum; sgd. In Torch7, the default is
    the value of `momentum`."""
    muon_momentum: float = Field(0.95, ge=0, lt=1)
    """Decay rate per step of the running mean of a hidden matrix's gradients; muon."""
    rho: float = Field(0.9, ge=0, lt=1)
    """Decay rate per step of the running mean of the squared gradient; both kinds of rmsprop."""
    epsilon: float | None = Field(None, gt=0)
    """Added for stability when dividing by the root mean square; by default 1e-8, and 1e-6 with keras-rmsprop."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Fraction of the steps over which the learning rate rises linearly from zero."""
    warmup_steps: int = Field(0, ge=0)
    """Optimiser steps of the warm-up, in place of `warmup`; the last one has the full rate; 0 to use `warmup`."""
    decay: Literal["cosine", "linear", "constant", "step", "inverse", "plateau", "one-cycle", "cyclical"] = "cosine"
    """How the learning rate falls after the warm-up: to zero at the end (`cosine`, `linear`), not at all (`constant`),
    by a factor at a fixed interval of epochs (`step`), as 1 / (1 + `decay_rate` * optimiser steps) (`inverse`), or by
    a factor when validations stop improving (`plateau`). Without a warm-up: one rise and fall (`one-cycle`), or many
    (`cyclical`)."""
    decay_factor: float = Field(0.9, gt=0, le=1)
    """Factor for the learning rate every `decay_every` epochs (step), or after `decay_patience` validations without
    improvement (plateau)."""
    decay_every: float = Field(1, gt=0)
    """Epochs after which the learning rate is multiplied by `decay_factor`; step."""
    decay_rate: float = Field(0, ge=0)
    """How fast the learning rate falls per step; inverse."""
    decay_patience: int = Field(2, ge=1)
    """Validations without improvement, by `monitor`, after which the learning rate falls; plateau."""
    decay_floor: float | None = Field(None, ge=0, le=1)
    """Lowest learning rate as a fraction of the highest; plateau (by default 0) and cyclical (by default 0.25)."""
    cycle_rise: float = Field(0.3, gt=0, lt=1)
    """Fraction of the steps over which the learning rate rises; one-cycle."""
    cycle_start: float = Field(25, ge=1)
    """The learning rate starts at its highest value divided by this; one-cycle."""
    cycle_end: float = Field(1e4, ge=1)
    """The learning rate ends at its starting value divided by this; one-cycle."""
    cycle_momentum: tuple[Share, Share] | None = None
    """Highest and lowest value of the momentum (sgd, muon) and of the first of `betas` (adam, adamw, muon), e.g.
    [0.95, 0.85]. It falls while the learning rate rises and rises while it falls; by default neither changes;
    one-cycle."""
    cycle_passes: float = Field(4, gt=0)
    """Epochs of one rise and fall of the learning rate; cyclical."""
    cycle_shape: Literal["triangular", "triangular2"] = "triangular"
    """Whether every rise reaches the highest learning rate (`triangular`), or each rise half the height of the
    previous one above the lowest rate (`triangular2`); cyclical."""
    weight_decay: float = Field(0.01, ge=0)
    """With adamw and muon: decay of weight matrices and kernels, decoupled from the gradient; biases and norms have
    none. With the other optimisers: an L2 penalty of half of this on all parameters, in the gradient."""
    l1: float = Field(0, ge=0)
    """L1 penalty on the input of the last layer, summed over units and windows of a batch; the logged training loss
    includes it."""
    max_norm: float = Field(0, ge=0)
    """Largest norm of the weights into one output unit of a convolution or linear layer, enforced after every
    optimiser step; 0 for no limit."""
    clip: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0 for no clipping."""
    average: float = Field(0.0, ge=0, lt=1)
    """Decay per step of the exponential moving average of the weights (EMA). The average is validated and saved; its
    batch-norm statistics are recomputed from training windows; 0 for none."""
    average_last: float = Field(0.0, ge=0, lt=1)
    """In place of `average`: fraction of the optimiser steps, at the end, over which the weights are averaged equally
    (SWA); 0 for none."""
    one_class: Literal["refuse", "leave-out", "keep"] = "refuse"
    """What to do with tasks whose known labels in the training split are all positive or all negative: `refuse` to
    train, `leave-out` these tasks, so that the predictor does not have them, or `keep` them."""
    dense: int = Field(0, ge=0)
    """Dense training: bins per region. The convolutional trunk reads a region of so many neighbouring bins once, where
    window by window it would read each base window / bin times; strand, shift and augmentation are drawn per region.
    A batch holds batch_size / dense regions. 0 trains window by window."""
    shift: int = Field(0, ge=0)
    """Largest random shift, bp, of training windows in either direction."""
    random_strand: bool = True
    """Read each training window from a random strand; otherwise always from the forward strand."""
    augment: Annotated[AugmentConfig, BeforeValidator(read_preset)] = AugmentConfig()
    """Augmentation of training windows; by default none."""
    mixup: float = Field(0, ge=0)
    """Mixup: training windows and their labels are mixed in pairs (arXiv:1710.09412), with weights from the
    distribution Beta(mixup, mixup); 0 for none."""
    resample: float = Field(0, ge=0, le=1)
    """How much more often windows with rare positives are drawn: a window's weight is the largest value of (fraction
    of positives)**-resample among its positive tasks; 0 draws each window once per epoch."""
    resample_cap: float = Field(10, ge=1)
    """Largest ratio of a window's weight to the smallest one."""
    validations: float = Field(1, gt=0)
    """Validations per epoch."""
    monitor: Literal["average_precision", "loss"] = "average_precision"
    """Metric for early stopping and for choosing the best checkpoint: a higher mean average precision or a lower loss
    is better; the loss if average precision is undefined for all tasks. The best weights are kept."""
    patience: int = Field(5, ge=1)
    """Validations without improvement, by `monitor`, after which training stops."""
    precision: Literal["auto", "32-true", "tf32", "bf16-mixed", "16-mixed"] = "auto"
    """Arithmetic of the forward and backward passes; `auto` is bfloat16 if the device supports it. `tf32` is float32
    with products rounded by the GPU to 10 bits of mantissa, which is many times faster than `32-true`."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Device for training."""
    compile: Compile = "auto"
    """Compile the network with torch.compile: `default`; `max-autotune`, which tries kernels for minutes; or `none`.
    `auto` compiles on a GPU if Triton is installed. Compilation takes up to a minute at the start."""
    output_bias: OutputBias = "prevalence"
    """Initial bias of the last layer: `prevalence`, the logit of each task's fraction of positives in training; a
    number such as 0.02, the logit of this fraction for every task; `zero`."""
    devices: int = Field(1, ge=1)
    """Devices per machine, one process each; every batch is divided among them. Leave this out under torchrun or
    SLURM, which determine the number."""
    nodes: int = Field(1, ge=1)
    """Number of machines; torchrun or SLURM starts the processes on them."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """With several devices: `ddp` keeps the network on each device; `fsdp` shards its weights and the optimiser's
    state over GPUs, for networks too large for one GPU."""
    keep_best: int = Field(1, ge=1)
    """Number of best validations whose weights are kept as files; the best of them is used."""
    explosion: float = Field(10, ge=0)
    """Training stops if the loss grows by this factor: the median of 16 batches against the lowest median of 64
    batches so far; 0 for never."""
    watch: WatchConfig = WatchConfig()
    """What is logged during training; no setting here changes the result of training."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_idle(self, self.optimizer, _OF_OPTIMIZERS)
        refuse_idle(self, self.decay, _OF_DECAYS)
        unset = self.warmup in (0, type(self).model_fields["warmup"].default)
        if self.warmup_steps and not unset:
            raise ValueError("give either warmup or warmup_steps")
        if self.decay in _CYCLES and (self.warmup_steps or not unset):
            raise ValueError(f"{self.decay} rises by itself: set warmup to 0 and leave out warmup_steps")
        if self.dense > self.batch_size:
            raise ValueError(f"a region of {self.dense} bins is more than batch_size, {self.batch_size}")
        if self.dense and self.resample:
            raise ValueError("resample draws single windows, dense reads regions: give one of them")
        if self.average and self.average_last:
            raise ValueError("give either average (EMA) or average_last (SWA)")
        if not self.resample and self.resample_cap != type(self).model_fields["resample_cap"].default:
            raise ValueError("resample_cap has no effect without resample")
        if self.cycle_momentum and self.optimizer in ("rmsprop", "keras-rmsprop"):
            raise ValueError(f"{self.optimizer} has no momentum for cycle_momentum to move")
        return self
