"""The files of a run's interpretation; each may be missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from noncoder.files import check_file, read_arrays, read_json, unreadable
from noncoder.runs.folder import InterpretFolder, TaskFolder
from noncoder.runs.results import FilterResult, PatternResult

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TaskFiles:
    """The results of one task; a missing or unread result is None.

    Args:
        name: The task.
        folder: Name of its folder.
        summary: Content of summary.json.
        attributions: "codes" (n, L), "values" (n, 4, L), "chrom", "start", "logit" and "row" (n,), and "on_genome" ().
        gradcam: "cam" (n, L) and "layer".
        mutations: "codes" (k, L), "substitutions" (k, 4, L), "index" (k,), rows of the attributions.
        patterns: Content of patterns.json.
        grammar: Content of grammar.json.
        design: Content of design.json.
    """

    name: str
    folder: str
    summary: dict[str, Any] | None
    attributions: Arrays | None
    gradcam: Arrays | None
    mutations: Arrays | None
    patterns: list[PatternResult] | None
    grammar: dict[str, Any] | None
    design: dict[str, Any] | None


@dataclass(frozen=True)
class Interpretation:
    """The content of a run's folder "interpret".

    Args:
        summary: Content of summary.json; empty if it is missing.
        tasks: The tasks, in the order of the summary; without a summary, every folder by name.
        filters: Content of filters.json; None if it is missing.
    """

    summary: dict[str, Any]
    tasks: list[TaskFiles]
    filters: list[FilterResult] | None


def read_interpretation(folder: InterpretFolder, drawn: int) -> Interpretation | None:
    """Reads the files of an interpretation; None if there are none.

    Args:
        folder: The run's folder "interpret".
        drawn: Number of tasks whose arrays, which take megabytes, are read.

    Raises:
        InputError: A file cannot be read, or has another form.
    """
    summary = read_json(folder.summary)
    if summary is None and not folder.tasks.is_dir():
        return None
    listed = (summary or {}).get("tasks")
    if listed is None:
        listed = [{"folder": path.name} for path in sorted(folder.tasks.iterdir()) if path.is_dir()]
    with as_written(folder.summary):
        tasks = [
            _read_task(folder.task(entry["folder"]), entry.get("task"), i < drawn) for i, entry in enumerate(listed)
        ]
    check_file(folder.filters.filters, ((summary or {}).get("filters") or {}).get("digests"))
    return Interpretation(summary or {}, tasks, FilterResult.read_list(folder.filters.filters))


@contextmanager
def as_written(path: Path) -> Iterator[None]:
    """Reports errors in the content of a file as damage, or as another version's format."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise unreadable(path, f"{error!r}: it differs from what this version writes") from error


def _read_task(folder: TaskFolder, name: str | None, with_arrays: bool) -> TaskFiles:
    def arrays(path: Path, shapes: Mapping[str, str]) -> Arrays | None:
        return _read_arrays(path, shapes) if with_arrays else None

    summary = read_json(folder.summary)
    digests = (summary or {}).get("digests") or {}
    for file in digests:
        if with_arrays or not file.endswith(".npz"):
            check_file(folder.path / file, digests)
    found = TaskFiles(
        name or (summary or {}).get("task") or folder.path.name,
        folder.path.name,
        summary,
        arrays(folder.attributions, {"codes": "nl", "values": "n4l", "logit": "n"}),
        arrays(folder.gradcam, {"cam": "nl"}),
        arrays(folder.mutations, {"codes": "nl", "substitutions": "n4l", "index": "n"}),
        PatternResult.read_list(folder.patterns),
        read_json(folder.grammar),
        read_json(folder.design),
    )
    _check_together(folder, found)
    return found


def _check_together(folder: TaskFolder, found: TaskFiles) -> None:
    if found.attributions is None:
        return
    shape = found.attributions["codes"].shape
    if found.gradcam is not None and found.gradcam["cam"].shape != shape:
        raise unreadable(folder.gradcam, f"it has other windows than {folder.attributions.name}")
    if found.mutations is not None:
        index = found.mutations["index"]
        if found.mutations["codes"].shape[1:] != shape[1:] or (
            index.size and not 0 <= index.min() <= index.max() < shape[0]
        ):
            raise unreadable(folder.mutations, f"it has other windows than {folder.attributions.name}")


def _read_arrays(path: Path, shapes: Mapping[str, str]) -> Arrays | None:
    """Reads the arrays of an .npz file; in shapes, equal letters are equal sizes, and a digit is itself."""
    if not path.is_file():
        return None
    arrays = read_arrays(path)
    sizes: dict[str, int] = {}
    for name, letters in shapes.items():
        if name not in arrays:
            raise unreadable(path, f"{name} is missing")
        shape = arrays[name].shape
        wanted = [int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
                  for letter, size in zip(letters, shape, strict=False)]  # fmt: skip
        if len(shape) != len(letters) or list(shape) != wanted:
            raise unreadable(path, f"{name} has the shape {shape}")
    return arrays
