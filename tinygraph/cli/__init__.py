"""The command line: each command does one job on real input, and says in one line why it could not.

Exit status: 0 all is well, 1 the job ran and found something wrong, 2 it could not run as asked, 130 Ctrl-C, 143
SIGTERM. Each command is a module in this folder: ``declare`` gives the parser the options, ``run`` does the job.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn, Protocol

import tinygraph
from tinygraph.cli import (
    batchnorm,
    bench,
    check,
    completion,
    derive,
    diff,
    doctor,
    draw,
    evaluate,
    lesson,
    predict,
    source,
    text,
    train,
    worksheet,
)
from tinygraph.cli.errors import UsageError
from tinygraph.cli.terminal import Stopped, open_streams, stoppable
from tinygraph.engine.errors import clean

__all__ = ["main"]


class Command(Protocol):
    """What the module of a command has."""

    HELP: str
    DESCRIPTION: str
    EXAMPLES: str

    def declare(self, parser: argparse.ArgumentParser) -> None:
        """Give the parser the options of this command."""

    def run(self, options: argparse.Namespace) -> int:
        """Do the job; return the exit status."""


COMMANDS: dict[str, Command] = {
    "batchnorm": batchnorm,
    "draw": draw,
    "text": text,
    "diff": diff,
    "source": source,
    "derive": derive,
    "check": check,
    "lesson": lesson,
    "worksheet": worksheet,
    "train": train,
    "eval": evaluate,
    "predict": predict,
    "bench": bench,
    "doctor": doctor,
    "completion": completion,
}
DESCRIPTION = "Batch norm from graph primitives: drawn, differentiated, and compared with a fused op."
EXAMPLES = """\
examples:
  tinygraph batchnorm                       batch norm, drawn and checked: begin here
  tinygraph batchnorm --input data.csv      the same on your own rows
  tinygraph draw model.py:loss -o loss.svg  draw the tensor `loss` of model.py
  tinygraph text model.py:loss              print its graph in the terminal
  tinygraph source model.py:loss            write forward and backward as NumPy code
  tinygraph derive model.py:loss            derive the closed form of its gradients
  tinygraph lesson                          a page to learn from: watch, quiz, break it
  tinygraph worksheet model.py:loss -o s.pdf --key k.pdf  an exercise to print, and its answers
  tinygraph train mlp --data digits         train a small net with batch norm

`tinygraph COMMAND --help` explains a command and its options, with examples.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors say what was typed without what steers a terminal."""

    def error(self, message: str) -> NoReturn:
        """Print an error and the usage; exit with status 2."""
        super().error(clean(message))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of ``tinygraph``. Without one, print the help.

    Args:
        argv: the words after ``tinygraph``; None takes them from the command line.

    Returns:
        The exit status: 0 all is well, 1 the job found something wrong, 2 it could not run as asked, 130 it was
        interrupted by Ctrl-C, 143 by SIGTERM.

    >>> main(["completion", "--help"])
    Traceback (most recent call last):
    ...
    SystemExit: 0
    """
    open_streams()
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        with stoppable():
            status = COMMANDS[options.command].run(options)
            sys.stdout.flush()
            return status
    except KeyboardInterrupt as stop:
        kept = " ".join(str(a) for a in stop.args) or "no file was left in part"
        print(clean(f"tinygraph {options.command}: interrupted; {kept}"), file=sys.stderr)
        return 143 if isinstance(stop, Stopped) else 130
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe: it has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UsageError, OSError) as error:
        print(clean(f"tinygraph {options.command}: {error}"), file=sys.stderr)
        return 2


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    verbatim = functools.partial(argparse.RawDescriptionHelpFormatter, max_help_position=28)
    parser = Parser("tinygraph", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=verbatim)
    version = f"tinygraph {tinygraph.__version__}"
    parser.add_argument("-V", "--version", action="version", version=version, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        command.declare(
            commands.add_parser(
                name,
                help=command.HELP,
                description=wrap(command.DESCRIPTION),
                epilog=f"examples:\n{command.EXAMPLES}",
                formatter_class=verbatim,
            )
        )
    parser.set_defaults(parser=parser)  # completion is written from it
    return parser


def wrap(text: str) -> str:
    """Break a text into lines as wide as the terminal, and no wider than one reads well."""
    return textwrap.fill(text, min(100, shutil.get_terminal_size().columns - 2))
