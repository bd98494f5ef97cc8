from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.motifs import find_hits, score_threshold
from noncoder.sequence.encoding import decode, encode, reverse_complement
from noncoder.sequence.motifs import Motif

MOTIF = Motif("m", np.random.default_rng(0).dirichlet(np.ones(4) * 0.4, 6).T)


@pytest.mark.parametrize("p", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("background", [(0.25, 0.25, 0.25, 0.25), (0.3, 0.2, 0.2, 0.3)])
def test_the_threshold_equals_that_of_all_words(p: float, background: tuple[float, ...]) -> None:
    words = np.array(list(product(range(4), repeat=6)))
    scores = MOTIF.pwm(background=background)[words, np.arange(6)].sum(axis=1)
    chances = np.array(background)[words].prod(axis=1)
    threshold = score_threshold(MOTIF, p, background)
    # Scores within rounding of the threshold can fall on either side.
    assert chances[scores >= threshold + 0.07].sum() <= p
    assert chances[scores >= threshold - 0.07].sum() > p * 0.8


def test_hits_are_where_the_motif_lies_and_nowhere_in_the_rest() -> None:
    ppm = np.full((4, 9), 0.01)
    ppm[encode("TGACTCAGC"), np.arange(9)] = 0.97
    codes = np.zeros((3, 60), dtype=np.uint8)
    codes[0, 10:19], codes[2, 30:39] = encode("TGACTCAGC"), encode("GCTGAGTCA")
    hits = find_hits(codes, Motif("ap1", ppm))
    assert [(int(s), int(a), str(d)) for s, a, d in zip(hits.sequence, hits.start, hits.strand, strict=True)] == [
        (0, 10, "+"), (2, 30, "-"),
    ]  # fmt: skip


def words(width: int) -> NDArray[np.uint8]:
    return np.array(list(product(range(4), repeat=width)), dtype=np.uint8)


def certain(text: str) -> Motif:
    return Motif(text, np.eye(4)[encode(text)].T)


def test_probable_mismatches_are_no_hits() -> None:
    """Any 1 of 8 bases wrong: 25 of 65,536 words, more than 1 in 10,000."""
    hits = find_hits(words(8), certain("GATTACAG"))
    assert sorted(decode(words(8)[row]) for row in hits.sequence) == ["CTGTAATC", "GATTACAG"]


def test_rare_mismatches_are_hits() -> None:
    codes = np.tile(encode("GATTACAGCGT"), (2, 1))
    codes[1, 4] = 3
    assert find_hits(codes, certain("GATTACAGCGT")).sequence.tolist() == [0, 1]


@pytest.mark.parametrize("text", ["GATAA", "CACGTG", "A"])
def test_motifs_too_short_for_p_have_their_best_words_as_hits(text: str) -> None:
    hits = find_hits(words(len(text)), certain(text))
    best = {text, decode(reverse_complement(encode(text)[None])[0])}
    assert {decode(words(len(text))[row]) for row in hits.sequence} == best


def test_a_motif_without_a_preference_has_no_hits() -> None:
    flat = Motif("flat", np.full((4, 3), 0.25))
    assert find_hits(np.zeros((2, 50), dtype=np.uint8), flat).start.size == 0
    with pytest.raises(InputError, match="a p-value of 0"):
        score_threshold(MOTIF, 0)
