"""An SVG for the printer: it gives a whole line another font where one letter is missing in its own.

The serif fonts have no ①. So a line with one is cut into pieces, each at a place of its own, and ① is in the sans font.
"""

from __future__ import annotations

import re
from html import unescape
from itertools import groupby

from tinygraph.drawing.formats.svg import at
from tinygraph.drawing.style.conventions import CIRCLED
from tinygraph.drawing.style.text_width import width

__all__ = ["printable"]

LINE = re.compile(
    r'<text class="(\w+) ([^"]*)" x="([-\d.]+)" y="([-\d.]+)" font-size="([\d.]+)"(?: text-anchor="(\w+)")?([^>]*)>'
    rf"([^\n]*?[{CIRCLED}].*?)</text>"
)
SPAN = re.compile(r'<tspan class="(\w+)"( dy="[-\d.]+")?(?: font-size="([\d.]+)")?>(.*?)</tspan>')
PIECE = re.compile(f"[{CIRCLED}]+|[^{CIRCLED}]+")


def printable(svg: str) -> str:
    """Return an SVG whose lines with ① look the same where a printer takes one font for a line.

    Args:
        svg: a picture of ours.

    >>> printable('<text class="roman grad" x="10" y="5" font-size="10">① x</text>').count("<tspan x=")
    2
    """
    return LINE.sub(split_line, svg)


def split_line(line: re.Match[str]) -> str:
    """Cut a line into pieces: those of ①②, and what is between."""
    face, ink, x, y, size, anchor, more, body = line.groups()
    spans = SPAN.findall(body) or [(face, "", "", body)]
    if {span[0] for span in spans} <= {"sans", "bold"}:  # whose fonts have them
        return line[0]
    pieces = [
        ("sans" if (circled := text[0] in CIRCLED) else own, dy * (not k), small, text, circled)
        for own, dy, small, whole in spans
        for k, text in enumerate(PIECE.findall(whole))
    ]
    long = [width(unescape(text), float(small or size), own) for own, _, small, text, _ in pieces]
    start = float(x) - {"middle": sum(long) / 2, "end": sum(long)}.get(anchor, 0.0)
    out = []
    for _, group in groupby(enumerate(pieces), key=lambda item: item[1][4]):
        placed = f' x="{at(start)}"'
        for k, (own, dy, small, text, _) in group:
            smaller = f' font-size="{small}"' if small else ""
            out.append(f'<tspan{placed} class="{own}"{dy}{smaller}>{text}</tspan>')
            placed, start = "", start + long[k]
    return f'<text class="{face} {ink}" x="{x}" y="{y}" font-size="{size}"{more}>{"".join(out)}</text>'
