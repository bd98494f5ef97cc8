"""FASTA files in every shape that FASTA readers meet, and a slow reader to compare with."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass

from hypothesis import strategies as st

LETTERS = "ACGTacgtNnRYKMSWBDHVU"
_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@dataclass(frozen=True)
class Fasta:
    """A file's content, packed or not, and the letters of its records."""

    content: bytes
    records: dict[str, str]


def slow_read(content: bytes) -> dict[str, str] | None:
    """The letters of each record, one line after another; None for what is not FASTA or has equal or missing names."""
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode("latin-1")
    records: dict[str, str] = {}
    name = None
    for line in text.split("\n"):
        if line.startswith(">"):
            name = line[1:].split(" ")[0].split("\t")[0]
            if not name or name in records:
                return None
            records[name] = ""
        elif name is not None:
            records[name] += line.replace(" ", "").replace("\t", "")
        elif line.strip(" \t") and not line.strip(" \t").startswith(";"):
            return None
    return records if records and all(records.values()) else None


def bgzip(content: bytes, block: int = 0xFF00, extra: bytes = b"") -> bytes:
    """Content in bgzip's blocks of a size, with another extra field in their headers."""
    packed = b""
    for at in range(0, len(content), block):
        part = content[at : at + block]
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        data = deflate.compress(part) + deflate.flush()
        fields = len(extra) + 6
        size = 12 + fields + len(data) + 8
        header = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", fields) + extra
        packed += header + struct.pack("<2sHH", b"BC", 2, size - 1) + data
        packed += struct.pack("<II", zlib.crc32(part), len(part))
    return packed + _END


@st.composite
def packings(draw: st.DrawFn, content: bytes) -> bytes:
    """A file's content plain, gzipped in one or two members, bgzipped, or bgzipped in part."""
    kind = draw(st.sampled_from(["plain", "gzip", "members", "bgzip", "bgzips", "mixed"]))
    middle = draw(st.integers(0, len(content)))
    if kind == "plain":
        return content
    if kind == "gzip":
        return gzip.compress(content, mtime=0)
    if kind == "members":
        return gzip.compress(content[:middle], mtime=0) + gzip.compress(content[middle:], mtime=0)
    block, extra = draw(st.integers(1, 60)), draw(st.sampled_from([b"", b"XX\x03\x00abc", b"RA\x00\x00"]))
    if kind == "bgzip":
        return bgzip(content, block, extra)
    if kind == "mixed":
        return bgzip(content[:middle], block) + gzip.compress(content[middle:], mtime=0) + b"\0" * 7
    return bgzip(content[:middle], block) + bgzip(content[middle:], block + 3, extra)


@st.composite
def fastas(draw: st.DrawFn, packed: bool = True) -> Fasta:
    """A valid FASTA file: lines of any length and end, blank lines, blanks, a mark of byte order, any packing."""
    names = draw(st.lists(st.text("abc1:-_.|>é", min_size=1, max_size=4), min_size=1, max_size=5, unique=True))
    ends = st.sampled_from(draw(st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n", "\r"]])))
    is_ragged = draw(st.booleans())
    blank = draw(st.sampled_from(["", "", " ", "\t "]))
    text = draw(st.sampled_from(["", "\ufeff"])) + draw(st.sampled_from(["", "\n", "\r\n \n", "; old > comment\n"]))
    records = {}
    for name in names:
        letters = draw(st.text(LETTERS, min_size=1, max_size=90))
        text += f">{name}{draw(st.sampled_from(['', ' any words', chr(9) + 'x >y', ' ']))}{draw(ends)}"
        width = draw(st.integers(1, 40))
        at = 0
        while at < len(letters):
            step = draw(st.integers(1, 40)) if is_ragged else width
            text += letters[at : at + step] + blank + draw(ends)
            at += step
            if is_ragged and draw(st.integers(0, 5)) == 0:
                text += draw(ends)
        records[name] = letters
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    content = text.encode()
    return Fasta(draw(packings(content)) if packed else content, records)


@st.composite
def mutations(draw: st.DrawFn, content: bytes) -> bytes:
    """Content with a few bytes changed, put in, taken out, doubled, or with its end cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed)))
        how = draw(st.sampled_from(["put", "set", "cut", "double", "end"]))
        some = draw(
            st.binary(min_size=1, max_size=3)
            | st.sampled_from([b">", b"\n", b"\r", b"\n>", b" ", b"\xef\xbb\xbf", b"\0"])
        )
        size = draw(st.integers(1, 20))
        if how == "put":
            changed[at:at] = some
        elif how == "set":
            changed[at : at + len(some)] = some
        elif how == "cut":
            del changed[at : at + size]
        elif how == "double":
            changed[at:at] = changed[at : at + size]
        elif at:
            del changed[at:]
    return bytes(changed)
