"""What a recipe and a store make up before the first step: the batches, and the model in its training module."""

from __future__ import annotations

from dataclasses import dataclass

import lightning.pytorch as pl
import torch

from noncoder.config import RunConfig, TrainConfig
from noncoder.data.augmentation import Augmentation
from noncoder.data.loading import Batches, Draws, Share
from noncoder.data.resampling import window_weights
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.models import SequenceModel, create_model, set_prior_bias
from noncoder.train.module import TrainingModule
from noncoder.train.passes import Passes
from noncoder.train.weights import task_weights


@dataclass(frozen=True)
class Prepared:
    """What is trained, on what."""

    model: SequenceModel
    module: TrainingModule
    passes: Passes
    validation: Batches


def read_passes(config: RunConfig, store: Store, share: Share | None = None) -> Passes:
    """The batches of a training.

    Raises:
        InputError: The store has no training split.
        ConfigError: A step would take more batches than a pass has.
    """
    settings, indices = config.train, store.indices("train")
    weights = window_weights(store, indices, settings.resample, settings.resample_cap) if settings.resample else None
    draws = Draws(config.seed, True, settings.random_strand, settings.shift, weights, settings.mixup)
    change = Augmentation(settings.augment, settings.epochs) if settings.augment.kinds else None
    return Passes(Batches(store, indices, settings.batch_size, draws, share, change), settings)


def prepare(config: RunConfig, store: Store, share: Share | None = None, compiled: str = "none") -> Prepared:
    """Draws the model's weights and makes what reads the store; all processes of a training draw the same.

    Args:
        config: The recipe.
        store: The dataset.
        share: The part of each batch that this process reads.
        compiled: How torch.compile compiles the model; "none" for not at all.

    Raises:
        InputError: The store has no training or validation split.
        ConfigError: A step would take more batches than a pass has.
    """
    settings = config.train
    passes = read_passes(config, store, share)
    if not store.known_counts("valid").any():
        raise InputError(f"{store.path} has no known label in its validation split", hint="build it with another split")
    validation = Batches(store, store.indices("valid"), 2 * settings.batch_size, share=share)
    pl.seed_everything(config.seed, verbose=False)
    model = create_model(config.model.name, len(store.tasks), store.window, config.model.parameters)
    set_prior_bias(model, _first_shares(settings, store))
    weights = task_weights(settings.loss, store)
    module = TrainingModule(model, settings, passes.steps, passes.steps_per_pass, compiled, weights)
    return Prepared(model, module, passes, validation)


def _first_shares(settings: TrainConfig, store: Store) -> torch.Tensor:
    """The share of positives that each task is predicted to have before training, (T,)."""
    if settings.output_bias == "prevalence":
        known = torch.from_numpy(store.known_counts("train")).clamp(min=1)
        return torch.from_numpy(store.positives("train")) / known
    return torch.full((len(store.tasks),), 0.5 if settings.output_bias == "zero" else settings.output_bias)
