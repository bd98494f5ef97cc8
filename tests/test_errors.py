from __future__ import annotations

import pickle

import pytest

from noncoder.errors import (
    ConfigError,
    InputError,
    NoncoderError,
    SequenceError,
    StoreError,
    UnknownNameError,
    did_you_mean,
)


@pytest.mark.parametrize("kind", [NoncoderError, ConfigError, InputError, SequenceError, StoreError])
class TestNoncoderError:
    def test_message(self, kind: type[NoncoderError]) -> None:
        assert str(kind("a")) == "a"
        assert str(kind("a", expected="b")) == "a\nexpected: b"
        assert str(kind("a", hint="c")) == "a\nhint: c"
        assert str(kind("a", "b", "c")) == "a\nexpected: b\nhint: c"

    def test_pickles(self, kind: type[NoncoderError]) -> None:
        error = pickle.loads(pickle.dumps(kind("a", "b", "c")))
        assert type(error) is kind
        assert (error.found, error.expected, error.hint) == ("a", "b", "c")

    def test_is_caught_as_one(self, kind: type[NoncoderError]) -> None:
        with pytest.raises(NoncoderError):
            raise kind("a")


class TestUnknownNameError:
    def test_says_what_is_there_and_the_nearest(self) -> None:
        error = UnknownNameError("model", "deepsae", ["danq", "deepsea"])
        assert (
            str(error) == "no model is called 'deepsae'\nexpected: one of danq, deepsea\nhint: did you mean 'deepsea'?"
        )

    def test_nothing_near(self) -> None:
        assert UnknownNameError("model", "zzz", ["danq"]).hint == ""

    def test_many_are_counted(self) -> None:
        error = UnknownNameError("task", "x", [f"task{i:03}" for i in range(919)])
        assert error.expected.endswith("task011 and 907 more")

    def test_takes_any_iterable_and_pickles(self) -> None:
        error = pickle.loads(pickle.dumps(UnknownNameError("split", "tset", (name for name in ("train", "test")))))
        assert isinstance(error, UnknownNameError)
        assert (error.kind, error.name, error.known) == ("split", "tset", ["test", "train"])
        assert "did you mean 'test'?" in str(error)


@pytest.mark.parametrize(
    ("name", "known", "answer"),
    [
        ("CTFC", ["CTCF", "REST"], "did you mean 'CTCF'?"),
        ("ctcf", ["CTCF"], "did you mean 'CTCF'?"),
        ("Reb_1", ["REB1", "Abf1"], "did you mean 'REB1'?"),
        ("Q", ["CTCF"], ""),
        ("x", [], ""),
        ("", ["a"], ""),
    ],
)
def test_did_you_mean(name: str, known: list[str], answer: str) -> None:
    assert did_you_mean(name, known) == answer
