"""Peak files: BED, narrowPeak and broadPeak, plain or gzipped, and the sheets that list them."""

from __future__ import annotations

import codecs
import glob
import gzip
import hashlib
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.data.tasks import Task, check_names
from noncoder.errors import InputError

_COMMENT = re.compile(rb"^(?:#|track\b|browser\b|\s*$).*\n?", re.MULTILINE)
_HEADER = re.compile(rb"^(?:[^\t\n]*\t\s*[A-Za-z_]\w*\s*\t\s*[A-Za-z_]\w*|[^\s]+[ ]+[A-Za-z_]\w*[ ]+[A-Za-z_]\w*)")
# A line that _COMMENT takes begins with one of these letters.
_COMMENT_STARTS = np.frombuffer(b"#tb \t\r\n", dtype=np.uint8)
_WHOLE_NUMBER = re.compile(r"\s*-?[0-9]{1,18}\s*")
# Shared by fewer files than this, an ending of a file's name tells the files apart.
_SHARED_BY = 0.9
_NARROW_PEAK_COLUMNS = 10


@dataclass(frozen=True)
class Peaks:
    """The intervals of one peak file, 0-based and half-open, in the file's order.

    Args:
        path: The file.
        chroms: Its chromosome names.
        chrom: Which of them each peak lies on, (n,).
        start: (n,).
        end: (n,).
        summit: The peak's highest base, else its midpoint, (n,).
    """

    path: Path
    chroms: tuple[str, ...]
    chrom: NDArray[np.int32]
    start: NDArray[np.integer]
    end: NDArray[np.integer]
    summit: NDArray[np.integer]


def read_bed(path: str | Path) -> Peaks:
    """Reads a peak file; comments, track lines and a header line are passed over.

    The summit is the tenth column of a narrowPeak file (an offset from the start) where it is not -1, else the
    midpoint, the right one of two.

    Raises:
        InputError: The file is missing, binary or cut off, or a line is no interval; names file and line.
    """
    path = Path(path)
    raw = read_bytes(path).removeprefix(codecs.BOM_UTF8)
    if b"\0" in raw[: 1 << 16]:
        raise InputError(
            f"{path} is binary", expected="text: BED, narrowPeak or broadPeak, plain or gzipped",
            hint="convert it first, for instance bigBedToBed for a bigBed file",
        )  # fmt: skip
    text = _HEADER.sub(b"#", _without_comments(raw), count=1)
    text = _COMMENT.sub(b"", text) if text.startswith(b"#") else text
    if not text.strip():
        none = np.zeros(0, dtype=np.int32)
        return Peaks(path, (), none, none, none, none)
    if b"\t" not in text.split(b"\n", 1)[0]:
        text = re.sub(rb"[ ]+", b"\t", re.sub(rb"^[ ]+", b"", text, flags=re.MULTILINE))
    try:
        width = text.split(b"\n", 1)[0].count(b"\t") + 1
        if width < 3:
            raise _first_bad_line(path, raw)
        narrow = width == _NARROW_PEAK_COLUMNS
        table = pl.read_csv(
            io.BytesIO(text), separator="\t", has_header=False, infer_schema=False, quote_char=None,
            truncate_ragged_lines=True, encoding="utf8-lossy", columns=[0, 1, 2, *([9] if narrow else [])],
        )  # fmt: skip
        start, end = (table.to_series(i).str.strip_chars().cast(pl.Int64) for i in (1, 2))
        chrom = table.to_series(0).cast(pl.Categorical)
        if start.has_nulls() or end.has_nulls() or chrom.has_nulls() or ((start < 0) | (end <= start)).any():
            raise _first_bad_line(path, raw)
        summit = (start + end) // 2
        if narrow:
            offset = table.to_series(3).str.strip_chars().cast(pl.Int64, strict=False).fill_null(-1)
            inside = (offset >= 0) & (start + offset < end)
            summit = (start + offset).zip_with(inside, summit)
    except pl.exceptions.PolarsError as error:
        raise _first_bad_line(path, raw) from error
    names = chrom.unique(maintain_order=True).cast(pl.String).to_list()
    codes = chrom.cast(pl.Enum(names)).to_physical().cast(pl.Int32)
    return Peaks(path, tuple(names), codes.to_numpy(), *(_narrow(column) for column in (start, end, summit)))


def _narrow(positions: pl.Series) -> NDArray[np.integer]:
    """In four bytes where they suffice: a set of the size of DeepSEA's has a hundred million peaks."""
    values: NDArray[np.integer] = positions.to_numpy()
    return values.astype(np.int32) if values.max(initial=0) < 2**31 else values


def _without_comments(raw: bytes) -> bytes:
    """The text without comments, track lines and empty lines; mostly there are none, and to look is quick."""
    letters = np.frombuffer(raw, dtype=np.uint8)
    starts = letters[np.flatnonzero(letters[:-1] == ord("\n")) + 1]
    some = np.isin(starts, _COMMENT_STARTS).any() or np.isin(letters[:1], _COMMENT_STARTS).any()
    return _COMMENT.sub(b"", raw) if some else raw


def read_bytes(path: Path) -> bytes:
    """A file's content, unpacked where it is gzipped.

    Raises:
        InputError: It is missing, a folder, or a gzip file that is cut off.
    """
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", expected="a readable file") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path} is cut off or damaged: {error}", hint="download it again") from error


def _first_bad_line(path: Path, raw: bytes) -> InputError:
    """Finds, line by line, what the fast reader stumbled over."""
    first = tabs = True
    for number, line in enumerate(raw.decode("utf-8", errors="replace").split("\n"), start=1):
        if _COMMENT.match(line.encode()):
            continue
        if first:
            first, tabs = False, "\t" in line
            if _HEADER.match(line.encode()):
                continue
        fields = line.split("\t") if tabs else line.split()
        where = f"{path}, line {number}: {line[:80]!r}"
        if len(fields) < 3:
            return InputError(
                f"{where} has {len(fields)} column{'s'[: len(fields) != 1]}",
                expected="at least chrom, start and end, separated as in the first line, best by tabs",
            )
        if not fields[0].strip():
            return InputError(f"{where} has no chromosome", expected="chrom, start, end, separated by tabs")
        if not all(_WHOLE_NUMBER.fullmatch(field) for field in fields[1:3]):
            return InputError(f"{where}: start or end is no whole number", expected="chrom, start, end, with tabs")
        start, end = int(fields[1]), int(fields[2])
        if start < 0:
            return InputError(f"{where} starts before the chromosome", expected="a 0-based start of 0 or more")
        if end <= start:
            return InputError(
                f"{where} ends before it starts", expected="an end greater than the start (0-based, half-open)",
                hint="a single base at 0-based position p is p, p+1",
            )  # fmt: skip
    return InputError(f"{path} is no peak file", expected="BED, narrowPeak or broadPeak")


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
                hint=f"the folder looked from is {Path.cwd()}; quote a pattern with *",
            )  # fmt: skip
        paths += matched
    names = task_names(paths)
    check_names(names)
    return paths, [Task(name) for name in names]


def task_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its own without the endings of its format and without an ending that nearly all share."""
    stems = [re.sub(r"(\.(bed|narrowPeak|broadPeak|txt|tsv|gz|bgz))+$", "", path.name) for path in paths]
    endings = Counter(match[0] for stem in stems if (match := re.search(r"[._-][^._-]+$", stem)))
    if len(stems) < 2 or not endings:
        return stems
    ending, count = endings.most_common(1)[0]
    short = [stem.removesuffix(ending) for stem in stems]
    return short if count >= _SHARED_BY * len(stems) and len(set(short)) == len(set(stems)) else stems


def read_task_sheet(path: Path) -> tuple[list[Path], list[Task]]:
    """Reads a sheet of peak files; paths are relative to the sheet's folder.

    Raises:
        InputError: A column is missing or unknown, a file is missing, or a name stands twice.
    """
    rows = read_sheet(path, ("path", "name"))
    paths = [path.parent / row.pop("path") for row in rows]
    return paths, [Task(**row) for row in rows]


def read_tasks(path: Path) -> list[Task]:
    """Reads the tasks of a sheet, with or without peak files, in their order.

    Raises:
        InputError: A column is missing or unknown, or a name stands twice.
    """
    rows = read_sheet(path, ("name",))
    return [Task(**{column: value for column, value in row.items() if column != "path"}) for row in rows]


def read_sheet(path: Path, needed: Sequence[str], also: Sequence[str] = ()) -> list[dict[str, str]]:
    """Reads the rows of a task sheet, each with the columns that the sheet has.

    Args:
        path: The sheet: TSV.
        needed: Columns that it has to have.
        also: Columns that it may have besides path, name, group, cell, assay and treatment.

    Raises:
        InputError: It is no such sheet, a column is missing or unknown, or a name stands twice.
    """
    try:
        table = pl.read_csv(io.BytesIO(read_bytes(path)), separator="\t", infer_schema=False, comment_prefix="#")
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{path} is no task sheet: {str(error).splitlines()[0]}",
            expected="a header and a row a task, UTF-8 text separated by tabs",
        ) from error
    known = ("path", "name", "group", "cell", "assay", "treatment", *also)
    unknown = [column for column in table.columns if column not in known]
    if unknown or not set(needed) <= set(table.columns):
        raise InputError(
            f"{path} has the columns {', '.join(table.columns)}",
            expected=f"{' and '.join(needed)}, and any of {', '.join([*also, *known[2:6]])}; separated by tabs",
        )
    rows = table.fill_null("").to_dicts()
    if not rows:
        raise InputError(f"{path} lists no task", expected="a row a task under the header")
    check_names([row["name"] for row in rows])
    return rows


def read_aliases(path: Path) -> dict[str, str]:
    """Reads a table of chromosome aliases: the peaks' name, a tab, the genome's name.

    Raises:
        InputError: A line has not two columns.
    """
    aliases: dict[str, str] = {}
    for number, line in enumerate(read_bytes(path).decode("utf-8", errors="replace").splitlines(), start=1):
        fields = line.split("\t") if "\t" in line else line.split()
        if not fields or line.startswith("#"):
            continue
        if len(fields) != 2:
            raise InputError(f"{path}, line {number}: {line[:80]!r}", expected="the peaks' name, a tab, the genome's")
        aliases[fields[0].strip()] = fields[1].strip()
    return aliases


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
