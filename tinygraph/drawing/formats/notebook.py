"""What a notebook shows of an object: HTML that fits the cell and follows its theme, and text where there is no HTML.

A picture is an image inside the HTML, so that it is shown in notebooks that are not trusted, too, and its style meets
nothing else on the page. It has both themes; the image takes the one of the notebook, or else the system's.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from html import unescape

__all__ = ["bundle", "folded_html", "line_html", "picture_html", "table_html"]

MOST_ROWS = 40  # of a table
STYLE = """<style>
[data-jp-theme-light="true"] .tinygraph,.vscode-light .tinygraph{color-scheme:light}
[data-jp-theme-light="false"] .tinygraph,.vscode-dark .tinygraph{color-scheme:dark}
.tinygraph .first{font-weight:bold;margin:.3em 0}
.tinygraph td,.tinygraph th{text-align:right;white-space:nowrap;padding:.1em .6em}
.tinygraph td:first-child,.tinygraph th:first-child{text-align:left}
.tinygraph pre{margin:.3em 0;overflow-x:auto}
</style>"""


def bundle(plain: str, *parts: str) -> dict[str, str]:
    """Return what ``_repr_mimebundle_`` returns: the parts as HTML, and the plain text.

    Args:
        plain: the same as text, for a terminal.
        parts: pieces of HTML, one below the other.

    Returns:
        ``{"text/html": …, "text/plain": …}``.

    >>> sorted(bundle("6", line_html("6")))
    ['text/html', 'text/plain']
    """
    return {"text/html": f'{STYLE}\n<div class="tinygraph">\n' + "\n".join(parts) + "\n</div>", "text/plain": plain}


def picture_html(svg: str) -> str:
    """Return an SVG as an image that is never wider than its cell.

    Args:
        svg: a whole document; its title becomes the image's text.
    """
    title = unescape(svg.partition("<title")[2].partition(">")[2].partition("</title>")[0])
    data = base64.b64encode(svg.encode()).decode()
    style = "max-width:100%;height:auto"
    return f'<img alt="{html.escape(title)}" style="{style}" src="data:image/svg+xml;base64,{data}">'


def line_html(text: str) -> str:
    """Return a line that stands out, such as a number or a verdict.

    >>> line_html("a < b")
    '<p class="first">a &lt; b</p>'
    """
    return f'<p class="first">{html.escape(text)}</p>'


def folded_html(summary: str, text: str) -> str:
    """Return a text in letters of one width that is opened by a click on its summary.

    >>> folded_html("more", "1 < 2")
    '<details><summary>more</summary><pre>1 &lt; 2</pre></details>'
    """
    return f"<details><summary>{html.escape(summary)}</summary><pre>{html.escape(text)}</pre></details>"


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of at most 40 rows; a last line says how many more there are.

    Args:
        head: the names of the columns.
        rows: the cells of each row, as many as there are names.

    >>> table_html(["name", "shape"], [["W", "(3, 2)"]])
    '<table><tr><th>name</th><th>shape</th></tr><tr><td>W</td><td>(3, 2)</td></tr></table>'
    """
    lines = [row_html("th", head), *(row_html("td", row) for row in rows[:MOST_ROWS])]
    if len(rows) > MOST_ROWS:
        lines.append(row_html("td", [f"… {len(rows) - MOST_ROWS} more", *[""] * (len(head) - 1)]))
    return f"<table>{''.join(lines)}</table>"


def row_html(tag: str, cells: Sequence[str]) -> str:
    """Return one row of a table."""
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
