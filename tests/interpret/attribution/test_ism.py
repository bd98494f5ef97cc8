"""In-silico mutagenesis as an attribution, compared with mutants made one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noncoder.interpret.attribution import attribute
from tests.interpret.attribution.small import WINDOW, hot, lively, make_codes


@pytest.mark.parametrize("name", ["compact", "danq"])
def test_values_are_effects_minus_their_mean(name: str) -> None:
    model, codes = lively(name), make_codes(2)
    expected = np.zeros((2, 4, WINDOW))
    with torch.no_grad():
        for base in range(4):
            for at in range(WINDOW):
                mutants = codes.copy()
                mutants[:, at] = base
                expected[:, base, at] = model(hot(mutants))[:, [0, 2]].mean(dim=1).numpy()
    expected -= expected.mean(axis=1, keepdims=True)
    found = attribute(model, codes, [0, 2], "ism")
    known = codes != 4
    np.testing.assert_allclose(found.values.transpose(0, 2, 1)[known], expected.transpose(0, 2, 1)[known], atol=2e-5)
    assert not found.values.transpose(0, 2, 1)[~known].any()
    assert found.explained is None
    assert found.hypothetical
