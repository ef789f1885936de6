"""Pictures of one computation as files: a GIF, slides, an SVG that plays, or a folder with one file a step."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygraph.drawing.api import EngineMissing, print_picture, run_typst, write
from tinygraph.drawing.formats.frames import SECONDS, Frames
from tinygraph.drawing.formats.printing import printable
from tinygraph.drawing.style.palette import LIGHT
from tinygraph.drawing.style.themes import THEMES
from tinygraph.engine.lazy_import import install_hint

__all__ = ["save"]

SLIDE = (960.0, 540.0)  # points: 16:9
GIF_WIDTH = 1280  # dots
COLOURS = 128  # of a GIF: few, so that it is small
SLIDES = b"""
#set document(title: sys.inputs.title, date: none)
#set page(width: 960pt, height: 540pt, margin: 10pt, fill: rgb(sys.inputs.paper))
#set align(center + horizon)
#for k in range(int(sys.inputs.count)) {
  if k > 0 { pagebreak() }
  image(
    bytes(sys.inputs.at("svg" + str(k))), format: "svg", alt: sys.inputs.at("alt" + str(k)),
    fit: "contain", width: 100%, height: 100%,
  )
}
"""


def save(
    frames: Frames, path: str | os.PathLike[str], *, form: str | Sequence[str] = "svg", seconds: float = SECONDS
) -> list[Path]:
    """Write the pictures of a computation.

    Args:
        frames: from `tinygraph.frames`.
        path: ``.gif`` and ``.svg`` play, ``.pdf`` has a slide a step, 16:9; anything without an ending is a folder, in
            which each step has a file.
        form: of the files in a folder: "svg", "png", "pdf", or several.
        seconds: that a ``.gif`` or ``.svg`` shows a step.

    Returns:
        The files.

    Raises:
        ValueError: the ending or the form is not known, or there is no time for a step.
        EngineMissing: a package that this needs is not installed; the message says which.

    >>> import tempfile
    >>> from tinygraph import Tensor, frames
    >>> film = frames((Tensor([1.0], name="x") * 3).named("y"))
    >>> [path.name for path in film.save(tempfile.mkdtemp() + "/steps")]
    ['steps_01.svg', 'steps_02.svg']
    """
    path = Path(path)
    if not seconds > 0:
        raise ValueError(f"seconds is {seconds!r}; a step is shown for more than 0")
    ending = path.suffix.lower()
    if ending and not path.is_dir():
        if ending not in (".gif", ".pdf", ".svg"):
            raise ValueError(f"frames: the ending is {ending!r}; it must be .gif, .pdf or .svg, or none for a folder")
        write(path, {".gif": gif, ".pdf": slides, ".svg": playing}[ending](frames, seconds))
        return [path]
    forms = (form,) if isinstance(form, str) else tuple(form)
    if bad := [f for f in forms if f not in ("svg", "png", "pdf")]:
        raise ValueError(f"frames: the form is {bad[0]!r}; the files of a folder are svg, png or pdf")
    digits = max(2, len(str(len(frames))))
    files = []
    for frame in frames:
        picture = frame.svg()
        for f in forms:
            files.append(path / f"{path.name}_{frame.number + 1:0{digits}}.{f}")
            write(files[-1], picture.encode() if f == "svg" else print_picture(picture, f))
    return files


def playing(frames: Frames, seconds: float) -> bytes:
    """Return the pictures as one SVG that plays."""
    return frames.animated(seconds).encode()


def slides(frames: Frames, seconds: float = SECONDS) -> bytes:
    """Return the pictures as slides: a PDF of 16:9, a step a page. The same graph gives the same bytes.

    Raises:
        EngineMissing: typst is not installed.
    """
    return bytes(print_all(frames, "pdf"))


def gif(frames: Frames, seconds: float) -> bytes:
    """Return the pictures as a GIF that plays for ever.

    Raises:
        EngineMissing: Pillow or typst is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise EngineMissing(f"a .gif is written by Pillow: {install_hint('draw')}; .svg plays without it") from None
    pages = print_all(frames, "png")
    images = [Image.open(io.BytesIO(page)).convert("RGB") for page in pages]
    colours = images[-1].quantize(COLOURS, dither=Image.Dither.NONE)  # the last picture has everything
    first, *others = [image.quantize(palette=colours, dither=Image.Dither.NONE) for image in images]
    file = io.BytesIO()
    first.save(
        file, "GIF", save_all=True, append_images=others, duration=[round(1000 * seconds)] * len(images), loop=0,
        optimize=True, disposal=1,
    )  # fmt: skip
    return file.getvalue()


def print_all(frames: Frames, form: str) -> Any:
    """Return the pictures on pages of 16:9, as a PDF or as a list of PNG.

    Raises:
        EngineMissing: typst is not installed.
    """
    paper = THEMES.get(frames.theme, LIGHT)["paper"]
    inputs = {"title": frames.name(), "count": str(len(frames)), "paper": paper}
    for frame in frames:
        inputs[f"svg{frame.number}"] = printable(frame.svg())
        inputs[f"alt{frame.number}"] = f"{frame.title}. {frame.caption}"
    what, options = ("a .gif", {"ppi": GIF_WIDTH / SLIDE[0] * 72}) if form == "png" else ("a .pdf", {})
    found = run_typst(SLIDES, inputs, form, what, ".svg", **options)
    return [found] if form == "png" and isinstance(found, bytes) else found
