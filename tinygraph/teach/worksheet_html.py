"""Worksheets as a page that a browser prints: the same data that ``worksheet.typ`` gets, with room of fixed heights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from tinygraph.teach.mathematics import Tree, to_mathml

__all__ = ["html_of_sheets", "view_of"]

STYLE = """
@page { size: %(paper)s; margin: 15mm; @bottom-right { content: counter(page) " / " counter(pages); font: 8pt serif; } }
:root { color-scheme: light; }
body { font: 11pt/1.35 "Libertinus Serif", "Noto Serif CJK SC", "Songti SC", SimSun, Georgia, serif; color: #000;
  background: #fff; margin: 0 auto; padding: 8mm; max-width: %(width).0fpt; }
article + article { break-before: page; }
header { display: flex; justify-content: space-between; align-items: baseline; gap: 1em; }
h1 { font-size: 17pt; margin: 0; }
h2 { font-size: 11pt; margin: 12pt 0 4pt; }
.key { color: #1f4e9c; border: 1px solid; border-radius: 2px; padding: 1pt 5pt; font-weight: bold; }
.line { display: flex; gap: 14pt; margin: 6pt 0; }
.line span { flex: 2; display: flex; gap: 5pt; }
.line span:first-child { flex: 3; }
.line span:last-child { flex: none; }
.line i { flex: 1; min-width: 28pt; border-bottom: 1px solid #555; }
code { font: 9pt "DejaVu Sans Mono", Menlo, Consolas, monospace; }
small { color: #555; font-size: 8pt; }
svg.strip { display: block; margin: 0 -14pt; max-width: calc(100%% + 28pt); height: auto; break-inside: avoid; }
.source { position: absolute; width: 0; height: 0; overflow: hidden; }
.given { display: flex; flex-wrap: wrap; gap: 6pt 16pt; font-size: 9pt; }
.given div { display: flex; align-items: center; gap: 5pt; break-inside: avoid; }
.given table:not(.one) { border: solid #000; border-width: 0 1px; border-radius: 4px; }
.given td { padding: 0 4pt; text-align: center; }
section { break-inside: avoid; margin-top: 14pt; display: grid; grid-template-columns: 18pt 1fr auto; }
section > .answer { grid-column: 2 / 4; }
.code { display: flex; align-items: flex-end; gap: 6pt; margin: 3pt 0 5pt; }
.code > span { flex: 1; border-bottom: 1px solid #555; }
.room { display: flex; flex-wrap: wrap; gap: 5pt 12pt; align-items: flex-start; }
.work { flex: 1 1 60mm; box-sizing: border-box; border: 1px solid #aaa; border-radius: 2px; padding: 2pt 5pt; }
.numbers table { border-collapse: collapse; font-size: 9.5pt; }
.numbers td { border: 1px solid #777; height: 18pt; text-align: center; padding: 0; }
.mine { color: #1f4e9c; }
math { font-size: 10.5pt; }
@media print { body { padding: 0; max-width: none; } }
"""


def html_of_sheets(data: dict[str, Any]) -> str:
    """Return worksheets, or their keys, as one page.

    Args:
        data: what `worksheet` makes.
    """
    style = STYLE % {"paper": {"a4": "A4", "letter": "letter"}[data["paper"]], "width": data["width"]}
    body = "\n".join(article(data, sheet, k) for k, sheet in enumerate(data["sheets"], 1))
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(data["lang"])}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(data["sheets"][0]["title"])}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def article(data: dict[str, Any], sheet: dict[str, Any], k: int) -> str:
    """Return one sheet."""
    t = data["texts"]
    mark = f'<span class="key">{escape(t["key"])}</span>' if data["key"] else ""
    number = f"<span>{escape(sheet['number'])}</span>" if sheet["number"] else ""
    lines = [
        "<article>", f"<header><h1>{escape(sheet['title'])}</h1>{mark}{number}</header>",
        f'<div class="line"><span>{escape(t["name"])} <i></i></span><span>{escape(t["date"])} <i></i></span>'
        f"<span>{escape(t['score'])} <i></i> / {sheet['total']}</span></div>",
        f"<p>{pieces(sheet['how'])}</p>",
    ]  # fmt: skip
    numbers = []
    if sheet["given"]:
        numbers = [f"<h2>{escape(t['given'])}</h2>", '<div class="given">', *map(given, sheet["given"]), "</div>"]
    if sheet["rounded"]:
        numbers.append(f"<p><small>{escape(sheet['rounded'])}</small></p>")
    parts = [figure(sheet, k, t["figure"]), numbers]
    for part in parts[:: -1 if sheet["given_first"] else 1]:
        lines += part
    return "\n".join([*lines, *(question(q, t, data["key"]) for q in sheet["questions"]), "</article>"])


def figure(sheet: dict[str, Any], k: int, alt: str) -> list[str]:
    """Return the rows of the figure, so that a page ends between two."""
    whole = re.sub(r"^.*?<svg", f'<svg id="figure{k}"', sheet["svg"], count=1, flags=re.S)
    if len(sheet["pictures"]) == 1:
        return [re.sub('class="', 'class="strip ', whole, count=1) if 'class="' in whole.partition(">")[0] else whole]
    found = [f'<div class="source" aria-hidden="true">{whole}</div>']
    start, full = sheet["pictures"][0]["top"], sum(strip["height"] for strip in sheet["pictures"])
    for strip in sheet["pictures"]:
        w, h = strip["points"]
        place = f'x="{strip["left"]:g}" y="{start:g}" width="{strip["width"]:g}" height="{full:g}"'
        found.append(
            f'<svg class="strip" role="img" aria-label="{escape(alt)}" viewBox="{view_of(strip)}" width="{w:.1f}pt" '
            f'height="{h:.1f}pt"><use href="#figure{k}" {place}/></svg>'
        )
    return found


def view_of(strip: dict[str, Any]) -> str:
    """Return the part of a picture that a row of it is."""
    return f"{strip['left']:g} {strip['top']:g} {strip['width']:g} {strip['height']:g}"


def given(one: dict[str, Any]) -> str:
    """Return the numbers of a value that is given."""
    numbers = rows(one["cells"]) if one["cells"] else "…"
    shape = f"<small>{escape(one['shape'])}</small> " if one["shape"] != "()" else ""
    return f"<div><code>{escape(one['code'])} {shape}=</code>{numbers}</div>"


def question(q: dict[str, Any], t: dict[str, str], is_key: bool) -> str:
    """Return a question and the room for its answer; in the key, the answer."""
    code = f'<code class="mine">{escape(q["answer"]["code"])}</code>' if is_key else ""
    tree = formula(q["answer"]["formula"], "mine") if is_key else ""
    room = max(54, 18 * len(q["cells"]) + 12, 26 * q["tall"] + 30)
    answer = ""
    if q["asks_code"]:
        answer += (
            f'<div class="code" style="min-height:{14 * q["lines"]}pt"><code>{escape(q["code"])} =</code>'
            f"<span>{code}</span></div>"
        )
    work = f'<div class="work" style="min-height:{room}pt"><small>{escape(t["work"])}</small><br>{tree}</div>'
    wide = max(30.0, 5.4 * q["wide"] + 8)
    cells = q["cells"] if is_key else [["" for _ in row] for row in q["cells"]]
    table = f'<div class="numbers"><small>{escape(t["numbers"])}</small>{rows(cells, wide, "mine")}</div>'
    numbers = table if cells else ""
    return (
        f"<section><b>{q['number']}.</b><div>{pieces(q['text'])} <small><code>{escape(q['shape'])}</code></small></div>"
        f"<span>[{escape(q['points'])}]</span>\n"
        f'<div class="answer">{answer}<div class="room">{work}{numbers}</div></div></section>'
    )


def rows(cells: Sequence[Sequence[str]], wide: float = 0.0, kind: str = "") -> str:
    """Return a table."""
    style = f' style="width:{wide:.0f}pt"' if wide else ""
    mark = f' class="{kind}"' if kind else ""
    body = "".join(f"<tr>{''.join(f'<td{style}>{escape(c)}</td>' for c in row)}</tr>" for row in cells)
    return f"<table{mark}>{body}</table>"


def pieces(found: Sequence[Sequence[str]]) -> str:
    """Return words and code."""
    return "".join(f"<code>{escape(text)}</code>" if kind == "code" else escape(text) for kind, text in found)


def formula(tree: Tree, kind: str = "") -> str:
    """Return mathematics."""
    mark = f' class="{kind}"' if kind else ""
    return f'<math{mark} displaystyle="true">{to_mathml(tree)}</math>'
