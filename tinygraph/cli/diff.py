"""``tinygraph diff``: two graphs beside each other, and what only one of them has."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import NAMED, graph_of, refused, tell

HELP = "compare two graphs: what they share, and what the one has in place of the other"
DESCRIPTION = "Print two graphs with what they share marked, or draw them below each other into a file."


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("a", metavar="A", help=NAMED)
    add("b", metavar="B", help="the other one")
    add("-o", "--out", metavar="FILE", type=Path, help="draw them: .svg .html .png .pdf .txt")
    add("--names", nargs=2, metavar=("A", "B"), help="what to call them (default: as they are given)")
    add("--theme", help="light, dark, print, transparent or auto")
    add("--width", type=int, metavar="N", help="cut rows that are longer (default: the terminal's; none in a file)")
    add("--ascii", action="store_true", help="print ASCII alone")


def run(options: argparse.Namespace) -> int:
    """Compare."""
    from tinygraph.drawing.api import EngineMissing, draw
    from tinygraph.graph.diff import diff

    names = options.names or [Path(spec).name for spec in (options.a, options.b)]
    found = diff(graph_of(options.a), graph_of(options.b), (names[0], names[1]))
    if options.out is None:
        if options.theme:
            raise UsageError("--theme is of a picture: give -o FILE")
        tell(found, options)
        return 0
    try:
        print(f"wrote {draw(found, options.out, theme=options.theme)}")
    except (ValueError, EngineMissing) as error:
        raise refused(error) from None
    return 0
