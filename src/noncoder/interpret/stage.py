"""The interpretation of a run: tasks that were looked into in the same way before are read, not looked into again."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from noncoder.config import InterpretConfig
from noncoder.data.bed import sha256
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.files import read_json, write_json
from noncoder.interpret.choosing import Scored, Windows, choose_tasks, positive_windows, score_split, windows_from
from noncoder.interpret.job import Job
from noncoder.interpret.kernels import interpret_filters
from noncoder.interpret.layers import find_layer
from noncoder.interpret.motifs import load_database
from noncoder.interpret.task import interpret_task
from noncoder.machine import needing_memory
from noncoder.predictor import Predictor

# Rises when the files of an interpretation change; those of an earlier version are made anew.
_FORMAT = 1
# Which tasks, how fast, and in which pictures; nothing of what is found.
_ASIDE = {"tasks", "batch_size", "figures", "filters", "regions", "sequences"}


@dataclass
class InterpretationStage:
    """The folder interpret/ of a run.

    Args:
        folder: That folder.
        predictor: The trained model.
        store: The dataset; None where sequences are given.
        config: What is done.
        force: Do again what was done before.
    """

    folder: Path
    predictor: Predictor
    store: Store | None
    config: InterpretConfig
    force: bool = False

    def interpret(self, logits: Path | None = None, preferred: Sequence[str] = ()) -> dict[str, Any]:
        """The summary of the folder, after the tasks that were asked for have been looked into.

        Args:
            logits: The predictor's logits of the split by which tasks are judged, where they were computed before.
            preferred: Tasks that are looked into where the settings name none.

        Returns:
            What summary.json holds: "tasks" with the name and folder of each that was ever looked into, "filters"; and
            "done" with the summaries of those that were asked for.

        Raises:
            InputError: There is nothing to look at, or a task was looked into in another way before.
            UnknownNameError: There is no such task.
        """
        if not self.config.windows:
            raise InputError(
                "0 windows to look at, as the recipe or --n says", expected="1 or more", hint="give --n 400"
            )
        given = windows_from(self.config, self.store, self.predictor.window)
        scored = None if self.store is None else score_split(self.predictor, self.store, logits, self.config.batch_size)
        columns = choose_tasks(self.predictor, self.config.tasks or preferred, scored)
        # What is wrong is told before anything that was found is let go.
        find_layer(self.predictor.model, self.config.layer)
        load_database(self.config.release, self.config.taxon)
        for column in columns:
            self._refuse(column)
        done: list[dict[str, Any]] = []
        try:
            for column in columns:
                done.append(self._task(column, given, scored))
            filters = self._filters(scored) if self.config.filters and scored is not None else None
        finally:
            # A task that cannot be looked into takes nothing from those that were.
            if done:
                write_json(self.folder / "summary.json", self._summary([Path(task["folder"]).name for task in done]))
        summary = self._summary([Path(task["folder"]).name for task in done], filters)
        write_json(self.folder / "summary.json", summary)
        return summary | {"done": done}

    def _refuse(self, column: int) -> None:
        folder = self.folder / "tasks" / self._folder_name(column)
        before = read_json(folder / "made-from.json")
        if self.force or not before or before == self._made_from or not (folder / "summary.json").is_file():
            return
        # What was found with weights that are gone is of no use to anyone; what was found in another way may be.
        if all(before.get(key) == self._made_from[key] for key in ("format", "weights")):
            raise InputError(
                f"{folder} was made in another way: {_changed(before, self._made_from)}",
                hint="`noncoder interpret --force` replaces it",
            )

    def _task(self, column: int, given: Windows | None, scored: Scored | None) -> dict[str, Any]:
        folder = self.folder / "tasks" / self._folder_name(column)
        same = read_json(folder / "made-from.json") == self._made_from and not self.force
        summary = read_json(folder / "summary.json")
        if same and summary is not None and self._drawn(summary):
            return summary
        if given is None:
            if self.store is None:
                raise InputError("there is no store to take windows from", hint="give --store, or --sequences FASTA")
            given = positive_windows(self.predictor, self.store, column, self.config)
        if not same:
            # What an earlier attempt at the same has left is gone on with; all else makes room.
            shutil.rmtree(folder, ignore_errors=True)
            write_json(folder / "made-from.json", self._made_from)
        job = Job(folder, self.predictor, column, given, scored, self.store, self.config)
        doing = f"interpreting {job.task} in batches of {self.config.batch_size} windows"
        with needing_memory(doing, f"a lower --batch-size (interpret.batch_size) than {self.config.batch_size}"):
            return interpret_task(job)

    def _drawn(self, summary: Mapping[str, Any]) -> bool:
        """Whether there are pictures in all formats that are asked for."""
        found = {Path(name).suffix[1:] for name in summary["files"] if name.startswith("figures/")}
        return found >= set(self.config.figures)

    def _folder_name(self, column: int) -> str:
        """A name that any file system takes, another one for each task, method and source of windows."""
        name = self.predictor.tasks[column].name
        plain = _plain(name)
        others = [task.name for task in self.predictor.tasks if task.name.casefold() == name.casefold()]
        mark = "" if plain == name and len(others) == 1 else f"-{column}"
        source = self.config.regions or self.config.sequences
        return f"{plain}{mark}.{self.config.method}" + (f".{_plain(source.name)}" if source else "")

    def _filters(self, scored: Scored) -> dict[str, Any]:
        folder = self.folder / "filters"
        made_from = self._filters_made_from
        before, summary = read_json(folder / "made-from.json"), read_json(folder / "summary.json")
        if before == made_from and summary is not None and not self.force:
            return summary
        shutil.rmtree(folder, ignore_errors=True)
        print("interpret the first convolution", file=sys.stderr, flush=True)
        summary = interpret_filters(folder, self.predictor, scored, self.config)
        write_json(folder / "summary.json", summary)
        write_json(folder / "made-from.json", made_from)
        return summary

    @property
    def _filters_made_from(self) -> dict[str, Any]:
        kept = {key: self._made_from[key] for key in ("format", "weights", "store")}
        return kept | {"release": self.config.release, "taxon": self.config.taxon}

    def _summary(self, first: Sequence[str], filters: dict[str, Any] | None = None) -> dict[str, Any]:
        if (
            filters is None
            and (read_json(self.folder / "filters" / "made-from.json") or {}).get("weights")
            == self._made_from["weights"]
        ):
            filters = read_json(self.folder / "filters" / "summary.json")
        tasks = []
        place = {name: i for i, name in enumerate(first)}
        found = (self.folder / "tasks").glob("*/summary.json")
        for path in sorted(found, key=lambda path: (place.get(path.parent.name, len(place)), path)):
            made = read_json(path.with_name("made-from.json")) or {}
            summary = read_json(path)
            if summary and made.get("weights") == self._made_from["weights"] and made.get("format") == _FORMAT:
                tasks.append({"task": summary["task"], "method": summary["method"], "folder": path.parent.name})
        return {
            "format": _FORMAT,
            "method": self.config.method,
            "split": self.config.split,
            "database": {"release": self.config.release, "taxon": self.config.taxon},
            "tasks": tasks,
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
            "config": self.config.model_dump(mode="json", exclude=_ASIDE),
            "store": None if self.store is None else self.store.digest,
            "weights": self.predictor.digest(),
            **files,
        }


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name, flags=re.ASCII).strip("._")[:60]


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    then = before.get("config", {})
    told = [
        f"{key} was {json.dumps(then.get(key))}, now {json.dumps(value)}"
        for key, value in now["config"].items()
        if then.get(key) != value
    ]
    told += [f"the file of {key} has changed" for key in ("regions", "sequences") if before.get(key) != now.get(key)]
    told += ["the store was another"] if before.get("store") != now["store"] else []
    return "; ".join(told)
