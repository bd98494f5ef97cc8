"""One number of threads for torch, numba and all else, which holds whatever libraries do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from noncoder import threads

NAMES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def in_process(code: str, **variables: str) -> str:
    """What a fresh process prints, where of the variables on threads these alone are set."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | variables
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("line", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "200000 100000"}, 2),
        ("0::/not/seen/from/inside\n", {"cpu.max": "400000 100000"}, 4),
        ("2:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "250000", "cpu/x/cpu.cfs_period_us": "100000"}, 3),
        ("2:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ],
)  # fmt: skip
def test_a_container_is_asked_for_its_share(
    tmp_path: Path, line: str, files: dict[str, str], cores: int | None
) -> None:
    for name, text in files.items():
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "own").write_text(line)
    assert threads._quota(tmp_path / "sys", tmp_path / "own") == cores
    assert threads._quota(tmp_path / "sys", tmp_path / "absent") is None


def test_two_hyperthreads_are_one_core(tmp_path: Path) -> None:
    for processor, siblings in enumerate(["0,2\n", "1,3\n", "0,2\n", "1,3\n"]):
        path = tmp_path / f"cpu{processor}" / "topology" / "thread_siblings_list"
        path.parent.mkdir(parents=True)
        path.write_text(siblings)
    assert threads._physical(frozenset({0, 1, 2, 3}), tmp_path) == 2
    assert threads._physical(frozenset({0, 2}), tmp_path) == 1
    assert threads._physical(frozenset({7, 8, 9}), tmp_path) == 3  # a system that does not say


LIBRARIES = """
import noncoder, torch, numpy as np
{before}
from noncoder.compiled import in_threads
from noncoder.data.cooccurrence import count_together
from noncoder.interpret.attribution.references import shuffles
from noncoder.interpret.shuffling import dinucleotide_shuffled
from noncoder.interpret.motifs.tomtom import _tomtom
from noncoder.sequence.motifs import Motif
rng = np.random.default_rng(0)
codes = rng.integers(0, 4, (4, 50), dtype=np.uint8)
in_threads(abs, [(1,), (2,)])
count_together(rng.integers(0, 256, (99, 1), dtype=np.uint8), None, 8)
shuffles(codes[0], 2, 0), dinucleotide_shuffled(codes, rng)
ppm = np.full((4, 9), 0.25)
_tomtom([Motif("m", ppm)], [ppm] * 40)
import captum.attr
captum.attr.IntegratedGradients(lambda x: x.sum(dim=1)).attribute(torch.ones(2, 3))
import numba
print(torch.get_num_threads(), numba.threading_layer() != "")
"""


def test_no_library_changes_how_many_threads_torch_has() -> None:
    more = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    assert in_process(LIBRARIES.format(before=""), **more) == "1 True"
    assert in_process(LIBRARIES.format(before="torch.set_num_threads(3)"), NUMBA_NUM_THREADS="2") == "3 True"


@pytest.mark.long  # modisco-lite compiles for half a minute
def test_clustering_seqlets_does_not_change_how_many_threads_torch_has() -> None:
    code = """
import noncoder, torch, numpy as np
from noncoder.interpret.motifs.seqlets import PatternConfig, Tracks, cluster, extract
rng = np.random.default_rng(0)
one_hot = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (200, 200))]
one_hot[:, 90:100] = np.eye(4)[[0, 1, 2, 3, 0, 0, 1, 2, 3, 3]]
scores = rng.normal(0, 0.01, (200, 200)).astype(np.float32)
scores[:, 90:100] += 1
tracks = Tracks(one_hot, one_hot * scores[:, :, None], one_hot * scores[:, :, None])
found, _ = extract(scores, 1.0, PatternConfig())
made, trouble = cluster(found["positive"], "positive", tracks, PatternConfig())
import numba
print(torch.get_num_threads(), len(made) > 0, numba.threading_layer() != "")
"""
    assert in_process(code, OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="2") == "1 True True"


def test_the_command_line_tells_all_libraries_one_number() -> None:
    code = f"""
import os, noncoder.threads as t
t.govern()
print(*(os.environ.get(name) for name in {NAMES[:3]}), t.count())
import torch, numba, polars
print(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS, polars.thread_pool_size(), t.count())
t.leave_to_others()
print(*(name in os.environ for name in {NAMES[:3]}))
"""
    assert in_process(code, OMP_NUM_THREADS="1").splitlines() == ["1 1 1 1", "1 1 1 1", "True False False"]
    own = in_process(code, NUMBA_NUM_THREADS="1").splitlines()
    n = threads.available()
    assert own == [f"{n} 1 {n} {n}", f"{n} 1 {n} {n}", "False True False"]
    assert in_process(code, OMP_NUM_THREADS="1,4").splitlines()[0].startswith("1,4 1 1 1")


def test_idle_threads_sleep_unless_the_user_says_how_they_wait() -> None:
    code = f"import noncoder, os, sys; print('torch' in sys.modules, *(os.environ.get(name) for name in {NAMES[3:]}))"
    assert in_process(code) == "False PASSIVE None"
    assert in_process(code, GOMP_SPINCOUNT="5") == "False None 5"
    assert in_process(code, OMP_WAIT_POLICY="ACTIVE") == "False ACTIVE None"
    assert in_process("import torch;" + code) == "True None None"


def test_a_containers_share_limits_torch_but_not_what_the_user_set() -> None:
    code = """
import torch, noncoder.threads as t
t._quota = lambda: 1
t._allowed = lambda: frozenset(range({cores}))
torch.set_num_threads({number})
t.limit_torch()
print(torch.get_num_threads(), t.available())
"""
    assert in_process(code.format(cores=4, number=4)) == "1 1"
    assert in_process(code.format(cores=4, number=3)) == "3 1"
    assert in_process(code.format(cores=4, number=4), OMP_NUM_THREADS="4") == "4 1"


def test_processes_of_one_training_share_the_cores() -> None:
    code = """
import os, torch, noncoder.threads as t
t._quota = lambda: None
t._allowed = lambda: frozenset(range(6))
t._physical = lambda processors: len(processors)
torch.set_num_threads({number})
t.divide({processes})
print(torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS"))
"""
    assert in_process(code.format(number=6, processes=3)) == "2 2"
    assert in_process(code.format(number=6, processes=1)) == "6 None"
    assert in_process(code.format(number=5, processes=3)) == "5 None"
    assert in_process(code.format(number=6, processes=3), OMP_NUM_THREADS="6") == "6 6"
