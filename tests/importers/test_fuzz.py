"""Mutated and crafted files of weights: a predictor, or one message; no code of theirs is run."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from noncoder.errors import InputError, NoncoderError
from noncoder.importers import import_weights
from noncoder.importers.danq_keras import read_danq
from noncoder.importers.deepsea_kipoi import read_deepsea
from noncoder.importers.report import read_report
from noncoder.importers.weight_files import read_torch
from tests.fuzzing import fuzzed
from tests.importers.test_danq_keras import shapes, write
from tests.importers.test_report import ReportModel, checkpoint

MUTATIONS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8)


def mutate(content: bytes, changes: list[tuple[float, int]], cut: float) -> bytes:
    changed = bytearray(content)
    for where, byte in changes:
        changed[int(where * len(changed))] = byte
    return bytes(changed[: max(1, int(cut * len(changed)))])


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Small valid files of each kind; of DanQ's the layers alone, whose large arrays take no room."""
    new, old, hdf = io.BytesIO(), io.BytesIO(), io.BytesIO()
    content = checkpoint(ReportModel("lstm", width=8))
    torch.save(content, new)
    torch.save(content, old, _use_new_zipfile_serialization=False)
    with h5py.File(hdf, "w") as file:
        file.attrs["nb_layers"] = 2
        for i in range(2):
            group = file.create_group(f"layer_{i}")
            group.attrs["nb_params"] = 1
            group["param_0"] = np.ones((3, 4), np.float32)
    return {"new": new.getvalue(), "old": old.getvalue(), "hdf": hdf.getvalue()}


@pytest.mark.parametrize("kind", ["new", "old", "hdf"])
@fuzzed
@given(changes=MUTATIONS, cut=st.sampled_from([1.0, 1.0, 1.0, 0.999, 0.5, 0.01]))
def test_a_mutated_file_is_read_or_told(
    kind: str, files: dict[str, bytes], tmp_path: Path, changes: list[tuple[float, int]], cut: float
) -> None:
    path = tmp_path / "x"
    path.write_bytes(mutate(files[kind], changes, cut))
    with suppress(NoncoderError):
        import_weights("danq-keras" if kind == "hdf" else "report", path, tmp_path / "out", force=True)


# Names and shapes of a checkpoint that lie.
TENSORS = st.dictionaries(
    st.sampled_from(
        [
            "emb.weight",
            "res.layers.0.weight",
            "res.layers.1.cvbn2.bn.weight",
            "res.layers.99999999999.cvbn2.bn.weight",
            "res.RBN.0.weight",
            "lm_head.layers.0.weight",
            "lm_head.layers.4.weight",
            "lm_head.fc_end.weight",
            "core.weight_ih_l0",
            "core.layers.0.dec_attn.r_r_bias",
            "core.layers.0.pos_ff.CoreNet.0.weight",
            "2.0.weight",
            "2.12.1.bias",
            "14.1.bias",
            "x",
        ]
    ),
    st.lists(st.integers(0, 9), max_size=4).map(torch.zeros),
    max_size=12,
)


@fuzzed
@given(tensors=TENSORS)
@pytest.mark.parametrize("format", ["report", "deepsea-kipoi"])
def test_shapes_that_lie_are_told(format: str, tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(tensors, tmp_path / "x.pth")
    with pytest.raises(NoncoderError):
        import_weights(format, tmp_path / "x.pth", tmp_path / "out")


ATTRIBUTES = st.one_of(
    st.integers(-(2**40), 2**40),
    st.text(st.characters(min_codepoint=1, max_codepoint=0x7FF), max_size=9),
    st.floats(),
    st.lists(st.integers(0, 9), max_size=3),
    st.none(),
)


@fuzzed
@given(layers=ATTRIBUTES, parameters=ATTRIBUTES)
def test_attributes_that_lie_are_told(layers: Any, parameters: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.hdf5", shapes())
    with h5py.File(path, "r+") as file:
        for group, name, value in ((file, "nb_layers", layers), (file["layer_0"], "nb_params", parameters)):
            del group.attrs[name]
            if value is not None:
                group.attrs[name] = value
    if (layers, parameters) != (10, 2):
        with pytest.raises(NoncoderError):
            read_danq(path)


def test_a_huge_dataset_that_is_not_there_is_not_read(tmp_path: Path) -> None:
    layers: list[Any] = [list(layer) for layer in shapes()]
    layers[6] = [(75 * 640, 10**9), (10**9,)]
    layers[8] = [(10**9, 9), (9,)]
    with pytest.raises(InputError, match=r"layer_6/param_0 should be \(48000, 1000000000\)"):
        read_danq(write(tmp_path / "x.hdf5", layers))


@pytest.mark.parametrize("kind", ["text", "compound", "external", "virtual"])
def test_datasets_of_another_kind_are_told(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.hdf5", shapes())
    (tmp_path / "secret").write_bytes(b"\0" * 1280)
    with h5py.File(path, "r+") as file:
        group = file["layer_0"]
        del group["param_1"]
        if kind == "text":
            group["param_1"] = ["a"] * 320
        elif kind == "compound":
            group["param_1"] = np.zeros(320, dtype=[("a", "f4"), ("b", "i4")])
        elif kind == "external":
            secret = [(str(tmp_path / "secret"), 0, 1280)]
            group.create_dataset("param_1", (320,), "f4", external=secret)
        else:
            layout = h5py.VirtualLayout((320,), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "a", (320,))
            group.create_virtual_dataset("param_1", layout)
    with pytest.raises(InputError, match=r"layer_0/param_1 is of"):
        read_danq(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(InputError, match="would unpack to 4,0"):
        read_torch(tmp_path / "x.pth")


@pytest.mark.parametrize("new_layout", [True, False])
def test_a_tensor_that_claims_more_than_lies_there(tmp_path: Path, new_layout: bool) -> None:
    path = tmp_path / "x.pth"
    wide = torch.zeros(1, dtype=torch.float64).expand(1 << 40)
    torch.save({"a": wide}, path, _use_new_zipfile_serialization=new_layout)
    with pytest.raises(InputError, match="its tensors claim 8,796,093,022,208 bytes"):
        read_torch(path)
    torch.save({"a": torch.zeros(3, 3).to_sparse()}, path, _use_new_zipfile_serialization=new_layout)
    with pytest.raises(InputError):
        read_torch(path)


def test_many_names_for_one_tensor(tmp_path: Path) -> None:
    one = torch.zeros(100_000)
    torch.save({f"a{i}": one for i in range(3_000)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="its tensors claim 1,200,000,000 bytes"):
        read_torch(tmp_path / "x.pth")


@pytest.mark.parametrize("content", [[], {}, 3, "x", {"state_dict": 3}, {"state_dict": {3: torch.zeros(1)}}, None])
@pytest.mark.parametrize("read", [read_report, read_deepsea])
def test_other_contents_are_told(content: Any, read: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError):
        read(tmp_path / "x.pth")
