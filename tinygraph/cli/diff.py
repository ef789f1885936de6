"""``tinygraph diff``: two graphs side by side, and what only one of them has."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import NAMED, graph_of, print_graph, to_usage_error
from tinygraph.engine.errors import clean

HELP = "compare two graphs: what they share, and what differs"
DESCRIPTION = """\
Compare two graphs: print both, and mark what only one of them has. With -o they are drawn into a file, one below the
other."""
EXAMPLES = """\
  tinygraph diff model.py:composed model.py:fused           print both
  tinygraph diff model.py:composed model.py:fused -o d.svg  draw both
  tinygraph diff old.json new.json --names before after     with other names
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("a", metavar="A", help=NAMED)
    add("b", metavar="B", help="the other graph, named in the same way")
    add("-o", "--out", metavar="FILE", type=Path, help="file to draw them into: .svg .html .png .pdf or .txt")
    add("--names", nargs=2, metavar=("A", "B"), help="names to print for the two (default: A and B as you wrote them)")
    add("--theme", help="light, dark, print, transparent or auto")
    add("--width", type=int, metavar="N", help="cut longer rows (default: the terminal's width)")
    add("--ascii", action="store_true", help="use no characters but ASCII")


def run(options: argparse.Namespace) -> int:
    """Compare two graphs; return the exit status.

    Raises:
        UsageError: one of them is no graph, or the file cannot be drawn.
    """
    from tinygraph.drawing.api import EngineMissing, draw
    from tinygraph.graph.diff import diff

    names = options.names or [Path(spec).name for spec in (options.a, options.b)]
    found = diff(graph_of(options.a), graph_of(options.b), (names[0], names[1]))
    if options.out is None:
        if options.theme:
            raise UsageError("--theme is for a picture: give -o FILE too")
        print_graph(found, options)
        return 0
    try:
        print(clean(f"wrote {draw(found, options.out, theme=options.theme)}"))
    except (ValueError, EngineMissing) as error:
        raise to_usage_error(error) from None
    return 0
