"""Planted motifs are recovered by name, and nothing is named if labels are shuffled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from noncoder.data.loading import one_hot
from noncoder.data.store import Store
from noncoder.interpret.attribution import attribute
from noncoder.interpret.motifs import (
    Diagnosis,
    HeldOut,
    Named,
    PatternConfig,
    Patterns,
    Performance,
    diagnose,
    find_patterns,
    load_database,
    name_patterns,
)
from noncoder.metrics import auroc
from noncoder.models import SequenceModel
from tests.interpret.motifs.planted import BIN, planted_store, quickly_trained

SETTINGS = PatternConfig(max_seqlets=300, signs=("positive",))


class Trained(NamedTuple):
    store: Store
    labels: NDArray[np.uint8]
    model: SequenceModel
    auroc: NDArray[np.float64]


def trained(store: Store, labels: NDArray[np.uint8], epochs: int) -> Trained:
    model, rows = quickly_trained(store, labels, epochs), np.flatnonzero(store.split > 0)
    with torch.no_grad():
        logits = model(one_hot(torch.from_numpy(store.read_codes(rows)))).numpy()
    return Trained(store, labels, model, auroc(logits, labels[rows]))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return planted_store(tmp_path_factory.mktemp("planted") / "store.zarr")


@pytest.fixture(scope="module")
def learned(store: Store) -> Trained:
    return trained(store, store.read_labels(store.indices()), epochs=10)


@pytest.fixture(scope="module")
def unlearned(store: Store) -> Trained:
    labels = store.read_labels(store.indices())
    return trained(store, labels[np.random.default_rng(1).permutation(len(labels))], epochs=10)


def explain(found: Trained, task: int, settings: PatternConfig) -> tuple[Patterns, list[Named], Diagnosis]:
    rows = np.flatnonzero(found.labels[:, task])
    codes = found.store.read_codes(rows)
    patterns = find_patterns(attribute(found.model, codes, task, "input-x-gradient").values, codes, settings)
    held = np.flatnonzero(found.store.split > 0)
    held_out = HeldOut.cut(found.store.read_codes(held), found.labels[held, task], BIN)
    named = name_patterns(patterns.patterns, load_database(), held_out)
    performance = Performance(float(found.auroc[task]), 0.5, int(found.labels[:, task].sum()))
    return patterns, named, diagnose(patterns, named, performance, held_out=held_out)


@pytest.mark.parametrize(("task", "motif"), [(0, "CTCF"), (2, "REST")])
def test_planted_motifs_are_recovered_by_name(learned: Trained, task: int, motif: str) -> None:
    assert learned.auroc[task] > 0.9
    patterns, named, diagnosis = explain(learned, task, SETTINGS)
    best = named[0]
    assert best.name == motif
    assert best.matches[0].q < 0.01
    assert best.enrichment is not None
    assert best.enrichment.auroc > 0.9
    assert f"Named: {motif}" in " ".join(diagnosis.text)
    # The base frequencies of the sites equal the motif's.
    codes = learned.store.read_codes(np.flatnonzero(learned.labels[:, task]))
    site = best.pattern.sites[0]
    assert site.end - site.start == best.pattern.motif.width
    drawn = np.stack([codes[one.row, one.start : one.end] for one in best.pattern.sites if one.strand == "+"])
    shares = (drawn[:, None, :] == np.arange(4)[:, None]).mean(axis=0)
    assert np.abs(shares - best.pattern.motif.ppm).max() < 0.25
    assert patterns.seqlets.count["positive"] >= best.pattern.seqlets


@pytest.mark.parametrize("task", [0, 1, 2])
def test_nothing_is_named_if_labels_are_shuffled(unlearned: Trained, task: int) -> None:
    assert unlearned.auroc[task] < 0.6
    _, named, diagnosis = explain(unlearned, task, PatternConfig(max_seqlets=150))
    assert [one.name for one in named if one.name] == []
    assert diagnosis.named == 0
    assert "the model has not learned it" in diagnosis.text[0]
    assert "Named" not in " ".join(diagnosis.text)


def test_held_out_windows_stop_an_unsupported_pattern(learned: Trained) -> None:
    # Attributions of a good model, but held-out windows with shuffled labels: the pattern resembles CTCF and gets no
    # name.
    rows = np.flatnonzero(learned.labels[:, 0])
    codes = learned.store.read_codes(rows)
    patterns = find_patterns(attribute(learned.model, codes, 0, "input-x-gradient").values, codes, SETTINGS)
    held = np.flatnonzero(learned.store.split > 0)
    labels = np.random.default_rng(0).permutation(learned.labels[held, 0])
    named = name_patterns(patterns.patterns, load_database(), HeldOut.cut(learned.store.read_codes(held), labels, BIN))
    assert (named[0].name, named[0].stopped) == (None, "enrichment")
    assert named[0].matches[0].name == "CTCF"
    untested = name_patterns(patterns.patterns, load_database())
    assert untested[0].name == "CTCF"
    assert untested[0].enrichment is None
    assert "names rest on similarity alone" in " ".join(diagnose(patterns, untested).text)


def test_patterns_are_reproducible(learned: Trained) -> None:
    rows = np.flatnonzero(learned.labels[:, 0])
    codes = learned.store.read_codes(rows)
    values = attribute(learned.model, codes, 0, "input-x-gradient").values
    first, second = (find_patterns(values, codes, PatternConfig(max_seqlets=100)) for _ in range(2))
    assert [one.sites for one in first.patterns] == [one.sites for one in second.patterns]
    for one, other in zip(first.patterns, second.patterns, strict=True):
        np.testing.assert_array_equal(one.cwm, other.cwm)
    assert first.seqlets == second.seqlets
    assert sum(first.seqlets.used.values()) <= 200
