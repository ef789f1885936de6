"""``tinygraph text``: a graph on the terminal, a row a node."""

from __future__ import annotations

import argparse

from tinygraph.cli.graphs import NAMED, graph_of, print_graph, to_usage_error

HELP = "print the graph of a tensor in the terminal"
DESCRIPTION = """\
Print the graph of a tensor as text: one row for each value, with its formula, its numbers and its gradient. It is as
wide as the terminal, and has colours there alone."""
EXAMPLES = """\
  tinygraph text model.py:loss            the tensor `loss` of model.py
  tinygraph text model.py:loss --depth 1  the same with inner boxes closed
  tinygraph text model.py:loss --at       with the line that made each value
  tinygraph text graph.json --ascii       a graph out of a JSON file, in ASCII
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="WHAT", help=NAMED)
    add("--width", type=int, metavar="N", help="cut longer rows (default: the terminal's width)")
    add("--ascii", action="store_true", help="use no characters but ASCII")
    add("--depth", type=int, metavar="N", help="close the boxes (scopes) that are more than N deep")
    add("--at", action="store_true", help="say in which line each value was made: model.py:12")
    add("--expand", action="append", default=[], metavar="SCOPE", help="leave this box open; may be repeated")


def run(options: argparse.Namespace) -> int:
    """Print a graph; return the exit status.

    Raises:
        UsageError: there is no such graph, or no such box to open.
    """
    try:
        print_graph(graph_of(options.what), options, depth=options.depth, expand=options.expand, at=options.at)
    except ValueError as error:
        raise to_usage_error(error) from None
    return 0
