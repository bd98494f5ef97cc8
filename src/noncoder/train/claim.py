"""Ownership of a run's folder by one recipe."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from noncoder.config import RunConfig, write_recipe
from noncoder.data.store import Store
from noncoder.errors import ConfigError, InputError
from noncoder.files import content_digest, write_bytes
from noncoder.kinds import kind_of
from noncoder.models.own import source_digest
from noncoder.runs.folder import RunFolder, TrainFolder
from noncoder.runs.record import Record
from noncoder.train.task_weights import weights_digest


def claim(folder: RunFolder, config: RunConfig, store: Store, force: bool) -> bool:
    """Claims the folder for this recipe; returns whether it holds a checkpoint of the recipe.

    Raises:
        ConfigError: The folder holds an unfinished training of another recipe, or of a store that has changed.
        InputError: The folder holds a finished training, or files that are not a training.
    """
    train = folder.train
    if force and train.path.exists():
        _clear(train)
    if train.summary.exists():
        raise InputError(
            f"{folder.path} holds a finished training", hint="give another run=, or --force to train again"
        )
    record = _record(train, config, store)
    if (train.last.exists() or train.previous.exists()) and train.claim.exists():
        _refuse_changes(f"{folder.path} holds an unfinished training", record)
        return True
    record.write()
    write_bytes(folder.recipe, write_recipe(config).encode())
    return False


def _clear(train: TrainFolder) -> None:
    """Removes a training; refuses if the folder holds anything else."""
    others = [path.name for path in train.path.iterdir() if path.name != ".lock"]
    if others and not train.claim.exists():
        raise InputError(f"{train.path} is not a training: it contains {others[0]}", hint="give another run=")
    # If the process is killed meanwhile, the rest must not look finished, and must still be recognised as a training.
    order = {train.summary: -1, train.claim: 1}
    for path in sorted(train.path.iterdir(), key=lambda path: order.get(path, 0)):
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def is_trained(config: RunConfig, store: Store) -> bool:
    """Returns whether the run's folder holds a finished training of this recipe.

    Raises:
        ConfigError: The folder holds a finished training of another recipe.
    """
    folder = RunFolder(config.run)
    if not folder.train.summary.exists():
        return False
    _refuse_changes(f"{folder.path} holds a finished training", _record(folder.train, config, store))
    return True


def check_place(folder: Path) -> None:
    """Checks that a run's folder is not a store or a predictor, whose commands would remove the run.

    Raises:
        InputError: It is a store or a predictor.
    """
    kind = kind_of(folder)
    if kind is not None and kind.name in ("a store", "a predictor's folder"):
        raise InputError(f"{folder} is {kind.name}", expected="a separate folder for the run", hint="give another run=")


def training_digest(config: RunConfig, store: Store) -> str:
    """Returns a digest of everything that determines the result of a training."""
    return content_digest(_made_from(config, store))


# Settings of the hardware, the checkpoints and the logs, which do not change the result.
_WITHOUT_EFFECT = {"device", "devices", "nodes", "strategy", "keep_best", "explosion", "watch"}


def _made_from(config: RunConfig, store: Store) -> dict[str, Any]:
    """Returns everything that determines the result of a training."""
    weights, source = weights_digest(config.train.loss), source_digest(config.model.name)
    return {
        "seed": config.seed,
        "model": config.model.model_dump(mode="json"),
        "train": config.train.model_dump(mode="json", exclude=_WITHOUT_EFFECT),
        "store": store.digest,
        **({"weights_file": weights} if weights else {}),
        **({"model_source": source} if source else {}),
    }


def _record(folder: TrainFolder, config: RunConfig, store: Store) -> Record:
    return Record(folder.claim, _made_from(config, store), strict=True)


def _refuse_changes(what: str, record: Record) -> None:
    if record.is_same():
        return
    raise ConfigError(
        f"{what} made from something else: {record.differences()}",
        hint="give the earlier values, another run=, or --force to train again",
    )
