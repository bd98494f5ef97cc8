"""Converts DNA text to codes and one-hot arrays, and back.

Codes are uint8: A, C, G, T, N = 0, 1, 2, 3, 4. One-hot arrays have the channels A, C, G, T; an N is four zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from noncoder.errors import SequenceError

BASES = "ACGTN"
N_CODE = 4

_INVALID = 255
_AMINO_ACIDS = "EFILPQ"  # letters that stand for neither a base nor a set of bases
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)
_FOUR = np.arange(4, dtype=np.uint8)


def _code_table() -> NDArray[np.uint8]:
    table = np.full(256, _INVALID, dtype=np.uint8)
    # IUPAC's letters for one of several bases read as N; U is RNA's T.
    for letters, code in (("Aa", 0), ("Cc", 1), ("Gg", 2), ("TtUu", 3), ("NnRrYySsWwKkMmBbDdHhVv", N_CODE)):
        table[np.frombuffer(letters.encode(), dtype=np.uint8)] = code
    return table


_CODES = _code_table()
_LETTERS = np.frombuffer(BASES.encode(), dtype=np.uint8)


def encode(text: str | bytes, name: str = "sequence", start: int = 0) -> NDArray[np.uint8]:
    """Converts DNA text to codes.

    Lower case is read as upper case, U as T, and every IUPAC letter for several bases as N.

    Args:
        text: The sequence, L letters.
        name: Name of the record, for the error message.
        start: Number of the record's letters before the text, for the error message.

    Returns:
        Codes, uint8 (L,).

    Raises:
        SequenceError: A character is not a base; names the record and the 1-based position.
    """
    # An unencodable character becomes one "?", so that positions are those of the text.
    raw = text.encode("ascii", errors="replace") if isinstance(text, str) else text
    codes = _CODES[np.frombuffer(raw, dtype=np.uint8)]
    if codes.size and codes.max() == _INVALID:
        raise _no_base(text, np.flatnonzero(codes == _INVALID), name, start)
    return codes


def _no_base(text: str | bytes, wrong: NDArray[np.intp], name: str, start: int) -> SequenceError:
    at, letter = start + int(wrong[0]) + 1, text[wrong[0]]
    more = f" (and {wrong.size - 1:,} more)" if wrong.size > 1 else ""
    if isinstance(letter, int) and letter > 127:
        return SequenceError(
            f"{name}: the byte 0x{letter:02X} at position {at} is not a base and not ASCII{more}",
            expected="bases as plain text",
            hint="the file may be damaged, or not a sequence at all",
        )
    letter = chr(letter) if isinstance(letter, int) else letter
    return SequenceError(
        f"{name}: {letter!r} at position {at} is not a base{more}",
        expected="A, C, G, T, U, N or an IUPAC ambiguity letter, in either case",
        hint="is it a protein? models read DNA"
        if letter.upper() in _AMINO_ACIDS
        else "remove gaps, spaces and stop characters from the sequence",
    )


def encode_batch(sequences: Sequence[str]) -> NDArray[np.uint8]:
    """Converts N sequences of equal length to codes, uint8 (N, L).

    Raises:
        SequenceError: The lengths differ, or a character is not a base.
    """
    rows = [encode(text, name=f"sequence {i + 1}") for i, text in enumerate(sequences)]
    if not rows:
        raise SequenceError("no sequence was given", expected="at least one")
    lengths = {row.size for row in rows}
    if len(lengths) > 1:
        raise SequenceError(
            f"sequences of {len(lengths)} lengths, {min(lengths)} to {max(lengths)} bp", expected="one length for all"
        )
    return np.stack(rows)


def decode(codes: NDArray[np.uint8]) -> str:
    """Converts codes (L,) to upper-case text of A, C, G, T and N."""
    return _LETTERS[codes].tobytes().decode("ascii")


def reverse_complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the other strand, read 5' to 3', of codes (..., L)."""
    other: NDArray[np.uint8] = _COMPLEMENT[codes[..., ::-1]]
    return other


def one_hot(codes: NDArray[np.uint8], dtype: DTypeLike = np.float32) -> NDArray[np.generic]:
    """Converts codes (..., L) to one-hot (..., 4, L); N becomes four zeros."""
    # Comparisons write contiguous rows; a look-up of each column would write four scattered values per base.
    hot: NDArray[np.bool_] = codes[..., None, :] == _FOUR[:, None]
    return hot.view(np.uint8) if dtype is np.uint8 else hot.astype(dtype)
