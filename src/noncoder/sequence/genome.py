"""Intervals, FASTA access, and the different names of a chromosome."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import SequenceError
from noncoder.sequence.access import open_bytes
from noncoder.sequence.encoding import encode, reverse_complement
from noncoder.sequence.fasta import FastaRecords

_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI",
          "XVII", "XVIII", "XIX", "XX")  # fmt: skip
_MITOCHONDRION = ("M", "MT", "Mt", "Mito", "mt", "mito")


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """An interval of a chromosome, 0-based and half-open as in BED; invalid ones cannot be built.

    Args:
        chrom: Name of the chromosome.
        start: First base, 0-based.
        end: End of the interval.
        strand: "+", "-" or "." for none.

    Raises:
        SequenceError: The name is empty, start is negative, end is not after start, or the strand is unknown.
    """

    chrom: str
    start: int
    end: int
    strand: str = "."

    def __post_init__(self) -> None:
        if not self.chrom:
            raise SequenceError("an interval without a chromosome", expected="a name such as 'chr1'")
        if self.start < 0:
            raise SequenceError(f"{self} starts before the chromosome", expected="a 0-based start of 0 or more")
        if self.end <= self.start:
            raise SequenceError(f"{self} ends before it starts", expected="an end greater than the start")
        if self.strand not in ("+", "-", "."):
            raise SequenceError(f"strand {self.strand!r} of {self}", expected="'+', '-' or '.'")

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start}-{self.end}"

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def midpoint(self) -> int:
        """The middle base, 0-based; of two, the right one."""
        return (self.start + self.end) // 2

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share a base."""
        return self.chrom == other.chrom and self.start < other.end and other.start < self.end

    def resize(self, width: int) -> Interval:
        """Returns an interval of `width` bp around the same midpoint.

        Raises:
            SequenceError: It would start before the chromosome.
        """
        start = self.midpoint - width // 2
        return Interval(self.chrom, start, start + width, self.strand)

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Parses "chrom:start-end", 1-based and closed as in samtools and genome browsers; commas are allowed.

        Raises:
            SequenceError: The text is not of that form.
        """
        match = re.fullmatch(r"(.+):(\d[\d,]*)-(\d[\d,]*)", text.strip())
        if match is None:
            raise SequenceError(
                f"{text!r} is not a region", expected="chrom:start-end, 1-based, such as chr7:1,001-2,000"
            )
        first, last = (int(number.replace(",", "")) for number in match.groups()[1:])
        return cls(match[1], first - 1, last)


class Genome:
    """Random access to a FASTA file: plain, gzipped or bgzipped, with lines of any length.

    Opening it reads all of it once; an index beside it (.fai, .gzi) is neither used nor written. A gzipped file that
    bgzip did not make has no random access, so it is decompressed to a temporary file first.

    Args:
        path: The FASTA file.

    Raises:
        SequenceError: The file is missing, truncated, or not FASTA; a record has no name, a duplicate name, or no
            sequence.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not os.path.isfile(self.path):  # noqa: PTH113 - Path.is_file raises where a folder cannot be entered
            kind = ", it is a folder" if os.path.isdir(self.path) else ""  # noqa: PTH112
            raise SequenceError(f"{self.path} is not a file{kind}", expected="a FASTA file, plain, gzipped or bgzipped")
        self._source = open_bytes(self.path)
        try:
            self._records = FastaRecords(self._source, self.path.name)
        except BaseException:
            self._source.close()
            raise
        self.lengths: dict[str, int] = {name: record.length for name, record in self._records.records.items()}

    def __enter__(self) -> Genome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file and removes temporary files."""
        self._source.close()

    def contig(self, name: str) -> NDArray[np.uint8]:
        """Reads the codes of a whole contig, (length,)."""
        return self.fetch(Interval(name, 0, self._length(name)))

    def text(self, name: str) -> str:
        """Reads the letters of a whole contig, unchanged.

        Raises:
            SequenceError: There is no such contig, or it has a byte that is not ASCII.
        """
        letters = self._records.letters(name, 0, self._length(name))
        if not letters.isascii():
            encode(letters, self._label(name))
        return letters.decode("ascii")

    def fetch(self, interval: Interval) -> NDArray[np.uint8]:
        """Reads the codes of an interval, (end - start,); N beyond the contig's end.

        The reverse strand is returned as the reverse complement.

        Raises:
            SequenceError: There is no such contig, the interval begins beyond its end, a character is not a base, or
                the file has changed since it was opened.
        """
        length = self._length(interval.chrom)
        if interval.start >= length:
            raise SequenceError(
                f"{interval} begins beyond the end of {interval.chrom}, {length:,} bp in {self.path.name}",
                hint="check that the coordinates belong to this genome build",
            )
        letters = self._records.letters(interval.chrom, interval.start, min(interval.end, length))
        codes = encode(letters, self._label(interval.chrom), interval.start)
        if codes.size < len(interval):
            codes = np.pad(codes, (0, len(interval) - codes.size), constant_values=4)
        return reverse_complement(codes) if interval.strand == "-" else codes

    def _label(self, name: str) -> str:
        return f"{self.path.name}, {name}"

    def _length(self, name: str) -> int:
        if name not in self.lengths:
            raise SequenceError(
                f"{self.path.name} has no contig {name!r}", expected=f"one of {head(self.lengths)}", hint="name it so"
            )
        return self.lengths[name]


def match_names(wanted: Iterable[str], have: Sequence[str], aliases: Mapping[str, str] | None = None) -> dict[str, str]:
    """Finds chromosome names among a genome's own names.

    These are tried in order: the alias table, the name itself, the name with "chr" added or removed, without leading
    zeros and in other case, the names of the mitochondrion, and numbers against Roman numerals if the Roman side has
    two numerals such as "II" and "IV". A name that matches several of the genome's names equally well has no match.

    Args:
        wanted: Names to find, e.g. of a peak file.
        have: Names of the genome.
        aliases: Maps names to names of the genome.

    Returns:
        Maps each wanted name with a match to the genome's name.
    """
    wanted, own = list(dict.fromkeys(wanted)), set(have)
    bare, plain = _only_ones(_bare, have), _only_ones(_plain, have)
    for mitochondrion in _MITOCHONDRION:
        if mitochondrion in bare:
            bare.update({other: bare[mitochondrion] for other in _MITOCHONDRION if other not in bare})
    others = _in_other_numerals({_unpadded(name): contig for name, contig in bare.items()}, map(_unpadded, wanted))
    found = {}
    for name in wanted:
        if aliases and aliases.get(name) in own:
            found[name] = aliases[name]
        elif name in own:
            found[name] = name
        elif contig := bare.get(_bare(name)) or plain.get(_plain(name)) or others.get(_bare(_unpadded(name))):
            found[name] = contig
    return found


def _only_ones(key: Callable[[str], str], names: Iterable[str]) -> dict[str, str]:
    """Maps short forms to names, except forms that several names share."""
    shared = Counter(map(key, names))
    return {key(name): name for name in names if shared[key(name)] == 1}


def _bare(name: str) -> str:
    return name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name


def _unpadded(name: str) -> str:
    """Removes leading zeros, and abbreviates "Chromosome_" and the like to "chr"."""
    match = re.fullmatch(r"(?i:(chr)(?:omosome|om)?[_. -]?)?0*([0-9].*|[^0-9].*)", name)
    return f"{match[1] or ''}{match[2]}" if match else name


def _plain(name: str) -> str:
    return _bare(_unpadded(name)).casefold()


def _in_other_numerals(bare: Mapping[str, str], wanted: Iterable[str]) -> dict[str, str]:
    numbers = {roman: str(i + 1) for i, roman in enumerate(_ROMAN)}
    if _are_roman(bare):
        return {numbers[name]: bare[name] for name in bare if name in numbers}
    # "X" alone is a sex chromosome as well as a ten: with a sex chromosome, numbers are not converted.
    if _are_roman(map(_bare, wanted)) and "X" not in bare:
        return {roman: bare[number] for roman, number in numbers.items() if number in bare}
    return {}


def _are_roman(names: Iterable[str]) -> bool:
    """Whether two numerals of several letters show that names are Roman; I, V and X alone may be something else."""
    return len({name for name in names if name in _ROMAN and len(name) > 1}) > 1


def head(names: Iterable[str], most: int = 6) -> str:
    """Joins the first names of a list for a message."""
    names = list(names)
    return ", ".join(names[:most]) + (f", … ({len(names)} in total)" if len(names) > most else "")
