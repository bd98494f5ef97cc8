"""Preparation of a training: its batches, and the model in its training module."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import lightning.pytorch as pl
import torch
from torch import nn

from noncoder.config import RunConfig, TrainConfig
from noncoder.data.augmentation import Augmentation
from noncoder.data.loading import Batches, EpochDraws, Share
from noncoder.data.regions import RegionBatches
from noncoder.data.sampling_weights import window_weights
from noncoder.data.store import Store
from noncoder.errors import ConfigError, InputError
from noncoder.models import SequenceModel, create_model, last_layer, set_prior_bias
from noncoder.models.regions import RegionModel
from noncoder.predictor.inference import restoring_modes
from noncoder.train.device import choose_accelerator
from noncoder.train.module import TrainingModule
from noncoder.train.passes import Passes
from noncoder.train.task_weights import task_weights


@dataclass(frozen=True)
class PreparedTraining:
    """Model and batches of a training."""

    model: SequenceModel
    module: TrainingModule
    passes: Passes
    validation: Batches


def read_passes(config: RunConfig, store: Store, share: Share | None = None) -> Passes:
    """Returns the batches of a training.

    Raises:
        InputError: The store has no training split, or too few neighbouring windows for `train.dense`.
        ConfigError: A step would take more batches than an epoch has, or batches are too small for a batch norm.
    """
    settings, indices = config.train, store.indices("train")
    _check_batch_norm(config, store, min(settings.batch_size, indices.size))
    weights = window_weights(store, indices, settings.resample, settings.resample_cap) if settings.resample else None
    draws = EpochDraws(config.seed, True, settings.random_strand, settings.shift, weights, settings.mixup)
    change = Augmentation(settings.augment, settings.epochs) if settings.augment.kinds else None
    if settings.dense:
        regions = RegionBatches(store, indices, settings.dense, settings.batch_size, draws, share, change)
        return Passes(regions, settings)
    return Passes(Batches(store, indices, settings.batch_size, draws, share, change), settings)


def prepare(config: RunConfig, store: Store, share: Share | None = None, compiled: str = "none") -> PreparedTraining:
    """Initialises the model, the same in all processes, and opens the batches of the store.

    Args:
        config: The recipe.
        store: The dataset.
        share: The part of each batch that this process reads.
        compiled: Mode of torch.compile; "none" for no compilation.

    Raises:
        InputError: The store has no training or validation split.
        ConfigError: A step would take more batches than an epoch has, batches are too small for a batch norm, or
            train.l1 is set and the model has no last linear layer.
    """
    settings = config.train
    passes = read_passes(config, store, share)
    if not store.known_counts("valid").any():
        what = "known label in its validation split" if store.indices("valid").size else "validation split"
        raise InputError(f"{store.path} has no {what}", hint="build it with another split")
    validation = Batches(store, store.indices("valid"), 2 * settings.batch_size, share=share)
    pl.seed_everything(config.seed, verbose=False)
    model = create_model(config.model.name, len(store.tasks), store.window, config.model.parameters)
    if settings.l1 and last_layer(model) is None:
        raise ConfigError(
            f"train.l1 penalizes the input of the last linear layer, but the last layer of {model.name} is not linear",
            expected="an nn.Linear as the last layer",
            hint="remove train.l1",
        )
    biased = set_prior_bias(model, _initial_prevalence(settings, store))
    if not biased and (share is None or share.rank == 0):
        print(f"{model.name} has no last linear layer with a bias, so train.output_bias is not used", file=sys.stderr)
    batches = passes.batches
    if batches.share.ranks > 1 and choose_accelerator(settings, say=False) == "cpu" and norms_of_single_values(model):
        # On CPUs each process normalises its own part of a batch, which therefore needs two windows.
        batches.share = batches.share._replace(least=2)
    weights = task_weights(settings.loss, store)
    network = RegionModel(model, settings.dense, store.bin) if settings.dense else None
    module = TrainingModule(model, settings, passes.steps, passes.steps_per_epoch, compiled, weights, network)
    return PreparedTraining(model, module, passes, validation)


def report_undefined_scores(store: Store, settings: TrainConfig) -> None:
    """Warns before a training if AUROC is undefined for all tasks, and names the metric used instead."""
    positives, known = store.positives("valid"), store.known_counts("valid")
    if ((positives > 0) & (positives < known)).any() or not known.any():
        return
    instead = "" if settings.monitor == "loss" else ", so the weights of the lowest validation loss are kept"
    print(
        "no task of the validation split has both positives and negatives: AUROC and average precision are undefined "
        f"there{instead}",
        file=sys.stderr,
    )


def norms_of_single_values(model: SequenceModel) -> list[str]:
    """Returns the names of batch norms whose input for one window is one value per channel, without variance."""
    found: list[str] = []

    def note(name: str, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].numel() == inputs[0].shape[1]:
            found.append(name)

    hooks = [
        part.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs))
        for name, part in model.named_modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
    ]
    try:
        if hooks:
            # Not in inference mode: a model may cache tensors, and cached inference tensors cannot be trained with.
            with restoring_modes(model), torch.no_grad():
                model.eval()
                model(torch.zeros(1, 4, model.window))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _check_batch_norm(config: RunConfig, store: Store, smallest: int) -> None:
    if smallest != 1:
        return
    with torch.random.fork_rng(devices=[]):
        names = norms_of_single_values(
            create_model(config.model.name, len(store.tasks), store.window, config.model.parameters)
        )
    if names:
        one_window = config.train.batch_size > 1
        what = "the training split has one window" if one_window else "train.batch_size is 1"
        raise ConfigError(
            f"{what}, but the batch norm {names[0]} of {config.model.name} normalises over the windows of a batch, and "
            "a single window has no variance",
            expected="batches of at least 2 windows",
            hint="more training windows, or another model"
            if one_window
            else "a larger train.batch_size, or another model",
        )


def _initial_prevalence(settings: TrainConfig, store: Store) -> torch.Tensor:
    """Returns each task's fraction of positives that the initial bias predicts, (T,)."""
    if settings.output_bias == "prevalence":
        known = torch.from_numpy(store.known_counts("train")).clamp(min=1)
        return torch.from_numpy(store.positives("train")) / known
    return torch.full((len(store.tasks),), 0.5 if settings.output_bias == "zero" else settings.output_bias)
