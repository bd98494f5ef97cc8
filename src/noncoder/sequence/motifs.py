"""Motifs: from JASPAR, from and to MEME files, and hits in sequences."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import SequenceError, UnknownNameError
from noncoder.sequence.encoding import N_CODE
from noncoder.sequence.meme import MemeMotifs, read_meme, write_meme
from noncoder.sequence.motif import UNIFORM, Motif

__all__ = [
    "JASPAR_RELEASE",
    "UNIFORM",
    "Hits",
    "MemeMotifs",
    "Motif",
    "best_scores",
    "load_jaspar",
    "load_jaspar_collection",
    "read_meme",
    "scan",
    "write_meme",
]

JASPAR_RELEASE = "JASPAR2026"

_BLOCK = 1 << 21  # scores in memory at once, so that memory does not grow with the sequences
_STRANDS = np.array(["+", "-"])


def load_jaspar(names: Iterable[str], release: str = JASPAR_RELEASE, taxon: str = "vertebrates") -> list[Motif]:
    """Looks up motifs in a JASPAR release that pyjaspar contains; nothing is downloaded.

    Several matrices share a name if a factor has variants or orthologues. Then CORE takes precedence over the other
    collections, `taxon` over other taxa, and the lowest matrix number over later ones; an id is unambiguous.

    Args:
        names: Matrix ids with a version ("MA0139.2") or without (the latest), or factors' names ("CTCF").
        release: E.g. "JASPAR2024".
        taxon: JASPAR's taxonomic group that a shared name means, e.g. "vertebrates" or "fungi".

    Raises:
        UnknownNameError: There is no such motif or release.
    """
    import pyjaspar  # imports Biopython, which is slow and needed only here

    names = [names] if isinstance(names, str) else list(names)
    if release not in pyjaspar.jaspar_releases:
        raise UnknownNameError("JASPAR release", release, pyjaspar.jaspar_releases)
    database = pyjaspar.jaspardb(release=release)
    with closing(database.conn) as connection:
        exact, folded = _jaspar_index(connection, taxon)
        for name in names:
            if name not in exact and name.casefold() not in folded:
                raise UnknownNameError(f"motif of {release}", name, exact)
        ids = [exact.get(name) or folded[name.casefold()] for name in names]
        return [_from_jaspar(database.fetch_motif_by_id(matrix)) for matrix in ids]


def load_jaspar_collection(release: str = JASPAR_RELEASE, taxon: str = "vertebrates") -> list[Motif]:
    """Returns all motifs of JASPAR's CORE collection of a taxon, the latest version of each, ordered by id.

    Args:
        release: E.g. "JASPAR2016", which has 519 of vertebrates.
        taxon: JASPAR's taxonomic group.

    Raises:
        UnknownNameError: There is no such release or taxon.
    """
    import pyjaspar  # imports Biopython, which is slow and needed only here

    if release not in pyjaspar.jaspar_releases:
        raise UnknownNameError("JASPAR release", release, pyjaspar.jaspar_releases)
    database = pyjaspar.jaspardb(release=release)
    with closing(database.conn) as connection:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a missing motif is reported below
            records = database.fetch_motifs(collection="CORE", tax_group=[taxon])
        if not records:
            taxa = connection.execute("SELECT DISTINCT VAL FROM MATRIX_ANNOTATION WHERE TAG = 'tax_group'")
            raise UnknownNameError("taxonomic group", taxon, [value for (value,) in taxa])
        return sorted(map(_from_jaspar, records), key=lambda motif: motif.id or "")


def _jaspar_index(connection: Any, taxon: str) -> tuple[dict[str, str], dict[str, str]]:
    """Maps ids, base ids and names, as written and case-folded, to full matrix ids."""
    rows = connection.execute(
        "SELECT m.BASE_ID, m.VERSION, m.NAME, m.COLLECTION = 'CORE', COALESCE(a.VAL, '') = ? FROM MATRIX m "
        "LEFT JOIN MATRIX_ANNOTATION a ON a.ID = m.ID AND a.TAG = 'tax_group' ORDER BY 4, 5, m.BASE_ID DESC, m.VERSION",
        (taxon,),
    )
    # The preferred row comes last and overwrites the others with its name.
    exact = {key: f"{base}.{version}" for base, version, name, *_ in rows for key in (name, base, f"{base}.{version}")}
    folded: dict[str, str] = {}
    for key, matrix in exact.items():
        folded.setdefault(key.casefold(), matrix)
    return exact, folded


def _from_jaspar(record: Any) -> Motif:
    counts = np.array([record.counts[base] for base in "ACGT"], dtype=np.float64)
    total = counts.sum(axis=0)
    # A few matrices have a column without counts, which is uniform.
    ppm = np.divide(counts, total, out=np.full_like(counts, 0.25), where=total > 0)
    return Motif("_".join(record.name.split()), ppm, record.matrix_id)


class Hits(NamedTuple):
    """Hits of a motif, ordered by sequence, start and strand.

    Attributes:
        sequence: Row of the scanned codes, (n,).
        start: First base of the hit on the forward strand, 0-based, (n,).
        strand: "+" or "-", (n,).
        score: Log-odds, bits, (n,).
    """

    sequence: NDArray[np.int64]
    start: NDArray[np.int64]
    strand: NDArray[np.str_]
    score: NDArray[np.float64]


def best_scores(codes: NDArray[np.uint8], motif: Motif, background: Sequence[float] = UNIFORM) -> NDArray[np.float64]:
    """Returns the highest score of a motif in each sequence, on either strand, bits, (N,); minus infinity if none fits.

    Args:
        codes: Sequences, uint8 (N, L). An N scores 0, as the background does.
        motif: The motif; it scores by its `pwm`.
        background: Frequencies of A, C, G and T on the forward strand.

    Raises:
        SequenceError: `codes` does not have two dimensions, or contains values other than 0 to 4.
        InputError: The background is not four positive numbers that sum to 1.
    """
    _check_codes(codes)
    n, length = codes.shape
    best = np.full(n, -np.inf)
    step = max(1, _BLOCK // max(1, length))
    for oriented in (motif, motif.reverse_complement()):
        pwm = np.vstack([oriented.pwm(background=background), np.zeros(motif.width)])
        for first in range(0, n if length >= motif.width else 0, step):
            block = slice(first, first + step)
            best[block] = np.maximum(best[block], _scores(codes[block], pwm).max(axis=1))
    return best


def scan(codes: NDArray[np.uint8], motif: Motif, threshold: float, background: Sequence[float] = UNIFORM) -> Hits:
    """Finds a motif on both strands; all overlapping hits are reported, and a palindrome on both strands.

    Args:
        codes: Sequences, uint8 (N, L). An N scores 0, as the background does.
        motif: The motif; it scores by its `pwm`.
        threshold: Lowest score of a hit, bits.
        background: Frequencies of A, C, G and T on the forward strand.

    Raises:
        SequenceError: See `best_scores`.
        InputError: See `best_scores`.
    """
    _check_codes(codes)
    n, length = codes.shape
    step = max(1, _BLOCK // max(1, length))
    found = [(np.zeros(0, dtype=np.int64),) * 3 + (np.zeros(0),)]
    for is_reverse, oriented in enumerate((motif, motif.reverse_complement())):
        pwm = np.vstack([oriented.pwm(background=background), np.zeros(motif.width)])
        for first in range(0, n if length >= motif.width else 0, step):
            scores = _scores(codes[first : first + step], pwm)
            sequence, start = np.nonzero(scores >= threshold)
            found.append((sequence + first, start, np.full(start.size, is_reverse), scores[sequence, start]))
    sequence, start, strand, score = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((strand, start, sequence))
    return Hits(sequence[order], start[order], _STRANDS[strand[order]], score[order])


def _check_codes(codes: NDArray[np.uint8]) -> None:
    if codes.ndim != 2 or (codes.size and codes.max() > N_CODE):
        raise SequenceError(f"an array of shape {codes.shape} to scan", expected="codes (N, L) with values from 0 to 4")


def _scores(codes: NDArray[np.uint8], pwm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the score at every start, (n, L - w + 1); `pwm` has a fifth row for N."""
    width = pwm.shape[1]
    places = codes.shape[1] - width + 1
    scores = np.zeros((len(codes), places))
    for j in range(width):
        scores += pwm[:, j][codes[:, j : j + places]]
    return scores
