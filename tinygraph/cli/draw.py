"""``tinygraph draw``: a graph that a Python file makes, or a JSON file holds, drawn into files."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import NAMED, graph_of, to_usage_error

HELP = "draw the graph of a tensor into a file"
DESCRIPTION = """\
Draw the graph of a tensor into files. The ending of a file says in which format: .svg .html .png .pdf .dot .mmd .tex
.json or .txt. For .png and .pdf the package typst is needed, and for --engine dot Graphviz; the others need nothing
more. An option that a format does not have is an error."""
EXAMPLES = """\
  tinygraph draw model.py:loss -o loss.svg                 values and gradients
  tinygraph draw model.py:loss -o loss.svg --detail 0      formulas alone
  tinygraph draw model.py:loss -o loss.html --depth 1      inner boxes closed
  tinygraph draw model.py:loss -o way.svg --show path=x,L  the ways from x to L
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="WHAT", help=NAMED)
    add("-o", "--out", metavar="FILE", type=Path, action="append", required=True, help="file to write; may be repeated")
    add(
        "--detail",
        choices=("auto", "0", "1", "2"),
        default="auto",
        help="0 shows formulas, 1 mean and spread, 2 all numbers",
    )
    add("--show", default="both", help="forward, backward, both, memory, health, or path=x,y for the ways from x to y")
    add("--theme", help="light, dark, print, transparent or auto (default light; auto in a page)")
    add("--width", metavar="LENGTH", help="width of the picture, such as 506pt, 17cm or 1600; of a .txt in characters")
    add("--depth", type=int, metavar="N", help="close the boxes (scopes) that are more than N deep")
    add("--expand", action="append", default=[], metavar="SCOPE", help="leave this box open; may be repeated")
    add("--title", help="heading of the picture")
    add("--engine", default="lanes", help="what lays the picture out: lanes, or dot for Graphviz (default lanes)")


def run(options: argparse.Namespace) -> int:
    """Draw a graph into files; return the exit status.

    Raises:
        UsageError: there is no such graph, or a format or an option that cannot be.
    """
    from tinygraph.drawing.api import ENDINGS, EngineMissing, draw

    if bad := [path for path in options.out if path.suffix.lower() not in ENDINGS]:
        raise UsageError(f"{bad[0]}: the ending must be one of {' '.join(ENDINGS)}")
    graph = graph_of(options.what)
    for path in options.out:
        width = options.width
        if path.suffix.lower() == ".txt" and width is not None:
            if not width.isdigit():
                raise UsageError(f"--width {width}: of a .txt it is a number of characters")
            width = int(width)
        try:
            draw(
                graph,
                path,
                detail=options.detail if options.detail == "auto" else int(options.detail),
                show=options.show,
                theme=options.theme,
                width=width,
                depth=options.depth,
                expand=options.expand,
                title=options.title,
                engine=options.engine,
            )
        except (ValueError, KeyError, EngineMissing) as error:
            raise to_usage_error(error) from None
        print(f"wrote {path}")
    return 0
