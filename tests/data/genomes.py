"""Random genomes with repeats on both strands, and windows on them, for what compares sequence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from noncoder.data.layout import WindowLayout, lay_out

Codes = NDArray[np.uint8]
Longs = NDArray[np.int64]


@dataclass
class Sample:
    """Contigs end to end, the windows on them in any order, and the size of the blocks that they are read in."""

    codes: Codes
    offsets: Longs
    lengths: Longs
    start: Longs
    window: int
    block: int
    seed: int

    @property
    def layout(self) -> WindowLayout:
        return lay_out(self.start, self.window, self.offsets, self.lengths)

    def blocks(self) -> Iterable[Codes]:
        return (self.codes[at : at + self.block] for at in range(0, self.codes.size, self.block))

    def ends(self, i: int) -> tuple[int, int]:
        """The stored bases that a window reads."""
        contig = int(np.searchsorted(self.offsets, self.start[i] + self.window // 2, side="right")) - 1
        first, last = int(self.offsets[contig]), int(self.offsets[contig] + self.lengths[contig])
        return max(first, int(self.start[i])), min(last, int(self.start[i]) + self.window)

    def letters(self, i: int) -> Codes:
        """A window as a model reads it."""
        begin, end = self.ends(i)
        read = np.full(self.window, 4, dtype=np.uint8)
        read[begin - self.start[i] : end - self.start[i]] = self.codes[begin:end]
        return read


def make_codes(rng: np.random.Generator, lengths: Longs, copies: int) -> Codes:
    """Random bases with stretches copied elsewhere, some from the other strand, some with changes."""
    codes = rng.integers(0, 4, int(lengths.sum())).astype(np.uint8)
    for _ in range(copies):
        size = int(rng.integers(30, min(700, codes.size // 2)))
        a, b = rng.integers(0, codes.size - size, 2)
        copy = codes[a : a + size].copy()
        if rng.random() < 0.5:
            copy = 3 - copy[::-1]
        changed = rng.random(size) < rng.choice([0, 0.02, 0.05])
        copy[changed] = rng.integers(0, 4, int(changed.sum()))
        codes[b : b + size] = copy
    codes[rng.integers(0, codes.size, 6)] = 4
    return codes


@st.composite
def samples(draw: st.DrawFn, n_windows: int = 60) -> Sample:
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    lengths = np.array(draw(st.lists(st.integers(120, 2500), min_size=1, max_size=4)), dtype=np.int64)
    offsets = np.append(0, np.cumsum(lengths))[:-1]
    window = draw(st.sampled_from([50, 101, 250, 600]))
    total = int(lengths.sum())
    start = rng.integers(-(window // 2), total - window // 2, n_windows).astype(np.int64)
    codes = make_codes(rng, lengths, draw(st.integers(0, 6)))
    return Sample(codes, offsets, lengths, start, window, draw(st.integers(200, 5000)), seed)
