"""The command line: thin verbs over the package, with imports where they are needed.

A user's mistake ends with exit code 2 and one message; so does Ctrl-C. Anything else is a fault of ours and shows its
traceback.
"""

from __future__ import annotations

import sys
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
from noncoder.errors import NoncoderError, is_unwritable


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="noncoder")
def app() -> None:
    """Reads non-coding DNA: from peaks and a genome to a trained, measured and explained classifier.

    \b
    The whole road:   noncoder run recipes/demo.yaml
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


def main() -> NoReturn:
    """Runs the command line and turns errors into messages and exit codes."""
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        # What was interrupted may say what it left; click puts an error of its own in place of the interrupt.
        told = str(error.__cause__ if isinstance(error.__cause__, KeyboardInterrupt) else error)
        usual = "nothing half-written was left; the same command starts again, a training where it stopped"
        _fail(f"interrupted\n{told or usual}")
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except NoncoderError as error:
        _fail(str(error))
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: no message, no traceback
        sys.exit(0)
    except OSError as error:
        if not is_unwritable(error):
            raise
        where = error.filename or "the output"
        _fail(f"cannot write {where}: {error.strerror}\nmend: free some space or choose another place")


def _fail(message: str) -> NoReturn:
    print("noncoder: " + message.replace("\n", "\n  "), file=sys.stderr)
    sys.exit(2)
