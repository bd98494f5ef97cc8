"""Compiles what interpretation needs, before it is needed: `python -m noncoder.interpret.motifs.ahead`.

memelite's comparison of motifs and modisco-lite's clustering are compiled by numba when they are first called on a
machine, which takes up to a minute and a half, and kept on disk from then on. `make install` does it once.
"""

from __future__ import annotations

import numpy as np

from noncoder.interpret.motifs.patterns import find_patterns
from noncoder.interpret.motifs.tomtom import compare_motifs
from noncoder.sequence.motifs import Motif

_WINDOWS, _LENGTH = 120, 120


def compile_ahead() -> tuple[int, int]:
    """Finds patterns in made-up attributions, and compares them with made-up motifs.

    Returns:
        How many patterns were found, and with how many motifs they were compared.
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
