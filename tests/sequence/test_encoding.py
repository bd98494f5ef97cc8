from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from noncoder.errors import SequenceError
from noncoder.sequence.encoding import (
    BASES,
    N_CODE,
    decode,
    encode,
    encode_batch,
    one_hot,
    reverse_complement,
)

LAW = settings(deadline=None, max_examples=60)
DNA = st.text(alphabet=BASES, max_size=80)
CODES = arrays(np.uint8, array_shapes(max_dims=3, max_side=12), elements=st.integers(0, 4))
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


class TestEncode:
    @LAW
    @given(DNA)
    def test_decode_inverts_encode(self, text: str) -> None:
        codes = encode(text)
        assert codes.dtype == np.uint8
        assert codes.shape == (len(text),)
        assert decode(codes) == text

    @LAW
    @given(arrays(np.uint8, st.integers(0, 80), elements=st.integers(0, 4)))
    def test_encode_inverts_decode(self, codes: NDArray[np.uint8]) -> None:
        assert np.array_equal(encode(decode(codes)), codes)

    def test_codes_are_those_of_the_design(self) -> None:
        assert encode("ACGTN").tolist() == [0, 1, 2, 3, 4]

    @LAW
    @given(DNA)
    def test_case_type_and_u_do_not_matter(self, text: str) -> None:
        expected = encode(text)
        assert np.array_equal(encode(text.lower()), expected)
        assert np.array_equal(encode(text.encode()), expected)
        assert np.array_equal(encode(text.replace("T", "U")), expected)

    @pytest.mark.parametrize("letter", "RYSWKMBDHVryswkmbdhv")
    def test_iupac_reads_as_n(self, letter: str) -> None:
        assert encode(letter).tolist() == [N_CODE]

    @LAW
    @given(DNA, st.characters(exclude_characters="ACGTUNRYSWKMBDHVacgtunryswkmbdhv"), DNA)
    def test_no_base_is_named_with_record_and_position(self, before: str, wrong: str, after: str) -> None:
        with pytest.raises(SequenceError) as caught:
            encode(before + wrong + after, name="chrX of my.fa")
        assert caught.value.found == f"chrX of my.fa: {wrong!r} at position {len(before) + 1} is not a base"
        assert "IUPAC" in caught.value.expected
        assert caught.value.hint

    @pytest.mark.parametrize("wrong", [b"AC\xffGT", b"AC\nGT", b"AC-GT", b"AC*GT", b"AC GT", b"AC\0GT"])
    def test_wrong_bytes(self, wrong: bytes) -> None:
        with pytest.raises(SequenceError, match="at position 3 is not a base"):
            encode(wrong)

    def test_the_first_of_several_is_named_and_the_rest_counted(self) -> None:
        with pytest.raises(SequenceError, match=r"'x' at position 2 is not a base \(and 2 more\)"):
            encode("AxCzAj")

    def test_a_letter_beyond_ascii_keeps_the_positions(self) -> None:
        with pytest.raises(SequenceError, match="'é' at position 3"):
            encode("ACéGT")


class TestEncodeBatch:
    def test_stacks(self) -> None:
        assert encode_batch(["ACG", "ttn"]).tolist() == [[0, 1, 2], [3, 3, 4]]

    def test_lengths_differ(self) -> None:
        with pytest.raises(SequenceError, match="sequences of 2 lengths, 2 to 3 bp"):
            encode_batch(["ACG", "AC"])

    def test_nothing(self) -> None:
        with pytest.raises(SequenceError, match="no sequence was given"):
            encode_batch([])

    def test_names_the_sequence(self) -> None:
        with pytest.raises(SequenceError, match="sequence 2: '!' at position 1"):
            encode_batch(["A", "!"])


class TestReverseComplement:
    @LAW
    @given(CODES)
    def test_twice_is_nothing(self, codes: NDArray[np.uint8]) -> None:
        assert np.array_equal(reverse_complement(reverse_complement(codes)), codes)

    @LAW
    @given(DNA)
    def test_against_text(self, text: str) -> None:
        assert decode(reverse_complement(encode(text))) == text.translate(COMPLEMENT)[::-1]

    @LAW
    @given(CODES)
    def test_is_a_flip_of_both_axes_of_one_hot(self, codes: NDArray[np.uint8]) -> None:
        assert np.array_equal(one_hot(reverse_complement(codes)), one_hot(codes)[..., ::-1, ::-1])

    def test_leaves_its_input_alone(self) -> None:
        codes = encode("ACGGT")
        reverse_complement(codes)[:] = 0
        assert decode(codes) == "ACGGT"


class TestOneHot:
    @LAW
    @given(CODES, st.sampled_from([np.float32, np.float64, np.uint8, np.bool_]))
    def test_round_trip(self, codes: NDArray[np.uint8], dtype: type[np.generic]) -> None:
        x = one_hot(codes, dtype)
        assert x.dtype == dtype
        assert x.shape == (*codes.shape[:-1], 4, codes.shape[-1])
        assert x.flags.c_contiguous
        assert np.array_equal(np.where(x.any(axis=-2), x.argmax(axis=-2), N_CODE), codes)
        assert (x.sum(axis=-2) == (codes != N_CODE)).all()

    def test_channels_and_n(self) -> None:
        assert one_hot(encode("TANG")).T.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
