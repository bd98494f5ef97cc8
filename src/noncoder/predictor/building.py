"""Builds the model that a predictor's folder describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noncoder.errors import InputError, NoncoderError, UnknownNameError
from noncoder.models import Entry, SequenceModel
from noncoder.models.own import (
    ModelSource,
    file_entry,
    is_file_name,
    is_named,
    note_named,
    offered_sources,
    read_source,
)
from noncoder.models.registry import build_empty, installed_entry
from noncoder.runs.folder import PredictorFolder


class PredictorError(NoncoderError):
    """A predictor's folder is missing, damaged or belongs to another model."""


def build_described(
    description: Mapping[str, Any], folder: PredictorFolder, source: str | Path | None
) -> SequenceModel:
    """Builds the model that a folder describes, without its weights.

    Runs no file that the user has not named, now or before.

    Args:
        description: The content of model.json.
        folder: The folder.
        source: A Python file that the user names for it.

    Raises:
        NoncoderError: No such model exists, or its source is missing, has changed, or was never named.
    """
    name, tasks, window = str(description["model"]), len(description["tasks"]), int(description["window"])
    if "source" not in description and "package" not in description and not is_file_name(name):
        return build_empty(installed_entry(name), tasks, window, description["parameters"])
    try:
        if "package" in description:
            entry = _installed(name, description, folder)
        else:
            named = [Path(source)] if source is not None else offered_sources()
            entry = file_entry(_find_source(description["source"], folder, named))
        return build_empty(entry, tasks, window, description["parameters"])
    except InputError as error:
        raise PredictorError(f"{folder.path}: {error.found}", error.expected, error.hint) from error


def _installed(name: str, description: Mapping[str, Any], folder: PredictorFolder) -> Entry:
    package = description["package"]
    try:
        entry = installed_entry(name)
    except UnknownNameError:
        raise PredictorError(
            f"the model {name!r} of the predictor in {folder.path} comes from a package that is not installed",
            expected=f"the package {package['name']}, version {package['version']} in training",
            hint="install it, if you trust it",
        ) from None
    if entry.origin is None:
        raise InputError(f"the model {name!r} is built in here", f"the package {package['name']}, as in training")
    entry.origin.check(description)
    return entry


def _find_source(stated: Mapping[str, Any], folder: PredictorFolder, named: Sequence[Path]) -> ModelSource:
    """Returns the source of a model as in training: the matching one of the named files, else the folder's copy."""
    file, path, attribute = (str(stated[key]) for key in ("file", "path", "class"))
    for place in named or [folder.source]:
        try:
            found = ModelSource(file, path, attribute, read_source(place))
            found.check({"source": stated})
        except InputError as error:
            problem = error
            continue
        if named:
            note_named(found.sha256, place)
        elif not is_named(found.sha256):
            raise PredictorError(
                f"the model of {folder.path} is {attribute} in {file}, a file that you have not named before",
                expected="a file that you have read and trust; a predictor never runs code by itself",
                hint=_ways(place),
            )
        return found
    if named:
        raise PredictorError(
            f"{named[0]} is not the source of the model in {folder.path}: {problem.found}",
            expected=f"{file} as it was in training, SHA-256 {stated['sha256']}",
            hint=f"a copy of it should be {folder.source}; or train again",
        )
    raise PredictorError(
        f"the source of the model in {folder.path} is missing or changed: {problem.found}",
        expected=f"{file} as it was in training ({path}), SHA-256 {stated['sha256']}",
        hint=_ways(Path("FILE")),
    )


def _ways(place: Path) -> str:
    return f"--model-source {place}, or noncoder.load(…, source={str(place)!r})"
