"""Compiles numba functions of interpretation in advance: `python -m noncoder.interpret.motifs.ahead`.

numba compiles memelite's motif comparison and modisco-lite's clustering at their first call on a machine, which takes
up to a minute and a half, and caches the result on disk. `make install` runs this module once.
"""

from __future__ import annotations

import numpy as np

from noncoder.interpret.motifs.patterns import find_patterns
from noncoder.interpret.motifs.tomtom import compare_motifs
from noncoder.sequence.motifs import Motif

_WINDOWS, _LENGTH = 120, 120


def compile_ahead() -> tuple[int, int]:
    """Finds patterns in random attributions with two planted words, and compares them with random motifs.

    Returns:
        Number of patterns found, and number of motifs they were compared with.
    """
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (_WINDOWS, _LENGTH), dtype=np.uint8)
    values = 0.01 * rng.standard_normal((_WINDOWS, 4, _LENGTH)).astype(np.float32)
    for i, word in enumerate((rng.integers(0, 4, 10), rng.integers(0, 4, 10))):
        for row in range(i, _WINDOWS, 2):
            at = int(rng.integers(40, 70))
            codes[row, at : at + 10] = word
            values[row, word, np.arange(at, at + 10)] += 1
    found = find_patterns(values, codes).patterns
    database = [Motif(f"m{i}", rng.dirichlet(np.ones(4), 10 + i % 5).T) for i in range(30)]
    if found:
        compare_motifs([pattern.motif for pattern in found], database)
    return len(found), len(database)


if __name__ == "__main__":
    compile_ahead()
