"""GC, N and digests of windows, against windows that are read one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from noncoder.data import composition as module
from noncoder.data import layout
from noncoder.data.composition import compose
from noncoder.sequence.encoding import reverse_complement
from tests.data.genomes import Sample, samples


@settings(max_examples=25, deadline=None)
@given(sample=samples())
def test_are_those_of_the_letters(sample: Sample) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "_LEAST", 1)
        patch.setattr(module, "_SPAN", sample.seed % 500 + 1)
        found = compose(sample.blocks, sample.layout)
    windows = [sample.letters(i) for i in range(sample.start.size)]
    assert found.gc.tolist() == [int(np.isin(window, [1, 2]).sum()) for window in windows]
    assert found.known.tolist() == [int((window < 4).sum()) for window in windows]
    canonical = [min(w.tobytes(), reverse_complement(w[None])[0].tobytes()) for w in windows]
    # One digest a sequence, one sequence a digest.
    assert len(set(zip(canonical, found.digest.tolist(), strict=True))) == len(set(canonical))
    assert len(set(found.digest.tolist())) == len(set(canonical))


def test_the_other_strand_has_the_same_digest_and_no_other_reading_has() -> None:
    window = np.array([0, 0, 1, 2, 0, 3, 1], dtype=np.uint8)
    turned = reverse_complement(window[None])[0]
    codes = np.concatenate([window, turned, window[::-1], 3 - window])
    at = np.arange(0, 28, 7)
    sample = Sample(codes, at, np.full(4, 7), at, 7, 28, 0)
    one, same, backwards, complement = compose(sample.blocks, sample.layout).digest.tolist()
    assert one == same
    assert backwards == complement != one


def test_a_window_past_the_end_is_not_the_same_one_further_in() -> None:
    # ACGT, then nothing: as far to the left as to the right, or not.
    sample = Sample(
        np.array([0, 1, 2, 3] * 3, dtype=np.uint8), np.array([0, 4, 8]), np.array([4, 4, 4]), np.array([-1, 3, 9]), 6,
        12, 0,
    )  # fmt: skip
    digest = compose(sample.blocks, sample.layout).digest
    assert digest[0] == digest[1] != digest[2]
