"""The command line: thin verbs over the package, with imports where they are needed.

A user's mistake, a full disk and too little memory end with exit code 2 and one message. A signal ends with 128 plus
its number: Ctrl-C with 130. Any other error is a bug and shows its traceback.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

import click

from noncoder.cli.compare import compare
from noncoder.cli.data import data, explore
from noncoder.cli.evaluate import evaluate
from noncoder.cli.imports import import_
from noncoder.cli.interpret import design, grammar, interpret
from noncoder.cli.lr_find import lr_find
from noncoder.cli.models import models
from noncoder.cli.runs import predict, report, run, train
from noncoder.cli.tune import tune
from noncoder.cli.verbs import Verbs
from noncoder.errors import NoncoderError
from noncoder.machine import Stopped, disk_problem, memory_problem, out_of_memory


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="noncoder")
def app() -> None:
    """Train classifiers of non-coding DNA from peaks and a genome; measure and interpret them.

    \b
    All stages:       noncoder run recipes/demo.yaml
    Step by step:     noncoder data build … yeast.zarr
                      noncoder train recipes/yeast.yaml data.store=yeast.zarr run=runs/yeast
                      noncoder evaluate runs/yeast --split test
                      noncoder interpret runs/yeast --tasks Reb1
    """


for _verb in (
    run,
    data,
    explore,
    models,
    train,
    tune,
    lr_find,
    evaluate,
    interpret,
    grammar,
    design,
    compare,
    predict,
    import_,
    report,
):
    app.add_command(_verb)


# What takes less memory, by verb; stages that know more give their own hint.
_LESS = {
    "run": "a lower train.batch_size",
    "train": "a lower train.batch_size",
    "tune": "a lower train.batch_size",
    "lr-find": "a lower train.batch_size",
    "predict": "fewer records a file",
    "import": "a smaller model",
}


def main() -> NoReturn:
    """Runs the command line and turns errors into messages and exit codes."""
    interrupted: list[int] = []
    _heed_signals(interrupted)
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        _stop(error, interrupted)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except NoncoderError as error:
        _fail(str(error))
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has closed the pipe: no message, no traceback
        sys.exit(0)
    except Exception as error:
        if interrupted:  # a library may turn an interrupt into an error of its own
            _stop(error, interrupted)
        _fail_for_the_machine(error)
        raise


def _heed_signals(interrupted: list[int]) -> None:
    """Handles Ctrl-C and SIGTERM in the same way and records which signal arrived; in the main thread only."""
    ours = os.getpid()

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        if os.getpid() != ours:
            os._exit(128 + number)  # a child process started by a library
        interrupted.append(number)
        raise Stopped(number=number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, stop)


def _stop(error: BaseException, interrupted: list[int]) -> NoReturn:
    # The interrupted code may report what it left; click replaces the interrupt with an error of its own.
    cause = error.__cause__ if isinstance(error.__cause__, KeyboardInterrupt) else error
    message = str(cause) if isinstance(cause, KeyboardInterrupt) else ""
    number = cause.number if isinstance(cause, Stopped) else interrupted[0] if interrupted else signal.SIGINT
    usual = "no incomplete file is left; run the same command again to continue (a training resumes)"
    _fail(f"interrupted\n{message or usual}", 128 + number)


def _fail_for_the_machine(error: Exception) -> None:
    """Ends with a message if the machine lacks disk space or memory."""
    reason = memory_problem(error)
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if reason is not None:
        lower = _LESS.get(verb, "a lower --batch-size or fewer windows")
        _fail(str(out_of_memory(f"running `noncoder {verb}`", reason, lower)))
    why = disk_problem(error)
    if why is not None:
        where = getattr(error, "filename", None)
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.ENAMETOOLONG, errno.ELOOP) and where:
            _fail(f"{where} cannot be read or written: {why}")
        _fail(f"cannot write {where or 'a file'}: {why}\nhint: free some space or choose another place")


def _fail(message: str, code: int = 2) -> NoReturn:
    print("noncoder: " + message.replace("\n", "\n  "), file=sys.stderr)
    sys.exit(code)
