from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from noncoder.errors import InputError
from noncoder.files import content_digest, locked, plain_json, read_arrays, read_json, write_bytes, write_json


def test_what_json_lacks_becomes_null(tmp_path: Path) -> None:
    values = {"a": [1, float("nan"), {"b": float("inf")}], "c": "NaN", "d": (True, None)}
    write_json(tmp_path / "v.json", values)
    written = json.loads((tmp_path / "v.json").read_text(), parse_constant=pytest.fail)
    assert written == plain_json(values) | {"file_sha256": content_digest(plain_json(values))}
    assert plain_json(values) == {"a": [1, None, {"b": None}], "c": "NaN", "d": [True, None]}
    assert read_json(tmp_path / "v.json") == plain_json(values)


def test_a_file_is_complete_or_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "new" / "f", b"old")

    def fail(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(InputError, match=r"cannot write .*No space left"):
        write_bytes(tmp_path / "new" / "f", b"new")
    assert (tmp_path / "new" / "f").read_text() == "old"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["f"]


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "f", tmp_path / ("x" * 300), tmp_path):
        with pytest.raises(InputError, match="cannot write"):
            write_bytes(path, b"x")


@pytest.mark.parametrize("content", ["", "{", "[1]", "null"])
def test_a_damaged_file_of_ours_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(InputError, match=r"v\.json cannot be read"):
        read_json(tmp_path / "v.json")
    assert read_json(tmp_path / "none.json") is None


def test_a_folder_is_kept_to_one_process_until_it_ends(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\nfrom noncoder.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('have it', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "have it\n"
    with pytest.raises(InputError, match="another process is working"), locked(tmp_path):
        pass
    other.kill()
    other.wait()
    other.stdout.close()
    with locked(tmp_path):
        pass


def test_any_changed_byte_of_a_json_file_is_noticed_or_harmless(tmp_path: Path) -> None:
    values, path = {"mean": {"auroc": 0.875, "n": [1, 2, 30]}, "task": "CTCF", 5: None}, tmp_path / "v.json"
    write_json(path, values)
    whole, expected, noticed = path.read_bytes(), read_json(path), 0
    for at in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            try:
                found = read_json(path)
            except InputError:
                noticed += 1
            else:
                # Where the digest's own key is hit, the file is like one of an earlier version.
                assert found is not None
                assert {key: value for key, value in found.items() if key in (expected or {})} == expected
    assert noticed > 0.8 * 8 * len(whole)


def test_any_changed_byte_of_arrays_is_noticed_or_harmless(tmp_path: Path) -> None:
    path, values = tmp_path / "v.npz", {"a": np.arange(40, dtype=np.float32), "b": np.array("text")}
    np.savez_compressed(path, **values)  # type: ignore[arg-type]
    whole, noticed = path.read_bytes(), 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        try:
            found = read_arrays(path)
        except InputError:
            noticed += 1
        else:
            assert found.keys() == values.keys()
            assert all(np.array_equal(found[name], values[name]) for name in values)
    assert noticed > 0.5 * len(whole)
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"v\.npz cannot be read"):
            read_arrays(path)
