"""Which known motifs a pattern resembles: TOMTOM (Gupta et al. 2007, doi:10.1186/gb-2007-8-2-r24) as memelite has it.

TOMTOM's p-value is that of the best alignment, on either strand, against targets whose columns are drawn one by one
from all columns of the database. q-values are Benjamini and Hochberg's, taken twice: over all targets of a query, and
over all targets of all queries. The larger of the two counts, so that neither one query's many relatives nor the many
queries of a run make a chance match significant.

Columns of real motifs are not drawn one by one, and a query of many nearly even columns fits long weak motifs far
better than that null allows. So each database is matched a second time with the columns of each motif shuffled, three
times over: whatever a query resembles among those is chance. A query's best match has to have a p-value ten times
lower than the best of them, and each further match a lower one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.metrics.multiple import adjust
from noncoder.sequence.motifs import JASPAR_RELEASE, Motif, load_jaspar_collection
from noncoder.threads import limit_numba

Q_VALUE = 0.01
"""Largest q-value of a match."""
SHUFFLES = 3
"""How often the columns of the database's motifs are shuffled."""
MARGIN = 10.0
"""How many times lower than that of the best shuffled motif the p-value of a query's best match has to be."""
_LEAST_TARGETS = 25  # with fewer, TOMTOM's p-values depend on which they are
_LEAST_WIDTH = 4  # bp of a query


@dataclass(frozen=True)
class Match:
    """A known motif that a query resembles.

    Args:
        id: Its id in the database.
        name: Its name.
        p: TOMTOM's p-value of the best alignment.
        q: p, corrected for all targets and all queries.
        offset: Positions of the known motif, as it lies on `strand`, before the query's first; negative where the query
            begins before it.
        strand: "-" where its reverse complement is what the query resembles.
        overlap: Positions that both have.
    """

    id: str
    name: str
    p: float
    q: float
    offset: int
    strand: Literal["+", "-"]
    overlap: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class MotifComparison:
    """Queries against a database.

    Args:
        database: The known motifs, D.
        p: TOMTOM's p-values, (Q, D).
        q: Corrected p-values, (Q, D).
        chance: Lowest p-value among motifs with shuffled columns, (Q,).
        offset: See `Match`, (Q, D).
        overlap: See `Match`, (Q, D).
        reverse: Whether the known motif is turned round, (Q, D).
    """

    database: Sequence[Motif]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    chance: NDArray[np.float64]
    offset: NDArray[np.int64]
    overlap: NDArray[np.int64]
    reverse: NDArray[np.bool_]

    def matches(self, query: int, q: float = Q_VALUE) -> list[Match]:
        """The significant matches of a query that beat chance, best first."""
        if not self.p[query].min() * MARGIN < self.chance[query]:
            return []
        significant = (self.q[query] < q) & (self.p[query] < self.chance[query])
        return [self.match(query, i) for i in np.argsort(self.p[query], kind="stable") if significant[i]]

    def best(self, query: int) -> Match:
        """The best match of a query, significant or not."""
        return self.match(query, int(self.p[query].argmin()))

    def match(self, query: int, target: int) -> Match:
        """How a query and a known motif fit."""
        motif, at = self.database[target], (query, target)
        return Match(
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
    """JASPAR's CORE motifs of a taxon; read once a process.

    Raises:
        UnknownNameError: There is no such release or taxon.
    """
    return tuple(load_jaspar_collection(release, taxon))


def match_motifs(queries: Sequence[Motif], database: Sequence[Motif], q: float = Q_VALUE) -> list[list[Match]]:
    """The known motifs that each query resembles significantly, best first, on either strand.

    Args:
        queries: Motifs of at least 4 bp.
        database: Known motifs, at least 25.
        q: Largest q-value.

    Raises:
        InputError: A query is too short, or the database too small for p-values.
    """
    comparison = compare_motifs(queries, database)
    return [comparison.matches(i, q) for i in range(len(queries))]


def compare_motifs(queries: Sequence[Motif], database: Sequence[Motif]) -> MotifComparison:
    """Compares each query with each known motif, and with motifs of shuffled columns.

    Args:
        queries: Motifs of at least 4 bp.
        database: Known motifs, at least 25.

    Raises:
        InputError: A query is too short, or the database too small for p-values.
    """
    if len(database) < _LEAST_TARGETS:
        raise InputError(
            f"a database of {len(database)} motifs", expected=f"{_LEAST_TARGETS} or more",
            hint="p-values rest on all columns of a database: give a whole one",
        )  # fmt: skip
    for query in queries:
        if query.width < _LEAST_WIDTH:
            raise InputError(f"the motif {query.name} of {query.width} bp", expected=f"{_LEAST_WIDTH} bp or more")
    if not queries:
        empty = np.zeros((0, len(database)))
        whole = empty.astype(np.int64)
        return MotifComparison(database, empty, empty, np.zeros(0), whole, whole, empty.astype(np.bool_))
    p, offset, overlap, reverse = _tomtom(queries, [motif.ppm for motif in database])
    chance = _tomtom(queries, _shuffled(database))[0].min(axis=1)
    each = np.stack([adjust(row, "bh") for row in p])
    q = np.maximum(each, adjust(p.ravel(), "bh").reshape(p.shape))
    return MotifComparison(
        database, p, q, chance, offset.astype(np.int64), overlap.astype(np.int64), reverse.astype(np.bool_)
    )


def _tomtom(queries: Sequence[Motif], targets: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], ...]:
    """p-values, offsets, overlaps and strands, (Q, D) each."""
    from memelite import tomtom

    limit_numba()
    p, _, offset, overlap, reverse = tomtom([np.array(query.ppm) for query in queries], targets)
    # Sums of many small probabilities can end a little above 1 or below 0.
    return np.clip(p, 0.0, 1.0), offset, overlap, reverse


def _shuffled(database: Sequence[Motif]) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    return [motif.ppm[:, rng.permutation(motif.width)] for _ in range(SHUFFLES) for motif in database]
