"""Similarity to known motifs by TOMTOM (Gupta et al. 2007, doi:10.1186/gb-2007-8-2-r24), as implemented in memelite.

TOMTOM's p-value is that of the best alignment, on either strand, under a null of targets whose columns are drawn
independently from all columns of the database. q-values (Benjamini-Hochberg) are computed over all targets of a query
and over all targets of all queries. The larger one is used, so that neither many related targets of one query nor many
queries make a chance match significant.

Columns of real motifs are not independent, and a query with many nearly uniform columns fits long weak motifs far
better than this null allows. So each query is also compared with the database's motifs with shuffled columns, three
shuffles each; similarity to these is chance. The p-value of a query's best match must be ten times lower than the
lowest among the shuffled motifs, and the p-value of every further match lower than it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.metrics.multiple import adjust
from noncoder.runs.results import MotifMatch
from noncoder.sequence.motifs import JASPAR_RELEASE, Motif, load_jaspar_collection
from noncoder.threads import limit_numba

Q_VALUE = 0.01
"""The q-value of a match must be below this."""
SHUFFLES = 3
"""Column shuffles of each motif of the database."""
MARGIN = 10.0
"""Required ratio of the lowest p-value among shuffled motifs to the p-value of a query's best match."""
_LEAST_TARGETS = 25  # with fewer, TOMTOM's p-values depend on the choice of targets
_LEAST_WIDTH = 4  # bp of a query


@dataclass(frozen=True, eq=False)
class MotifComparison:
    """Comparison of Q queries with a database of D motifs.

    Args:
        database: Known motifs, D.
        p: TOMTOM's p-values, (Q, D).
        q: q-values, (Q, D).
        chance: Lowest p-value among motifs with shuffled columns, (Q,).
        offset: Offsets, see `MotifMatch`, (Q, D).
        overlap: Overlaps, see `MotifMatch`, (Q, D).
        reverse: Whether the known motif is reverse-complemented, (Q, D).
    """

    database: Sequence[Motif]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    chance: NDArray[np.float64]
    offset: NDArray[np.int64]
    overlap: NDArray[np.int64]
    reverse: NDArray[np.bool_]

    def matches(self, query: int, q: float = Q_VALUE) -> list[MotifMatch]:
        """Returns the significant matches of a query that are better than chance, best first."""
        if not self.p[query].min() * MARGIN < self.chance[query]:
            return []
        significant = (self.q[query] < q) & (self.p[query] < self.chance[query])
        return [self.match(query, i) for i in np.argsort(self.p[query], kind="stable") if significant[i]]

    def best(self, query: int) -> MotifMatch:
        """Returns the best match of a query, significant or not."""
        return self.match(query, int(self.p[query].argmin()))

    def match(self, query: int, target: int) -> MotifMatch:
        """Returns the match of a query with one known motif."""
        motif, at = self.database[target], (query, target)
        return MotifMatch(
            id=motif.id or motif.name,
            name=motif.name,
            p=float(self.p[at]),
            q=float(self.q[at]),
            offset=int(self.offset[at]),
            strand="-" if self.reverse[at] else "+",
            overlap=int(self.overlap[at]),
        )


@lru_cache(maxsize=4)
def load_database(release: str = JASPAR_RELEASE, taxon: str = "vertebrates") -> tuple[Motif, ...]:
    """Returns JASPAR's CORE motifs of a taxonomic group; they are read once per process.

    Raises:
        UnknownNameError: The release or taxonomic group does not exist.
    """
    return tuple(load_jaspar_collection(release, taxon))


def match_motifs(queries: Sequence[Motif], database: Sequence[Motif], q: float = Q_VALUE) -> list[list[MotifMatch]]:
    """Returns the known motifs that each query resembles significantly, on either strand, best first.

    Args:
        queries: Motifs of at least 4 bp.
        database: Known motifs, at least 25.
        q: The q-value of a match must be below this.

    Raises:
        InputError: A query is too short, or the database is too small for p-values.
    """
    comparison = compare_motifs(queries, database)
    return [comparison.matches(i, q) for i in range(len(queries))]


def compare_motifs(queries: Sequence[Motif], database: Sequence[Motif]) -> MotifComparison:
    """Compares each query with each known motif, and with known motifs with shuffled columns.

    Args:
        queries: Motifs of at least 4 bp.
        database: Known motifs, at least 25.

    Raises:
        InputError: A query is too short, or the database is too small for p-values.
    """
    if len(database) < _LEAST_TARGETS:
        raise InputError(
            f"the database has {len(database)} motifs", expected=f"{_LEAST_TARGETS} or more",
            hint="p-values depend on all columns of a database; give a complete one",
        )  # fmt: skip
    for query in queries:
        if query.width < _LEAST_WIDTH:
            raise InputError(f"the motif {query.name} has {query.width} bp", expected=f"{_LEAST_WIDTH} bp or more")
    if not queries:
        empty = np.zeros((0, len(database)))
        integers = empty.astype(np.int64)
        return MotifComparison(database, empty, empty, np.zeros(0), integers, integers, empty.astype(np.bool_))
    p, offset, overlap, reverse = _tomtom(queries, [motif.ppm for motif in database])
    chance = _tomtom(queries, _shuffled(database))[0].min(axis=1)
    each = np.stack([adjust(row, "bh") for row in p])
    q = np.maximum(each, adjust(p.ravel(), "bh").reshape(p.shape))
    return MotifComparison(
        database, p, q, chance, offset.astype(np.int64), overlap.astype(np.int64), reverse.astype(np.bool_)
    )


def _tomtom(queries: Sequence[Motif], targets: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], ...]:
    """Returns p-values, offsets, overlaps and strands, (Q, D) each."""
    from memelite import tomtom

    limit_numba()
    p, _, offset, overlap, reverse = tomtom([np.array(query.ppm) for query in queries], targets)
    # Sums of many small probabilities can end a little above 1 or below 0.
    return np.clip(p, 0.0, 1.0), offset, overlap, reverse


def _shuffled(database: Sequence[Motif]) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    return [motif.ppm[:, rng.permutation(motif.width)] for _ in range(SHUFFLES) for motif in database]
