"""Finds the records of a FASTA file in one read of the file itself, for any layout of its lines.

The letters of a record are all bytes between two headers except line ends, spaces and tabs. Letters are counted every
few kilobytes, so the position of a base in the file follows from its number, even if lines have unequal lengths. An
index beside the file (.fai, .gzi) is neither read nor written: it may belong to another file, and checking it would
take the same read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.errors import SequenceError
from noncoder.sequence.access import Bytes
from noncoder.sequence.file_types import recognize

_STEP = 1 << 14  # bytes between two positions with letter counts
_READ = 1 << 23  # bytes read at once, a multiple of the step
_BLANKS = b"\n\r \t"
_LINE_END = re.compile(rb"[\r\n]")
_BLANK = re.compile(rb"[ \t]")
_BOM = b"\xef\xbb\xbf"
# Blank lines, and the comments of old FASTA files, before the first record.
_PREAMBLE = re.compile(rb"(?:[\n\r \t]|;[^\r\n]*[\r\n])*+(;[^\r\n]*\Z)?")
_SHOWN = 20


class FastaRecord(NamedTuple):
    """Position of a record: its `length` letters are in bytes `start` to `end` of the file.

    `before` is the number of all other letters, including headers, before them in the file.
    """

    start: int
    end: int
    before: int
    length: int


class FastaRecords:
    """The records of a FASTA file by name, and their letters.

    Args:
        source: The file's bytes.
        label: Name of the file in messages.

    Raises:
        SequenceError: The file is not FASTA; a record has no name, a duplicate name, or no sequence.
    """

    def __init__(self, source: Bytes, label: str) -> None:
        self._source, self._label = source, label
        scan = _Scan(label)
        shown = progress_bar(total=source.size, desc=f"reading {label}", unit="B", unit_scale=True)
        with shown:
            for at in range(0, source.size, _READ):
                part = source.read(at, min(at + _READ, source.size))
                for first in range(0, len(part), _STEP):
                    scan.add(part[first : first + _STEP])
                shown.update(len(part))
        scan.finish()
        self.records: dict[str, FastaRecord] = scan.records
        self._counts: NDArray[np.int64] = np.array(scan.counts, dtype=np.int64)

    def letters(self, name: str, start: int, end: int) -> bytes:
        """Reads the letters of a record from `start` to `end`, unchanged.

        Raises:
            SequenceError: The file cannot be read, or has changed since it was opened.
        """
        record = self.records[name]
        first, last = record.before + start, record.before + end
        left = (int(np.searchsorted(self._counts, first, side="right")) - 1) * _STEP
        right = int(np.searchsorted(self._counts, last)) * _STEP
        text = self._source.read(max(left, record.start), min(right, record.end)).translate(None, _BLANKS)
        skipped = first - (record.before if left <= record.start else int(self._counts[left // _STEP]))
        return text[skipped : skipped + end - start]


class _Scan:
    """Scans a file part by part; records its records, and the number of letters before each part."""

    def __init__(self, label: str) -> None:
        self.records: dict[str, FastaRecord] = {}
        self.counts: list[int] = []
        self._label = label
        self._size = self._letters = 0  # of earlier parts; letters also of this part, up to `_counted`
        self._before = b"\n"  # the byte before this part
        self._in_comment = False  # before the first record
        self._title: bytearray | None = None  # the incomplete header at the end of the last part
        self._name: str | None = None  # of the current record, which begins at `_start`, after `_first` letters
        self._start = self._first = 0

    def add(self, part: bytes) -> None:
        """Scans the next bytes of the file.

        Raises:
            SequenceError: They cannot be those of a FASTA file.
        """
        self.counts.append(self._letters)
        self._part, self._blank, self._counted = part, _blanks(part), 0
        at = self._skip_preamble() if self._name is None and self._title is None else 0
        while at < len(part):
            if self._title is None:
                at = part.find(b">", at)
                if at < 0:
                    break
                self._end_record(at)
                self._title, at = bytearray(), at + 1
            found = _LINE_END.search(part, at)
            end = found.start() if found else len(part)
            self._title += part[at:end]
            at = end
            if found:
                self._begin_record(end)
        self._count(len(part))
        self._size += len(part)
        self._before = part[-1:]

    def finish(self) -> None:
        """Ends the last record.

        Raises:
            SequenceError: There is none, or it has no sequence.
        """
        self._part, self._counted = b"\n", 0
        if self._title is not None:
            self._begin_record(0)
        if self._name is None:
            raise SequenceError(f"{self._label} is empty", expected="a FASTA file, which begins with '>'")
        self._end_record(0)

    def _count(self, end: int) -> None:
        if end > self._counted:
            blanks = np.count_nonzero(self._blank[self._counted : end])
            self._letters += end - self._counted - int(blanks)
            self._counted = end

    def _skip_preamble(self) -> int:
        at = len(_BOM) if not self._size and self._part.startswith(_BOM) else 0
        if self._in_comment:
            found = _LINE_END.search(self._part)
            at = found.end() if found else len(self._part)
            self._in_comment = found is None
        if preamble := _PREAMBLE.match(self._part, at):
            at, self._in_comment = preamble.end(), self._in_comment or preamble[1] is not None
        if self._part[at : at + 1] == b">" and (self._part[at - 1 : at] or self._before) in (b" ", b"\t"):
            raise SequenceError(
                f"{self._label} is not FASTA: it has a blank before its first '>'",
                expected="'>' at the start of a line",
            )
        if self._part[at : at + 1] not in (b"", b">"):
            known, begins = recognize(self._part[at:]), f"begins with {_shown(self._part[at:])}"
            raise SequenceError(
                f"{self._label} is not FASTA: it " + (f"looks like {known} and {begins}" if known else begins),
                expected="a FASTA file, which begins with '>'",
                hint="save it as UTF-8 text" if "UTF-" in known else "convert it to FASTA" if known else "",
            )
        return at

    def _begin_record(self, end: int) -> None:
        """Begins the record whose header ends at a position of this part."""
        title, number = bytes(self._title or b""), len(self.records) + 1
        self._title = None
        encoded = _BLANK.split(title, maxsplit=1)[0]
        if not encoded:
            raise SequenceError(
                f"{self._label}: record {number} has no name: its header is {_shown(b'>' + title)}",
                expected="a name right after '>'",
            )
        name = encoded.decode("utf-8", errors="backslashreplace")
        if not name.isprintable():
            raise SequenceError(
                f"{self._label}: the name of record {number} has characters that cannot be printed: {name[:_SHOWN]!r}",
                expected="text in ASCII or UTF-8",
                hint="save the file as plain text",
            )
        if name in self.records:
            raise self._named_twice(name, number, title)
        self._count(end)
        self._name, self._start, self._first = name, self._size + end, self._letters

    def _end_record(self, end: int) -> None:
        """Records the record that ends at a position of this part, before a header or the file's end."""
        if self._name is None:
            return
        self._count(end)
        length = self._letters - self._first
        if (self._part[end - 1 : end] or self._before) not in (b"\n", b"\r") and self._part[end : end + 1] == b">":
            if self._part[:end].endswith(_BOM):
                raise SequenceError(
                    f"{self._label}: there is a byte-order mark before the header after {self._name}",
                    expected="'>' at the start of a line",
                    hint="remove byte-order marks before concatenating files",
                )
            raise SequenceError(
                f"{self._label}, {self._name}: '>' at position {length + 1} is inside a line",
                expected="'>' at the start of a line",
                hint="when files are concatenated, each must end with a line end",
            )
        if not length:
            raise SequenceError(
                f"{self._label}: the record {self._name!r}, number {len(self.records) + 1}, has no sequence",
                expected="at least one base in each record",
                hint="remove the record; if the file was truncated, download it again",
            )
        self.records[self._name] = FastaRecord(self._start, self._size + end, self._first, length)

    def _named_twice(self, name: str, number: int, title: bytes) -> SequenceError:
        first = list(self.records).index(name) + 1
        long = f": {_shown(b'>' + title)} is called {name!r}" if _BLANK.search(title) else ""
        return SequenceError(
            f"{self._label}: records {first:,} and {number:,} are both called {name!r}",
            expected="a unique name for each record",
            hint=f"a name ends at the first space or tab{long}; replace the space, for instance by '_'"
            if long
            else "rename or remove one of them",
        )


def _blanks(part: bytes) -> NDArray[np.bool_]:
    """Which bytes are line ends, spaces or tabs."""
    array = np.frombuffer(part, dtype=np.uint8)
    blank: NDArray[np.bool_] = array == _BLANKS[0]
    for byte in _BLANKS[1:]:
        if byte in part:
            blank |= array == byte
    return blank


def _shown(text: bytes) -> str:
    """The first letters of some bytes, for a message."""
    return repr(text[:_SHOWN].decode("ascii", errors="backslashreplace")) + ("…" if len(text) > _SHOWN else "")
