"""Heads compared with `model.head` on complete changed features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from noncoder.interpret.mutagenesis.change import Change
from noncoder.interpret.mutagenesis.heads import choose_head, splice
from noncoder.models import SequenceModel
from tests.interpret.mutagenesis.reference import as_x, random_codes, small_model

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("deepsea", {}, "dense"),
    ("compact", {}, "sums over positions"),
    ("wideresnet-txl", {"core": "none"}, "dense"),
    ("wideresnet-txl", {"core": "none", "hidden": 0, "wvn": True}, "dense"),
    ("wideresnet-txl", {"core": "none", "wvn": True}, "dense"),
    ("wideresnet-txl", {"core": "encoder"}, "complete head"),
    ("deepatt", {}, "complete head"),
]


def changes(features: torch.Tensor, width: int) -> Change:
    """Three changes at each position, larger than the variation of the features."""
    start = torch.arange(features.shape[2]).repeat_interleave(3)
    values = torch.randn(len(start), features.shape[1], width, dtype=features.dtype) * 3
    past = start[:, None] + torch.arange(width) >= features.shape[2]
    return Change(start, values.masked_fill(past[:, None], float("inf")))  # values past the end are ignored


def head_and_features(name: str, parameters: dict[str, Any]) -> tuple[SequenceModel, torch.Tensor]:
    torch.manual_seed(1)
    model = small_model(name, 200, parameters).requires_grad_(False)
    return model, model.features(as_x(random_codes(1, 200)))


@pytest.mark.parametrize(("name", "parameters", "about"), CASES)
@pytest.mark.parametrize("width", [1, 3, 1000])
def test_heads_equal_the_model(name: str, parameters: dict[str, Any], about: str, width: int) -> None:
    model, features = head_and_features(name, parameters)
    head, words = choose_head(model, features.shape[2], batch_size=7)
    assert about in words
    change = changes(features, min(width, features.shape[2]))
    whole = splice(features, change)
    assert whole.isfinite().all()
    for tasks in ([0, 1, 2, 3, 4], [3, 1]):
        ours = head.logits(head.begin(features), change, tasks)
        np.testing.assert_allclose(ours, model.head(whole)[:, tasks], rtol=1e-9, atol=1e-9)


def test_attention_head_is_stable_for_extreme_scores() -> None:
    model, features = head_and_features("compact", {})
    pool = model.get_submodule("attention")
    assert isinstance(pool.query, nn.Linear)
    pool.query.weight.mul_(200)  # one position gets all the weight, and mutations move it
    head, _ = choose_head(model, features.shape[2], batch_size=7)
    change = changes(features, 4)
    whole = model.head(splice(features, change))
    np.testing.assert_allclose(head.logits(head.begin(features), change, range(5)), whole, rtol=1e-9, atol=1e-9)
    assert whole.isfinite().all()


def test_splice_places_changes() -> None:
    features = torch.arange(10.0).view(1, 2, 5)
    found = splice(features, Change(torch.tensor([0, 4]), torch.full((2, 2, 2), -1.0)))
    assert found.tolist() == [
        [[-1, -1, 2, 3, 4], [-1, -1, 7, 8, 9]],
        [[0, 1, 2, 3, -1], [5, 6, 7, 8, -1]],
    ]
