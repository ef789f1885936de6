"""Draw a graph into a file: the ending says in which format. A file is written whole, or not at all."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinygraph.render.dot
import tinygraph.render.text
from tinygraph.graph import Graph
from tinygraph.tensor import Tensor
from tinygraph.trace import snapshot

__all__ = ["draw"]

TEXT: dict[str, Callable[[Graph], str]] = {
    ".dot": lambda g: tinygraph.render.dot.to_dot(g),
    ".gv": lambda g: tinygraph.render.dot.to_dot(g),
    ".json": lambda g: g.to_json(indent=1) + "\n",
    ".txt": lambda g: tinygraph.render.text.text(g) + "\n",
}
PICTURES = (".svg", ".png", ".pdf")


def draw(what: Tensor | Graph, path: str | os.PathLike[str]) -> Path:
    """Draw a tensor's graph, or a `Graph`, into a file.

    Args:
        what: a Tensor, of which a snapshot is taken, or a Graph.
        path: where to; ``.svg .png .pdf`` are laid out by Graphviz, ``.dot .gv .json .txt`` need nothing.

    Returns:
        The path.

    Raises:
        TypeError: ``what`` is neither.
        ValueError: the ending is not known.
        LayoutEngineMissing: a picture is asked for, and there is no Graphviz.

    >>> import tempfile, pathlib
    >>> where = pathlib.Path(tempfile.mkdtemp()) / "graph.txt"
    >>> draw((Tensor([1.0], name="x") * 3).named("y"), where).read_text().splitlines()[0]
    '1 op · x float64(1,) → y (1,)'
    """
    graph = snapshot(what) if isinstance(what, Tensor) else what
    if not isinstance(graph, Graph):
        raise TypeError(f"draw takes a Tensor or a Graph, not {type(what).__name__}")
    path = Path(path)
    if path.suffix in TEXT:
        content = TEXT[path.suffix](graph).encode()
    elif path.suffix in PICTURES:
        content = laid_out(tinygraph.render.dot.to_dot(graph), path.suffix[1:])
    else:
        raise ValueError(f"draw: {path.name!r} must end in one of {' '.join((*PICTURES, *TEXT))}")
    write(path, content)
    return path


class LayoutEngineMissing(RuntimeError):
    """There is no Graphviz to lay a picture out."""


def has_layout_engine() -> bool:
    """Whether there is a Graphviz: the system's ``dot``, or the one in pygraphviz's wheel."""
    return bool(shutil.which("dot")) or importlib.util.find_spec("pygraphviz") is not None


def laid_out(source: str, picture: str) -> bytes:
    """Return DOT source as a picture, by the system's ``dot`` or by pygraphviz's.

    Raises:
        LayoutEngineMissing: there is neither; the message names both.
        RuntimeError: Graphviz rejected the source.
    """
    if program := shutil.which("dot"):
        done = subprocess.run([program, f"-T{picture}"], input=source.encode(), capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"dot could not draw the graph: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout
    try:
        import pygraphviz
    except ImportError:
        raise LayoutEngineMissing(
            f"a .{picture} needs Graphviz: install its program `dot` (https://graphviz.org/download), "
            "or pip install 'tinygraph[draw]', whose wheel brings it; .dot, .json and .txt need neither"
        ) from None
    drawn: Any = pygraphviz.AGraph(string=source).draw(format=picture, prog="dot")
    return drawn if isinstance(drawn, bytes) else drawn.encode()


def write(path: Path, content: bytes) -> None:
    """Write a file whole: to a temporary name beside it, then rename. What was there before is kept until then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
