import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from noncoder.data.deepsea.stitching import find_shifts, new_bases
from noncoder.sequence.encoding import reverse_complement

Codes = NDArray[np.uint8]


def spelled(codes: Codes, step: int) -> tuple[Codes, NDArray[np.int64], Codes]:
    """The stitched bases, where each window begins in them, and the windows read back from there."""
    shifts = find_shifts(codes, step)
    bases, width = new_bases(codes, shifts), codes.shape[1]
    starts = np.cumsum(np.where(shifts == 0, width, shifts)) - width
    return bases, starts, np.stack([bases[at : at + width] for at in starts])


@st.composite
def windows(draw: st.DrawFn) -> tuple[Codes, int]:
    """Consecutive windows over a genome of few letters, repeats, N and reverse palindromes, with gaps."""
    step, flank = draw(st.integers(1, 6)), draw(st.integers(0, 4))
    width = step * draw(st.integers(1, 4)) + 2 * flank
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    unit = rng.integers(0, draw(st.integers(1, 5)), size=draw(st.integers(1, 40)), dtype=np.uint8)
    genome = np.tile(unit, 12) if draw(st.booleans()) else np.concatenate([unit, reverse_complement(unit)] * 6)
    genome = np.pad(genome, (0, max(0, 8 * width - genome.size)), constant_values=4)
    noise = rng.random(genome.size) < draw(st.sampled_from([0, 0.05, 0.5]))
    genome[noise] = rng.integers(0, 5, noise.sum())
    bins = np.flatnonzero(rng.random((genome.size - width) // step + 1) < draw(st.sampled_from([0.2, 0.7, 1])))
    if not bins.size:
        bins = np.array([0])
    if draw(st.booleans()):  # two chromosomes, one after the other, that share sequence
        bins = np.concatenate([bins, bins[: draw(st.integers(1, 5))]])
    return np.stack([genome[b * step : b * step + width] for b in bins]), step


@settings(max_examples=300, deadline=None)
@given(windows())
@example((np.zeros((3, 8), dtype=np.uint8), 2))
@example((np.full((4, 6), 4, dtype=np.uint8), 2))
def test_every_window_reads_back_and_nothing_is_stored_twice(case: tuple[Codes, int]) -> None:
    codes, step = case
    bases, starts, back = spelled(codes, step)
    np.testing.assert_array_equal(back, codes)
    assert bases.size <= codes.size
    shifts = find_shifts(codes, step)
    assert (shifts % step == 0).all()
    for i in np.flatnonzero(shifts):  # the smallest shift that fits
        for smaller in range(step, int(shifts[i]), step):
            assert (codes[i - 1, smaller:] != codes[i, : codes.shape[1] - smaller]).any()
    for i in np.flatnonzero(shifts == 0)[1:]:
        for any_shift in range(step, codes.shape[1], step):
            assert (codes[i - 1, any_shift:] != codes[i, : codes.shape[1] - any_shift]).any()
    assert (np.diff(starts) > 0).all()


def test_a_random_genome_is_found_again_to_the_base() -> None:
    rng = np.random.default_rng(0)
    genome = rng.integers(0, 4, 20_000, dtype=np.uint8)
    bins = np.array([0, 1, 2, 5, 6, 30, 31, 35, 60])  # shares 800, 400, none, none
    codes = np.stack([genome[b * 200 : b * 200 + 1000] for b in bins])
    bases, _, _ = spelled(codes, 200)
    stretches = [genome[0 : 6 * 200 + 1000], genome[6000 : 35 * 200 + 1000], genome[12000:13000]]
    np.testing.assert_array_equal(bases, np.concatenate(stretches))


def test_a_tandem_repeat_is_shortened_but_spelled_to_the_letter() -> None:
    codes = np.tile(np.array([0, 1, 2, 3], dtype=np.uint8), 5)[None].repeat(2, axis=0)
    bases, starts, back = spelled(codes, 4)
    np.testing.assert_array_equal(back, codes)
    assert (bases.size, starts.tolist()) == (24, [0, 4])
