"""Drawn scores and labels, and the plain way to measure them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

LAW = settings(deadline=None, max_examples=60)
Drawn = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]

FEW = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 3.0])  # many ties
MANY = st.floats(-80, 80, width=32)


@st.composite
def cases(draw: st.DrawFn) -> Drawn:
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 4)))
    logits = draw(arrays(np.float32, shape, elements=draw(st.sampled_from([FEW, MANY, st.just(1.5)]))))
    rare = draw(st.booleans())
    labels = draw(arrays(np.uint8, shape, elements=st.integers(0, 9))) == 0 if rare else draw(arrays(np.bool_, shape))
    known = draw(arrays(np.bool_, shape)) if draw(st.booleans()) else np.ones(shape, dtype=bool)
    return logits, labels.astype(np.uint8), known


def naive(score: Callable[[Any, Any], float], drawn: Drawn) -> NDArray[np.float64]:
    logits, labels, known = drawn
    result = np.full(logits.shape[1], np.nan)
    for task in range(logits.shape[1]):
        truth, scores = labels[known[:, task], task], logits[known[:, task], task]
        if 0 < truth.sum() < truth.size:
            result[task] = score(truth, scores)
    return result
