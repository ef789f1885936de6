"""``tinygraph draw``: a graph that a Python file makes, or a JSON file holds, drawn into files."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import NAMED, graph_of, refused

HELP = "draw the graph of a tensor into a file: .svg .html .png .pdf .dot .mmd .tex .json .txt"
DESCRIPTION = (
    "Draw a graph into files; the ending says in which format. .png and .pdf need the package typst, and "
    "--engine dot needs Graphviz; the others need nothing. An option is refused where the format cannot honour it."
)


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="WHAT", help=NAMED)
    add("-o", "--out", metavar="FILE", type=Path, action="append", required=True, help="where to; may be given again")
    add("--detail", choices=("auto", "0", "1", "2"), default="auto", help="0 formulas, 1 summaries, 2 numbers")
    add("--show", default="both", help="forward, backward, both, memory, health, or path=x,y (default both)")
    add("--theme", help="light, dark, print, transparent or auto (default light; auto in a page)")
    add("--width", metavar="LENGTH", help="of the picture, such as 506pt, 17cm or 1600; of a .txt, in characters")
    add("--depth", type=int, metavar="N", help="collapse scopes that are deeper than this")
    add("--expand", action="append", default=[], metavar="SCOPE", help="leave this scope open; may be given again")
    add("--title", help="a heading")
    add("--engine", default="lanes", help="lanes, or dot: Graphviz lays it out (default lanes)")


def run(options: argparse.Namespace) -> int:
    """Draw."""
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
            raise refused(error) from None
        print(f"wrote {path}")
    return 0
