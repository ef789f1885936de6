"""``tinygraph source``: forward and backward of a graph as code that a person could have written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import NAMED, graph_of
from tinygraph.engine.errors import clean

HELP = "write forward and backward as code: the answer key"
DESCRIPTION = """\
Write the forward and the backward pass of a tensor as code, a line for each node: NumPy or PyTorch that runs alone, or
LaTeX. The gradient of x is called dx; where x was used twice, dx_1 and dx_2 are what its uses send back."""
EXAMPLES = """\
  tinygraph source model.py:loss               NumPy, on the screen
  tinygraph source model.py:loss -o key.py    into a file
  tinygraph source model.py:loss --lang latex  an align* block
  tinygraph source model.py:loss --wrt x,W     only for the gradients of x and W
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="WHAT", help=NAMED)
    add("--lang", choices=("numpy", "torch", "latex"), default="numpy", help="the language (default numpy)")
    add("--wrt", metavar="NAME[,NAME]", help="inputs and parameters whose gradients are wanted (default all)")
    add("--ascii", action="store_true", help="spell names in ASCII: sigma for σ")
    add("-o", "--out", metavar="FILE", type=Path, help="file to write (default: the screen)")


def run(options: argparse.Namespace) -> int:
    """Write the code of a graph; return the exit status.

    Raises:
        UsageError: there is no such graph, or it has no gradient to write.
    """
    from tinygraph.drawing.api import write
    from tinygraph.teach.source import source

    graph = graph_of(options.what)
    wrt = options.wrt.split(",") if options.wrt else None
    try:
        text = source(graph, options.lang, wrt, ascii=options.ascii)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error).removeprefix("source: ")) from None
    if options.out is None:
        sys.stdout.write(text)
        return 0
    write(options.out, text.encode())
    print(clean(f"wrote {options.out}"))
    return 0
