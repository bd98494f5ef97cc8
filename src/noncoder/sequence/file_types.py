"""Recognizes the type of a file by its first bytes, for messages."""

from __future__ import annotations

import re

# The first match counts. Binary formats are recognized by their magic bytes, text formats by their first line.
_FORMATS = tuple(
    (re.compile(start), name)
    for start, name in (
        (rb"\xff\xfe|\xfe\xff", "UTF-16 text"),
        (rb"\x1f\x8b", "gzip data within gzip data"),
        (rb"BZh\d", "bzip2 data"),
        (rb"\xfd7zXZ\x00", "xz data"),
        (rb"\x28\xb5\x2f\xfd", "Zstandard data"),
        (rb"\x1a\x41\x27\x43|\x43\x27\x41\x1a", "a 2bit file"),
        (rb"PK\x03\x04", "a zip archive, as Excel's .xlsx and NumPy's .npz are"),
        (rb"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
        (rb"PAR1", "a Parquet file"),
        (rb"\x89HDF", "an HDF5 file"),
        (rb"\x93NUMPY", "a NumPy array"),
        (rb"BAM\x01|CRAM", "a BAM or CRAM file"),
        (rb"BCF\x02", "a BCF file"),
        (rb"\x26\xfc\x8f\x88|\x88\x8f\xfc\x26", "a bigWig file"),
        (rb"SQLite format 3", "an SQLite database"),
        (rb"%PDF", "a PDF file"),
        (rb"\{\\rtf", "an RTF document"),
        (rb"(?s).{257}ustar", "a tar archive"),
        (rb"version https://git-lfs", "a pointer of Git LFS instead of the file"),
        (rb"<", "a web page or XML, perhaps that of a failed download"),
        (rb"@(HD|SQ|RG|PG|CO)\t", "a SAM file"),
        (rb"@", "a FASTQ file"),
        (rb"LOCUS\s", "a GenBank file"),
        (rb"(AC|VV)\s", "a TRANSFAC file"),
        (rb"ID\s", "an EMBL or TRANSFAC file"),
        (rb"##gff", "a GFF file"),
        (rb"##fileformat=VCF", "a VCF file"),
        (rb"CLUSTAL", "a Clustal alignment"),
        (rb"#NEXUS", "a NEXUS file"),
        (rb"# STOCKHOLM", "a Stockholm alignment"),
        (rb"MEME version", "a MEME file of motifs"),
        (rb"(track|browser)[ \t]|[^\s>][^\t\r\n]*\t\d+\t\d+", "a BED file"),
        (rb"\{|\[", "JSON"),
        (rb"[^\x00-\x08\r\n>]*[,\t]", "a table"),
    )
)


def recognize(start: bytes) -> str:
    """Describes the format of a file for messages such as "it looks like a FASTQ file"; empty if unknown.

    Args:
        start: Its first bytes, about 300, decompressed.
    """
    return next((name for pattern, name in _FORMATS if pattern.match(start)), "")
