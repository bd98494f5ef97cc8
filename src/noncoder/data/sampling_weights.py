"""Weights by which training draws windows: those with rare positives more often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from noncoder.data.store import Store

_BLOCK = 1 << 13


def window_weights(store: Store, indices: NDArray[np.int64], power: float, cap: float) -> NDArray[np.float64]:
    """Returns the weights with which windows are drawn, by their rarest positive.

    The weight of a window is the largest (fraction of positives)**-power of its positive tasks; a window without
    positives has the weight of the most common task. The fractions are those of the given windows.

    Args:
        store: The dataset.
        indices: Store indices of the windows, (n,).
        power: From 0, equal weights, to 1, inversely proportional to the fraction.
        cap: Largest ratio of a weight to the smallest weight.

    Returns:
        (n,), the smallest 1.
    """
    blocks = [indices[at : at + _BLOCK] for at in range(0, indices.size, _BLOCK)]
    positives = sum((_positive(store, block).sum(axis=0) for block in blocks), np.zeros(len(store.tasks), np.int64))
    present = positives > 0
    of_task = np.ones(positives.size)
    of_task[present] = np.minimum((positives.max() / positives[present]) ** power, cap)
    rarest_first = np.argsort(-of_task, kind="stable")
    weights = []
    for block in blocks:
        positive = _positive(store, block)[:, rarest_first]
        first = of_task[rarest_first[positive.argmax(axis=1)]]
        weights.append(np.where(positive.any(axis=1), first, 1.0))
    return np.concatenate(weights)


def _positive(store: Store, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
    labels, known = store.read_labels(indices).astype(bool), store.read_known(indices)
    return labels if known is None else labels & known
