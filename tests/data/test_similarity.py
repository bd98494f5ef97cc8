"""Near-duplicates against their definition, word for word, and against what is known of planted copies."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.data import layout, similarity
from noncoder.data.layout import lay_out, overlapping_blocks
from noncoder.data.similarity import LEAST_SAMPLES, K, near_duplicates, sampling
from tests.data.genomes import Codes, Longs, Sample, samples

ONES = (1 << 64) - 1


def hash_of(kmer: Codes) -> int:
    forward = reverse = 0
    for code in kmer.tolist():
        forward = 4 * forward + code
    for code in kmer[::-1].tolist():
        reverse = 4 * reverse + 3 - code
    h = min(forward, reverse)
    h = ((h ^ (h >> 33)) * 0xFF51AFD7ED558CCD) & ONES
    h = ((h ^ (h >> 33)) * 0xC4CEB9FE1A85EC53) & ONES
    return h ^ (h >> 33)


def sampled(sample: Sample) -> dict[int, int]:
    """Position to hash of the sampled k-mers of all contigs."""
    found = {}
    for first, length in zip(sample.offsets.tolist(), sample.lengths.tolist(), strict=True):
        for at in range(first, first + length - K + 1):
            kmer = sample.codes[at : at + K]
            if kmer.max() < 4:
                h = hash_of(kmer)
                if h % (1 << sampling(sample.window)) == 0:
                    found[at] = h
    return found


def naive(sample: Sample, group: Longs, near: float, most: int) -> dict[tuple[int, int], float]:
    """(window, other group) to the largest share of the window's samples in one window of that group."""
    at = sampled(sample)
    often = Counter(at.values())
    ends = [sample.ends(i) for i in range(sample.start.size)]
    own = [[at[p] for p in range(begin, end - K + 1) if p in at] for begin, end in ends]
    best: dict[tuple[int, int], float] = {}
    for i, mine in enumerate(own):
        for j, theirs in enumerate(own):
            apart = ends[i][1] <= ends[j][0] or ends[j][1] <= ends[i][0]
            if group[i] != group[j] and apart and len(mine) >= LEAST_SAMPLES:
                share = sum(h in set(theirs) and often[h] <= most for h in mine) / len(mine)
                if share >= near:
                    best[i, int(group[j])] = max(share, best.get((i, int(group[j])), 0))
    return best


@settings(max_examples=25, deadline=None)
@given(sample=samples(40), groups=st.sampled_from([2, 3, 15]), most=st.sampled_from([2, 100]), near=st.floats(0.2, 1))
def test_are_those_of_the_definition(sample: Sample, groups: int, most: int, near: float) -> None:
    group = np.random.default_rng(sample.seed).integers(0, groups, sample.start.size)
    with pytest.MonkeyPatch.context() as patch:
        # Compiled code keeps the value that it was compiled with; this one is used outside of it.
        patch.setattr(similarity, "MOST_OCCURRENCES", most)
        patch.setattr(layout, "_LEAST", 1)
        pairs = near_duplicates(sample.blocks, sample.layout, group, near)
    found = {
        (w, int(group[o])): s
        for w, o, s in zip(pairs.window.tolist(), pairs.other.tolist(), pairs.share.tolist(), strict=True)
    }
    assert found == naive(sample, group, near, most)
    assert len(found) == pairs.window.size


def planted(copy: Codes, size: int = 1000) -> tuple[Longs, Sample]:
    """Two contigs of random bases, the first base of the second's copy of the first at 3,000."""
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 4, 8000).astype(np.uint8)
    codes[1000:2000] = np.random.default_rng(6).integers(0, 4, 1000)
    codes[5000 : 5000 + copy.size] = copy
    sample = Sample(codes, np.array([0, 4000]), np.array([4000, 4000]), np.array([1000, 5000]), size, 777, 0)
    return np.array([0, 1]), sample


ORIGINAL = np.random.default_rng(6).integers(0, 4, 1000).astype(np.uint8)


def changed(share: float) -> Codes:
    rng = np.random.default_rng(7)
    copy, where = ORIGINAL.copy(), rng.random(1000) < share
    copy[where] = (copy[where] + rng.integers(1, 4, int(where.sum()))) % 4
    return copy


@pytest.mark.parametrize(
    ("copy", "near"),
    [
        (ORIGINAL, True),
        (3 - ORIGINAL[::-1], True),
        (ORIGINAL[:600], True),
        (ORIGINAL[:350], False),
        (changed(0.01), True),
        (3 - changed(0.01)[::-1], True),
        (changed(0.08), False),
    ],
    ids=["whole", "reverse", "six tenths", "a third", "1%", "reverse 1%", "8%"],
)
def test_planted_copies(copy: Codes, near: bool) -> None:
    group, sample = planted(copy)
    pairs = near_duplicates(sample.blocks, sample.layout, group)
    assert sorted(pairs.window.tolist()) == ([0, 1] if near else [])


def test_share_is_about_that_of_the_kmers() -> None:
    group, sample = planted(ORIGINAL[:700])
    pairs = near_duplicates(sample.blocks, sample.layout, group)
    assert pairs.share == pytest.approx([0.7, 0.7], abs=0.1)


def test_windows_of_one_group_and_windows_that_overlap_are_no_pair() -> None:
    _, sample = planted(ORIGINAL)
    assert not near_duplicates(sample.blocks, sample.layout, np.array([1, 1])).window.size
    sample.start = np.array([1000, 1400])
    assert not near_duplicates(sample.blocks, sample.layout, np.array([0, 1])).window.size


def test_what_occurs_too_often_is_shared_with_nothing() -> None:
    rng = np.random.default_rng(8)
    codes = np.tile(rng.integers(0, 4, 1000).astype(np.uint8), similarity.MOST_OCCURRENCES + 1)
    for copies, found in ((similarity.MOST_OCCURRENCES, True), (similarity.MOST_OCCURRENCES + 1, False)):
        lengths = np.full(copies, 1000)
        place = np.arange(copies) * 1000
        kept = codes[: copies * 1000]
        pairs = near_duplicates(lambda kept=kept: [kept], lay_out(place, 1000, place, lengths), np.arange(copies) % 2)  # type: ignore[misc]
        assert bool(pairs.window.size) == found


def test_windows_of_little_sequence_are_not_judged() -> None:
    group, sample = planted(ORIGINAL)
    sample.codes[1000:1950] = 4
    pairs = near_duplicates(sample.blocks, sample.layout, group)
    assert pairs.judged.tolist() == [False, True]


def test_samples_are_a_hundred_a_window_or_more() -> None:
    assert [sampling(window) for window in (1, 100, 199, 200, 1000, 131_072)] == [0, 0, 0, 1, 3, 10]


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 12), st.integers(1, 20))
def test_blocks_overlap_and_lose_nothing(sizes: list[int], overlap: int, least: int) -> None:
    whole = np.arange(sum(sizes)).astype(np.uint8)
    blocks = np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []
    end = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "_LEAST", least)
        for at, block in overlapping_blocks(blocks, overlap):
            assert at == max(0, end - overlap)
            assert block.tolist() == whole[at : at + block.size].tolist()
            assert at + block.size - end >= min(least, whole.size - end)
            end = at + block.size
    assert end == whole.size
