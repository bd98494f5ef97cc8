"""Common wrong inputs through the real command line: exit code 2, one message that names the thing, no traceback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from noncoder.cli import app, main
from noncoder.cli.verbs import Verb, Verbs
from noncoder.data.tasks import Task
from noncoder.models import create_model
from noncoder.predictor import Predictor
from tests.conftest import random_dna, small_store, write_fasta, write_peaks

RECIPE = "run: runs/r\ndata: {store: s.zarr}\nmodel: {name: compact, parameters: {channels: 8}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of everything: a recipe, a store, a run, a predictor, and files of each kind."""
    path = tmp_path_factory.mktemp("messages")
    (path / "recipes" / "deepsea").mkdir(parents=True)
    (path / "recipes" / "yeast.yaml").write_text(RECIPE)
    (path / "recipes" / "deepsea" / "danq.yaml").write_text(RECIPE)
    small_store(path / "s.zarr")
    (path / "run" / "train").mkdir(parents=True)
    (path / "run" / "recipe.yaml").write_text(RECIPE)
    model = create_model("compact", 2, 20, {"channels": 8})
    Predictor(model, (Task("a"), Task("b")), 10).save(path / "predictor")
    write_fasta(path / "g.fa", {"chr1": random_dna(400)})
    write_peaks(path / "p.bed", [("chr1", 10, 50), ("chr1", 100, 150)])
    (path / "t.csv").write_text("sequence,a\nACGT,1\nACGA,0\n")
    (path / "empty").touch()
    (path / "nothing").mkdir()
    (path / "page.html").write_text("<!DOCTYPE html><html></html>")
    return path


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Runs the command line in the folder; makes sure of one message with exit code 2, and returns it."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["noncoder", *arguments])
        with pytest.raises(SystemExit) as done:
            main()
        printed = capsys.readouterr()
        assert done.value.code == 2, printed
        assert printed.out == ""
        assert "Traceback" not in printed.err
        assert len(re.findall(r"^(?:noncoder|Error): ", printed.err, flags=re.MULTILINE)) == 1, printed.err
        return printed.err

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


# The command line, and what its message has to say.
WRONG = [
    # What something is, and which verb takes it.
    ("run run", "run is a run's folder", "run/recipe.yaml"),
    ("run s.zarr", "is a store", "noncoder explore s.zarr", "data.store=s.zarr"),
    ("run predictor", "is a predictor's folder", "noncoder predict predictor"),
    ("run recipes", "is a folder of recipes", "recipes/yeast.yaml"),
    ("run g.fa", "is a FASTA file"),
    ("run p.bed", "is a BED file"),
    ("run t.csv", "is a table", "noncoder data pack --table t.csv"),
    ("run page.html", "is a web page"),
    ("run empty", "empty"),
    ("run nothing", "is an empty folder"),
    ("train run", "is a run's folder"),
    ("tune s.zarr --space x.yaml", "is a store"),
    ("tune recipes/yeast.yaml --space s.zarr", "s.zarr is a store", "a search space"),
    ("lr-find predictor", "is a predictor's folder"),
    ("evaluate recipes/yeast.yaml", "is a recipe", "noncoder run recipes/yeast.yaml"),
    ("evaluate s.zarr", "is a store"),
    ("interpret recipes/yeast.yaml", "is a recipe"),
    ("interpret s.zarr", "is a store"),
    ("grammar s.zarr --task a --motif ACGT --out g.json", "is a store"),
    ("design recipes/yeast.yaml --task a --out d.fa", "is a recipe"),
    ("predict s.zarr g.fa --out p.tsv", "is a store"),
    ("predict run g.fa --out p.tsv", "run holds no predictor", "noncoder train"),
    ("compare recipes/yeast.yaml", "is a recipe"),
    ("compare s.zarr", "is a store"),
    ("report s.zarr", "is a store"),
    ("report recipes/yeast.yaml", "is a recipe"),
    ("explore run", "is a run's folder", "noncoder evaluate"),
    ("explore predictor", "is a predictor's folder"),
    ("data info recipes/yeast.yaml", "is a recipe"),
    ("data info run", "is a run's folder"),
    ("data check predictor", "is a predictor's folder"),
    ("data info nothing", "is an empty folder"),
    ("data unpack run out", "is a run's folder"),
    # What is not there, and what is near.
    ("run recipes/yeest.yaml", "does not exist", "did you mean 'recipes/yeast.yaml'"),
    ("run recpies/yeast.yaml", "does not exist", "did you mean 'recipes/yeast.yaml'"),
    ("run recipes/deepsae/danq.yaml", "did you mean 'recipes/deepsea/danq.yaml'"),
    ("run recpies/deepsae/dang.yaml", "did you mean 'recipes/deepsea/danq.yaml'"),
    ("run recipes/yeast.yml", "did you mean 'recipes/yeast.yaml'"),
    ("evaluate rnu", "the run rnu does not exist", "did you mean 'run'"),
    ("interpret predcitor", "does not exist", "did you mean 'predictor'"),
    ("explore s.zar", "the store s.zar does not exist", "did you mean 's.zarr'"),
    ("compare rnu", "does not exist", "did you mean 'run'"),
    ("report rnu", "did you mean 'run'"),
    ("train recipes/yeast.yaml data.store=s.zar", "the store s.zar does not exist", "did you mean 's.zarr'"),
    ("predict predictor h.fa --out p.tsv", "h.fa"),
    ("import report no.ckpt out", "no.ckpt does not exist"),
    ("import report run out", "run is a folder"),
    ("import report empty out", "empty is empty"),
    ("data build --genome h.fa --peaks p.bed o.zarr", "h.fa"),
    ("data build --genome g.fa --peaks q*.bed o.zarr", "q*.bed"),
    ("data pack --table u.csv o.zarr", "u.csv"),
    ("data pack --table run o.zarr", "run"),
    ("data pack --deepsea nothing o.zarr", "nothing"),
    # Keys, options and verbs.
    ("run recipes/yeast.yaml epochs=3", "there is no key 'epochs'", "did you mean 'train.epochs'"),
    ("run recipes/yeast.yaml train.window=3", "train.window", "data.build.window"),
    ("run recipes/yeast.yaml batch_size=3", "train.batch_size", "interpret.batch_size"),
    ("run recipes/yeast.yaml epoch=3", "did you mean 'train.epochs'"),
    ("train recipes/yeast.yaml --epochs 3", "No such option: --epochs", "KEY=VALUE", "train.epochs="),
    ("run recipes/yeast.yaml --batch-size=3", "KEY=VALUE", "train.batch_size="),
    ("run recipes/yeast.yaml --train.epochs 3", "KEY=VALUE", "train.epochs="),
    ("run recipes/yeast.yaml --froce", "--froce", "--force"),
    ("run recipes/yeast.yaml epochs", "'epochs' sets nothing", "KEY=VALUE", "did you mean train.epochs="),
    ("run recipes/yeast.yaml train.epochs=3 train.epochs=4", "train.epochs is given twice", "'3', then '4'"),
    ("train recipes/yeast.yaml train.epochs=3 train={epochs: 4}", "train.epochs is given twice", "all of train"),
    ("models compact channels=3 channels=4", "channels is given twice"),
    ("train recipes/yeast.yaml train.epochs=many", "train.epochs", "number", "'many'"),
    ("run recipes/yeast.yaml train.epochs=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "nested"),
    ("trian recipes/yeast.yaml", "No such command 'trian'", "did you mean 'train'"),
    ("data biuld", "No such command 'biuld'", "did you mean 'build'"),
    ("recipes/yeast.yaml", "No such command", "is a recipe", "noncoder run recipes/yeast.yaml"),
    ("s.zarr", "No such command", "is a store", "noncoder explore s.zarr"),
    ("run", "RECIPE"),
    ("explore", "STORE"),
    ("data simulate --seed 1 --seed 2 o.zarr", "--seed is given twice"),
    ("data simulate --windows ten o.zarr", "windows", "'ten'"),
    ("data simulate --windows -5 o.zarr", "windows", "-5"),
    ("data simulate --wndows 5 o.zarr", "--wndows", "--windows"),
    ("predict predictor g.fa --out a.tsv --out b.tsv", "--out is given twice"),
    ("interpret run --windows 4 --windows 5", "--windows is given twice"),
    ("compare run --out a.html --out b.html", "--out is given twice"),
    ("predict predictor g.fa --out p.tsv --strands up", "--strands", "'up'"),
    ("predict predictor g.fa --out p.doc", "p.doc", ".tsv"),
    ("import report-2020 g.fa out", "report-2020", "report"),
    ("models compcat", "compcat", "did you mean 'compact'"),
    ("data fetch yeast", "yeast", "yeast-rossi2021"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[0][:60])
def test_wrong_inputs_are_told(told: Callable[..., str], case: tuple[str, ...]) -> None:
    line, *words = case
    arguments = re.findall(r"[^ ]*{[^}]*}|[^ ]+", line)
    message = told(*arguments)
    for word in words:
        assert word in message, message


def _verbs(group: click.Group) -> list[click.Command]:
    inner = [_verbs(one) if isinstance(one, click.Group) else [one] for one in group.commands.values()]
    return [group, *(one for some in inner for one in some)]


def test_every_verb_has_the_checks() -> None:
    for verb in _verbs(app):
        assert isinstance(verb, Verbs if isinstance(verb, click.Group) else Verb), verb.name


@pytest.mark.parametrize(
    ("verb", "option"),
    [
        (verb, option)
        for verb in _verbs(app)
        for option in verb.params
        if isinstance(option, click.Option) and not (option.multiple or option.is_flag)
    ],
    ids=lambda one: one.name,
)
def test_an_option_of_one_value_is_given_once(verb: click.Command, option: click.Option) -> None:
    given = [option.opts[0], *["1"] * option.nargs] * 2
    arguments = ["x"] * sum(isinstance(one, click.Argument) and one.required for one in verb.params)
    required = [
        text
        for one in verb.params
        if isinstance(one, click.Option) and one.required and one is not option
        for text in (one.opts[0], "x")
    ]
    context = click.Context(verb, info_name="verb", resilient_parsing=False)
    with pytest.raises((click.ClickException, Exception)) as caught:
        verb.parse_args(context, [*arguments, *required, *given])
    if not isinstance(caught.value, click.ClickException):
        assert f"{option.opts[0]} is given twice" in str(caught.value)
    else:  # the value 1 is none of this option: that is told first
        assert option.opts[0] in caught.value.format_message()


def test_flags_may_be_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["noncoder", "data", "info", "s.zarr", "--json", "--json"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith("{")


def test_missing_data_are_told_before_torch_is_loaded(tmp_path: Path) -> None:
    recipe = Path(__file__).parents[1] / "recipes" / "yeast.yaml"
    for verb in (["run"], ["train"], ["lr-find"], ["tune", "--space", "x"]):
        code = (
            f"import sys; sys.argv = ['noncoder', *{verb!r}, {str(recipe)!r}, 'run=r']\n"
            "from noncoder.cli import main\n"
            "try: main()\nexcept SystemExit as done: print(done.code, 'torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert done.stdout.split() == ["2", "False"], (verb, done)
        assert "`noncoder data fetch yeast-rossi2021`" in done.stderr
        assert "data.store=yeast-rossi2021.zarr" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("when", ["importing", "working"])
def test_signals_end_with_the_codes_of_shells(tmp_path: Path, number: int, code: int, when: str) -> None:
    """Both are sent by the process to itself, at a known place."""
    if when == "importing":  # while torch is being imported
        place = (
            "import importlib.abc\n"
            "class Finder(importlib.abc.MetaPathFinder):\n"
            "    def find_spec(self, name, path, target=None):\n"
            f"        if name == 'torch': os.kill(os.getpid(), {number})\n"
            "sys.meta_path.insert(0, Finder())\n"
        )
    else:
        place = (
            "import noncoder.data.simulate as module\n"
            f"module.draw_genome = lambda *_: os.kill(os.getpid(), {number}) or time.sleep(60)\n"
        )
    verb = ["models"] if when == "importing" else ["data", "simulate", "s.zarr"]
    script = (
        f"import os, sys, time\nsys.argv = ['noncoder', *{verb!r}]\n{place}from noncoder.__main__ import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == code, done
    assert "noncoder: interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_ctrl_c_before_the_command_line_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-m", "noncoder", "models"], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (130, "noncoder: interrupted\n")
