"""Checks that the files of a recipe's dataset exist, before anything heavy is loaded."""

from __future__ import annotations

import glob
from pathlib import Path

from noncoder.config import RunConfig
from noncoder.errors import ConfigError, InputError
from noncoder.kinds import did_you_mean_path


def check_sources(config: RunConfig, makes: bool = True) -> None:
    """Checks that a recipe's store exists, or all files from which it would be made.

    Args:
        config: The recipe.
        makes: Whether a missing store would be made.

    Raises:
        ConfigError: There is no store, and the recipe does not say how to make one.
        InputError: A file is missing; the message names it, and its public dataset if it belongs to one.
    """
    data = config.data
    if config.store.exists():
        return
    source = data.build or data.pack or data.deepsea or data.simulate
    if source is None or (not makes and data.store is not None):
        raise ConfigError(
            f"the store {config.store} does not exist"
            + ("" if source else ", and the recipe does not say how to make it"),
            expected="data.store, or one of data.build, data.pack, data.deepsea and data.simulate",
            hint=did_you_mean_path(config.store) or "make it with `noncoder data build`, `data pack` or `data fetch`",
        )
    for key, path in _sources(config):
        if not (path.exists() or (key.endswith("peaks") and glob.glob(str(path), recursive=True))):  # noqa: PTH207
            raise InputError(
                f"{key}: there is no {path}", expected="a file or folder that exists", hint=fetch_hint(path, config)
            )


def fetch_hint(path: Path, config: RunConfig) -> str:
    """Returns how to get a missing file: the public dataset whose name is in its path, or the nearest existing file."""
    from noncoder.data.remote.catalog import CATALOG, PeakDataset

    for name, dataset in CATALOG.items():
        if isinstance(dataset, PeakDataset) and path.is_relative_to(dataset.folder):
            return f"`noncoder data fetch {name}` makes the dataset; or give its store, data.store={dataset.out}"
        if name in path.parts:
            store = "" if config.data.build is None else f", then give data.store={dataset.out}"
            return f"`noncoder data fetch {name}` downloads the dataset{store}"
    relative = "" if path.is_absolute() else f"the path is relative to {Path.cwd()}"
    return did_you_mean_path(path) or relative


def _sources(config: RunConfig) -> list[tuple[str, Path]]:
    data = config.data
    found: list[tuple[str, Path | str | None]] = []
    if data.build:
        build = data.build
        found = [("data.build.genome", build.genome), *(("data.build.peaks", pattern) for pattern in build.peaks)]
        found += [("data.build.tasks", build.tasks), ("data.build.aliases", build.aliases)]
        found += [("data.build.exclude", path) for path in build.exclude]
    elif data.pack:
        found = [(f"data.pack.{split or 'table'}", path) for path, split in data.pack.files]
        found += [("data.pack.labels", data.pack.labels), ("data.pack.tasks", data.pack.tasks)]
    elif data.deepsea:
        found = [("data.deepsea.folder", data.deepsea.folder), ("data.deepsea.tasks", data.deepsea.tasks)]
    return [(key, Path(path)) for key, path in found if path is not None]
