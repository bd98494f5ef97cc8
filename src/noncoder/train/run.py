"""A run's folder: where its files lie, and which recipe it belongs to."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noncoder.config import RunConfig, read_recipe, write_recipe
from noncoder.data.store import Store
from noncoder.errors import ConfigError, InputError
from noncoder.files import content_digest, read_json, write_bytes, write_json
from noncoder.kinds import kind_of, mistaken
from noncoder.train.weights import weights_digest


@dataclass(frozen=True)
class RunFolder:
    """Where a run's files lie."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The whole recipe, every key written out."""
        return self.path / "recipe.yaml"

    @property
    def train(self) -> Path:
        """Logs and checkpoints."""
        return self.path / "train"

    @property
    def last(self) -> Path:
        """The checkpoint from which training goes on."""
        return self.train / "last.ckpt"

    @property
    def previous(self) -> Path:
        """The checkpoint before the last."""
        return self.train / "previous.ckpt"

    @property
    def fault(self) -> Path:
        """What went wrong in a step that stopped the training; beside it the weights with which it did."""
        return self.train / "fault.json"

    @property
    def best(self) -> Path:
        """The checkpoint of the best validation."""
        return self.train / "best.ckpt"

    @property
    def summary(self) -> Path:
        """What training came to; it exists when training has finished."""
        return self.train / "summary.json"

    @property
    def predictor(self) -> Path:
        """The trained model."""
        return self.path / "predictor"


def claim(folder: RunFolder, config: RunConfig, store: Store, force: bool) -> bool:
    """Takes the folder for this recipe; true where a checkpoint of it lies there.

    Raises:
        ConfigError: It holds an unfinished training of another recipe, or of a store that has changed.
        InputError: It holds a finished training, or what is none.
    """
    if force and folder.train.exists():
        _clear(folder.train)
    if folder.summary.exists():
        raise InputError(f"{folder.path} holds a finished training", hint="give another run=, or --force to train anew")
    claim = folder.train / "claim.json"
    mine = _claim_of(config, store)
    if (folder.last.exists() or folder.previous.exists()) and claim.exists():
        _refuse_changes(f"{folder.path} holds an unfinished training", read_json(claim) or {}, mine, store)
        return True
    write_json(claim, mine)
    write_bytes(folder.recipe, write_recipe(config).encode())
    return False


def check_place(folder: Path) -> None:
    """Makes sure that a run's folder is no store and no predictor, whose verbs would remove the run.

    Raises:
        InputError: It is one.
    """
    kind = kind_of(folder)
    if kind is not None and kind.name in ("a store", "a predictor's folder"):
        raise InputError(f"{folder} is {kind.name}", expected="a folder for the run alone", hint="give another run=")


def _clear(folder: Path) -> None:
    """Removes a training, and nothing that is not one."""
    others = [path.name for path in folder.iterdir() if path.name != ".lock"]
    if others and not (folder / "claim.json").exists():
        raise InputError(f"{folder} is no training of ours: it holds {others[0]}", hint="give another run=")
    # If the process is killed meanwhile, what is left must not pass for a finished training, and stay one of ours.
    place = {"summary.json": -1, "claim.json": 1}
    for path in sorted(folder.iterdir(), key=lambda path: place.get(path.name, 0)):
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def is_trained(config: RunConfig, store: Store) -> bool:
    """Whether the run's folder holds a finished training of this recipe.

    Raises:
        ConfigError: It holds a finished training of another recipe.
    """
    folder = RunFolder(config.run)
    if not folder.summary.exists():
        return False
    theirs = read_json(folder.train / "claim.json") or {}
    _refuse_changes(f"{folder.path} holds a finished training", theirs, _claim_of(config, store), store)
    return True


# What changes where and how a training runs or what it writes down, not what it comes to.
_OF_NO_CONSEQUENCE = {"device", "devices", "nodes", "strategy", "keep_best", "explosion", "watch"}


def _claim_of(config: RunConfig, store: Store) -> dict[str, Any]:
    """All that decides what a training comes to."""
    weights = weights_digest(config.train.loss)
    return {
        "seed": config.seed,
        "model": config.model.model_dump(mode="json"),
        "train": config.train.model_dump(mode="json", exclude=_OF_NO_CONSEQUENCE),
        "store": store.digest,
        **({"weights_file": weights} if weights else {}),
    }


def training_digest(config: RunConfig, store: Store) -> str:
    """A digest of everything that decides the result of a training."""
    return content_digest(_claim_of(config, store))


def _refuse_changes(what: str, theirs: dict[str, Any], mine: dict[str, Any], store: Store) -> None:
    changed = ", ".join(_differences({**theirs, "store": ""}, {**mine, "store": ""}))
    if changed:
        raise ConfigError(
            f"{what} of another recipe: {changed}", hint="give the old values, another run=, or --force to train anew"
        )
    if theirs.get("store") != mine["store"]:
        raise ConfigError(
            f"{what}, and the store {store.path} is not what it was when that began: its content has the digest "
            f"{str(mine['store'])[:12]}, it had {str(theirs.get('store'))[:12]}",
            hint="give the store of then as data.store, another run=, or --force to train anew on this one",
        )


def _differences(old: Any, new: Any, key: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in sorted({*old, *new})
            for line in _differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if old == new else [f"{key} was {old!r}, is {new!r}"]


def read_run(folder: str | Path) -> RunConfig:
    """The recipe of a run's folder.

    Raises:
        ConfigError: The folder is no run.
    """
    recipe = RunFolder(Path(folder)).recipe
    if not recipe.is_file():
        found, hint = mistaken(Path(folder), "run", "make one with `noncoder run RECIPE`")
        raise ConfigError(found, expected=f"a run's folder, with its {recipe.name}", hint=hint)
    # The folder may have been moved or be named from elsewhere since.
    return read_recipe(recipe).model_copy(update={"run": Path(folder)})
