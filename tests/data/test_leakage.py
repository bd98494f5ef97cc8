"""What splits share, against every pair of windows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from noncoder.data.composition import compose
from noncoder.data.info import SPLITS, StoreInfo
from noncoder.data.layout import lay_out
from noncoder.data.leakage import leakage
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.sequence.encoding import reverse_complement
from tests.data.genomes import Sample, samples


def write(folder: Path, sample: Sample, split: NDArray[np.uint8]) -> Store:
    with StoreWriter(folder / "data.zarr", 1) as writer:
        for i, (at, length) in enumerate(zip(sample.offsets, sample.lengths, strict=True)):
            writer.add_contig(f"chr{i}", sample.codes[at : at + length])
        writer.add_windows(sample.start, np.zeros((split.size, 1), dtype=np.uint8), split)
        writer.finish(StoreInfo(window=sample.window, bin=sample.window, tasks=(Task("t"),)))
    return open_store(folder / "data.zarr")


def found(sample: Sample, split: NDArray[np.uint8]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        store = write(Path(folder), sample, split)
        layout = lay_out(store.start, store.window, *store.contigs[1:])
        return leakage(store, layout, compose(store.code_blocks, layout))


def test_examples_name_the_part_of_a_window_that_lies_on_its_contig() -> None:
    codes = np.random.default_rng(0).integers(0, 4, 200).astype(np.uint8)
    sample = Sample(codes, np.array([0, 100]), np.array([100, 100]), np.array([-10, 10, 75, 78]), 40, 200, 0)
    pairs = found(sample, np.array([0, 1, 0, 1], dtype=np.uint8))["pairs"][0]
    assert sorted(pairs["overlapping"]["examples"]) == [["chr0:10-50", "chr0:0-30"], ["chr0:78-100", "chr0:75-100"]]


@settings(max_examples=15, deadline=None)
@given(sample=samples(40))
def test_overlaps_and_duplicates_are_those_of_all_pairs(sample: Sample) -> None:
    rng = np.random.default_rng(sample.seed)
    n = sample.start.size
    # Windows at the same place, too.
    sample.start[: n // 8] = sample.start[n // 8 : 2 * (n // 8)]
    split = rng.integers(0, 3, n).astype(np.uint8)
    ends, letters = [sample.ends(i) for i in range(n)], [sample.letters(i) for i in range(n)]
    turned = [reverse_complement(one[None])[0] for one in letters]
    meet, equal = np.zeros((n, n), dtype=bool), np.zeros((n, n), dtype=bool)
    for i in range(n):
        for j in range(n):
            meet[i, j] = ends[i][0] < ends[j][1] and ends[j][0] < ends[i][1]
            same = (letters[i] == letters[j]).all() or (letters[i] == turned[j]).all()
            equal[i, j] = i != j and same and 2 * int((letters[i] < 4).sum()) >= sample.window
    stats = found(sample, split)
    for a, name in enumerate(SPLITS):
        mine = split == a
        row = stats["splits"][name]
        assert row["windows"] == mine.sum()
        assert row["overlapping"] == meet[mine][:, ~mine].any(axis=1).sum()
        assert row["duplicates"] == equal[mine][:, ~mine].any(axis=1).sum()
        assert row["repeated"] == equal[mine][:, mine].any(axis=1).sum()
    for pair in stats["pairs"]:
        a, b = (split == SPLITS.index(name) for name in pair["splits"])
        assert pair["overlapping"]["windows"] == [meet[a][:, b].any(axis=1).sum(), meet[b][:, a].any(axis=1).sum()]
        assert pair["duplicates"]["windows"] == [equal[a][:, b].any(axis=1).sum(), equal[b][:, a].any(axis=1).sum()]
        for kind in ("overlapping", "duplicates", "near_duplicates"):
            assert bool(pair[kind]["examples"]) == any(pair[kind]["windows"])


def test_names_the_places() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 4, 3000).astype(np.uint8)
    codes[2000:2600] = 3 - codes[100:700][::-1]
    sample = Sample(codes, np.array([0, 1500]), np.array([1500, 1500]), np.array([100, 500, 2000]), 600, 99, 0)
    stats = found(sample, np.array([0, 1, 2], dtype=np.uint8))
    assert {name: row["any"] for name, row in stats["splits"].items()} == {"train": 2 - 1, "valid": 1, "test": 1}
    first, second, third = stats["pairs"]
    assert first["overlapping"]["examples"] == [["chr0:500-1100", "chr0:100-700"]]
    assert first["near_duplicates"]["windows"] == [0, 0]
    assert second["duplicates"]["examples"] == [["chr1:500-1100", "chr0:100-700"]]
    assert second["near_duplicates"]["windows"] == [1, 1]
    assert third["near_duplicates"]["windows"] == [0, 0]


def test_a_split_without_windows_is_in_no_pair() -> None:
    sample = Sample(np.zeros(90, np.uint8), np.array([0]), np.array([90]), np.array([0, 40]), 50, 90, 0)
    stats = found(sample, np.array([0, 0], dtype=np.uint8))
    assert stats["pairs"] == []
    assert stats["splits"]["test"]["overlapping_share"] is None
    assert stats["splits"]["train"]["repeated"] == 2
