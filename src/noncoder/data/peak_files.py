"""Finds peak files, names their tasks, and reads sheets that list them."""

from __future__ import annotations

import glob
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from noncoder.data.bed import read_bytes
from noncoder.data.bed_text import plain_text
from noncoder.data.tasks import Task, check_names
from noncoder.errors import InputError

# A suffix that fewer files than this share distinguishes them, so it stays in the name.
_SHARED_BY = 0.9
_ENDINGS = re.compile(r"(\.(bed\d*|(narrow|broad|gapped|region)Peak|xls|txt|tsv|gz|bgz))+$", re.IGNORECASE)
_SHEET_COLUMNS = ("path", "name", "group", "cell", "assay", "treatment")


def find_peak_files(patterns: Sequence[str]) -> tuple[list[Path], list[Task]]:
    """Expands patterns to peak files, sorted, and names a task after each.

    Raises:
        InputError: A pattern matches no file, or two files give one name.
    """
    paths: list[Path] = []
    for pattern in patterns:
        literal = Path(pattern)
        found = [literal] if literal.is_file() else map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207
        matched = sorted(found)
        if not matched:
            raise InputError(
                f"no file matches {pattern!r}", expected="peak files",
                hint=f"paths are relative to {Path.cwd()}; quote a pattern with *",
            )  # fmt: skip
        paths += matched
    names = task_names(paths)
    for path, name in zip(paths, names, strict=True):
        if not name:
            told = f"the name of {path} is only a suffix, so its task has no name"
            raise InputError(told, hint="rename it, or give a task sheet (--tasks)")
    check_names(names)
    return paths, [Task(name) for name in names]


def task_names(paths: Sequence[Path]) -> list[str]:
    """Names each file by its file name without format suffixes and without a suffix that nearly all files share."""
    stems = [_ENDINGS.sub("", path.name) for path in paths]
    endings = Counter(match[0] for stem in stems if (match := re.search(r"[._-][^._-]+$", stem)))
    if len(stems) < 2 or not endings:
        return stems
    ending, count = endings.most_common(1)[0]
    short = [stem.removesuffix(ending) for stem in stems]
    return short if count >= _SHARED_BY * len(stems) and len(set(short)) == len(set(stems)) else stems


def read_task_sheet(path: Path) -> tuple[list[Path], list[Task]]:
    """Reads a sheet of peak files; paths are relative to the sheet's folder.

    Raises:
        InputError: A column is missing or unknown, a file is missing, or a name occurs twice.
    """
    rows = read_sheet(path, ("path", "name"))
    paths = [path.parent / row.pop("path") for row in rows]
    return paths, [Task(**row) for row in rows]


def read_tasks(path: Path) -> list[Task]:
    """Reads the tasks of a sheet, with or without peak files, in their order.

    Raises:
        InputError: A column is missing or unknown, or a name occurs twice.
    """
    rows = read_sheet(path, ("name",))
    return [Task(**{column: value for column, value in row.items() if column != "path"}) for row in rows]


def read_sheet(path: Path, needed: Sequence[str], also: Sequence[str] = ()) -> list[dict[str, str]]:
    """Reads the rows of a task sheet, each with the sheet's columns.

    Args:
        path: The sheet: TSV.
        needed: Required columns.
        also: Optional columns besides path, name, group, cell, assay and treatment.

    Raises:
        InputError: It is not a task sheet, a column is missing or unknown, or a name occurs twice.
    """
    known = (*_SHEET_COLUMNS, *also)
    expected = "a header and one row per task, UTF-8 text separated by tabs"
    try:
        text = _sheet_text(plain_text(path, read_bytes(path), expected).decode(), needed, known)
        table = pl.read_csv(io.StringIO(text), separator="\t", infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a task sheet: {str(error).splitlines()[0]}", expected=expected) from error
    unknown = [column for column in table.columns if column not in known]
    if unknown or not set(needed) <= set(table.columns):
        raise InputError(
            f"{path} has the columns {', '.join(table.columns)}",
            expected=f"{' and '.join(needed)}, and any of {', '.join([*also, *known[2:6]])}; separated by tabs",
        )
    rows = table.fill_null("").to_dicts()
    if not rows:
        raise InputError(f"{path} lists no task", expected="one row per task under the header")
    check_names([row["name"] for row in rows])
    return rows


def _sheet_text(text: str, needed: Sequence[str], known: Sequence[str]) -> str:
    """Removes comments, empty lines, blanks around fields and tabs at line ends; a header may start with "#"."""
    lines: list[str] = []
    for line in text.split("\n"):
        fields = [field.strip() for field in line.split("\t")]
        names = [fields[0].lstrip("# "), *fields[1:]]
        if not lines and set(needed) <= set(names) <= {*known, ""}:
            fields = names
        if any(fields) and not fields[0].startswith("#"):
            lines.append("\t".join(fields).rstrip("\t"))
    return "".join(f"{line}\n" for line in lines)


def read_aliases(path: Path) -> dict[str, str]:
    """Reads a table of chromosome aliases: the peaks' name, a tab, the genome's name.

    Raises:
        InputError: A line does not have two columns, or a name occurs twice.
    """
    expected = "the peaks' name, a tab, the genome's"
    aliases: dict[str, str] = {}
    text = plain_text(path, read_bytes(path), expected).decode("utf-8", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        parts = line.rstrip().split("\t") if "\t" in line.strip() else line.split()
        fields = [field.strip().strip('"') for field in parts]
        if not fields or not any(fields) or fields[0].startswith("#"):
            continue
        if len(fields) != 2 or not all(fields):
            raise InputError(f"{path}, line {number}: {line[:80]!r}", expected=expected)
        if aliases.get(fields[0], fields[1]) != fields[1]:
            raise InputError(
                f"{path}, line {number}: {fields[0]!r} is given a second name", expected="one name for each"
            )
        aliases[fields[0]] = fields[1]
    return aliases
