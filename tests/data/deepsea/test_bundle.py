import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray

from noncoder.config import DeepSeaDataConfig
from noncoder.data import writer
from noncoder.data.deepsea import bundle, slabs
from noncoder.data.deepsea.bundle import pack_deepsea, unpack_deepsea
from noncoder.data.deepsea.deepsea_tasks import deepsea_tasks
from noncoder.data.info import SPLITS
from noncoder.data.store import Store, open_store
from noncoder.errors import InputError, NoncoderError, StoreError
from noncoder.files import locked
from tests.conftest import small_store
from tests.data.deepsea.made import both_strands, cut_windows, write_bundle

Bytes = NDArray[np.uint8]
TASKS = 11
SIZES = {"train": 400, "valid": 30, "test": 90}


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.tsv"
    path.write_text("name\tgroup\n" + "".join(f"t{i}\t{'DNase' if i < 4 else 'TF'}\n" for i in range(TASKS)))
    return path


@pytest.fixture
def halves() -> dict[str, tuple[Bytes, Bytes]]:
    """Codes (n, 60) and labels (n, 11): bins of one genome with gaps; validation follows on training."""
    rng = np.random.default_rng(7)
    genome = rng.integers(0, 4, 24_000, dtype=np.uint8)
    genome[3000:3050] = 4
    bins = np.sort(rng.choice(1100, sum(SIZES.values()), replace=False))
    cut = np.split(bins, np.cumsum(list(SIZES.values()))[:-1])
    return {
        split: (cut_windows(genome, b), (rng.random((b.size, TASKS)) < 0.2).astype(np.uint8))
        for split, b in zip(SPLITS, cut, strict=True)
    }


@pytest.fixture
def folder(tmp_path: Path, halves: dict[str, tuple[Bytes, Bytes]]) -> Path:
    return write_bundle(tmp_path / "bundle", {split: both_strands(*half) for split, half in halves.items()})


def pack(folder: Path, sheet: Path, out: Path, **settings: object) -> Store:
    return pack_deepsea(DeepSeaDataConfig.model_validate({"folder": folder, "tasks": sheet, "bin": 20} | settings), out)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


class TestPack:
    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("slab", [7, 64, 10_000])
    def test_store_holds_the_forward_half_and_each_base_once(
        self,
        tmp_path: Path,
        halves: dict[str, tuple[Bytes, Bytes]],
        sheet: Path,
        monkeypatch: pytest.MonkeyPatch,
        compressed: bool,
        slab: int,
    ) -> None:
        monkeypatch.setattr(slabs, "_SLAB", slab)
        splits = {split: both_strands(*half) for split, half in halves.items()}
        folder = write_bundle(tmp_path / "b", splits, compressed, chunks=compressed)
        store = pack(folder, sheet, tmp_path / "s.zarr")
        for split, (codes, labels) in halves.items():
            found = store.read(store.indices(split))
            np.testing.assert_array_equal(found[0], codes)
            np.testing.assert_array_equal(found[1], labels)
        # What neighbours share is stored once, across slabs and files too.
        every = np.concatenate([half[0] for half in halves.values()])
        fresh = [60]
        for before, after in pairwise(every):
            fresh.append(next((s for s in (20, 40) if (before[s:] == after[:-s]).all()), 60))
        assert store.n_bases == sum(fresh)
        store.check()
        assert [drop["count"] for drop in store.info.dropped] == list(SIZES.values())
        assert not store.info.notes
        assert leftovers(tmp_path) == []

    def test_slabs_do_not_show_in_the_store(
        self, tmp_path: Path, folder: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        digests = set()
        for slab in (5, 33, 400):
            monkeypatch.setattr(slabs, "_SLAB", slab)
            digests.add(pack(folder, sheet, tmp_path / f"{slab}.zarr").digest)
        assert len(digests) == 1

    def test_deepseas_tasks_are_the_default(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        labels = (rng.random((4, 919)) < 0.02).astype(np.uint8)
        codes = rng.integers(0, 5, (4, 1000), dtype=np.uint8)
        folder = write_bundle(tmp_path / "b", dict.fromkeys(SPLITS, both_strands(codes, labels)))
        store = pack_deepsea(DeepSeaDataConfig(folder=folder), tmp_path / "s.zarr")
        assert store.tasks == deepsea_tasks()
        assert (store.info.genome, store.info.label_rule, store.window, store.bin) == ("hg19", "overlap:0.5", 1000, 200)
        np.testing.assert_array_equal(store.read(store.indices("test"))[1], labels)

    def test_halves_that_are_no_complements_are_both_kept(
        self, tmp_path: Path, halves: dict[str, tuple[Bytes, Bytes]], sheet: Path
    ) -> None:
        splits = {split: both_strands(*half) for split, half in halves.items()}
        x, y = splits["valid"]
        y = y.copy()
        y[40, 3] ^= 1
        store = pack(write_bundle(tmp_path / "b", splits | {"valid": (x, y)}), sheet, tmp_path / "s.zarr")
        assert store.indices("valid").size == 60
        np.testing.assert_array_equal(store.read(store.indices("valid"))[1], y)
        assert len(store.info.notes) == 1
        assert "valid.mat: both halves" in store.info.notes[0]
        assert "1 of 30" in store.info.notes[0]

    def test_an_odd_number_of_rows_is_kept_whole(
        self, tmp_path: Path, halves: dict[str, tuple[Bytes, Bytes]], sheet: Path
    ) -> None:
        splits = {split: both_strands(*half) for split, half in halves.items()}
        x, y = splits["test"]
        store = pack(write_bundle(tmp_path / "b", splits | {"test": (x[:-1], y[:-1])}), sheet, tmp_path / "s.zarr")
        assert store.indices("test").size == 179
        assert "odd number of rows" in store.info.notes[0]

    def test_reverse_palindromes_pass_the_check(self, tmp_path: Path, sheet: Path) -> None:
        codes = np.tile(np.array([0, 1, 2, 3], dtype=np.uint8), (6, 15))  # ACGT over and over is its own complement
        splits = dict.fromkeys(SPLITS, both_strands(codes, np.eye(6, TASKS, dtype=np.uint8)))
        store = pack(write_bundle(tmp_path / "b", splits), sheet, tmp_path / "s.zarr")
        assert len(store) == 18
        np.testing.assert_array_equal(store.read(store.indices("test"))[0], codes)

    def test_one_file_alone(self, tmp_path: Path, folder: Path, sheet: Path) -> None:
        (folder / "train.mat").unlink()
        with pytest.raises(InputError, match=r"has no train\.mat"):
            pack(folder, sheet, tmp_path / "s.zarr")
        store = pack(folder, sheet, tmp_path / "s.zarr", splits=("test",))
        assert (store.indices("test").size, len(store)) == (90, 90)


class TestRoundTrip:
    @pytest.mark.parametrize("odd", [False, True])
    def test_arrays_are_those_that_were_packed(
        self, tmp_path: Path, halves: dict[str, tuple[Bytes, Bytes]], sheet: Path, odd: bool
    ) -> None:
        splits = {split: both_strands(*half) for split, half in halves.items()}
        if odd:
            splits["test"] = splits["test"][0][:-1], splits["test"][1][:-1]
        store = pack(write_bundle(tmp_path / "b", splits), sheet, tmp_path / "s.zarr")
        files = unpack_deepsea(store, tmp_path / "back")
        assert [file.name for file in files] == ["train.mat", "valid.mat", "test.mat"]
        with h5py.File(files[0]) as file:
            np.testing.assert_array_equal(file["trainxdata"][...], splits["train"][0].transpose(2, 1, 0))
            np.testing.assert_array_equal(file["traindata"][...], splits["train"][1].T)
        for split, path in zip(("valid", "test"), files[1:], strict=True):
            arrays = scipy.io.loadmat(path)
            np.testing.assert_array_equal(arrays[f"{split}xdata"], splits[split][0])
            np.testing.assert_array_equal(arrays[f"{split}data"], splits[split][1])
            assert arrays[f"{split}xdata"].dtype == np.uint8
        again = pack(tmp_path / "back", sheet, tmp_path / "again.zarr")
        np.testing.assert_array_equal(again.read_codes(np.arange(len(again))), store.read_codes(np.arange(len(store))))
        assert unpack_deepsea(again, tmp_path / "twice")
        for file in files:
            assert (tmp_path / "twice" / file.name).read_bytes() == file.read_bytes()

    def test_a_store_of_another_source_goes_out_too(self, tmp_path: Path) -> None:
        store = small_store(tmp_path / "s.zarr", with_known=False)
        files = unpack_deepsea(store, tmp_path)
        arrays = scipy.io.loadmat(files[-1])
        wanted = both_strands(*store.read(store.indices("test")))
        np.testing.assert_array_equal(arrays["testxdata"], wanted[0])
        np.testing.assert_array_equal(arrays["testdata"], wanted[1])

    def test_unknown_labels_have_no_place_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="unknown labels"):
            unpack_deepsea(small_store(tmp_path / "s.zarr"), tmp_path)

    def test_files_that_are_there_are_not_replaced(self, tmp_path: Path, folder: Path, sheet: Path) -> None:
        store = pack(folder, sheet, tmp_path / "s.zarr")
        before = (folder / "test.mat").read_bytes()
        with pytest.raises(InputError, match="already exists"):
            unpack_deepsea(store, folder)
        assert (folder / "test.mat").read_bytes() == before
        unpack_deepsea(store, folder, force=True)
        assert leftovers(folder) == []


class TestKilled:
    SCRIPT = """
import sys, time
from noncoder.config import DeepSeaDataConfig
from noncoder.data.deepsea import slabs
from noncoder.data.deepsea.bundle import pack_deepsea
slabs._SLAB = 20
write = slabs.SlabPart.write
def slowly(self, path):
    write(self, path)
    print(path.name + "\\n", end="", flush=True)
    time.sleep(0.2)
slabs.SlabPart.write = slowly
pack_deepsea(DeepSeaDataConfig(folder=sys.argv[1], tasks=sys.argv[2], bin=20), sys.argv[3])
"""

    def test_a_killed_run_goes_on(
        self, tmp_path: Path, folder: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = pack(folder, sheet, tmp_path / "whole.zarr").digest
        out = tmp_path / "s.zarr"
        process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, str(folder), str(sheet), str(out)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        seen = [process.stdout.readline().strip() for _ in range(6)]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not out.exists()
        kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".s.zarr.packing").glob("*.part")}
        assert set(seen) <= set(kept)
        made = self._count_made(monkeypatch)
        monkeypatch.setattr(slabs, "_SLAB", 20)
        assert pack(folder, sheet, out).digest == whole
        total = -(-400 // 20) + -(-30 // 20) + -(-90 // 20)
        assert len(made) == total - len(kept)
        assert leftovers(tmp_path) == []

    def test_a_damaged_part_and_other_files_are_read_again(
        self, tmp_path: Path, folder: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(slabs, "_SLAB", 50)
        out, work = tmp_path / "s.zarr", tmp_path / ".s.zarr.packing"
        self._interrupt(folder, sheet, out, monkeypatch)
        found = sorted(work.glob("*.part"))
        found[0].write_bytes(found[0].read_bytes()[:100])
        made = self._count_made(monkeypatch)
        pack(folder, sheet, out)
        assert found[0].name in made
        assert found[1].name not in made
        os.utime(folder / "test.mat", ns=(1, 1))
        self._interrupt(folder, sheet, tmp_path / "t.zarr", monkeypatch)
        os.utime(folder / "test.mat", ns=(2, 2))
        made.clear()
        pack(folder, sheet, tmp_path / "t.zarr")
        assert len(made) == 8 + 1 + 2

    def _interrupt(self, folder: Path, sheet: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(bundle, "_assemble", stop)
            with pytest.raises(KeyboardInterrupt):
                pack(folder, sheet, out)

    def _count_made(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        made: list[str] = []
        write = slabs.SlabPart.write

        def counted(part: slabs.SlabPart, path: Path) -> None:
            made.append(path.name)
            write(part, path)

        monkeypatch.setattr(slabs.SlabPart, "write", counted)
        return made

    def test_a_second_run_leaves_the_first_one_alone(
        self, tmp_path: Path, folder: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(slabs, "_SLAB", 50)
        out, work = tmp_path / "s.zarr", tmp_path / ".s.zarr.packing"
        self._interrupt(folder, sheet, out, monkeypatch)
        before = sorted(path.name for path in work.iterdir())
        with locked(work), pytest.raises(InputError, match="another process is working"):
            pack(folder, sheet, out)
        assert sorted(path.name for path in work.iterdir()) == before
        pack(folder, sheet, out)


class TestBadInput:
    def fails(
        self, folder: Path, sheet: Path, match: str, error: type[NoncoderError] = InputError, **settings: object
    ) -> None:
        out = folder.parent / "bad.zarr"
        with pytest.raises(error, match=match):
            pack(folder, sheet, out, **settings)
        assert not out.exists()
        assert leftovers(folder.parent) == []

    def change(self, folder: Path, edit: Callable[[h5py.File], None]) -> None:
        with h5py.File(folder / "train.mat", "r+") as file:
            edit(file)

    def test_a_label_that_is_not_0_or_1(self, folder: Path, sheet: Path) -> None:
        def edit(file: h5py.File) -> None:
            file["traindata"][2, [5, 405]] = 3

        self.change(folder, edit)
        self.fails(folder, sheet, r"train\.mat, row 6, task 3: the label is 3")

    def test_bases_that_are_not_one_hot_are_told_or_counted(self, tmp_path: Path, folder: Path, sheet: Path) -> None:
        def edit(file: h5py.File) -> None:
            for row, mirror in ((7, 407), (8, 408)):
                file["trainxdata"][10, :, row] = [1, 1, 0, 0]
                file["trainxdata"][49, :, mirror] = [0, 0, 1, 1]
            file["trainxdata"][11, :, 7] = [0, 0, 255, 1]
            file["trainxdata"][48, :, 407] = [1, 255, 0, 0]

        self.change(folder, edit)
        self.fails(folder, sheet, r"train\.mat, row 8, base 11: \[1, 1, 0, 0\]")
        store = pack(folder, sheet, tmp_path / "n.zarr", bad_bases="n")
        codes = store.read_codes(np.array([7, 8]))
        assert codes[0, 10:12].tolist() == [4, 4]
        assert codes[1, 10] == 4
        assert {"what": "bases", "count": 3, "why": "neither one-hot nor zero, read as N"} in store.info.dropped

    def test_wrong_names(self, folder: Path, sheet: Path) -> None:
        self.change(folder, lambda file: file.move("traindata", "labels"))
        self.fails(folder, sheet, "expected: trainxdata and traindata")

    def test_wrong_types(self, folder: Path, sheet: Path) -> None:
        def edit(file: h5py.File) -> None:
            values = file["trainxdata"][...].astype(np.float32)
            del file["trainxdata"]
            file["trainxdata"] = values

        self.change(folder, edit)
        self.fails(
            folder, sheet, r"trainxdata: float32 \(60, 4, 800\)(.|\n)*expected: trainxdata and traindata, of type uint8"
        )

    def test_wrong_types_in_version_5(self, folder: Path, sheet: Path) -> None:
        arrays = scipy.io.loadmat(folder / "valid.mat")
        wanted = {"validxdata": arrays["validxdata"], "validdata": arrays["validdata"].astype(np.float64)}
        scipy.io.savemat(folder / "valid.mat", wanted)
        self.fails(folder, sheet, r"validdata: double \(11, 60\)")

    def test_a_file_in_place_of_a_folder(self, folder: Path, sheet: Path) -> None:
        with pytest.raises(InputError, match="is no folder"):
            pack(folder / "train.mat", sheet, folder.parent / "s.zarr")
        store = pack(folder, sheet, folder.parent / "s.zarr")
        with pytest.raises(InputError, match="is no folder"):
            unpack_deepsea(store, folder / "train.mat")

    def test_wrong_shapes(self, folder: Path, sheet: Path) -> None:
        def edit(file: h5py.File) -> None:
            values = file["traindata"][:, :-1]
            del file["traindata"]
            file["traindata"] = values

        self.change(folder, edit)
        self.fails(folder, sheet, "with the same number of rows")

    def test_axes_in_another_order(self, folder: Path, sheet: Path) -> None:
        def edit(file: h5py.File) -> None:
            values = file["trainxdata"][...].transpose(2, 1, 0)
            del file["trainxdata"]
            file["trainxdata"] = values

        self.change(folder, edit)
        self.fails(folder, sheet, r"expected: \(window, 4, rows\)")

    def test_files_of_different_layouts(
        self, tmp_path: Path, halves: dict[str, tuple[Bytes, Bytes]], sheet: Path
    ) -> None:
        codes, labels = halves["test"]
        splits = {split: both_strands(*half) for split, half in halves.items()}
        folder = write_bundle(tmp_path / "b", splits | {"test": both_strands(codes[:, 2:-2], labels)})
        self.fails(folder, sheet, r"train\.mat has windows of 60 bp .* test\.mat 56 bp")

    def test_another_number_of_tasks(self, folder: Path, sheet: Path) -> None:
        sheet.write_text("name\na\nb\n")
        self.fails(folder, sheet, "the files have 11 tasks, .* has 2")

    def test_a_bin_that_does_not_fit(self, folder: Path, sheet: Path) -> None:
        self.fails(folder, sheet, "windows of 60 bp for a bin of 33", bin=33)

    @pytest.mark.parametrize("name", ["train.mat", "test.mat"])
    def test_a_file_that_is_cut_off(self, folder: Path, sheet: Path, name: str) -> None:
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[: len(raw) * 2 // 3])
        self.fails(folder, sheet, f"{name} is truncated or damaged")

    def test_a_full_disk(self, folder: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written = []

        def full(path: Path, content: object) -> None:
            written.append(path)
            if len(written) > 3:
                raise OSError(28, "No space left on device")
            path.write_bytes(bytes(content))  # type: ignore[call-overload]

        monkeypatch.setattr(slabs, "write_bytes", full)
        monkeypatch.setattr(slabs, "_SLAB", 30)
        self.fails(folder, sheet, "No space left on device")

    def test_what_does_not_read_back_is_told_and_removed(
        self, folder: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = Store.read_from_disk

        def flipped(store: Store, indices: NDArray[np.int64]) -> tuple[Bytes, Bytes]:
            codes, labels = read(store, indices)
            labels[-1, 0] ^= 1
            return codes, labels

        monkeypatch.setattr(Store, "read_from_disk", flipped)
        self.fails(folder, sheet, "did not read back as it was written", StoreError)

    def test_a_taken_name_is_told_before_anything_is_read(
        self, folder: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = folder.parent / "s.zarr"
        digest = pack(folder, sheet, out).digest
        monkeypatch.setattr(bundle, "read_source", lambda *_: pytest.fail("was read"))
        with pytest.raises(InputError, match="already exists"):
            pack(folder, sheet, out)
        assert open_store(out).digest == digest


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "_SLAB", 1024)
    monkeypatch.setattr(writer, "_CHUNK_BYTES", 1 << 18)  # so that a few chunks in memory do not matter
    peaks, sizes = [], []
    for n in (3_000, 30_000):
        genome = np.random.default_rng(0).integers(0, 4, n * 20 + 40, dtype=np.uint8)
        half = cut_windows(genome, np.arange(n)), np.zeros((n, TASKS), dtype=np.uint8)
        folder = write_bundle(tmp_path / str(n), {"train": both_strands(*half)})
        sizes.append((folder / "train.mat").stat().st_size)
        tracemalloc.start()
        try:
            pack(folder, sheet, tmp_path / f"{n}.zarr", splits=("train",))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] - peaks[0] < 60 * 27_000 < (sizes[1] - sizes[0]) / 5
