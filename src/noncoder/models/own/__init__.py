"""A user's own models: a class in a Python file or in an installed package.

`source` reads files and records which files the user has named, `packages` finds entry points, `settings` derives a
model's settings from a signature, and `adapter` turns a plain `nn.Module` into a model and tests it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import nn

from noncoder.config import Section
from noncoder.errors import InputError, did_you_mean
from noncoder.models.base import Entry, ModelOrigin, SequenceModel
from noncoder.models.own.adapter import adapt, explained
from noncoder.models.own.packages import Package, load_from_package, package_models
from noncoder.models.own.settings import CONTRACT, settings_of, takes_config
from noncoder.models.own.source import (
    FORM,
    ModelSource,
    is_file_name,
    is_named,
    name_source,
    note_named,
    offered_sources,
    offering,
    read_source,
    source_digest,
)


def file_entry(source: ModelSource) -> Entry:
    """Runs a Python file and returns its model. The caller makes sure that the user has named the file.

    Raises:
        InputError: The file fails, or has no such class or function of the right signature.
    """
    module = _run(source)
    target = getattr(module, source.attribute, None)
    if target is None:
        known = [name for name, value in vars(module).items() if _is_candidate(value, module)]
        raise InputError(
            f"{source.file} has no {source.attribute!r}",
            expected=f"one of {', '.join(known)}" if known else CONTRACT,
            hint=did_you_mean(source.attribute, known),
        )
    return _entry(target, source.name, source.file, source)


def package_entry(name: str) -> Entry | None:
    """Returns the model of an installed package; None if no package registers the name.

    Raises:
        InputError: The package cannot be imported, or its class does not have the right signature.
    """
    found = load_from_package(name)
    if found is None:
        return None
    target, package = found
    return _entry(target, name, f"package {package.name} {package.version}", package)


def _entry(target: Any, name: str, source: str, origin: ModelOrigin) -> Entry:
    if not callable(target):
        raise InputError(f"{name} is a {type(target).__name__}", expected=CONTRACT)
    about = (target.__doc__ or "").strip().partition("\n")[0]
    return Entry(name, _builder(target, name, origin), settings_of(target, name), about, source, origin)


def _builder(target: Callable[..., Any], name: str, origin: ModelOrigin) -> Callable[[int, int, Any], SequenceModel]:
    def build(tasks: int, window: int, config: Section) -> SequenceModel:
        given = {"config": config} if takes_config(target) else dict(config)
        with explained(f"{name} cannot be built", name):
            network = target(tasks=tasks, window=window, **given)
        model = adapt(network, name, tasks, window, config)
        model.origin = origin
        return model

    return build


def _run(source: ModelSource) -> ModuleType:
    name = f"noncoder_own_{source.sha256[:16]}"
    if name not in sys.modules:  # a file runs once, however many copies of it there are
        module = ModuleType(name)
        module.__file__ = source.path
        sys.modules[name] = module  # dataclasses and annotations are resolved there
        try:
            with explained(f"{source.file} cannot be run", f"{source.file}:"):
                exec(compile(source.content, source.file, "exec"), module.__dict__)
        except InputError:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _is_candidate(value: Any, module: ModuleType) -> bool:
    own = getattr(value, "__module__", None) == module.__name__
    return own and (inspect.isfunction(value) or (inspect.isclass(value) and issubclass(value, nn.Module)))


__all__ = [
    "FORM",
    "ModelSource",
    "Package",
    "file_entry",
    "is_file_name",
    "is_named",
    "name_source",
    "note_named",
    "offered_sources",
    "offering",
    "package_entry",
    "package_models",
    "read_source",
    "source_digest",
]
