"""The results of finished trials in `finished.json`, beside the database, which has no checksums."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noncoder.errors import InputError, NoncoderError
from noncoder.files import read_json_or_none, write_json
from noncoder.runs.folder import StudyFolder

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


def write_record(study: Study, folder: Path) -> None:
    """Writes the results of the finished trials."""
    done = {
        str(trial.number): _values(trial) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()
    }
    write_json(StudyFolder(folder).finished, {"study": study.study_name, "trials": done})


def check_record(study: Study, folder: Path) -> None:
    """Compares the trials of a resumed study with the stored results.

    Raises:
        InputError: A trial is missing or differs.
    """
    record = read_json_or_none(StudyFolder(folder).finished) or {}
    if record.get("study") != study.study_name:
        return
    now = {str(trial.number): trial for trial in study.get_trials(deepcopy=False)}
    for number, values in record.get("trials", {}).items():
        if number not in now or _values(now[number]) != values:
            raise damaged(f"trial {number} differs from {StudyFolder(folder).finished}")


@contextmanager
def whole_database(path: Path) -> Iterator[None]:
    """Reports errors of a study's own database, if it has one, as damage.

    Raises:
        InputError: It is damaged.
    """
    there = path.is_file()
    try:
        if there:
            with closing(sqlite3.connect(path)) as database:
                (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise damaged(" ".join(str(found).split()))
        yield
    except NoncoderError:
        raise
    except Exception as error:  # Optuna's parsers may raise any error on a wrong cell
        if not there:
            raise
        raise damaged(f"{type(error).__name__} when reading it") from error


def damaged(why: str) -> InputError:
    """Returns the error for a study's database whose content has changed."""
    return InputError(
        f"the study's database is damaged: {why}", hint="restore a copy of study.db, or start again with --force"
    )


def _values(trial: FrozenTrial) -> list[Any]:
    value = trial.value if trial.value is None else float(trial.value)
    curve = {str(step): float(score) for step, score in sorted(trial.intermediate_values.items())}
    return [trial.state.name, value, dict(sorted(trial.params.items())), curve]
