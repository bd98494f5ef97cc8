"""YAML that a user wrote: read within limits, whatever it is."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from noncoder.config import parse_yaml, read_recipe, read_settings
from noncoder.config.yaml_reader import MOST_BYTES, MOST_DEPTH, MOST_VALUES
from noncoder.errors import ConfigError, NoncoderError
from noncoder.files import read_json
from noncoder.tune.space import read_space
from tests.fuzzing import fuzzed

SHIPPED = sorted((Path(__file__).parents[1] / "recipes").rglob("*.yaml"))


def bomb(levels: int, wide: int = 9) -> str:
    names = [f"a{i}" for i in range(levels)]
    lines = [f"{names[0]}: &{names[0]} [{','.join(['x'] * wide)}]"]
    for before, name in pairwise(names):
        lines.append(f"{name}: &{name} [{','.join([f'*{before}'] * wide)}]")
    return "\n".join([*lines, f"run: *{names[-1]}"])


def merging_bomb(levels: int, wide: int = 9) -> str:
    lines = ["a0: &a0 {k: v}"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * wide)}]}}")
    return "\n".join([*lines, f"run: {{<<: *a{levels - 1}}}"])


HOSTILE = {
    "deep": "run: " + "[" * 5_000 + "]" * 5_000,
    "deep maps": "run: " + "{a: " * 5_000 + "}" * 5_000,
    "deep lines": "".join(" " * i + "a:\n" for i in range(2_000)),
    "deep open": "[" * 500_000,
    "deep dashes": "- " * 100_000,
    "deep keys": "? " * 100_000,
    "bomb": bomb(10),
    "deeper bomb": bomb(40, 2),
    "merging bomb": merging_bomb(10),
    "its own inside": "run: &a [*a]",
    "its own key": "run: &a {b: *a}",
    "many values": "a: [" + "1," * 400_000 + "]",
    "long number": "seed: " + "1" * 200_000,
    "sixties": "seed: " + "1:" * 100_000 + "1",
    "large": "#" * (MOST_BYTES + 1),
    "twice": "run: a\nrun: b",
    "NUL": 'run: "a\\0b"',
    "surrogate": 'run: "\\ud800"',
    "date": "run: 2020-13-45",
    "no binary": 'run: !!binary "x"',
    "python": "run: !!python/object/apply:os.getcwd []",
    "list as key": "{? [a] : b}",
    "alias of nothing": "run: *a",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_too_much_is_told_at_once(name: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(HOSTILE[name])
    for read in (read_recipe, read_space):
        began = time.process_time()
        with pytest.raises(ConfigError) as caught:
            read(tmp_path / "r.yaml")
        assert len(str(caught.value)) < 1_000
        assert time.process_time() - began < 30  # today's code did not end; what is measured is not speed


def test_limits_let_through_what_is_within(tmp_path: Path) -> None:
    deep = "[" * (MOST_DEPTH - 1) + "]" * (MOST_DEPTH - 1)
    value = parse_yaml(deep, "x")
    for _ in range(MOST_DEPTH - 2):
        (value,) = value
    assert value == []
    assert len(parse_yaml("[" + "1," * (MOST_VALUES - 1) + "]", "x")) == MOST_VALUES - 1
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: 2}", "x") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": 2},
    }
    for path in SHIPPED:
        if "spaces" not in path.parts:
            read_recipe(path)


@pytest.mark.parametrize("name", ["run", "data.store", "data.build.genome", "data.pack.table", "evaluate.ensemble"])
@pytest.mark.parametrize("value", ['"a\\nb"', '"a\\tb"', '"a\\x1bb"', "x" * 300, "x/" * 3_000, '"\\x00"', '"a\\u0085"'])
def test_paths_that_no_file_can_have(name: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("run: r\n")
    with pytest.raises(NoncoderError) as caught:
        read_recipe(tmp_path / "r.yaml", [f"{name}={value}"])
    assert len(str(caught.value)) < 600


MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(["drop", "put", "copy"]), st.text(max_size=4)),
    min_size=1,
    max_size=6,
)


@fuzzed
@given(which=st.sampled_from(SHIPPED), changes=MUTATIONS)
def test_a_mutated_recipe_is_read_or_told(which: Path, changes: list[tuple[float, str, str]], tmp_path: Path) -> None:
    text = which.read_text()
    for where, how, put in changes:
        at = int(where * len(text))
        middle = {"drop": "", "put": put, "copy": text[at : at + 40] * 2}[how]
        text = text[:at] + middle + text[at + (1 if how == "drop" else 0) :]
    (tmp_path / "r.yaml").write_bytes(text.encode(errors="surrogatepass"))
    for read in (read_recipe, read_space):
        try:
            read(tmp_path / "r.yaml")
        except NoncoderError as error:
            told = str(error)
        else:
            continue
        assert told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@fuzzed
@given(
    section=st.sampled_from(["run", "seed", "data", "data.build", "train", "model.parameters", "train.loss"]),
    value=JSON,
)
def test_any_value_of_a_key_is_read_or_told(section: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("run: r\n")
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("\n...\n").strip()
    try:
        read_recipe(tmp_path / "r.yaml", [f"{section}={text}"])
    except NoncoderError as error:
        told = str(error)
        assert told


def test_the_same_key_twice_is_told() -> None:
    with pytest.raises(ConfigError, match="a is given twice: '1', then '2'"):
        read_settings(["a=1", "b=1", "a=2"])
    with pytest.raises(ConfigError, match=r"a\.b is given twice: '1', then '{b: 2}' for all of a"):
        read_settings(["a.b=1", "a={b: 2}"])
    assert read_settings(["a={b: 2}", "a.c=1"]) == {"a": {"b": 2, "c": 1}}


def test_deep_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a":' * 100_000)
    with pytest.raises(NoncoderError, match=r"x\.json cannot be read"):
        read_json(tmp_path / "x.json")


@pytest.mark.long
def test_too_large_a_batch_says_what_to_lower(tmp_path: Path) -> None:
    """A limit on the process's memory stands in for a machine with little of it."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))

    (tmp_path / "r.yaml").write_text(
        "run: r\ndata: {simulate: {windows: 9000, tasks: 2}}\nmodel: {parameters: {channels: 256}}\n"
        "train: {epochs: 1, batch_size: 7000, precision: 32-true}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "noncoder", "run", "r.yaml"], cwd=tmp_path, capture_output=True, text=True,
        preexec_fn=limit, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert "out of memory while training compact in batches of 7000 windows of 1,000 bp: " in done.stderr
    assert "hint: use a train.batch_size below 7000" in done.stderr
