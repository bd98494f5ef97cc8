"""Crops or pads sequences of any length to a model's window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.sequence.encoding import N_CODE, encode

Codes = NDArray[np.uint8]


def fit_window(sequences: Sequence[str] | Sequence[Codes] | Codes, window: int) -> tuple[Codes, tuple[str, ...]]:
    """Crops or pads sequences to one length, and reports what was done.

    A longer sequence keeps its central bases, a shorter one is centred between N. If the difference is odd, one base
    more is removed, or one N more is added, on the right.

    Args:
        sequences: n texts, or codes as arrays (l,), or codes (n, l).
        window: bp, L.

    Returns:
        Codes (n, L), and a note for each kind of change; none if nothing was changed.

    Raises:
        InputError: There is no sequence, one is empty, or an array does not hold codes.
        SequenceError: A character is not a base.
    """
    if window < 1:
        raise InputError(f"a window of {window} bp", expected="1 bp or more")
    if len(sequences) == 0:
        raise InputError("no sequence was given", expected="at least one")
    rows = [_codes(sequence, i) for i, sequence in enumerate(sequences)]
    fitted = np.full((len(rows), window), N_CODE, dtype=np.uint8)
    cropped: list[int] = []
    padded: list[int] = []
    for row, out in zip(rows, fitted, strict=True):
        spare = row.size - window
        if spare >= 0:
            out[:] = row[spare // 2 : spare // 2 + window]
        else:
            out[-spare // 2 : -spare // 2 + row.size] = row
        if spare:
            (cropped if spare > 0 else padded).append(row.size)
    notes = []
    for sizes, done in ((cropped, "cropped to their central"), (padded, "padded with N on both sides to")):
        if sizes:
            lengths = f"{min(sizes):,}" + (f" to {max(sizes):,}" if min(sizes) < max(sizes) else "")
            notes.append(f"{len(sizes)} of {len(rows)} sequences, {lengths} bp long, were {done} {window:,} bp")
    return fitted, tuple(notes)


def _codes(sequence: str | Codes, at: int) -> Codes:
    row = encode(sequence, name=f"sequence {at + 1}") if isinstance(sequence, str) else np.asarray(sequence)
    if row.ndim != 1 or row.dtype != np.uint8 or (row.size and row.max() > N_CODE):
        raise InputError(f"sequence {at + 1} is neither text nor codes", expected="A, C, G, T, N as uint8 0 to 4")
    if not row.size:
        raise InputError(f"sequence {at + 1} is empty", expected="at least one base")
    return row
