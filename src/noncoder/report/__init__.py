"""Turns a run's folder into one HTML file that needs nothing but a browser: no network and no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader

from noncoder.bars import progress_bar
from noncoder.errors import InputError, UnknownNameError
from noncoder.files import read_json, unreadable, write_bytes
from noncoder.kinds import is_no_run, mistaken
from noncoder.report.data_section import data_section, training_section
from noncoder.report.evaluation_section import split_section
from noncoder.report.format import FILTERS
from noncoder.report.interpretation_section import learned_section
from noncoder.report.paired_section import paired_section
from noncoder.report.run_files import read_csv, read_splits
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import TrainingSummary


def write_report(run: Path, out: Path | None = None, tasks: Sequence[str] = (), title: str = "") -> Path:
    """Writes a run's report as one HTML file; the report says what the run lacks.

    Args:
        run: The run's folder.
        out: The file; by default report.html in the run's folder.
        tasks: Tasks whose curves are drawn first; by default the best, the median and the last by average precision.
        title: The heading; by default the run's name.

    Returns:
        The file.

    Raises:
        InputError: There is no such folder, or one of its files cannot be read.
        UnknownNameError: A task is in no evaluated split.
    """
    run = Path(run)
    if is_no_run(run):
        found, hint = mistaken(run, "run", "train first: `noncoder train RECIPE`")
        raise InputError(found, expected="a run's folder", hint=hint)
    folder = RunFolder(run)
    splits = read_splits(folder.evaluate)
    known = {name for split in splits if split.tasks is not None for name in split.tasks["task"]}
    for name in tasks:
        if known and name not in known:
            raise UnknownNameError("task", name, known)
    train = TrainingSummary.read(folder.train.summary)
    try:
        data = data_section(read_json(folder.explore))
    except (KeyError, TypeError) as error:
        raise unreadable(folder.explore, f"{error} differs from what this version writes") from error
    with progress_bar(total=len(splits) + 2, desc="drawing the report", unit="part") as bar:
        training = training_section(folder.train, train)
        bar.update()
        sections = []
        for split in splits:
            sections.append(split_section(split, tasks))
            bar.update()
        learned = learned_section(folder)
        bar.update()
    return render(
        "page.html.j2",
        out or folder.report,
        title=title or run.resolve().name,
        recipe=folder.recipe.read_text() if folder.recipe.is_file() else None,
        whole=True,
        data=data,
        train=train,
        training=training,
        splits=sections,
        learned=learned,
    )


def write_exploration(stats: Mapping[str, Any], out: Path, title: str = "") -> Path:
    """Writes the statistics of a store as one HTML file.

    Args:
        stats: Result of `noncoder.data.explore.explore`.
        out: The file.
        title: The heading; by default the store's name.

    Returns:
        The file.
    """
    return render("page.html.j2", out, title=title or stats["store"]["name"], whole=False, data=data_section(stats))


def render(template: str, out: Path, **values: Any) -> Path:
    """Writes a page from a template; all templates share the style of this folder.

    Args:
        template: File name of the template.
        out: The file.
        values: Values for the template.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=ChainableUndefined,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= FILTERS
    page = environment.get_template(template).render(**values)
    write_bytes(out, page.encode())
    return out


__all__ = ["paired_section", "read_csv", "read_splits", "render", "write_exploration", "write_report"]
