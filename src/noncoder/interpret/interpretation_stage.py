"""The interpretation of a run. Results of tasks that were interpreted with the same settings are reused."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from noncoder.config import InterpretConfig
from noncoder.data.bed import sha256
from noncoder.data.store import Store
from noncoder.errors import InputError, NoncoderError
from noncoder.files import changed_file, file_digests, read_json_or_none, write_json
from noncoder.interpret.choosing import ChosenWindows, Scored, choose_tasks, positive_windows, score_split, windows_from
from noncoder.interpret.job import Job
from noncoder.interpret.kernels import interpret_filters
from noncoder.interpret.layers import find_layer
from noncoder.interpret.motifs import load_database
from noncoder.interpret.task import interpret_task
from noncoder.machine import needing_memory
from noncoder.predictor import Predictor
from noncoder.runs.folder import FiltersFolder, InterpretFolder, TaskFolder
from noncoder.runs.record import Record
from noncoder.temporary import remove_whole

# Increased when the files of an interpretation or their definitions change; earlier results are then made again.
_FORMAT = 3
# Settings that select tasks, speed and figure formats; they do not change results.
_ASIDE = {"tasks", "batch_size", "figures", "filters", "regions", "sequences"}


@dataclass
class InterpretationStage:
    """The folder interpret/ of a run.

    Args:
        folder: That folder.
        predictor: The trained model.
        store: The dataset; None if sequences are given.
        config: Settings of the interpretation.
        force: Repeat finished steps.
    """

    folder: InterpretFolder
    predictor: Predictor
    store: Store | None
    config: InterpretConfig
    force: bool = False

    def interpret(self, logits: Path | None = None, preferred: Sequence[str] = ()) -> dict[str, Any]:
        """Interprets the requested tasks, and returns the summary of the folder.

        Args:
            logits: File of the predictor's logits of the split in which tasks are ranked, if it exists.
            preferred: Tasks to interpret if the settings name none.

        Returns:
            The content of summary.json: "tasks" with the name and folder of each task interpreted so far, and
            "filters"; also "done" with the summaries of the requested tasks, and "skipped" with "task" and reason
            ("why") of those that could not be interpreted; the task is None for the filters.

        Raises:
            NoncoderError: There is nothing to interpret, or none of the tasks can be interpreted.
            InputError: Earlier results were made with other settings.
            UnknownNameError: There is no such task.
        """
        if not self.config.windows:
            raise InputError(
                "the recipe or --windows asks for 0 windows", expected="1 or more", hint="give --windows 400"
            )
        given = windows_from(self.config, self.store, self.predictor.window)
        scored = None if self.store is None else score_split(self.predictor, self.store, logits, self.config.batch_size)
        columns = choose_tasks(self.predictor, self.config.tasks or preferred, scored)
        # Validate everything before deleting earlier results.
        find_layer(self.predictor.model, self.config.layer)
        load_database(self.config.release, self.config.taxon)
        for column in columns:
            self._refuse(column)
        done: list[dict[str, Any]] = []
        skipped: list[dict[str, str | None]] = []
        filters, first = None, None
        try:
            for column in columns:
                try:
                    done.append(self._task(column, given, scored))
                except NoncoderError as error:
                    first = first or error
                    skipped.append({"task": self.predictor.tasks[column].name, "why": error.found})
            if first is not None and not done:
                raise first
            if self.config.filters and scored is not None:
                try:
                    filters = self._filters(scored)
                except NoncoderError as error:
                    skipped.append({"task": None, "why": error.found})
        finally:
            # Earlier results are listed whatever happens afterwards.
            if done:
                write_json(self.folder.summary, self._summary(done, skipped, filters))
        return self._summary(done, skipped, filters) | {"done": done}

    def _refuse(self, column: int) -> None:
        folder = self.folder.task(self._folder_name(column))
        record = Record(folder.made_from, self._made_from)
        if self.force or record.is_same() or not folder.summary.is_file():
            return
        # Results for weights that no longer exist are useless; results with other settings may still be wanted.
        if record.is_same("format", "weights"):
            raise InputError(
                f"{folder.path} was made with other settings: {record.differences()}",
                hint="`noncoder interpret --force` replaces it",
            )

    def _task(self, column: int, given: ChosenWindows | None, scored: Scored | None) -> dict[str, Any]:
        folder = self.folder.task(self._folder_name(column))
        record = Record(folder.made_from, self._made_from)
        same = record.is_same() and not self.force
        summary = read_json_or_none(folder.summary)
        if summary is not None and not {"task", "method", "files"} <= set(summary):
            print(f"{folder.summary} belongs to other weights or settings; it is made again", file=sys.stderr)
            summary = None
        if same and summary is not None and self._drawn(summary) and _is_whole(folder.path, summary):
            return summary
        if given is None:
            if self.store is None:
                raise InputError("there is no store to take windows from", hint="give --store, or --sequences FASTA")
            given = positive_windows(self.predictor, self.store, column, self.config)
        if not same:
            # Files of an interrupted attempt with the same settings are reused; all others are removed.
            remove_whole(folder.path)
            record.write()
        job = Job(folder, self.predictor, column, given, scored, self.store, self.config)
        doing = f"interpreting {job.task} in batches of {self.config.batch_size} windows"
        with needing_memory(doing, f"a lower --batch-size (interpret.batch_size) than {self.config.batch_size}"):
            return interpret_task(job)

    def _drawn(self, summary: Mapping[str, Any]) -> bool:
        """Whether there are figures in all requested formats."""
        found = {Path(name).suffix[1:] for name in summary["files"] if name.startswith("figures/")}
        return found >= set(self.config.figures)

    def _folder_name(self, column: int) -> str:
        """A folder name for any file system, unique for each task, method and source of windows."""
        source = self.config.regions or self.config.sequences
        name = f"{self._folder_names[column]}.{self.config.method}"
        return name + (f".{_plain(source.name)}" if source else "")

    @cached_property
    def _folder_names(self) -> list[str]:
        return folder_names([task.name for task in self.predictor.tasks])

    def _filters(self, scored: Scored) -> dict[str, Any]:
        folder = self.folder.filters
        kept = {key: self._made_from[key] for key in ("format", "weights", "store")}
        record = Record(folder.made_from, kept | {"release": self.config.release, "taxon": self.config.taxon})
        summary = read_json_or_none(folder.summary)
        if summary is not None and record.is_same() and not self.force and _is_whole(folder.path, summary):
            return summary
        remove_whole(folder.path)
        print("interpret the first convolution", file=sys.stderr, flush=True)
        summary = interpret_filters(folder, self.predictor, scored, self.config)
        summary["digests"] = file_digests([folder.filters])
        write_json(folder.summary, summary)
        record.write()
        return summary

    def _summary(
        self, done: Sequence[Mapping[str, Any]], skipped: Sequence[Mapping[str, Any]], filters: dict[str, Any] | None
    ) -> dict[str, Any]:
        if filters is None and Record(self.folder.filters.made_from, self._made_from).is_same("weights"):
            filters = read_json_or_none(self.folder.filters.summary)
        tasks = []
        place = {Path(task["folder"]).name: i for i, task in enumerate(done)}
        there = sorted(self.folder.all_tasks(), key=lambda one: (place.get(one.path.name, len(place)), one.path))
        for folder in there:
            summary = read_json_or_none(folder.summary, "the task is left out of the list")
            current = Record(folder.made_from, self._made_from).is_same("weights", "format")
            if summary and current and {"task", "method"} <= set(summary):
                tasks.append({"task": summary["task"], "method": summary["method"], "folder": folder.path.name})
        return {
            "format": _FORMAT,
            "method": self.config.method,
            "split": self.config.split,
            "database": {"release": self.config.release, "taxon": self.config.taxon},
            "tasks": tasks,
            "skipped": list(skipped),
            "filters": filters,
        }

    @cached_property
    def _made_from(self) -> dict[str, Any]:
        files = {
            name: sha256(path)
            for name, path in (("regions", self.config.regions), ("sequences", self.config.sequences))
            if path is not None
        }
        return {
            "format": _FORMAT,
            "interpret": self.config.model_dump(mode="json", exclude=_ASIDE),
            "store": None if self.store is None else self.store.digest,
            "weights": self.predictor.digest(),
            **files,
        }


def folder_names(names: Sequence[str]) -> list[str]:
    """Returns a unique name for each task that any file system accepts, including those that ignore case.

    It is the task's name if possible, else the name without special characters, and the task's number.

    Args:
        names: The names of all tasks.
    """
    plain = [_plain(name) for name in names]
    often = Counter(name.casefold() for name in names)
    own = [one == name and often[name.casefold()] == 1 for one, name in zip(plain, names, strict=True)]
    taken = {name.casefold() for name, its_own in zip(names, own, strict=True) if its_own}
    found = []
    for i, name in enumerate(plain):
        if not own[i]:
            name = f"{name or 'task'}-{i}"
            while name.casefold() in taken:
                name += "+"
            taken.add(name.casefold())
        found.append(name)
    return found


def note_skipped(folder: InterpretFolder, why: str, weights: str) -> None:
    """Records in the summary of an interpretation that nothing further could be interpreted.

    Earlier results of the same weights stay in it.

    Args:
        folder: The folder interpret/ of a run.
        why: The reason.
        weights: The digest of the predictor.
    """

    def current(part: TaskFolder | FiltersFolder) -> bool:
        return Record(part.made_from, {"weights": weights}).is_same("weights")

    summary = read_json_or_none(folder.summary) or {"format": _FORMAT, "tasks": [], "filters": None}
    kept = {
        "tasks": [task for task in summary["tasks"] if current(folder.task(task["folder"]))],
        "skipped": [{"task": "the tasks", "why": why}],
        "filters": summary["filters"] if current(folder.filters) else None,
    }
    write_json(folder.summary, summary | kept)


def _is_whole(folder: Path, summary: Mapping[str, Any]) -> bool:
    changed = changed_file(folder, summary.get("digests"))  # summaries of earlier versions have no digests
    if changed is not None:
        print(f"{changed} is missing or has changed; it is made again", file=sys.stderr)
    return changed is None


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name, flags=re.ASCII).strip("._-")[:60]
