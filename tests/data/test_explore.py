"""The statistics of a store, against the plainest way to count them."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from noncoder.data import explore as module
from noncoder.data import tally
from noncoder.data.explore import explore
from noncoder.data.explore_text import explore_text
from noncoder.data.info import SPLITS, StoreInfo
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.errors import StoreError

Bits = NDArray[np.bool_]


def write(
    folder: Path, labels: Bits, split: NDArray[np.uint8], known: Bits | None = None, contigs: int = 3, seed: int = 0
) -> Store:
    """A store whose windows lie evenly on contigs of 500 random bases."""
    rng = np.random.default_rng(seed)
    n_windows, n_tasks = labels.shape
    tasks = tuple(Task(f"t{i}", group=("TF", "DNase", "")[i % 3]) for i in range(n_tasks))
    with StoreWriter(folder / "data.zarr", n_tasks) as writer:
        for i in range(contigs):
            writer.add_contig(f"chr{i}", rng.integers(0, 5, 500).astype(np.uint8))
        start = np.sort(rng.integers(-20, contigs * 500 - 21, n_windows)).astype(np.int64)
        # A writer that leaves a bit where a label is unknown must not change a count.
        packed = None if known is None else np.packbits(known, axis=1)
        writer.add_windows(start, np.packbits(labels, axis=1), split, packed)
        writer.finish(StoreInfo(window=40, bin=20, tasks=tasks, label_rule="summit", genome="toy", coordinates=True))
    return open_store(folder / "data.zarr")


@st.composite
def datasets(draw: st.DrawFn) -> tuple[Bits, NDArray[np.uint8], Bits | None]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_windows, n_tasks = draw(st.integers(1, 40)), draw(st.integers(1, 19))
    labels = rng.random((n_windows, n_tasks)) < draw(st.sampled_from([0.0, 0.05, 0.4, 1.0]))
    known = rng.random((n_windows, n_tasks)) < draw(st.sampled_from([0.0, 0.6, 1.0]))
    return labels, rng.integers(0, 3, n_windows).astype(np.uint8), draw(st.sampled_from([None, known]))


def naive(labels: Bits, known: Bits | None, rows: Bits) -> dict[str, Any]:
    known = np.ones_like(labels) if known is None else known
    hits = (labels & known)[rows]
    return {
        "positives": hits.sum(axis=0).tolist(),
        "known": known[rows].sum(axis=0).tolist(),
        "all_negative": int((~hits.any(axis=1)).sum()),
        "per_window": hits.sum(axis=1),
    }


class TestCounts:
    @settings(max_examples=12, deadline=None)
    @given(dataset=datasets(), block=st.integers(1, 50))
    def test_equal_those_of_unpacked_labels_whatever_the_block(
        self, dataset: tuple[Bits, NDArray[np.uint8], Bits | None], block: int
    ) -> None:
        labels, split, known = dataset
        with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
            patch.setattr(tally, "_BLOCK", block)
            stats = explore(write(Path(temporary), labels, split, known))
        for name in ("all", *SPLITS):
            rows = np.ones(len(labels), dtype=bool) if name == "all" else split == SPLITS.index(name)
            expected = naive(labels, known, rows)
            assert stats["positives"][name] == expected["positives"]
            assert stats["known"][name] == expected["known"]
            total = stats["splits"][name]
            assert (total["windows"], total["all_negative"]) == (int(rows.sum()), expected["all_negative"])
            assert total["positives"] + total["negatives"] == total["labels"] == sum(expected["known"])
            histogram = stats["labels_per_window"][name]["windows"]
            assert sum(histogram) == rows.sum()
            assert histogram == np.bincount(expected["per_window"], minlength=1).tolist()
            for share, hits, seen in zip(
                stats["frequency"][name], expected["positives"], expected["known"], strict=True
            ):
                assert share == (hits / seen if seen else None)
            in_order = np.array(expected["positives"])[stats["order"][name]]
            assert (np.diff(in_order) <= 0).all()
            assert stats["no_positive"][name] == [f"t{i}" for i, hits in enumerate(expected["positives"]) if not hits]
            # Every task is in a bar, has no positive, or has no known label.
            bars, zero = stats["frequency_histogram"]["counts"][name], stats["frequency_histogram"]["zero"][name]
            assert sum(bars) + zero + stats["frequency"][name].count(None) == labels.shape[1]
        json.dumps(stats, allow_nan=False)

    def test_groups_and_chromosomes_add_up(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(1)
        labels, split = rng.random((60, 7)) < 0.3, rng.integers(0, 3, 60).astype(np.uint8)
        store = write(tmp_path, labels, split)
        stats = explore(store)
        assert {name: row["tasks"] for name, row in stats["groups"].items()} == {"TF": 3, "DNase": 2, "none": 2}
        assert stats["groups"]["DNase"]["positives"] == labels[:, [1, 4]].sum()
        names, _ = store.bins(np.arange(60))
        for row in stats["chromosomes"]:
            here = names == row["name"]
            assert (row["windows"], row["positives"]) == (here.sum(), labels[here].sum())
            assert row["splits"] == {name: int((here & (split == i)).sum()) for i, name in enumerate(SPLITS)}
        assert sum(row["windows"] for row in stats["chromosomes"]) == 60

    def test_lists_only_the_chromosomes_with_most_windows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_MOST_CHROMOSOMES", 2)
        stats = explore(write(tmp_path, np.ones((50, 1), dtype=bool), np.zeros(50, dtype=np.uint8), contigs=5))
        listed, other = stats["chromosomes"], stats["other_chromosomes"]
        assert len(listed) == 2
        assert other["contigs"] == 3
        assert sum(row["windows"] for row in listed) + other["windows"] == 50
        assert other["windows"] / 3 <= min(row["windows"] for row in listed)

    def test_bases_count_each_stored_base_once(self, tmp_path: Path) -> None:
        store = write(tmp_path, np.zeros((30, 1), dtype=bool), np.zeros(30, dtype=np.uint8), seed=4)
        rng = np.random.default_rng(4)
        codes = np.concatenate([rng.integers(0, 5, 500) for _ in range(3)])
        bases = explore(store)["bases"]
        assert list(bases["counts"].values()) == np.bincount(codes, minlength=5).tolist()
        assert sum(bases["shares"].values()) == pytest.approx(1)
        assert bases["gc"] == pytest.approx(np.isin(codes, [1, 2]).sum() / (codes < 4).sum())

    def test_under_5_percent_and_ratio(self, tmp_path: Path) -> None:
        labels = np.zeros((100, 3), dtype=bool)
        labels[:4, 0] = labels[:5, 1] = labels[:50, 2] = True
        stats = explore(write(tmp_path, labels, np.zeros(100, dtype=np.uint8)))
        assert stats["under_5_percent"]["all"] == 1
        assert stats["splits"]["all"]["positives_per_negative"] == pytest.approx(59 / 241)
        assert stats["labels_per_window"]["all"] == {"windows": [50, 45, 1, 4], "mean": 0.59, "median": 0, "most": 3}

    def test_unknown_labels_are_told(self, tmp_path: Path) -> None:
        known = np.ones((8, 2), dtype=bool)
        known[:3, 1] = False
        stats = explore(write(tmp_path, np.zeros((8, 2), dtype=bool), np.zeros(8, dtype=np.uint8), known))
        assert stats["unknown"] == {
            "labels": 3, "share": 3 / 16, "splits": {"train": 3, "valid": 0, "test": 0}, "tasks": 1,
        }  # fmt: skip

    def test_tasks_too_few_to_measure_are_named(self, tmp_path: Path) -> None:
        labels = np.zeros((30, 3), dtype=bool)
        labels[:5, 0] = labels[:4, 1] = labels[10:19, 2] = True
        stats = explore(write(tmp_path, labels, np.repeat([0, 2], [10, 20]).astype(np.uint8)), min_positives=5)
        few = stats["few_positives"]
        assert few["min_positives"] == 5
        assert few["tasks"] == {"all": ["t1"], "train": ["t1", "t2"], "valid": ["t0", "t1", "t2"], "test": ["t0", "t1"]}

    def test_positives_of_each_task_by_chromosome(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(2)
        labels = rng.random((80, 10)) < 0.4
        store = write(tmp_path, labels, np.zeros(80, dtype=np.uint8), contigs=4)
        names, _ = store.bins(np.arange(80))
        for row in explore(store)["chromosomes"]:
            here = labels[names == row["name"]]
            assert row["positives_of_tasks"] == here.sum(axis=0).tolist()
            assert row["positive_rate"] == pytest.approx(here.mean())
        monkeypatch.setattr(module, "_MOST_BY_TASK", 3)
        assert not any("positives_of_tasks" in row for row in explore(store)["chromosomes"])

    def test_gc_and_n_by_split(self, tmp_path: Path) -> None:
        split = np.random.default_rng(3).integers(0, 2, 60).astype(np.uint8)
        store = write(tmp_path, np.zeros((60, 1), dtype=bool), split, seed=9)
        found = explore(store)["composition"]
        codes = store.read_codes(np.arange(60))
        unknown = (codes == 4).sum(axis=1)
        gc = np.isin(codes, [1, 2]).sum(axis=1) / (40 - unknown)
        for i, name in enumerate(("train", "valid")):
            here = split == i
            assert found[name]["gc"] == pytest.approx(gc[here].mean())
            assert sum(found[name]["gc_histogram"]) == here.sum()
            assert found[name]["any_n"] == (unknown[here] > 0).sum()
            assert found[name]["half_n"] == (unknown[here] > 20).sum()
        assert found["test"]["gc"] is None
        assert found["all"]["any_n_share"] == pytest.approx((unknown > 0).mean())

    def test_tasks_beyond_reason_are_not_compared(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST_TASKS", 2)
        store = write(tmp_path, np.ones((5, 3), dtype=bool), np.zeros(5, dtype=np.uint8))
        assert explore(store)["cooccurrence"] is None


class TestText:
    def test_says_the_figures(self, tmp_path: Path) -> None:
        labels = np.zeros((40, 9), dtype=bool)
        labels[:10, 0] = True
        text = explore_text(explore(write(tmp_path, labels, np.repeat([0, 2], 20).astype(np.uint8))))
        assert "40 windows of 40 bp, 9 tasks" in text
        assert "train            20            10      5.56%        50.0%" in text
        assert "no positive in train: 8 tasks (t1, t2, t3, t4, t5 and 3 more)" in text
        assert "no positive in valid" not in text
        assert "unknown" not in text
        assert "fewer than 30 positives in test: 9 tasks" in text
        assert "GC of the windows: train" in text

    @pytest.mark.parametrize("second", [200, 150])
    def test_says_what_is_shared(self, tmp_path: Path, second: int) -> None:
        with StoreWriter(tmp_path / "data.zarr", 2) as writer:
            writer.add_contig("chr1", np.random.default_rng(0).integers(0, 4, 400).astype(np.uint8))
            labels = np.packbits([[1, 1], [1, 0]], axis=1)
            writer.add_windows(np.array([0, second]), labels, np.array([0, 1], dtype=np.uint8))
            writer.finish(StoreInfo(window=200, bin=200, tasks=(Task("one"), Task("other"))))
        text = explore_text(explore(open_store(tmp_path / "data.zarr")))
        nothing = "no window overlaps, equals or nearly equals one of another split, as far as this can be tested"
        given_away = "valid windows with a partner in another split: 1 (100.0%): 1 overlap one, 0 equal one"
        assert (nothing in text, given_away in text) == ((True, False) if second == 200 else (False, True))
        assert "tasks most alike (Jaccard index): one and other 0.50" in text
        assert "windows with N" not in text

    def test_is_short(self, tmp_path: Path) -> None:
        known = np.eye(5, dtype=bool)
        text = explore_text(explore(write(tmp_path, known, np.arange(5).astype(np.uint8) % 3, known)))
        assert len(text.splitlines()) <= 20
        assert "unknown labels: 20 (80.0%)" in text


@pytest.mark.parametrize(("start", "split", "said"), [(0, 3, "in split 3"), (400, 0, "outside"), (-40, 0, "outside")])
def test_a_window_that_lies_nowhere_is_a_clear_error(tmp_path: Path, start: int, split: int, said: str) -> None:
    with StoreWriter(tmp_path / "data.zarr", 1) as writer:
        writer.add_contig("chr1", np.zeros(400, dtype=np.uint8))
        writer.add_windows(np.array([start]), np.zeros((1, 1), dtype=np.uint8), np.array([split], dtype=np.uint8))
        writer.finish(StoreInfo(window=40, bin=40, tasks=(Task("t"),)))
    with pytest.raises(StoreError, match=said):
        explore(open_store(tmp_path / "data.zarr"))


def test_a_store_with_damaged_codes_is_a_clear_error(tmp_path: Path) -> None:
    store = write(tmp_path, np.ones((5, 1), dtype=bool), np.zeros(5, dtype=np.uint8))
    chunk = next(path for path in (store.path / "codes").rglob("*") if path.is_file() and path.name != "zarr.json")
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 0xFF
    chunk.write_bytes(content)
    with pytest.raises(StoreError, match="codes cannot be read"):
        explore(store)
