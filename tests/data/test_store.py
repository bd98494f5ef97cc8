from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import noncoder.data.writer as writer_module
import noncoder.temporary
from noncoder.data.info import FORMAT_VERSION, SPLITS, StoreInfo
from noncoder.data.store import Store, attributes_digest, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.errors import InputError, StoreError, UnknownNameError
from noncoder.sequence.encoding import decode, encode, reverse_complement
from noncoder.sequence.genome import Interval
from tests.conftest import listing, make_store, padded_slice, random_dna, random_genome, small_store

# An example writes a store, which takes a tenth of a second or more.
LAW = settings(deadline=None, max_examples=10)


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_store(tmp_path_factory.mktemp("store") / "small.zarr").path


@pytest.fixture
def copy(store_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store_path, tmp_path / "copy.zarr"))


def files_of(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file())


@st.composite
def layouts(draw: st.DrawFn) -> tuple[dict[str, str], list[tuple[str, int]], int]:
    """Contigs, windows of which the middle base lies in its contig, and the windows' width."""
    window = draw(st.integers(1, 40))
    lengths = draw(st.lists(st.integers(1, 50), min_size=1, max_size=4))
    genome = {f"c{i}": random_dna(length, seed=i, letters="ACGTN") for i, length in enumerate(lengths)}
    names = draw(st.lists(st.sampled_from(list(genome)), min_size=1, max_size=30))
    windows = [(name, draw(st.integers(0, len(genome[name]) - 1)) - window // 2) for name in names]
    return genome, windows, window


class TestReading:
    @LAW
    @given(layouts(), st.data())
    def test_windows_against_slicing(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        layout: tuple[dict[str, str], list[tuple[str, int]], int],
        data: st.DataObject,
    ) -> None:
        genome, windows, window = layout
        n = len(windows)
        labels = np.zeros((n, 1), dtype=np.uint8)
        store = make_store(tmp_path_factory.mktemp("s") / "s.zarr", genome, windows, labels, window=window, bin=window)
        store.check()
        indices = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=60)), dtype=np.int64)
        expected = [padded_slice(genome[name], start, start + window) for name, start in windows]
        assert [decode(row) for row in store.read_codes(indices)] == [expected[i] for i in indices]
        reverse = data.draw(arrays(np.bool_, indices.size))
        for text, row, turned in zip(
            (expected[i] for i in indices), store.read_codes(indices, reverse), reverse, strict=True
        ):
            assert decode(reverse_complement(row) if turned else row) == text

        pad = max(0, *(-start for _, start in windows), *(s + window - len(genome[name]) for name, s in windows))
        shift = data.draw(arrays(np.int64, indices.size, elements=st.integers(-60, 60)))
        for i, by, row in zip(indices, shift, store.read_codes(indices, shift=shift), strict=True):
            name, start = windows[i]
            last = max(len(genome[name]) + pad - window, start)
            moved = min(max(start + int(by), -pad), last)
            assert decode(row) == padded_slice(genome[name], moved, moved + window)

    def test_bins_and_intervals(self, tmp_path: Path) -> None:
        genome = random_genome({"a": 50, "b": 60})
        windows = [("a", -5), ("a", 35), ("b", 0)]
        store = make_store(tmp_path / "s.zarr", genome, windows, np.ones((3, 1), dtype=np.uint8), window=20, bin=10)
        assert store.intervals([0, 1, 2]) == [Interval("a", 0, 10), Interval("a", 40, 50), Interval("b", 5, 15)]
        names, starts = store.bins([2, 0])
        assert (names.tolist(), starts.tolist()) == (["b", "a"], [5, 0])

    def test_what_lies_past_a_contig_s_end_is_n_and_not_the_next_contig(self, tmp_path: Path) -> None:
        genome = random_genome({"a": 50, "b": 60})
        windows = [("a", -5), ("a", 31), ("a", 38), ("b", -9), ("b", 49)]
        store = make_store(tmp_path / "s.zarr", genome, windows, np.ones((5, 1), dtype=np.uint8), window=20, bin=10)
        expected = [padded_slice(genome[name], start, start + 20) for name, start in windows]
        assert [decode(row) for row in store.read_from_disk(np.arange(5))[0]] == expected
        assert decode(store.read_stretch(0, 45, 12)) == padded_slice(genome["a"], 45, 57)
        assert decode(store.read_stretch(1, -4, 12)) == padded_slice(genome["b"], -4, 8)
        assert decode(store.read_stretch(0, 50, 3)) == decode(store.read_stretch(1, -3, 3)) == "NNN"

    def test_no_windows_asked_for(self, store_path: Path) -> None:
        store = open_store(store_path)
        codes, labels = store.read([])
        assert (codes.shape, labels.shape) == ((0, 20), (0, 11))
        assert codes.dtype == labels.dtype == np.uint8
        assert store.intervals([]) == []
        known = store.read_known([])
        assert known is not None
        assert known.shape == (0, 11)

    def test_what_is_read_is_the_readers_own(self, store_path: Path) -> None:
        store = open_store(store_path)
        codes, labels = store.read([3, 4])
        codes[:], labels[:] = 4, 1
        assert not np.array_equal(store.read_codes([3, 4]), codes)
        assert not np.array_equal(store.read_labels([3, 4]), labels)

    def test_unknown_split(self, store_path: Path) -> None:
        with pytest.raises(UnknownNameError, match="no split is called 'tset'"):
            open_store(store_path).indices("tset")

    def test_repr(self, store_path: Path) -> None:
        assert "60 windows of 20 bp, 11 tasks" in repr(open_store(store_path))


class TestRoundTrip:
    @LAW
    @given(st.integers(1, 20), st.integers(1, 30), st.booleans(), st.data())
    def test_labels_known_and_splits(
        self, tmp_path_factory: pytest.TempPathFactory, n_tasks: int, n: int, with_known: bool, data: st.DataObject
    ) -> None:
        bits = arrays(np.uint8, (n, n_tasks), elements=st.integers(0, 1))
        labels, split = data.draw(bits), data.draw(arrays(np.uint8, n, elements=st.integers(0, 2)))
        known = data.draw(bits) if with_known else None
        path = tmp_path_factory.mktemp("s") / "s.zarr"
        store = make_store(path, {"a": "ACGT" * 20}, [("a", 0)] * n, labels, split=split, known=known)
        assert np.array_equal(store.read_labels(store.indices()), labels)
        assert np.array_equal(store.split, split)
        assert store.packed_labels.shape == (n, -(-n_tasks // 8))
        read_known = store.read_known(np.arange(n))
        if known is None:
            assert read_known is None
        else:
            assert read_known is not None
            assert read_known.dtype == bool
            assert np.array_equal(read_known, known)
        for number, name in enumerate(SPLITS):
            inside = split == number
            assert np.array_equal(store.indices(name), np.flatnonzero(inside))
            assert np.array_equal(store.positives(name), labels[inside].sum(axis=0))
            expected = np.full(n_tasks, inside.sum()) if known is None else known[inside].sum(axis=0)
            assert np.array_equal(store.known_counts(name), expected)
        assert np.array_equal(store.positives(), labels.sum(axis=0))
        store.check()

    def test_many_chunks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writer_module, "_CHUNK_BYTES", 64)
        rng = np.random.default_rng(0)
        genome = random_genome({"a": 333, "b": 1, "c": 64, "d": 700})
        labels = rng.integers(0, 2, (200, 13), dtype=np.uint8)
        windows = [("d", int(start)) for start in rng.integers(0, 680, 200)]
        store = make_store(tmp_path / "s.zarr", genome, windows, labels)
        assert len(list((tmp_path / "s.zarr/codes/c").iterdir())) == -(-1098 // 64)
        assert np.array_equal(store.read_labels(store.indices()), labels)
        assert [decode(row) for row in store.read_codes(store.indices())] == [
            genome["d"][s : s + 20] for _, s in windows
        ]
        store.check()

    def test_any_zarr_reader_opens_it(self, store_path: Path) -> None:
        group: Any = zarr.open_group(str(store_path), mode="r")
        store = open_store(store_path)
        names = bytes(group["contigs/name"][:]).decode().split("\n")
        offset, length = group["contigs/offset"][:], group["contigs/length"][:]
        assert names == ["a", "b", "c"]
        assert (offset.tolist(), length.tolist()) == ([0, 400, 700], [400, 300, 50])
        assert group["codes"].shape == (750,)
        assert np.array_equal(np.unpackbits(group["labels"][:], axis=1, count=11), store.read_labels(store.indices()))
        assert group["codes"].metadata.zarr_format == 3
        assert any("crc32c" in type(codec).__name__.lower() for codec in group["codes"].compressors)

    def test_info_survives(self, tmp_path: Path) -> None:
        info = StoreInfo(
            window=20, bin=10, tasks=(Task("é", "TF", "K562", "ChIP", "none"),), label_rule="summit", genome="hg19",
            sources=({"name": "a.bed", "sha256": "0"},), dropped=({"what": "bins", "count": 3, "why": "excluded"},),
            version="0.1",
        )  # fmt: skip
        with StoreWriter(tmp_path / "s.zarr", 1) as writer:
            writer.add_contig("chr1", encode("ACGT" * 10))
            writer.add_windows(np.zeros(1, np.int64), np.zeros((1, 1), np.uint8), np.zeros(1, np.uint8))
            digest = writer.finish(info)
        store = open_store(tmp_path / "s.zarr")
        assert store.info == info
        assert store.digest == digest
        assert StoreInfo.from_dict({**info.to_dict(), "later": 1}) == info

    def test_the_digest_follows_from_the_content(self, tmp_path: Path) -> None:
        first, again = (small_store(tmp_path / f"{name}.zarr").digest for name in "ab")
        assert first == again
        assert small_store(tmp_path / "c.zarr", n=59).digest != first

    def test_summary(self, store_path: Path) -> None:
        store = open_store(store_path)
        summary = store.summary()
        assert json.loads(json.dumps(summary)) == summary
        assert summary["windows"] == sum(split["windows"] for split in summary["splits"].values()) == 60
        assert summary["positives"] == sum(split["positives"] for split in summary["splits"].values())
        assert (summary["tasks"], summary["bases"], summary["contigs"], summary["unknown_labels"]) == (11, 750, 3, True)
        assert summary["groups"] == {"even": 6, "none": 5}
        assert summary["bytes"] == sum(file.stat().st_size for file in files_of(store_path))


class TestDamage:
    def refused(self, path: Path) -> StoreError:
        with pytest.raises(StoreError) as caught:
            open_store(path).check()
        assert str(path) in caught.value.found
        assert caught.value.hint
        return caught.value

    def test_a_flipped_byte_in_any_file(self, copy: Path) -> None:
        files = files_of(copy)
        assert len(files) == 18
        for file in files:
            whole = file.read_bytes()
            for at in {0, len(whole) // 4, len(whole) // 2, len(whole) - 1}:
                if whole[at : at + 1].isspace():
                    continue
                flipped = bytearray(whole)
                flipped[at] ^= 0x01
                file.write_bytes(flipped)
                self.refused(copy)
            file.write_bytes(whole)
        open_store(copy).check()

    def test_a_flipped_byte_in_the_root(self, copy: Path) -> None:
        root = copy / "zarr.json"
        whole = root.read_bytes()
        around = whole.index(b'"zarr_format"')
        for at in (*range(0, len(whole), 199), *range(around, around + 12)):
            if not whole[at : at + 1].isspace():
                flipped = bytearray(whole)
                flipped[at] ^= 0x01
                root.write_bytes(flipped)
                self.refused(copy)

    @pytest.mark.parametrize("keep", [0, 0.5, -1])
    def test_any_file_cut_off(self, copy: Path, keep: float) -> None:
        for file in files_of(copy):
            whole = file.read_bytes()
            file.write_bytes(whole[: int(keep * len(whole)) if keep >= 0 else -1])
            self.refused(copy)
            file.write_bytes(whole)
        open_store(copy).check()

    def test_any_file_missing(self, copy: Path) -> None:
        for file in files_of(copy):
            whole = file.read_bytes()
            file.unlink()
            error = self.refused(copy)
            if file.parent != copy:
                assert "is damaged" in error.found
                assert "chunks" in error.found or "the description of" in error.found
            file.write_bytes(whole)
        open_store(copy).check()

    def test_any_file_swapped_for_another(self, copy: Path) -> None:
        """A chunk that is whole but lies in the wrong place passes its own checksum, not the store's."""
        labels, known = copy / "labels/c/0/0", copy / "known/c/0/0"
        first, second = labels.read_bytes(), known.read_bytes()
        labels.write_bytes(second)
        known.write_bytes(first)
        assert "the content of labels has changed" in self.refused(copy).found

    def test_a_changed_attribute(self, copy: Path) -> None:
        group = zarr.open_group(str(copy), mode="r+")
        group.attrs["noncoder"] = {**dict(group.attrs["noncoder"]), "window": 22}  # type: ignore[arg-type]
        assert "its attributes have changed" in self.refused(copy).found

    def test_a_later_format(self, copy: Path) -> None:
        group = zarr.open_group(str(copy), mode="r+")
        group.attrs["noncoder"] = {**dict(group.attrs["noncoder"]), "format_version": FORMAT_VERSION + 1}  # type: ignore[arg-type]
        error = self.refused(copy)
        assert f"has format {FORMAT_VERSION + 1}" in error.found
        assert "newer noncoder" in error.hint

    def test_a_window_in_no_contig(self, tmp_path: Path) -> None:
        for start in (-11, 35):
            with StoreWriter(tmp_path / "s.zarr", 1, force=True) as writer:
                writer.add_contig("a", encode("ACGT" * 10))
                writer.add_windows(np.array([start]), np.zeros((1, 1), np.uint8), np.zeros(1, np.uint8))
                writer.finish(StoreInfo(window=20, bin=10, tasks=(Task("t"),)))
            assert "the middle of a window lies outside of every contig" in self.refused(tmp_path / "s.zarr").found

    def test_a_split_that_is_none(self, tmp_path: Path) -> None:
        split = np.array([3], dtype=np.uint8)
        make_store(tmp_path / "s.zarr", {"a": "A" * 40}, [("a", 0)], np.ones((1, 1), np.uint8), split=split)
        assert "a window is in split 3" in self.refused(tmp_path / "s.zarr").found

    def test_what_is_no_store(self, tmp_path: Path) -> None:
        (tmp_path / "file.zarr").write_text("x")
        (tmp_path / "folder.zarr").mkdir()
        zarr.open_group(str(tmp_path / "other.zarr"), mode="w")
        other = "is a zarr group, but not a noncoder store"
        for name, told in (
            ("none", "does not exist"),
            ("file", "is a text file"),
            ("folder", "is an empty folder"),
            ("other", other),
        ):
            assert told in self.refused(tmp_path / f"{name}.zarr").found

    def test_attributes_digest_leaves_itself_out(self) -> None:
        assert attributes_digest({"a": 1, "digest": "x"}) == attributes_digest({"a": 1})
        assert attributes_digest({"a": 1}) != attributes_digest({"a": 2})


def twins(tmp_path: Path, with_known: bool = False) -> tuple[Path, Path]:
    """Two stores of the same shapes with other content, each chunk of which is valid by its own checksum."""
    made = []
    for seed in (1, 2):
        genome = random_genome({"a": 4000}, seed=seed)
        rng = np.random.default_rng(seed)
        windows = [("a", int(at)) for at in np.sort(rng.choice(3900, 50, replace=False))]
        labels, split = (rng.random((50, 11)) < 0.5).astype(np.uint8), rng.integers(0, 3, 50).astype(np.uint8)
        made.append(make_store(tmp_path / f"{seed}.zarr", genome, windows, labels, window=20, split=split).path)
    return made[0], made[1]


def as_earlier_versions_wrote(path: Path) -> None:
    """Takes the digests of chunks out of a store."""
    group: Any = zarr.open_group(str(path), mode="r+")
    attributes = group.attrs.asdict()
    for recorded in attributes["arrays"].values():
        del recorded["chunks"]
    attributes["digest"] = attributes_digest(attributes)
    group.attrs.put(attributes)


READS: dict[str, Any] = {
    "codes": lambda store: store.read_codes([3]),
    "codes from disk": lambda store: store.read_from_disk([3, 4]),
    "codes of a contig": lambda store: store.read_stretch(0, 5, 10),
    "codes in blocks": lambda store: list(store.code_blocks()),
    "labels": lambda store: store.read_labels([3]),
    "labels from disk": lambda store: store.read_from_disk([3, 4]),
    "labels counted": lambda store: store.positives(),
    "split": lambda store: store.indices("train"),
    "start": lambda store: store.intervals([0]),
}


class TestOtherContent:
    @pytest.mark.parametrize("earlier", [False, True])
    @pytest.mark.parametrize("what", READS)
    def test_a_valid_chunk_of_another_store_is_noticed(self, tmp_path: Path, what: str, earlier: bool) -> None:
        one, two = twins(tmp_path)
        if earlier:
            as_earlier_versions_wrote(one)
            READS[what](open_store(one))
        name = what.split()[0]
        (chunk,) = [file for file in files_of(one / name) if file.name != "zarr.json"]
        shutil.copy(two / chunk.relative_to(one), chunk)
        store = open_store(one)
        with pytest.raises(StoreError, match=f"the content of {name} has changed"):
            READS[what](store)

    def test_arrays_that_are_exchanged_are_told_when_it_is_opened(self, tmp_path: Path) -> None:
        one, _ = twins(tmp_path)
        for name, other in (("start", "split"), ("labels", "codes"), ("contigs/offset", "split")):
            exchange(one / name, one / other)
            with pytest.raises(StoreError, match=f"the description of ({name}|{other}) is missing or changed"):
                open_store(one)
            exchange(one / name, one / other)
        exchange(one / "contigs/offset", one / "contigs/length")  # of the same description
        with pytest.raises(StoreError, match="the content of contigs/offset has changed"):
            open_store(one).intervals([0])

    @pytest.mark.parametrize(
        ("name", "shape", "dtype"),
        [("labels", (50, 1), "u1"), ("labels", (49, 2), "u1"), ("split", (51,), "u1"), ("start", (50,), "u1"),
         ("codes", (9, 9), "u1"), ("contigs/length", (2,), "i8"), ("known", (50, 3), "u1")],
    )  # fmt: skip
    def test_arrays_that_do_not_fit_each_other(
        self, tmp_path: Path, name: str, shape: tuple[int, ...], dtype: str
    ) -> None:
        """By whoever wrote them: all digests are right."""
        path, _ = twins(tmp_path)
        group: Any = zarr.open_group(str(path), mode="r+")
        values = np.ones(shape, dtype=dtype)
        group.create_array(name, data=values, overwrite=True)
        attributes = group.attrs.asdict()
        described = hashlib.sha256((path / name / "zarr.json").read_bytes()).hexdigest()
        attributes["arrays"][name] = {"sha256": hashlib.sha256(values.data).hexdigest(), "description": described}
        attributes["digest"] = attributes_digest(attributes)
        group.attrs.put(attributes)
        with pytest.raises(StoreError, match="which does not fit the others"):
            open_store(path)


def exchange(one: Path, other: Path) -> None:
    one.rename(one.with_name("aside"))
    other.rename(one)
    one.with_name("aside").rename(other)


class TestReplacedWhileOpen:
    @pytest.mark.parametrize("what", READS)
    def test_what_was_not_read_yet_is_an_error(self, tmp_path: Path, what: str) -> None:
        one, two = twins(tmp_path)
        store = open_store(one)
        split = store.split
        exchange(one, two)
        if what == "split":
            assert np.array_equal(store.indices("train"), np.flatnonzero(split == 0))  # what was read stays
            return
        with pytest.raises(StoreError, match="was replaced since it was opened"):
            READS[what](store)
        shutil.rmtree(one)
        with pytest.raises(StoreError, match="was removed, moved or damaged since it was opened"):
            READS[what](store)

    def test_the_same_store_in_another_place_is_the_same(self, tmp_path: Path) -> None:
        one, _ = twins(tmp_path)
        store = open_store(one)
        (one / "zarr.json").touch()
        store.read([0])
        one.rename(tmp_path / "old")
        shutil.copytree(tmp_path / "old", one)
        assert store.positives().sum() == open_store(one).positives().sum()

    def test_by_a_writer(self, tmp_path: Path) -> None:
        store = small_store(tmp_path / "s.zarr")
        length = len(store)
        make_store(tmp_path / "s.zarr", {"a": "A" * 40}, [("a", 0)], np.ones((1, 1), np.uint8), force=True)
        assert len(store) == length
        with pytest.raises(StoreError, match="was replaced"):
            store.read([0])


@contextmanager
def begin(path: Path, force: bool = False) -> Iterator[StoreWriter]:
    with StoreWriter(path, 1, force) as writer:
        writer.add_contig("a", encode("ACGT" * 10))
        yield writer


def write_on(path: Path, codes: NDArray[np.uint8], seconds: float) -> None:
    """Writes until an alarm interrupts it."""
    with StoreWriter(path, 1) as writer:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        for _ in range(100):
            writer.add_contig("a", codes)


class TestWriter:
    def test_nothing_is_there_before_it_is_complete(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "s.zarr"
        with begin(path) as writer:
            assert not path.exists()
            writer.add_windows(np.zeros(1, np.int64), np.zeros((1, 1), np.uint8), np.zeros(1, np.uint8))
            writer.finish(StoreInfo(window=4, bin=4, tasks=(Task("t"),)))
            assert path.exists()
        assert listing(path.parent) == ["s.zarr"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
    def test_an_error_leaves_nothing(self, tmp_path: Path, error: type[BaseException]) -> None:
        with pytest.raises(error), begin(tmp_path / "s.zarr"):
            raise error
        assert listing(tmp_path) == []

    def test_an_interrupt_while_it_begins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = zarr.open_group

        def interrupted(*args: Any, **options: Any) -> None:
            opened(*args, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(zarr, "open_group", interrupted)
        with pytest.raises(KeyboardInterrupt), begin(tmp_path / "s.zarr"):
            pass
        assert listing(tmp_path) == []

    def test_left_without_finish(self, tmp_path: Path) -> None:
        with begin(tmp_path / "s.zarr"):
            pass
        assert listing(tmp_path) == []

    def test_no_window(self, tmp_path: Path) -> None:
        none = np.zeros(0, np.int64)
        with begin(tmp_path / "s.zarr") as writer:
            writer.add_windows(none, np.zeros((0, 1), np.uint8), none.astype(np.uint8))
            with pytest.raises(InputError, match="no window is left to store"):
                writer.finish(StoreInfo(window=4, bin=4, tasks=(Task("t"),)))
        assert listing(tmp_path) == []

    def test_an_interrupt_in_the_midst_of_a_chunk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The interrupt arrives while zarr's thread is writing: it must not write on after the clean-up."""
        monkeypatch.setattr(writer_module, "_CHUNK_BYTES", 1 << 20)
        codes = np.random.default_rng(0).integers(0, 4, 1 << 24, dtype=np.uint8)
        for seconds in (0.01, 0.03, 0.09):
            previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
            try:
                with pytest.raises(KeyboardInterrupt):
                    write_on(tmp_path / "s.zarr", codes, seconds)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, previous)
            assert listing(tmp_path) == []

    def test_a_store_is_replaced_only_when_asked(self, tmp_path: Path) -> None:
        old = small_store(tmp_path / "s.zarr").digest
        with pytest.raises(InputError, match="already exists") as caught, begin(tmp_path / "s.zarr"):
            pass
        assert "--force" in caught.value.hint
        with pytest.raises(KeyboardInterrupt), begin(tmp_path / "s.zarr", force=True):
            raise KeyboardInterrupt
        assert open_store(tmp_path / "s.zarr").digest == old
        new = make_store(tmp_path / "s.zarr", {"a": "A" * 40}, [("a", 0)], np.ones((1, 1), np.uint8), force=True).digest
        assert open_store(tmp_path / "s.zarr").digest == new != old
        assert listing(tmp_path) == ["s.zarr"]

    def test_the_old_store_stays_where_the_new_cannot_take_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = small_store(tmp_path / "s.zarr").digest
        rename = Path.rename
        monkeypatch.setattr(noncoder.temporary, "_exchange", lambda one, other: False)  # as on some file systems

        def fails_for_the_new(self: Path, target: Path) -> Path:
            if self.name.endswith(".partial"):
                raise KeyboardInterrupt
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", fails_for_the_new)
        with pytest.raises(KeyboardInterrupt):
            make_store(tmp_path / "s.zarr", {"a": "A" * 40}, [("a", 0)], np.ones((1, 1), np.uint8), force=True)
        assert open_store(tmp_path / "s.zarr").digest == old
        assert listing(tmp_path) == ["s.zarr"]

    def test_force_spares_a_folder_that_is_no_store(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/thesis.tex").write_text("years of work")
        with pytest.raises(InputError, match="is not a store"), begin(tmp_path / "home", force=True):
            pass
        assert (tmp_path / "home/thesis.tex").read_text() == "years of work"

    def test_force_spares_a_file_a_link_and_another_zarr_group(self, tmp_path: Path) -> None:
        (tmp_path / "file.zarr").write_text("x")
        (tmp_path / "other.zarr").mkdir()
        (tmp_path / "other.zarr/zarr.json").write_text("{}")
        (tmp_path / "link.zarr").symlink_to(tmp_path / "other.zarr")
        before = listing(tmp_path)
        for name in ("file.zarr", "other.zarr", "link.zarr"):
            with pytest.raises(InputError, match="is not a store"), begin(tmp_path / name, force=True):
                pass
        assert listing(tmp_path) == before

    def test_force_replaces_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "s.zarr").mkdir()
        make_store(tmp_path / "s.zarr", {"a": "A" * 40}, [("a", 0)], np.ones((1, 1), np.uint8), force=True).check()

    def test_what_a_killed_build_left_is_removed_by_the_next(self, tmp_path: Path) -> None:
        done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
        (tmp_path / f".s.zarr.{done.stdout.strip()}.partial").mkdir()
        (tmp_path / f".s.zarr.{os.getppid()}.partial").mkdir()  # of a process that lives: another build at work
        make_store(tmp_path / "s.zarr", {"a": "A" * 40}, [("a", 0)], np.ones((1, 1), np.uint8))
        assert listing(tmp_path) == [f".s.zarr.{os.getppid()}.partial", "s.zarr"]

    def test_two_writers_of_one_path(self, tmp_path: Path) -> None:
        with begin(tmp_path / "s.zarr"):
            with pytest.raises(InputError, match=r"another process is making .*s\.zarr"), begin(tmp_path / "s.zarr"):
                pass
            with begin(tmp_path / "other.zarr"):
                pass
        assert listing(tmp_path) == []

    def test_what_is_wrong_with_the_new_one_leaves_the_old(self, tmp_path: Path) -> None:
        old = small_store(tmp_path / "s.zarr").digest

        def refuse(store: Store) -> None:
            store.check()
            raise StoreError("it is another")

        with begin(tmp_path / "s.zarr", force=True) as writer:
            writer.add_windows(np.zeros(1, np.int64), np.zeros((1, 1), np.uint8), np.zeros(1, np.uint8))
            with pytest.raises(StoreError, match="it is another"):
                writer.finish(StoreInfo(window=4, bin=4, tasks=(Task("t"),)), refuse)
        assert open_store(tmp_path / "s.zarr").digest == old
        assert listing(tmp_path) == ["s.zarr"]

    def test_its_folder_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="cannot write") as caught, begin(tmp_path / "file" / "s.zarr"):
            pass
        assert "choose another place" in caught.value.hint
        assert listing(tmp_path) == ["file"]

    @pytest.mark.parametrize("mode", [0o555, 0o000])
    def test_a_folder_that_cannot_be_written(self, mode: int) -> None:
        with open_to_all() as folder:
            folder.chmod(mode)
            with (
                unprivileged(),
                pytest.raises(InputError, match=r"cannot write .*Permission denied"),
                begin(folder / "s.zarr"),
            ):
                pass
            with unprivileged(), pytest.raises(StoreError, match="does not exist"):
                open_store(folder / "s.zarr")
            folder.chmod(0o755)
            assert listing(folder) == []


@contextmanager
def open_to_all() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere, so it steps down for a moment."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


FILL = """
    import resource, sys
    import numpy as np
    from noncoder.data.writer import StoreWriter
    from noncoder.errors import InputError

    limit, path, chunk = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    import noncoder.data.writer
    noncoder.data.writer._CHUNK_BYTES = chunk
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    codes = np.random.default_rng(0).integers(0, 4, 1 << 22, dtype=np.uint8)
    try:
        with StoreWriter(path, 1) as writer:
            for name in "abcd":
                writer.add_contig(name, codes)
    except InputError as error:
        print(error)
        sys.exit(2)
"""


def fill(folder: Path, limit: int, chunk: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(FILL), str(limit), str(folder / "s.zarr"), str(chunk)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class TestFullDisk:
    @pytest.mark.parametrize("limit", [100, 100_000])
    def test_a_limit_on_the_size_of_a_file(self, tmp_path: Path, limit: int) -> None:
        done = fill(tmp_path, limit, 1 << 22)
        assert done.returncode == 2, done.stderr
        assert f"cannot write {tmp_path / 's.zarr'}: File too large" in done.stdout
        assert "free some space" in done.stdout
        assert listing(tmp_path) == []

    def test_a_full_file_system(self, tmp_path: Path) -> None:
        if os.geteuid() != 0 or not shutil.which("mount"):
            pytest.skip("a small file system can be mounted by root alone")
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
        try:
            done = fill(disk, 0, 1 << 18)
            assert done.returncode == 2, done.stderr
            assert "No space left on device" in done.stdout
            assert listing(disk) == []
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def packed(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.packbits(labels, axis=1)


def test_first_task_in_the_highest_bit(tmp_path: Path) -> None:
    labels = np.zeros((1, 9), dtype=np.uint8)
    labels[0, [0, 8]] = 1
    store = make_store(tmp_path / "s.zarr", {"a": "A" * 40}, [("a", 0)], labels)
    assert store.packed_labels.tolist() == [[0x80, 0x80]] == packed(labels).tolist()


@pytest.mark.parametrize("name", ["recipe.yaml", "predictor/model.json"])
def test_a_store_with_other_files_in_it_is_not_replaced(tmp_path: Path, name: str) -> None:
    store = small_store(tmp_path / "s.zarr", 5)
    path = store.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(InputError, match=r"also contains (recipe\.yaml|predictor), which is not a part of it"):
        StoreWriter(store.path, 3, force=True)
    assert path.read_text() == "mine"
    path.unlink()
