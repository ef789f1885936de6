"""``tinygraph text``: a graph on the terminal, a row a node."""

from __future__ import annotations

import argparse

from tinygraph.cli.graphs import NAMED, graph_of, refused, tell

HELP = "print the graph of a tensor: a row a node, with wires"
DESCRIPTION = "Print a graph, a row a node: as wide as the terminal, and coloured only there."


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="WHAT", help=NAMED)
    add("--width", type=int, metavar="N", help="cut rows that are longer (default: the terminal's; none in a file)")
    add("--ascii", action="store_true", help="print ASCII alone")
    add("--depth", type=int, metavar="N", help="collapse scopes that are deeper than this")
    add("--expand", action="append", default=[], metavar="SCOPE", help="leave this scope open; may be given again")


def run(options: argparse.Namespace) -> int:
    """Print."""
    try:
        tell(graph_of(options.what), options, depth=options.depth, expand=options.expand)
    except ValueError as error:
        raise refused(error) from None
    return 0
