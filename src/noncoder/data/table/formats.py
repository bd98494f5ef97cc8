"""Detects a table file's compression, format and encoding."""

from __future__ import annotations

import bz2
import codecs
import io
import lzma
import re
import zipfile
from pathlib import Path

from numcodecs.zstd import Zstd

from noncoder.data.bed import read_bytes
from noncoder.errors import InputError

TABLES = "CSV, TSV or other delimited text with a header, Parquet, or Arrow"

_SAVE_AS_CSV = "open it where it was made and save the sheet as CSV"
_EXPORT = "write its content as CSV or Parquet"
_OTHERS = {
    b"\xd0\xcf\x11\xe0": ("an Excel file", _SAVE_AS_CSV),
    b"\x93NUMPY": ("a NumPy array", _EXPORT),
    b"\x89HDF": ("an HDF5 file", _EXPORT),
    b"SQLite format 3": ("a database of SQLite", _EXPORT),
    b"FEA1": ("a Feather file of the first version", "write it again with a newer pyarrow, or as Parquet"),
    b"ORC": ("an ORC file", _EXPORT),
    b"%PDF": ("a PDF", "see whether the publication has the table as text"),
    b"RDX": ("a file of R", "write it with write.csv in R"),
    b"\x80\x04": ("a pickle of Python", _EXPORT),
    b"\x80\x05": ("a pickle of Python", _EXPORT),
}
# File names that identify the kind of a zip archive.
_ZIPS = (
    ("xl/", "an Excel file", _SAVE_AS_CSV),
    ("content.xml", "a file of LibreOffice", _SAVE_AS_CSV),
    (".npy", "an archive of NumPy arrays", _EXPORT),
    ("", "a zip archive", "unpack it and give the table in it"),
)


def read_unpacked(path: Path) -> bytes:
    """Reads a file, decompressed if it is gzip, bzip2, xz or Zstandard.

    Raises:
        InputError: It is missing, a folder, truncated, or of a format that is not a table; names the format.
    """
    raw = read_bytes(path)
    try:
        if raw.startswith(b"BZh"):
            raw = bz2.decompress(raw)
        elif raw.startswith(b"\xfd7zXZ\x00"):
            raw = lzma.decompress(raw)
        elif raw.startswith(b"\x28\xb5\x2f\xfd"):
            raw = bytes(Zstd().decode(raw))
    except (OSError, EOFError, ValueError, RuntimeError, lzma.LZMAError) as error:
        raise InputError(f"{path} is truncated or damaged: {error}", hint="download it again") from error
    _refuse_others(path, raw)
    return raw


def _refuse_others(path: Path, raw: bytes) -> None:
    for start, (what, hint) in _OTHERS.items():
        if raw.startswith(start):
            raise InputError(f"{path} is {what}, not a readable table", expected=TABLES, hint=hint)
    if raw.startswith(b"PK\x03\x04"):
        try:
            members = zipfile.ZipFile(io.BytesIO(raw)).namelist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError):
            members = ["xl/"] if path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb") else []
        for mark, what, hint in _ZIPS:
            if not mark or any(name.startswith(mark) or name.endswith(mark) for name in members):
                raise InputError(f"{path} is {what}, not a readable table", expected=TABLES, hint=hint)
    begin = raw[:64].lstrip(codecs.BOM_UTF8 + b" \t\r\n")
    if begin[:1] in (b"{", b"["):
        raise InputError(f"{path} is JSON, not a readable table", expected=TABLES, hint=_EXPORT)
    if re.match(rb"<(!doctype|html|\?xml)", begin, re.IGNORECASE):
        raise InputError(
            f"{path} is a web page or XML, not a table", expected=TABLES,
            hint="a download may have given a page in place of the file",
        )  # fmt: skip
    if begin[:1] == b">":
        raise InputError(
            f"{path} is a FASTA file, not a table", expected=TABLES, hint="give a FASTA as --table FASTA --labels TABLE"
        )


def decode_text(path: Path, raw: bytes) -> tuple[str, str]:
    """Decodes a file to text with LF line ends, with a note if its encoding was inferred.

    A byte-order mark decides; without one it is UTF-8, or Windows-1252 (Latin-1) if it is not valid UTF-8.

    Raises:
        InputError: It is binary.
    """
    note = ""
    try:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = raw.decode("utf-16")
        elif b"\0" in raw:
            raise InputError(f"{path} is not a table: it is binary", expected=TABLES)
        else:
            text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise InputError(f"{path} is not a table: it is truncated or not UTF-16 text", expected=TABLES) from error
        text = raw.decode("cp1252", errors="replace")
        note = f"{path.name} is not UTF-8 text (byte {error.start + 1}); it was read as Latin-1 (Windows-1252)"
    if "\0" in text:
        raise InputError(f"{path} is not a table: it is binary", expected=TABLES)
    return text.replace("\r\n", "\n").replace("\r", "\n"), note
