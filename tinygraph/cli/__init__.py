"""The command line: each command does one job on real input, and says in one line why it could not.

Exit status: 0 all is well, 1 the job ran and found something wrong, 2 it could not run as asked. Each command is a
module in this folder: its ``declare`` gives the parser the options, and its ``run`` does the job.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Protocol

import tinygraph
from tinygraph.cli import batchnorm, bench, completion, diff, draw, text, train
from tinygraph.cli.errors import UsageError

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
    "train": train,
    "bench": bench,
    "completion": completion,
}
DESCRIPTION = "Batch norm from graph primitives: drawn, differentiated, and compared with a fused op."
EXAMPLES = """\
examples:
  tinygraph batchnorm                       batch norm, drawn and checked: begin here
  tinygraph batchnorm --input data.csv      the same on your own rows
  tinygraph draw model.py:loss -o loss.svg  draw the tensor `loss` of model.py
  tinygraph text model.py:loss              print its graph in the terminal
  tinygraph train mlp --data digits         train a small net with batch norm

`tinygraph COMMAND --help` explains a command and its options, with examples.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of ``tinygraph``. Without one, print the help.

    Args:
        argv: the words after ``tinygraph``; None takes them from the command line.

    Returns:
        The exit status: 0 all is well, 1 the job found something wrong, 2 it could not run as asked.

    >>> main(["completion", "--help"])
    Traceback (most recent call last):
    ...
    SystemExit: 0
    """
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        status = COMMANDS[options.command].run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe: it has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UsageError, OSError) as error:
        print(f"tinygraph {options.command}: {error}", file=sys.stderr)
        return 2


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    verbatim = functools.partial(argparse.RawDescriptionHelpFormatter, max_help_position=28)
    parser = argparse.ArgumentParser("tinygraph", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=verbatim)
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
