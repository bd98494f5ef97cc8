from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.motifs import HeldOut, MotifSite, Pattern, measure_enrichment
from noncoder.interpret.motifs.evidence import composition_free_scores
from noncoder.interpret.motifs.seqlets import Sign
from noncoder.sequence.encoding import encode
from noncoder.sequence.motifs import Motif

WORD = "TGACTCAGCATT"


def pattern(word: str, sign: Sign = "positive") -> Pattern:
    ppm = np.full((4, len(word)), 0.02)
    ppm[encode(word), np.arange(len(word))] = 0.94
    sites = tuple(MotifSite(row, 0, len(word), "+", 1.0) for row in range(100))
    return Pattern("pos_0", sign, ppm, ppm, (0, len(word)), sites)


def windows(n: int, gc: float, seed: int, word: str | None = None, share: float = 1.0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    codes: NDArray[np.uint8] = rng.choice(4, (n, 200), p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]).astype(np.uint8)
    if word is not None:
        for row in range(int(n * share)):
            at = int(rng.integers(0, 200 - len(word)))
            codes[row, at : at + len(word)] = encode(word)
    return codes


def held_out(positive: NDArray[np.uint8], negative: NDArray[np.uint8]) -> HeldOut:
    return HeldOut(np.concatenate([positive, negative]), np.repeat([True, False], [len(positive), len(negative)]))


def test_only_the_motif_of_the_positives_is_enriched() -> None:
    data = held_out(windows(60, 0.45, 0, WORD, 0.8), windows(600, 0.45, 1))
    right, wrong = measure_enrichment([pattern(WORD), pattern("GATTACAGATTA")], data)
    assert right.auroc > 0.8
    assert right.p < 1e-12
    assert wrong.p > 0.01
    assert (right.positives, right.negatives) == (60, 600)


def test_rare_motifs_and_motifs_of_negatives_are_significant() -> None:
    rare = held_out(windows(150, 0.45, 0, WORD, 0.15), windows(1000, 0.45, 1))
    assert measure_enrichment([pattern(WORD)], rare)[0].p < 0.001
    depleted = held_out(windows(150, 0.45, 0), windows(1000, 0.45, 1, WORD, 0.15))
    assert measure_enrichment([pattern(WORD, "negative")], depleted)[0].p < 0.001
    assert measure_enrichment([pattern(WORD, "positive")], depleted)[0].p > 0.1


def test_composition_alone_causes_no_enrichment() -> None:
    data = held_out(windows(200, 0.65, 0), windows(800, 0.35, 1))
    found = measure_enrichment([pattern("GCCGGGCGCC"), pattern("GGGGGGGGGG"), pattern("CCAGCCGCTG")], data)
    assert all(one.p > 0.01 for one in found)
    assert np.abs(composition_free_scores(data.codes, Motif("g", pattern("GGGGGGGG").ppm))).max() < 1e-9


def test_random_windows_show_no_enrichment() -> None:
    p = []
    for seed in range(30):
        data = held_out(windows(50, 0.45, 2 * seed), windows(150, 0.45, 2 * seed + 1))
        p.append(measure_enrichment([pattern(WORD)], data)[0].p)
    assert np.mean(np.array(p) < 0.1) < 0.2
    assert min(p) > 0.001


def test_p_values_are_corrected_for_the_number_of_patterns() -> None:
    data = held_out(windows(40, 0.45, 0, WORD, 0.3), windows(400, 0.45, 1))
    alone = measure_enrichment([pattern(WORD)], data)[0].p
    among = measure_enrichment([pattern(WORD)] + [pattern("GATTACAGATTA")] * 9, data)[0].p
    assert among == pytest.approx(10 * alone)


def test_p_is_one_without_both_labels_or_enough_bases() -> None:
    data = HeldOut(windows(5, 0.5, 0), np.zeros(5, dtype=np.bool_))
    found = measure_enrichment([pattern(WORD)], data)[0]
    assert found.p == 1
    assert not data.enough
    short = HeldOut(windows(5, 0.5, 0)[:, :8], np.array([True, False, True, False, True]))
    assert measure_enrichment([pattern(WORD)], short)[0].p == 1
    with pytest.raises(InputError, match="held-out codes"):
        HeldOut(windows(5, 0.5, 0), np.zeros(4, dtype=np.bool_))


def test_windows_are_cropped_to_the_middle_and_sampling_is_reproducible() -> None:
    codes, labels = windows(100, 0.5, 0), np.arange(100) % 10 == 0
    first, second = HeldOut.cut(codes, labels, 50), HeldOut.cut(codes, labels, 50)
    np.testing.assert_array_equal(first.codes, second.codes)
    np.testing.assert_array_equal(first.codes, codes[np.r_[labels.nonzero()[0], (~labels).nonzero()[0]], 75:125])
    assert first.labels.sum() == 10
