"""The text of interval files, sheets and tables: encodings, line ends, comments, other formats."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import numpy as np

from noncoder.errors import InputError

COMMENT = re.compile(
    # A chromosome may be called "track": then two integers follow.
    rb"^[ \t]*(?:#[^\n]*|\"?(?:track|browser)(?:[ \t]+(?![ \t]*[-+]?\d+[ \t]+[-+]?\d)[^\n]*)?)?[ \t\f\v]*(?:\n|\Z)",
    re.MULTILINE | re.IGNORECASE,
)
"""A comment, a track or browser line, or an empty line, with its end."""
# A line that COMMENT matches starts with one of these bytes.
_COMMENT_STARTS = np.frombuffer(b'#tTbB" \t\f\v\n', dtype=np.uint8)
_UNICODE = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
            (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_EXPECTED = "text: BED, narrowPeak or broadPeak, plain or gzipped"
_MAGIC = (
    (b"\xeb\xf2\x89\x87", "a bigBed file", "convert it first with bigBedToBed"),
    (b"\x87\x89\xf2\xeb", "a bigBed file", "convert it first with bigBedToBed"),
    (b"\x26\xfc\x8f\x88", "a bigWig file, which has a signal but no peaks", "give the peaks that were called on it"),
    (b"\x88\x8f\xfc\x26", "a bigWig file, which has a signal but no peaks", "give the peaks that were called on it"),
    (b"BAM\x01", "a BAM file, which has reads but no peaks", "give the peaks that were called on it"),
    (b"CRAM", "a CRAM file, which has reads but no peaks", "give the peaks that were called on it"),
    (b"BCF", "a BCF file, which has variants but no peaks", ""),
    (b"PAR1", "a Parquet file", "write its chrom, start and end as text, separated by tabs"),
    (b"PK\x03\x04", "a zip archive or an Excel file", "unzip it, or save the sheet as text, separated by tabs"),
    (b"\xd0\xcf\x11\xe0", "an Excel file", "save the sheet as text, separated by tabs"),
    (b"\x1f\x8b", "gzip data within gzip data", "unpack it once with gunzip"),
    (b"BZh", "compressed with bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ\0", "compressed with xz", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it with unzstd"),
    (b"\x89HDF", "an HDF5 file", ""),
)  # fmt: skip
_LINES = (
    (rb"##fileformat=VCF", "a VCF file, which has variants but no peaks"),
    (rb"##gff-version|##gtf", "a GFF file, whose start and end are columns 4 and 5 and 1-based"),
    (rb"@(?:HD|SQ|RG|PG|CO)\t", "a SAM file or an interval list of Picard, which are 1-based"),
    (rb"(?:fixedStep|variableStep)[ \t]+chrom=", "a wiggle file, which has a signal but no peaks"),
    (rb"[ \t]*<(?:!doctype|html|\?xml)", "a web page or XML, possibly an error page of a failed download"),
    (rb">", "a FASTA file"),
    (rb"[{\[]", "a JSON file"),
)
_FOREIGN = tuple((re.compile(rb"^" + pattern, re.IGNORECASE), what) for pattern, what in _LINES)
_TRACK_TYPE = re.compile(rb"^\"?track\b[^\n]*\btype=[\"']?(\w+)", re.IGNORECASE | re.MULTILINE)
_INTERVAL_TYPES = (b"bed", b"beddetail", b"narrowpeak", b"broadpeak", b"gappedpeak", b"encodepeak")


def plain_text(path: Path, raw: bytes, expected: str = _EXPECTED) -> bytes:
    """Decodes a file to UTF-8 with LF line ends; UTF-16 and UTF-32 are recognized by their byte-order mark.

    Args:
        path: The file, for the message.
        raw: Its content, decompressed.
        expected: The expected format, for the message.

    Raises:
        InputError: It is binary.
    """
    for start, what, hint in _MAGIC:
        if raw.startswith(start):
            raise InputError(f"{path} is binary: it is {what}", expected=expected, hint=hint)
    for mark, encoding in _UNICODE:
        if raw.startswith(mark):
            raw = raw.decode(encoding, errors="replace").encode("utf-8", errors="replace")
            break
    if b"\0" in raw:
        even, odd = raw[:1000:2].count(0), raw[1:1000:2].count(0)
        utf16 = min(len(raw), 1000) <= 3 * max(even, odd)
        raise InputError(
            f"{path} is binary" + (", or UTF-16 text without a byte-order mark" if utf16 else ""),
            expected=expected,
            hint="save it as UTF-8 text" if utf16 else "convert it first, for instance bigBedToBed for a bigBed file",
        )  # fmt: skip
    # Concatenated files have byte-order marks inside.
    if codecs.BOM_UTF8 in raw:
        raw = raw.replace(codecs.BOM_UTF8, b"")
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return raw.removesuffix(b"\x1a")


def without_comments(text: bytes) -> bytes:
    """Removes comments, track lines and empty lines; for most files, which have none, this is quick."""
    letters = np.frombuffer(text, dtype=np.uint8)
    starts = letters[np.flatnonzero(letters[:-1] == ord("\n")) + 1]
    some = np.isin(starts, _COMMENT_STARTS).any() or np.isin(letters[:1], _COMMENT_STARTS).any()
    return COMMENT.sub(b"", text) if some else text


def first_lines(text: bytes, most: int) -> list[bytes]:
    """Returns the first lines in the first megabyte; a copy of all the text would take long."""
    head = text[: 1 << 20]
    lines = head.split(b"\n", most)
    return lines[:most] if len(lines) > most or len(head) == len(text) else lines[: max(1, len(lines) - 1)]


def refuse_other_formats(path: Path, text: bytes) -> None:
    """Checks that the first lines do not belong to a format without peaks.

    Raises:
        InputError: They do; names the format.
    """
    head = text[: 1 << 16]
    track = next((m[1] for m in _TRACK_TYPE.finditer(head) if m[1].lower() not in _INTERVAL_TYPES), None)
    if track is not None:
        raise InputError(
            f"{path} is a track of type {track.decode(errors='replace')}, which has a signal but no peaks",
            expected="BED, narrowPeak or broadPeak",
            hint="give the peaks that were called on it; if its intervals are the peaks, remove the track line",
        )
    for line in first_lines(head, 200):
        for pattern, what in _FOREIGN:
            if pattern.match(line):
                raise InputError(f"{path} is {what}", expected="BED, narrowPeak or broadPeak")
        if not COMMENT.match(line + b"\n"):
            return


def resembles(fields: list[str]) -> str:
    """Describes what a row that is not an interval looks like, for a message; empty if unknown."""
    whole = [bool(re.fullmatch(r"[0-9]+", field)) for field in fields] + [False] * 12
    n = len(fields)
    if n == 1 and fields[0].count(",") >= 2:
        return "its columns are separated by commas"
    if n == 1 and fields[0].count(";") >= 2:
        return "its columns are separated by semicolons"
    if n >= 8 and whole[3] and whole[4] and fields[6] in ("+", "-", ".", "?"):
        return "it is GFF or GTF, whose start and end are columns 4 and 5 and 1-based"
    if n >= 11 and whole[1] and whole[3] and re.fullmatch(r"\*|([0-9]+[MIDNSHP=X])+", fields[5]):
        return "it is SAM, which has reads but no peaks"
    alleles = [
        re.fullmatch(pattern, part) for pattern, part in zip((r"[ACGTNacgtn]+", r"\S+"), fields[3:5], strict=False)
    ]
    if n >= 5 and whole[1] and all(alleles):
        return "it is VCF, which has variants but no peaks"
    if n >= 4 and not whole[1] and whole[2] and whole[3]:
        return "its chromosome is column 2, as in HOMER's peaks, SAF and UCSC's tables with a bin"
    return ""
