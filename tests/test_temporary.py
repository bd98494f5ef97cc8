"""Files and folders that are made under temporary names, and what killed processes leave."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import noncoder.temporary
from noncoder.errors import InputError
from noncoder.files import locked, only_writer, write_bytes
from noncoder.temporary import remove_whole, scratch_folder, settled, sweep, temporary
from tests.conftest import listing


def die(folder: Path, code: str) -> None:
    """Runs code in a process that ends without tidying up, as a killed one."""
    start = "import os, sys\nfrom pathlib import Path\nimport noncoder.temporary as t\nhere = Path(sys.argv[1])\n"
    done = subprocess.run([sys.executable, "-c", start + code + "\nos._exit(9)", str(folder)], check=False)
    assert done.returncode == 9


@contextmanager
def living(folder: Path, code: str) -> Iterator[None]:
    """A process that runs code and then waits."""
    start = "import sys\nfrom pathlib import Path\nimport noncoder.temporary as t\nhere = Path(sys.argv[1])\n"
    end = "\nprint('ready', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", start + code + end, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        process.kill()


def make(folder: Path, content: str) -> Path:
    folder.mkdir()
    (folder / "f").write_text(content)
    return folder


MAKING = "a = t.Temporary(here / 'a'); a.path.mkdir(); b = t.Temporary(here / 'b'); b.path.write_text('half')"


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_stays(tmp_path: Path) -> None:
    die(tmp_path, MAKING)
    assert len(listing(tmp_path)) == 4
    write_bytes(tmp_path / "c", b"c")
    assert listing(tmp_path) == ["c"]
    with living(tmp_path, MAKING):
        write_bytes(tmp_path / "c", b"d")
        assert len(listing(tmp_path)) == 5
    sweep(tmp_path)
    assert listing(tmp_path) == ["c"]


def test_whoever_takes_a_folder_tidies_up_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "run" / "deep" / "er").mkdir(parents=True)
    die(tmp_path / "run" / "deep" / "er", MAKING)
    with locked(tmp_path / "run"):
        assert listing(tmp_path / "run" / "deep" / "er") == []


def test_only_what_was_to_be_called_so_is_looked_at(tmp_path: Path) -> None:
    die(tmp_path, MAKING)
    assert not settled(tmp_path / "a")
    assert [name[:3] for name in listing(tmp_path)] == [".b.", ".b."]
    (tmp_path / ".b.other.lock").touch()  # not ours
    sweep(tmp_path)
    assert listing(tmp_path) == [".b.other.lock"]


def test_a_fork_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    with temporary(tmp_path / "a") as made:
        made.path.write_text("x")
        child = os.fork()
        if not child:
            made.release()
            os._exit(0)
        os.waitpid(child, 0)
        made.put()
    assert listing(tmp_path) == ["a"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_folder_is_replaced_and_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    if not at_once:
        monkeypatch.setattr(noncoder.temporary, "_exchange", lambda one, other: False)
    make(tmp_path / "a", "old")
    for content in ("new", "newer"):
        with temporary(tmp_path / "a") as made:
            make(made.path, content)
            made.put()
        assert (tmp_path / "a" / "f").read_text() == content
    write_bytes(tmp_path / "b", b"1")
    write_bytes(tmp_path / "b", b"2")
    assert (tmp_path / "b").read_bytes() == b"2"
    assert listing(tmp_path) == ["a", "b"]


def test_the_system_of_this_machine_exchanges_in_one_step(tmp_path: Path) -> None:
    if sys.platform not in ("linux", "darwin"):
        pytest.skip("no call for it is known")
    one, two = make(tmp_path / "1", "one"), make(tmp_path / "2", "two")
    assert noncoder.temporary._exchange(one, two)
    assert ((one / "f").read_text(), (two / "f").read_text()) == ("two", "one")
    assert not noncoder.temporary._exchange(one, tmp_path / "none")


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_killed_while_a_folder_is_replaced_in_two_steps(tmp_path: Path, when: str) -> None:
    """Where the system cannot exchange folders: the old or the new is there when the next command looks."""
    make(tmp_path / "a", "old")
    die(
        tmp_path,
        f"""
t._exchange = lambda one, other: False
made = t.Temporary(here / 'a')
made.path.mkdir()
(made.path / 'f').write_text('new')
rename, calls = Path.rename, []
def counted(self, target):
    if len(calls) == {["before", "between"].index(when) if when != "after" else 2}:
        os._exit(9)
    calls.append(1)
    return rename(self, target)
Path.rename = counted
t._remove = lambda path: os._exit(9)
made.put()
""",
    )
    assert (tmp_path / "a").exists() == (when != "between")
    assert settled(tmp_path / "a")
    assert (tmp_path / "a" / "f").read_text() == ("new" if when == "after" else "old")
    assert listing(tmp_path) == ["a"]


def test_a_reader_waits_for_the_second_step(tmp_path: Path) -> None:
    replacing = (
        "import threading, time\nmade = t.Temporary(here / 'a'); made.path.mkdir()\n"
        "(here / 'a').rename(made._replaced)\n"
        "threading.Timer(0.3, lambda: made.path.rename(here / 'a')).start()"
    )
    make(tmp_path / "a", "old")
    with living(tmp_path, replacing):
        assert settled(tmp_path / "a", patience=20)
        assert not settled(tmp_path / "b", patience=20)


def test_scratch_and_removal_leave_nothing(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "x") as scratch:
        make(scratch / "deep", "x")
    make(tmp_path / "a", "old")
    remove_whole(tmp_path / "a")
    remove_whole(tmp_path / "a")
    assert listing(tmp_path) == []


def test_two_processes_do_not_make_the_same(tmp_path: Path) -> None:
    with living(tmp_path, "held = t.sole(here / 'a'); held.__enter__()"):
        with pytest.raises(InputError, match=r"another process is making .*/a"), only_writer(tmp_path / "a"):
            pass
        with only_writer(tmp_path / "b"):
            pass
    with only_writer(tmp_path / "a"):
        pass
    assert listing(tmp_path) == []
