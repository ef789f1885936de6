"""``tinygraph draw``: a graph that a Python file makes, or a JSON file holds, drawn into files."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import NAMED, graph_of, to_usage_error
from tinygraph.cli.modules import Call, PartialGraphError
from tinygraph.engine.errors import clean
from tinygraph.graph.data import Graph

HELP = "draw the graph of a tensor into a file"
DESCRIPTION = """\
Draw the graph of a tensor into files. The ending of a file says in which format: .svg .html .png .pdf .dot .mmd .tex
.json or .txt; .tikz is a .tex to \\input. For .png and .pdf the package typst is needed, and for --engine dot Graphviz;
the others need nothing more. An option that a format does not have is an error."""
EXAMPLES = """\
  tinygraph draw model.py:loss -o loss.svg                 values and gradients
  tinygraph draw model.py:loss -o loss.svg --detail 0      formulas alone
  tinygraph draw model.py:loss -o loss.html --depth 1      inner boxes closed
  tinygraph draw model.py:loss -o way.svg --show path=x,L  the ways from x to L
  tinygraph draw model.py:loss -o sheet.pdf --blank gradients   an exercise
  tinygraph draw model.py:loss -o loss.svg --batch none    rows are no examples
  tinygraph draw model.py:net -o net.svg --inputs x        a Module of PyTorch
  tinygraph draw model.py:loss --frames bn.gif             a picture a step
  tinygraph draw model.py:loss --frames steps --format svg,png   in a folder
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="WHAT", help=NAMED)
    add("-o", "--out", metavar="FILE", type=Path, action="append", default=[], help="file to write; may be repeated")
    add(
        "--frames",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="write a picture for each step, forward then backward: .gif and .svg play, .pdf has a slide for each, "
        "anything else is a folder with a file for each; may be repeated",
    )
    add("--format", default="svg", help="of the files in the folder of --frames: svg, png, pdf, or several: svg,png")
    add("--upto", metavar="STEP", help="draw one of those pictures: its number, or σ or ∂σ for where these are done")
    add(
        "--detail",
        choices=("auto", "0", "1", "2"),
        default="auto",
        help="0 shows formulas, 1 mean and spread, 2 all numbers",
    )
    add(
        "--show",
        default="both",
        help="forward, backward, both, gradient, memory, health, or path=x,y for the ways from x to y",
    )
    add("--theme", help="light, dark, print, transparent or auto (default light; auto in a page)")
    add("--width", metavar="LENGTH", help="width of the picture, such as 506pt, 17cm or 1600; of a .txt in characters")
    add("--height", metavar="LENGTH", help="greatest height of the picture, such as 190pt")
    add(
        "--font-size",
        type=float,
        metavar="POINTS",
        help="size of the smallest letters (6 where --width is given)",
    )
    add("--depth", type=int, metavar="N", help="close the boxes (scopes) that are more than N deep")
    add("--expand", action="append", default=[], metavar="SCOPE", help="leave this box open; may be repeated")
    add("--title", help="heading of the picture")
    add(
        "--blank",
        metavar="WHAT",
        help="leave out for a reader to fill in: values, gradients, derivatives, or names: x̂,∂σ (commas between them)",
    )
    add("--batch", metavar="NAME", action="append", help="input whose first axis is the batch, NAME=1 for its second, "
        "or none where there is no batch; may be repeated (default: it is found)")  # fmt: skip
    add("--no-legend", action="store_true", help="leave out the line that explains colours and arrows")
    add("--no-caption", action="store_true", help="leave out how much is shown, and the notes")
    add("--inputs", metavar="NAME[,NAME]", help="inputs of a Module: names in FILE.py (default example_inputs)")
    add("--loss", metavar="NAME", help="function in FILE.py that makes one number of a Module's output")
    add("--engine", default="lanes", help="what lays the picture out: lanes, or dot for Graphviz (default lanes)")


def draw_and_warn(draw: Callable[..., Path], *args: Any, **options: Any) -> None:
    """Draw, and print what it warns of in a line each."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        draw(*args, **options)
    for warning in found:
        print(clean(f"tinygraph draw: {warning.message}"), file=sys.stderr)


def run(options: argparse.Namespace) -> int:
    """Draw a graph into files; return the exit status.

    Raises:
        UsageError: there is no such graph, or a format or an option that cannot be.
    """
    from tinygraph.drawing.api import ENDINGS, EngineMissing, draw

    if not options.out and not options.frames:
        raise UsageError("say where to: -o FILE, or --frames PATH for a picture of each step")
    if bad := [path for path in options.out if path.suffix.lower() not in ENDINGS]:
        raise UsageError(f"{bad[0]}: the ending must be one of {' '.join(ENDINGS)}")
    failed: PartialGraphError | None = None
    try:
        graph = graph_of(options.what, Call(options.inputs, options.loss))
    except PartialGraphError as error:  # what there is up to an error is drawn, and the error is said at the end
        graph, failed = error.graph, error
    for path in options.out:
        width = options.width
        if path.suffix.lower() == ".txt" and width is not None:
            if not width.isdigit():
                raise UsageError(f"--width {width}: of a .txt it is a number of characters")
            width = int(width)
        try:
            draw_and_warn(
                draw,
                graph,
                path,
                detail=options.detail if options.detail == "auto" else int(options.detail),
                show=options.show,
                theme=options.theme,
                width=width,
                height=options.height,
                font_size=options.font_size,
                depth=options.depth,
                expand=options.expand,
                title=options.title,
                blank=options.blank.split(",") if options.blank else (),
                batch=read_batch(options.batch),
                legend=not options.no_legend,
                caption=not options.no_caption,
                upto=int(options.upto) if (options.upto or "").isdecimal() else options.upto,
                engine=options.engine,
            )
        except (ValueError, KeyError, EngineMissing) as error:
            raise to_usage_error(error) from None
        print(clean(f"wrote {path}"))
    if options.frames:
        draw_frames(graph, options)
    if failed:
        raise UsageError(f"{failed}; the picture has what there is up to there")
    return 0


def read_batch(names: list[str] | None) -> dict[str, int] | None:
    """Return which axis of which input is the batch; None where nothing was said.

    Raises:
        UsageError: an axis is no number.

    >>> read_batch(["x", "ids=1"]), read_batch(["none"]), read_batch(None)
    ({'x': 0, 'ids': 1}, {}, None)
    """
    if names is None:
        return None
    found = {}
    for name in names if names != ["none"] else ():
        head, equals, axis = name.rpartition("=")
        if equals and not axis.lstrip("-").isdigit():
            raise UsageError(f"--batch {name}: after = comes the number of an axis")
        found[head if equals else name] = int(axis) if equals else 0
    return found


def draw_frames(graph: Graph, options: argparse.Namespace) -> None:
    """Draw a picture for each step.

    Raises:
        UsageError: a path or an option cannot be.
    """
    from tinygraph.drawing.api import EngineMissing, frames
    from tinygraph.drawing.film import save

    usual = {"show": "both", "blank": None, "upto": None, "engine": "lanes", "height": None, "font_size": None}
    if given := [f"--{name}" for name, value in usual.items() if getattr(options, name) != value and not options.out]:
        raise UsageError(f"--frames takes no {', '.join(given).replace('_', '-')}")
    try:
        film = frames(
            graph,
            detail=options.detail if options.detail == "auto" else int(options.detail),
            theme=options.theme or "light",
            width=options.width,
            depth=options.depth,
            expand=options.expand,
            title=options.title,
            batch=read_batch(options.batch),
        )
        for path in options.frames:
            files = save(film, path, form=options.format.split(","))
            several = f"{len(files)} files: {files[0]} … {files[-1].name}"
            print(clean(f"wrote {files[0] if len(files) == 1 else several}"))
    except (ValueError, KeyError, EngineMissing) as error:
        raise to_usage_error(error) from None
