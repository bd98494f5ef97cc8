"""Files of motifs in MEME format: the minimal format, and the text output of MEME."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.sequence.file_types import recognize
from noncoder.sequence.motif import Motif

_LINE_END = re.compile(r"\r\n|\r|\n")
_MOTIF = re.compile(r"[ \t]*MOTIF(?:\s+(.*))?$")
_MOTIF_IN_LOWER_CASE = re.compile(r"[ \t]*motif(?:\s+(.*))?$")
_MATRIX = re.compile(r"\s*letter-probability\s+matrix\b:?(.*)$", re.IGNORECASE)
_LOG_ODDS = re.compile(r"\s*log-odds\s+matrix\b", re.IGNORECASE)
_ALPHABET = re.compile(r"\s*ALPHABET\s*=?\s*(.*?)\s*$", re.IGNORECASE)
_DNA = re.compile(r"ACG[TU]|[DR]NA|.* [DR]NA-LIKE", re.IGNORECASE)
_ROUNDING = 0.02  # files round to few digits, so that rows sum to 1 only approximately


class MemeMotifs(list[Motif]):
    """The motifs of a file.

    Args:
        motifs: Motifs that were read.
        left_out: Motifs that were not read, one sentence each.
    """

    def __init__(self, motifs: Iterable[Motif] = (), left_out: Iterable[str] = ()) -> None:
        super().__init__(motifs)
        self.left_out = tuple(left_out)


def read_meme(path: str | Path) -> MemeMotifs:
    """Reads a file of motifs in MEME format; a motif without a matrix of probabilities is left out, with a note.

    A motif line of two words holds id and name, one of one word only the name. A matrix has as many rows as its `w=`
    says; without it, rows end at the first line that is not a row. Rows are rescaled to sum to 1. U of RNA is read as
    T.

    Returns:
        The motifs; `left_out` says which were left out and why.

    Raises:
        InputError: The file is missing or of another format, holds no matrix, or one that is not DNA or damaged.
    """
    path = Path(path)
    lines = _LINE_END.split(_read_text(path))
    headings = _find_headings(lines)
    first = next((line.strip() for line in lines if line.strip()), "")
    if not first.upper().startswith("MEME VERSION") and not (headings and any(map(_MATRIX.match, lines))):
        raise _other_format(path, _motif_format(lines) or recognize("\n".join(lines[:9]).encode()))
    if not headings:
        raise InputError(f"there is no motif in {path}", expected="a line that begins with 'MOTIF' for each")
    _check_alphabet(lines[: next(iter(headings))], path)
    motifs, left_out = [], []
    for (begin, heading), end in zip(headings.items(), [*list(headings)[1:], len(lines)], strict=True):
        section = lines[begin + 1 : end]
        at = next((i for i, line in enumerate(section) if _MATRIX.match(line)), None)
        if at is None:
            others = "; it has only log-odds" if any(map(_LOG_ODDS.match, section)) else ""
            left_out.append(f"the matrix of {heading!r} is missing in {path.name}{others}")
        else:
            motifs.append(_read_motif(heading, section[at:], path))
    if not motifs:
        raise InputError(
            f"{path}: {left_out[0]}" + (f", and so for all {len(left_out)}" if len(left_out) > 1 else ""),
            expected="a line 'letter-probability matrix: alength= 4 w= WIDTH', and one row per position below it",
        )
    return MemeMotifs(motifs, left_out)


def write_meme(motifs: Iterable[Motif], path: str | Path) -> None:
    """Writes motifs in MEME's minimal motif format, ten digits per probability.

    Raises:
        InputError: There is no motif, or the file cannot be written.
    """
    text = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", "", "Background letter frequencies",
            "A 0.25 C 0.25 G 0.25 T 0.25", ""]  # fmt: skip
    header = len(text)
    for motif in motifs:
        # The format requires a number of sites, which is unknown for probabilities; its readers assume 20.
        text += [f"MOTIF {motif.id} {motif.name}" if motif.id else f"MOTIF {motif.name}"]
        text += [f"letter-probability matrix: alength= 4 w= {motif.width} nsites= 20 E= 0"]
        text += [" ".join(f"{value:.10f}" for value in column) for column in motif.ppm.T] + [""]
    if len(text) == header:
        raise InputError("no motif was given to write", expected="at least one")
    try:
        Path(path).write_text("\n".join(text), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", expected="a writable folder") from error


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", expected="a MEME motif file") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path} is truncated or damaged: {error}", hint="download it again") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if re.match(rb"\s*MEME version", raw, re.IGNORECASE):
            told = f"{path} has the byte 0x{raw[error.start]:02X} in line {raw.count(bytes([10]), 0, error.start) + 1}"
            raise InputError(told, expected="UTF-8 text", hint="save it as UTF-8") from error
        raise _other_format(path, recognize(raw[:300])) from error


def _other_format(path: Path, known: str) -> InputError:
    return InputError(
        f"{path} is not a MEME file" + (f": it looks like {known}" if known else ""),
        expected="a text file that begins with 'MEME version' and has a line 'MOTIF name' for each motif",
        hint="convert it to MEME format" if known else "",
    )


def _find_headings(lines: list[str]) -> dict[int, str]:
    """Returns the number of each line that begins a motif, and its heading."""
    for pattern in (_MOTIF, _MOTIF_IN_LOWER_CASE):
        found = {i: match[1] or "" for i, line in enumerate(lines) if (match := pattern.match(line))}
        if found:
            break
    # MEME's own text continues with the width and the number of sites.
    names = [re.split(r"\s*\bwidth\s*=", text)[0].strip() for text in found.values()]
    return {i: name or f"motif{number}" for number, (i, name) in enumerate(zip(found, names, strict=True), start=1)}


def _motif_format(lines: list[str]) -> str:
    """Recognizes another motif format by its first lines; empty if unknown."""
    filled = [line for line in lines if line.strip()][:3]
    if len(filled) < 2:
        return ""
    if filled[0].startswith(">") and re.match(r"\s*([ACGT]\s*)?\[?\s*-?[\d.]", filled[1]):
        return "a HOMER file of motifs" if re.match(r">\S+\t\S+\t\s*-?[\d.]", filled[0]) else "a JASPAR file of motifs"
    if re.match(r"(AC|ID|VV|XX|DE|NA)\b", filled[0]):
        return "a TRANSFAC file"
    return ""


def _check_alphabet(header: list[str], path: Path) -> None:
    """Checks that the file's alphabet, if given, is DNA or RNA.

    Raises:
        InputError: It is another alphabet.
    """
    for match in filter(None, map(_ALPHABET.match, header)):
        letters = match[1].strip("\"'")
        if not _DNA.fullmatch(letters):
            raise InputError(f"{path}: the alphabet is {letters!r}", expected="ACGT, or ACGU for RNA")


def _read_motif(heading: str, section: list[str], path: Path) -> Motif:
    header = _MATRIX.match(section[0])
    fields = {key.lower(): value for key, value in re.findall(r"(\w+)\s*=\s*(\S+)", header[1] if header else "")}
    if fields.get("alength", "4") != "4":
        raise InputError(
            f"{path}: the matrix of {heading!r} has {fields['alength']} letters and is not DNA",
            expected="alength= 4",
        )
    rows, after = _read_rows(section[1:])
    if "w" not in fields and any(map(_looks_like_row, after)):
        raise InputError(
            f"{path}: the matrix of {heading!r} is damaged: row {len(rows)} is followed by {after[0].strip()[:60]!r}",
            expected="a row of four probabilities for each position, or w= in the line above them",
        )
    width = fields.get("w", str(len(rows)))
    if not rows or not width.isdecimal() or int(width) != len(rows):
        raise InputError(
            f"{path}: the matrix of {heading!r} is damaged: it has {len(rows)} rows"
            + (f", and w= {width}" if "w" in fields else ""),
            expected="a row of four probabilities for each position",
        )
    ppm = np.empty((len(rows), 4))
    for i, row in enumerate(rows):
        ppm[i] = _read_probabilities(row, f"{path}: the matrix of {heading!r} is damaged: row {i + 1}")
    word, *rest = heading.split()
    name, id = ("_".join(rest), word) if rest else (word, None)
    return Motif(name, (ppm / ppm.sum(axis=1, keepdims=True)).T, id)


def _read_rows(lines: list[str]) -> tuple[list[list[str]], list[str]]:
    """Returns the words of each line of numbers up to the first other line, and the lines from there on.

    Blank lines are skipped.
    """
    rows: list[list[str]] = []
    for i, line in enumerate(lines):
        words = line.split()
        if words and not _is_number(words[0]) and sum(map(_is_number, words)) < 3:
            return rows, lines[i:]
        if words:
            rows.append(words)
    return rows, []


def _looks_like_row(line: str) -> bool:
    words = line.split()
    return len(words) == 4 and all(map(_is_number, words))


def _read_probabilities(row: list[str], label: str) -> NDArray[np.float64]:
    if len(row) != 4 or not all(map(_is_number, row)):
        raise InputError(f"{label} is {' '.join(row)[:60]!r}", expected="four probabilities that sum to 1")
    values = np.array([float(word) for word in row])
    # Written so that NaN fails too.
    if not ((values >= 0).all() and abs(values.sum() - 1) < _ROUNDING):
        are_counts = bool((values >= 0).all() and values.sum() > 1)
        raise InputError(
            f"{label} is {' '.join(row)[:60]}", expected="four probabilities that sum to 1",
            hint="divide counts by their sums" if are_counts else "",
        )  # fmt: skip
    return values


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
