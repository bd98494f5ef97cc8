"""Intervals, FASTA access, and the many names of one chromosome."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pysam
from numpy.typing import NDArray

from noncoder.errors import SequenceError
from noncoder.sequence.encoding import encode, reverse_complement

_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI",
          "XVII", "XVIII", "XIX", "XX")  # fmt: skip
_MITOCHONDRION = ("M", "MT", "Mt", "Mito", "mt", "mito")
# The empty block that ends every bgzip file (SAM specification, section 4.1.2).
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A stretch of a chromosome, 0-based and half-open as in BED; one that ends before it starts cannot be built.

    Args:
        chrom: The chromosome's name.
        start: First base, 0-based.
        end: One past the last base.
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
        """The middle base, 0-based; the right one of two."""
        return (self.start + self.end) // 2

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share a base."""
        return self.chrom == other.chrom and self.start < other.end and other.start < self.end

    def resize(self, width: int) -> Interval:
        """An interval of `width` bp around the same midpoint.

        Raises:
            SequenceError: It would start before the chromosome.
        """
        start = self.midpoint - width // 2
        return Interval(self.chrom, start, start + width, self.strand)

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Reads "chrom:start-end", 1-based and closed as in samtools and genome browsers; commas are allowed.

        Raises:
            SequenceError: The text is not of that form.
        """
        match = re.fullmatch(r"(.+):(\d[\d,]*)-(\d[\d,]*)", text.strip())
        if match is None:
            raise SequenceError(f"{text!r} is no region", expected="chrom:start-end, 1-based, such as chr7:1,001-2,000")
        first, last = (int(number.replace(",", "")) for number in match.groups()[1:])
        return cls(match[1], first - 1, last)


class Genome:
    """Random access to a FASTA file: plain, bgzipped or plainly gzipped.

    A plainly gzipped file cannot be read at random, so it is unpacked to a temporary file first. Nothing is written
    beside the FASTA; an index that lies there and is newer than the FASTA is used.

    Args:
        path: The FASTA file.

    Raises:
        SequenceError: The file is missing, cut off, or no FASTA.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not os.path.isfile(self.path):  # noqa: PTH113 - Path.is_file raises where a folder cannot be entered
            raise SequenceError(f"{self.path} is no file", expected="a FASTA file, plain, gzipped or bgzipped")
        self._scratch = tempfile.TemporaryDirectory(prefix="noncoder-genome-")
        try:
            self._fasta = _open_fasta(self.path, Path(self._scratch.name))
        except OSError as error:
            self._scratch.cleanup()
            raise SequenceError(
                f"{self.path} cannot be read: {error.strerror or error}", expected="a file that you may read"
            ) from error
        except BaseException:
            self._scratch.cleanup()
            raise
        self.lengths: dict[str, int] = dict(zip(self._fasta.references, self._fasta.lengths, strict=True))

    def __enter__(self) -> Genome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file and removes what was unpacked."""
        self._fasta.close()
        self._scratch.cleanup()

    def contig(self, name: str) -> NDArray[np.uint8]:
        """The codes of a whole contig, (length,)."""
        return self.fetch(Interval(name, 0, self._length(name)))

    def text(self, name: str) -> str:
        """The letters of a whole contig, as they stand in the file."""
        self._length(name)
        return str(self._fasta.fetch(name))

    def fetch(self, interval: Interval) -> NDArray[np.uint8]:
        """The codes of an interval, (end - start,); past the contig's end they are N.

        The reverse strand is returned as the reverse complement.

        Raises:
            SequenceError: There is no such contig, or the interval begins past its end.
        """
        length = self._length(interval.chrom)
        if interval.start >= length:
            raise SequenceError(
                f"{interval} begins past the end of {interval.chrom}, {length:,} bp in {self.path.name}",
                hint="check that the coordinates are of this genome build",
            )
        text = self._fasta.fetch(interval.chrom, interval.start, min(interval.end, length))
        codes = encode(text, name=f"{self.path.name}, {interval.chrom}, from base {interval.start + 1}")
        if codes.size < len(interval):
            codes = np.pad(codes, (0, len(interval) - codes.size), constant_values=4)
        return reverse_complement(codes) if interval.strand == "-" else codes

    def _length(self, name: str) -> int:
        if name not in self.lengths:
            raise SequenceError(
                f"{self.path.name} has no contig {name!r}", expected=f"one of {head(self.lengths)}", hint="name it so"
            )
        return self.lengths[name]


def _open_fasta(path: Path, scratch: Path) -> pysam.FastaFile:
    with path.open("rb") as file:
        start = file.read(18)
    zipped = start[:2] == b"\x1f\x8b"
    # bgzip marks its blocks with an extra field "BC"; a plain gzip has none and cannot be indexed.
    blocked = zipped and start[12:14] == b"BC"
    if blocked:
        start = _first_of_blocks(path)
    elif zipped:
        path = _unpack(path, scratch)
        with path.open("rb") as file:
            start = file.read(1)
    if start[:1] != b">":
        raise SequenceError(
            f"{path.name} is no FASTA: it begins with {start[:1]!r}" if start else f"{path.name} is empty",
            expected="a FASTA file, which begins with '>'",
        )
    index, blocks = Path(f"{path}.fai"), Path(f"{path}.gzi")
    needed = (index, blocks) if blocked else (index,)
    fresh = all(file.is_file() and file.stat().st_mtime >= path.stat().st_mtime for file in needed)
    if not fresh:
        index, blocks = scratch / "index.fai", scratch / "index.gzi"
    try:
        if not fresh:
            pysam.faidx("--fai-idx", str(index), "--gzi-idx", str(blocks), str(path))
        fasta = pysam.FastaFile(
            str(path), filepath_index=str(index), filepath_index_compressed=str(blocks) if blocked else None
        )
    except (OSError, ValueError, pysam.utils.SamtoolsError) as error:
        raise SequenceError(
            f"{path.name} cannot be indexed: {str(error).strip()}",
            expected="a whole FASTA whose records have lines of one length each",
            hint="rewrite it, for instance with `seqkit seq -w 60`; if it was cut off, download it again",
        ) from error
    # htslib leaves out a second record of one name with no more than a warning. Counting the records of a bgzip file
    # would unpack all of it, so that is not done.
    if not fresh and not blocked and _count_records(path) != len(fasta.references):
        fasta.close()
        raise SequenceError(f"{path.name} has records that share a name, or have none", expected="a name for each")
    return fasta


def _count_records(path: Path) -> int:
    count, before = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            count += (before + block).count(b"\n>")
            before = block[-1:]
    return count


def _first_of_blocks(path: Path) -> bytes:
    """The first letter of a bgzip file, which must end with bgzip's last block: where it lacks, samtools only warns."""
    try:
        with path.open("rb") as file:
            file.seek(-min(len(_BGZF_END), path.stat().st_size), os.SEEK_END)
            if file.read() != _BGZF_END:
                raise EOFError("bgzip's last block is missing")
        with gzip.open(path) as unpacked:
            return unpacked.read(1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _cut_off(path, error) from error


def _unpack(path: Path, scratch: Path) -> Path:
    plain = scratch / path.with_suffix("").name
    try:
        with gzip.open(path, "rb") as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 22)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _cut_off(path, error) from error
    except OSError as error:
        raise SequenceError(
            f"{path.name} cannot be unpacked into {scratch}: {error.strerror or error}",
            hint="set TMPDIR to a folder with room, or recompress the file with bgzip, which needs no unpacking",
        ) from error
    return plain


def _cut_off(path: Path, error: Exception) -> SequenceError:
    return SequenceError(
        f"{path.name} is cut off or damaged: {error}", expected="a whole gzip file", hint="download it again"
    )


def match_names(wanted: Iterable[str], have: Sequence[str], aliases: Mapping[str, str] | None = None) -> dict[str, str]:
    """Finds each chromosome name among a genome's own names.

    Tried in this order: the alias table, the name itself, with "chr" added or taken away, without zeros before a number
    and in other case, the mitochondrion's names, and numbers against Roman numerals, where the side in Roman numerals
    shows it by two numerals such as "II" and "IV". A name that fits several of the genome's equally well has none.

    Args:
        wanted: Names to find, e.g. of a peak file.
        have: The genome's names.
        aliases: Name to genome's name.

    Returns:
        A genome name for each wanted name that has one.
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
    """The names by what they are called in short, but for those that share it with another."""
    shared = Counter(map(key, names))
    return {key(name): name for name in names if shared[key(name)] == 1}


def _bare(name: str) -> str:
    return name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name


def _unpadded(name: str) -> str:
    """Without the zeros before a number, and with "chr" for "Chromosome_" and the like."""
    match = re.fullmatch(r"(?i:(chr)(?:omosome|om)?[_. -]?)?0*([0-9].*|[^0-9].*)", name)
    return f"{match[1] or ''}{match[2]}" if match else name


def _plain(name: str) -> str:
    return _bare(_unpadded(name)).casefold()


def _in_other_numerals(bare: Mapping[str, str], wanted: Iterable[str]) -> dict[str, str]:
    numbers = {roman: str(i + 1) for i, roman in enumerate(_ROMAN)}
    if _are_roman(bare):
        return {numbers[name]: bare[name] for name in bare if name in numbers}
    # "X" alone is a sex chromosome as well as a ten: a genome that has one keeps its numbers to itself.
    if _are_roman(map(_bare, wanted)) and "X" not in bare:
        return {roman: bare[number] for roman, number in numbers.items() if number in bare}
    return {}


def _are_roman(names: Iterable[str]) -> bool:
    """Two numerals of several letters show it; I, V and X alone may be something else."""
    return len({name for name in names if name in _ROMAN and len(name) > 1}) > 1


def head(names: Iterable[str], most: int = 6) -> str:
    """The first names of a list, for a message."""
    names = list(names)
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
