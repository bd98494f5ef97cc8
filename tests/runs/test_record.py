"""A result is used again only where it was made from the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from noncoder.errors import InputError
from noncoder.runs.record import Record, differences

DIGESTS = "0" * 64, "1" * 64


def test_same_and_different(tmp_path: Path) -> None:
    path = tmp_path / "made-from.json"
    first = Record(path, {"format": 1, "evaluate": {"strands": "both", "shifts": (1, 2)}, "rate": float("nan")})
    assert not first.is_same()
    assert first.before() is None
    first.write()
    assert first.is_same()
    other = Record(path, {"format": 1, "evaluate": {"strands": "forward", "shifts": (1, 2)}, "rate": None})
    assert not other.is_same()
    assert other.is_same("format", "rate")
    assert other.differences() == 'evaluate.strands was "both", now "forward"'
    first.remove()
    first.remove()
    assert not first.is_same()


def test_a_key_more_or_less_is_a_difference(tmp_path: Path) -> None:
    path = tmp_path / "made-from.json"
    Record(path, {"a": 1}).write()
    assert not Record(path, {"a": 1, "b": 2}).is_same()
    assert not Record(path, {}).is_same()
    assert Record(path, {}).differences() == "a was 1, now null"


def test_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made-from.json"
    Record(path, {"a": 1}).write()
    path.write_text(path.read_text().replace("1", "2", 1))
    assert not Record(path, {"a": 1}).is_same()
    assert "made-from.json" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"made-from\.json"):
        Record(path, {"a": 1}, strict=True).is_same()


def test_digests_are_shortened() -> None:
    old, new = DIGESTS
    assert differences({"store": old}, {"store": new}) == [
        "store has changed (its digest was 000000000000, now 111111111111)"
    ]
    assert differences({"weights": [old]}, {"weights": [old]}) == []
