"""The command line: each command does one job on real input, and says in one line what was wrong with it.

Exit status: 0 all is well, 1 the job ran and found something wrong, 2 it could not run as asked. Each command is a
module here, whose ``declare`` gives the parser its options, and whose ``run`` takes them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tinygraph.cli import batchnorm, bench, diff, draw, text, train
from tinygraph.cli.errors import UsageError

__all__ = ["main"]

COMMANDS = {"batchnorm": batchnorm, "draw": draw, "text": text, "diff": diff, "bench": bench, "train": train}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of ``tinygraph``; return its exit status."""
    parser = argparse.ArgumentParser(
        "tinygraph", description="Batch norm from graph primitives: drawn, differentiated, compared."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.declare(commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION))
    options = parser.parse_args(argv)
    try:
        status = int(COMMANDS[options.command].run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # who reads, as `head` does, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UsageError, OSError) as error:
        print(f"tinygraph {options.command}: {error}", file=sys.stderr)
        return 2
