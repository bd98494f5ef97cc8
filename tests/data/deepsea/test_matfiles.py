import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from noncoder.data.deepsea.matfiles import create_mat, open_mat
from noncoder.errors import InputError

Bytes = NDArray[np.uint8]


def some(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def read_all(path: Path, scratch: Path, step: int = 3) -> dict[str, Bytes]:
    with open_mat(path, scratch) as arrays:
        return {
            name: np.concatenate(
                [a.read(at, min(at + step, a.shape[-1])) for at in range(0, a.shape[-1], step)], axis=-1
            )
            for name, a in arrays.items()
        }


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_scipy_writes(tmp_path: Path, compressed: bool) -> None:
    x, y = some(10, 4, 20), some(10, 7, seed=1)
    wanted = {"validxdata": x, "validdata": y, "other": np.ones((2, 2)), "text": "abc"}
    scipy.io.savemat(tmp_path / "v.mat", wanted, do_compression=compressed)
    found = read_all(tmp_path / "v.mat", tmp_path)
    assert set(found) == {"validxdata", "validdata"}
    np.testing.assert_array_equal(found["validxdata"], x.transpose(2, 1, 0))
    np.testing.assert_array_equal(found["validdata"], y.T)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.mat"]


def test_unpacks_a_compressed_array_larger_than_its_buffers(tmp_path: Path) -> None:
    x = some(30_000, 4, 300) // 128
    scipy.io.savemat(tmp_path / "v.mat", {"x": x}, do_compression=True)
    with open_mat(tmp_path / "v.mat", tmp_path) as arrays:
        assert arrays["x"].shape == (300, 4, 30_000)
        np.testing.assert_array_equal(arrays["x"].read(29_000, 30_000), x[29_000:].transpose(2, 1, 0))


@pytest.mark.parametrize("chunks", [None, (5, 2, 3)])
def test_reads_hdf5_in_any_layout(tmp_path: Path, chunks: tuple[int, ...] | None) -> None:
    x = some(20, 4, 11)
    with h5py.File(tmp_path / "t.mat", "w", userblock_size=512) as file:
        file.create_dataset("trainxdata", data=x, chunks=chunks)
        file.create_dataset("flags", data=x > 3)
        file.create_dataset("wide", data=x.astype(float))
        file.create_group("group")
    found = read_all(tmp_path / "t.mat", tmp_path)
    assert set(found) == {"trainxdata", "flags"}
    np.testing.assert_array_equal(found["trainxdata"], x)
    np.testing.assert_array_equal(found["flags"], (x > 3).astype(np.uint8))


@pytest.mark.parametrize("hdf", [False, True])
@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), planes=st.integers(1, 9), step=st.integers(1, 11))
def test_what_is_written_in_slabs_reads_back_and_scipy_agrees(
    tmp_path_factory: pytest.TempPathFactory, hdf: bool, n: int, planes: int, step: int
) -> None:
    path = tmp_path_factory.mktemp("mat") / "w.mat"
    x, y = some(planes, 4, n), some(planes + 2, n)
    with create_mat(path, {"x": x.shape, "y": y.shape}, hdf=hdf) as write:
        for at in reversed(range(0, n, step)):
            write("x", at, x[..., at : at + step])
            write("y", at, y[..., at : at + step])
    found = read_all(path, path.parent)
    np.testing.assert_array_equal(found["x"], x)
    np.testing.assert_array_equal(found["y"], y)
    if not hdf:
        theirs = scipy.io.loadmat(path)
        np.testing.assert_array_equal(theirs["x"], x.transpose(2, 1, 0))
        np.testing.assert_array_equal(theirs["y"], y.T)


def test_written_hdf5_calls_itself_a_mat_file_of_version_7_3(tmp_path: Path) -> None:
    with create_mat(tmp_path / "t.mat", {"x": (3, 4, 5)}, hdf=True):
        pass
    raw = (tmp_path / "t.mat").read_bytes()
    assert raw.startswith(b"MATLAB 7.3 MAT-file")
    assert raw[124:128] == struct.pack("<H", 0x0200) + b"IM"
    assert raw[512:516] == b"\x89HDF"
    with h5py.File(tmp_path / "t.mat") as file:
        assert file["x"].attrs["MATLAB_class"] == b"uint8"


class TestBadFiles:
    @pytest.fixture
    def whole(self, tmp_path: Path) -> bytes:
        scipy.io.savemat(tmp_path / "whole.mat", {"a": some(50, 4, 20), "b": some(50, 7)}, do_compression=False)
        return (tmp_path / "whole.mat").read_bytes()

    @pytest.mark.parametrize("keep", [0.05, 0.5, 0.93, 0.999])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_one_that_is_cut_off_is_told(self, tmp_path: Path, keep: float, compressed: bool) -> None:
        path = tmp_path / "cut.mat"
        scipy.io.savemat(path, {"a": some(50, 4, 20), "b": some(50, 7)}, do_compression=compressed)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        with pytest.raises(InputError, match="truncated or damaged"):
            read_all(path, tmp_path)

    def test_hdf5_that_is_cut_off_is_told(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "t.mat", "w", userblock_size=512) as file:
            file.create_dataset("x", data=some(50, 4, 50))
        raw = (tmp_path / "t.mat").read_bytes()
        (tmp_path / "t.mat").write_bytes(raw[:-1000])
        with pytest.raises(InputError, match="truncated or damaged"):
            read_all(tmp_path / "t.mat", tmp_path)

    def test_a_flipped_bit_of_a_compressed_array_is_told(self, tmp_path: Path) -> None:
        scipy.io.savemat(tmp_path / "v.mat", {"a": some(50, 4, 20)}, do_compression=True)
        raw = bytearray((tmp_path / "v.mat").read_bytes())
        raw[len(raw) // 2] ^= 4
        (tmp_path / "v.mat").write_bytes(raw)
        with pytest.raises(InputError, match="truncated or damaged"):
            read_all(tmp_path / "v.mat", tmp_path)

    def test_sizes_that_disagree_are_told(self, tmp_path: Path, whole: bytes) -> None:
        at = whole.index(struct.pack("<III", 50, 4, 20))
        (tmp_path / "v.mat").write_bytes(whole[:at] + struct.pack("<I", 51) + whole[at + 4 :])
        with pytest.raises(InputError, match="4,000 bytes for the shape"):
            read_all(tmp_path / "v.mat", tmp_path)

    @pytest.mark.parametrize(
        "content", [b"", b"<html>not found</html>", b"x" * 500, b"MATLAB 7.3 MAT-file" + b" " * 900]
    )
    def test_other_files_are_told(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "v.mat").write_bytes(content)
        with pytest.raises(InputError, match=r"is not a \.mat file|truncated or damaged"):
            read_all(tmp_path / "v.mat", tmp_path)

    def test_a_missing_one_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be read"):
            read_all(tmp_path / "none.mat", tmp_path)

    def test_big_endian_is_told(self, tmp_path: Path, whole: bytes) -> None:
        (tmp_path / "v.mat").write_bytes(whole[:126] + b"MI" + whole[128:])
        with pytest.raises(InputError, match="big-endian"):
            read_all(tmp_path / "v.mat", tmp_path)
