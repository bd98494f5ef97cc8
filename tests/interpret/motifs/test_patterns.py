from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.motifs import (
    Account,
    HeldOut,
    PatternConfig,
    Performance,
    diagnose,
    find_patterns,
    load_database,
    name_patterns,
)
from noncoder.interpret.motifs.patterns import _pattern, find_core
from noncoder.sequence.encoding import encode, reverse_complement

WORD = encode("TGACTCAGCA")


def draw(n: int, length: int = 200, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 4, (n, length), dtype=np.uint8)


def planted(n: int, length: int = 200) -> tuple[NDArray[np.float32], NDArray[np.uint8], dict[int, tuple[int, bool]]]:
    """Attributions of a word planted once in each sequence, in every other sequence on the reverse strand."""
    rng = np.random.default_rng(1)
    codes = draw(n, length)
    values = rng.normal(0, 0.02, (n, 4, length)).astype(np.float32)
    places = {}
    for row in range(n):
        at, is_reverse = int(rng.integers(30, length - 40)), bool(row % 2)
        word = reverse_complement(WORD[None])[0] if is_reverse else WORD
        codes[row, at : at + word.size] = word
        values[row, :, at : at + word.size] = -0.4
        values[row, word, np.arange(at, at + word.size)] = 1.0
        places[row] = (at, is_reverse)
    return values, codes, places


@pytest.fixture(scope="module")
def found() -> tuple[NDArray[np.float32], NDArray[np.uint8], dict[int, tuple[int, bool]]]:
    return planted(80)


def test_a_planted_word_is_found_at_its_sites(
    found: tuple[NDArray[np.float32], NDArray[np.uint8], dict[int, tuple[int, bool]]],
) -> None:
    values, codes, places = found
    patterns = find_patterns(values, codes)
    best = patterns.patterns[0]
    consensus = best.motif.consensus
    assert consensus in ("TGACTCAGCA", "TGCTGAGTCA")
    assert (best.name, best.sign, best.seqlets) == ("pos_0", "positive", len(best.sites))
    assert best.seqlets >= 60
    assert best.core_cwm.shape == best.motif.ppm.shape == (4, 10)
    for site in best.sites:
        at, is_reverse = places[site.row]
        assert (site.start, site.end) == (at, at + 10)
        assert (site.strand == "-") == (is_reverse == (consensus == "TGACTCAGCA"))
        assert site.score == pytest.approx(10, abs=0.1)
    assert patterns.seqlets.count["positive"] >= best.seqlets
    assert patterns.seqlets.threshold["positive"] is not None
    json.dumps(
        [one.result().to_json() for one in name_patterns(patterns.patterns[:1], load_database("JASPAR2026", "fungi"))]
    )


def test_only_the_region_is_searched_and_sites_refer_to_the_window(
    found: tuple[NDArray[np.float32], NDArray[np.uint8], dict[int, tuple[int, bool]]],
) -> None:
    values, codes, places = found
    best = find_patterns(values, codes, PatternConfig(region=(40, 170), signs=("positive",))).patterns[0]
    assert all(places[site.row][0] == site.start for site in best.sites)
    with pytest.raises(InputError, match="the region is 40 to 300"):
        find_patterns(values, codes, PatternConfig(region=(40, 300)))


def test_a_pattern_that_lowers_the_logit_is_negative(
    found: tuple[NDArray[np.float32], NDArray[np.uint8], dict[int, tuple[int, bool]]],
) -> None:
    values, codes, _ = found
    patterns = find_patterns(-values, codes, PatternConfig(signs=("negative",)))
    assert patterns.patterns[0].name == "neg_0"
    assert patterns.patterns[0].core_cwm.sum() < 0
    assert patterns.seqlets.used["positive"] == 0


@pytest.mark.parametrize("case", ["none", "one", "flat", "constant", "short", "n", "noise", "few"])
def test_the_diagnosis_explains_missing_patterns(case: str) -> None:
    rng = np.random.default_rng(0)
    n, length = {"none": (0, 200), "one": (1, 200), "short": (9, 30), "few": (6, 120)}.get(case, (30, 200))
    codes = np.full((n, length), 4, dtype=np.uint8) if case == "n" else draw(n, length)
    values = rng.normal(size=(n, 4, length)).astype(np.float32)
    if case in ("flat", "constant"):
        values[:] = 0.0 if case == "flat" else 1.0
    patterns = find_patterns(values, codes)
    assert patterns.windows == n
    named = name_patterns(patterns.patterns, load_database(), HeldOut(draw(4), np.array([True, False, False, True])))
    assert [one.name for one in named if one.name] == []
    diagnosis = diagnose(patterns, named)
    assert diagnosis.text
    assert all(sentence.endswith(".") for sentence in diagnosis.text)
    json.dumps(diagnosis.to_dict(), allow_nan=False)
    if case in ("flat", "n"):
        assert any("All attributions are 0." in sentence for sentence in diagnosis.text)
    if case in ("none", "short"):
        assert any("too small for a seqlet" in sentence for sentence in diagnosis.text)


def test_wrong_attributions_are_refused() -> None:
    with pytest.raises(InputError, match="attributions of shape"):
        find_patterns(np.zeros((2, 4, 9), dtype=np.float32), draw(2, 10))
    with pytest.raises(InputError, match="NaN or infinity"):
        find_patterns(np.full((2, 4, 100), np.nan, dtype=np.float32), draw(2, 100))


def test_cores_on_the_reverse_strand_are_counted_from_the_end() -> None:
    ppm, cwm = np.full((4, 20), 0.25), np.full((4, 20), 0.01)
    ppm[:, 2:8], cwm[0, 2:8] = np.array([[0.97], [0.01], [0.01], [0.01]]), 1.0
    seqlets = [
        SimpleNamespace(example_idx=row, start=50, end=70, is_revcomp=row == 1) for row in range(2)
    ]  # fmt: skip
    made = SimpleNamespace(sequence=ppm.T, contrib_scores=cwm.T, seqlets=seqlets)
    contributions = np.zeros((2, 100, 4))
    contributions[0, 52:58, 0], contributions[1, 62:68, 3] = 1, 2  # base 0 of a seqlet is base 19 of its reverse strand
    pattern = _pattern(made, "pos_0", "positive", contributions, PatternConfig())
    assert pattern is not None
    assert pattern.core == (2, 8)
    assert pattern.sites == ((0, 52, 58, "+", 6.0), (1, 62, 68, "-", 12.0))


def test_the_core_leaves_out_uniform_columns() -> None:
    ppm, cwm = np.full((4, 40), 0.25), np.full((4, 40), 0.01)
    ppm[:, 12:20], cwm[:, 12:20] = np.array([[0.97], [0.01], [0.01], [0.01]]), 0.0
    cwm[0, 12:20] = 1.0
    assert find_core(ppm, cwm) == (12, 20)
    # A core needs both high contributions and preferred bases.
    cwm[0, 30:38] = 1.0
    assert find_core(ppm, cwm) == (12, 20)
    ppm[:, 2:6] = ppm[:, 12:13]
    assert find_core(ppm, cwm) == (12, 20)
    assert find_core(np.full((4, 40), 0.25), cwm) is None
    assert find_core(ppm, np.zeros((4, 40))) is None
    assert find_core(ppm[:, 10:14], cwm[:, 10:14]) is None


def test_the_diagnosis_reports_performance_and_completeness() -> None:
    patterns = find_patterns(np.zeros((3, 4, 100), dtype=np.float32), draw(3, 100))
    account = Account(np.array([1.0, 2.0, 3.0]), explained=np.array([2.0, -2.0, 2.0]), error=np.array([1.0, -1.0, 1.0]))
    diagnosis = diagnose(patterns, [], Performance(0.53, 0.1, 40), account)
    text = " ".join(diagnosis.text)
    assert diagnosis.text[0] == "The task's AUROC is 0.53: the model has not learned it, so its motifs are unreliable."
    assert "Training had 40 positive windows" in text
    assert "3 windows were explained: too few" in text
    assert "differ by 1 from the expected 2 logits" in text
    assert (diagnosis.median_logit, diagnosis.median_explained, diagnosis.median_error) == (2.0, 2.0, 1.0)
    undefined = diagnose(patterns, [], Performance(float("nan"), float("nan"), 0))
    assert "the model's AUROC is unknown" in undefined.text[0]
    assert undefined.auroc is None
