from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noncoder.errors import InputError, SequenceError
from noncoder.interpret.window import fit_window
from noncoder.sequence.encoding import decode, encode


def test_sequences_of_the_window_are_left_as_they_are() -> None:
    codes, notes = fit_window(["ACGT", "NNTA"], 4)
    assert [decode(row) for row in codes] == ["ACGT", "NNTA"]
    assert notes == ()


def test_what_is_too_long_is_cropped_and_what_is_too_short_padded_and_both_are_said() -> None:
    codes, notes = fit_window(["AACGTT", "ACGTT", "AC", "A", "ACGT"], 4)
    assert [decode(row) for row in codes] == ["ACGT", "ACGT", "NACN", "NANN", "ACGT"]
    assert notes == (
        "2 of 5 sequences, 5 to 6 bp long, were cropped to their central 4 bp",
        "2 of 5 sequences, 1 to 2 bp long, were padded with N on both sides to 4 bp",
    )


@given(st.text("ACGTN", min_size=1, max_size=30), st.integers(1, 30))
def test_the_middle_stays_the_middle(text: str, window: int) -> None:
    (row,), notes = fit_window([text], window)
    assert row.size == window
    assert bool(notes) == (len(text) != window)
    if len(text) >= window:
        before = text.index(decode(row))
        assert decode(row) in text
        assert before <= (len(text) - window) // 2
    else:
        assert decode(row).strip("N") == text.strip("N")
        left = (window - len(text)) // 2
        assert decode(row)[left : left + len(text)] == text


def test_codes_of_one_or_several_lengths_are_read() -> None:
    rows = np.stack([encode("AACGTT"), encode("CCCCCC")])
    assert [decode(row) for row in fit_window(rows, 2)[0]] == ["CG", "CC"]
    assert [decode(row) for row in fit_window([encode("ACG"), encode("T")], 3)[0]] == ["ACG", "NTN"]


def test_what_is_no_sequence_is_told() -> None:
    with pytest.raises(InputError, match="sequence 2 is empty"):
        fit_window(["A", ""], 3)
    with pytest.raises(InputError, match="no sequence"):
        fit_window([], 3)
    with pytest.raises(InputError, match="0 bp"):
        fit_window(["A"], 0)
    with pytest.raises(SequenceError, match="sequence 1"):
        fit_window(["AXG"], 3)
    for wrong in (np.zeros((1, 3)), np.full((1, 3), 7, dtype=np.uint8), np.zeros(3, dtype=np.uint8)):
        with pytest.raises(InputError, match="neither text nor codes"):
            fit_window(wrong, 3)  # type: ignore[arg-type]
