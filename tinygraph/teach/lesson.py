"""The lesson: one offline page in which a graph is watched, explored, asked about, broken and derived.

The page runs the recorded program, forward and backward, and computes nothing else: mistakes and paths arrive as nodes
of the same program, and a derivation as formulas.
"""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygraph.drawing.api import write
from tinygraph.drawing.formats.html import policy_of
from tinygraph.drawing.formats.svg import xml_text
from tinygraph.engine.tensor import Tensor
from tinygraph.graph.data import Graph
from tinygraph.teach.compact import compact_script, compact_svg, share
from tinygraph.teach.language import language_of, languages
from tinygraph.teach.lesson_data import LessonData
from tinygraph.teach.page_derivation import derivation_data
from tinygraph.teach.page_program import SCRIPTS
from tinygraph.teach.program import record_program

__all__ = ["lesson", "lesson_page"]

FILES = (  # of the page's own script, in the order in which they are one function
    "values.js", "tables.js", "picture.js", "watch.js", "explore.js", "quiz.js", "breaks.js", "paths.js",
    "derive.js", "frame.js",
)  # fmt: skip


def lesson(
    what: Tensor | Graph | Sequence[Tensor],
    path: str | os.PathLike[str],
    *,
    title: str | Mapping[str, str] | None = None,
    lang: str | None = None,
    wrt: Sequence[str | Tensor] | None = None,
) -> Path:
    """Write a lesson about a computation: one HTML file that works offline.

    Args:
        what: a Tensor, several, or a graph as `snapshot` makes it; up to 40 nodes are shown.
        path: where to.
        title: the heading, or one for each language, such as {"en": …}; by default what is computed.
        lang: "en" or "zh"; without it, the reader's browser says.
        wrt: leaves, or their names, whose gradients are asked for; without it, all that require one.

    Returns:
        The path.

    Raises:
        TypeError: ``what`` is none of these.
        ValueError: the graph is too large, no gradient is wanted, or it has an op that the page has not.

    >>> import tempfile
    >>> x = Tensor([1.0, 2.0], name="x")
    >>> lesson((x * x).sum().named("L"), Path(tempfile.mkdtemp()) / "square.html").name
    'square.html'
    """
    path = Path(path)
    write(path, lesson_page(what, title=title, lang=lang, wrt=wrt).encode())
    return path


def lesson_page(
    what: Tensor | Graph | Sequence[Tensor],
    *,
    title: str | Mapping[str, str] | None = None,
    lang: str | None = None,
    wrt: Sequence[str | Tensor] | None = None,
) -> str:
    """Return what `lesson` writes.

    Args:
        what: as `lesson` takes it.
        title: likewise.
        lang: likewise.
        wrt: likewise.

    Returns:
        The page. The same graph gives the same text.

    Raises:
        ValueError: as `lesson`.
    """
    if lang is not None:
        lang = language_of(lang).code
    program = record_program(what, wrt)
    data = LessonData(program)
    titles = dict(title) if isinstance(title, Mapping) else None
    heading = titles[lang or "en"] if titles else str(title or data.title())
    content = data.content() | {"derivation": derivation_data(what, wrt, program)}
    texts = {code: texts_of(language_of(code).texts, content) for code in languages()}
    return page(heading, data.picture, content | {"texts": texts, "lang": lang, "titles": titles})


def texts_of(table: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts of a language that a page needs: of the tables, what its program asks for."""
    steps, derived = content["steps"], content["derivation"]
    used = {
        "mutants": {kind for kind, _ in content["says"]}, "rules": {b["rule"] for b in content["breaks"]},
        "why": {s["why"][0] for s in steps if s["part"] == "backward" and "why" in s},
        "how": {s["why"][0] for s in steps if s["part"] == "forward"},
        "derivation": {step["rule"] for step in derived.get("steps", ())},
    }  # fmt: skip
    found = {name: {key: x for key, x in table.get(name, {}).items() if key in keys} for name, keys in used.items()}
    idle: tuple[str, ...] = ("derive_sums", "derive_long") if "steps" in derived else ("derive_", "tempting_")
    idle = idle if derived.get("tempting") else (*idle, "tempting_")
    asked = ("derive_head", f"derive_{derived.get('none')}")
    page = {key: x for key, x in table["page"].items() if key in asked or not key.startswith(idle)}
    return {**page, "name": table["name"], "picture_words": table["picture_words"], **found}


def numbered_ops(nodes: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """Return nodes with numbers for their ops, and these ops: most nodes of a workshop are products."""
    ops = {node[0]: 0 for node in nodes if isinstance(node, list)}
    place = {op: k for k, op in enumerate(ops)}
    return [[place[node[0]], *node[1:]] if isinstance(node, list) else node for node in nodes], list(ops)


def page(title: str, picture: str, content: dict[str, Any]) -> str:
    """Put a page together; only its own script runs in it, and nothing is fetched."""
    folder = importlib.resources.files(__package__).joinpath("page")
    drawn = " ".join(["chosen strong dashed", *(f"h-{family}" for family in content["derivation"].get("families", ()))])
    nodes, ops = numbered_ops(content["nodes"])
    short, shared = share(content | {"nodes": nodes, "ops": ops})
    data = json.dumps({"shared": shared} | short, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    data = data.replace("<", "\\u003c")
    wanted = [script for script, its in SCRIPTS.items() if not set(its).isdisjoint(ops)]
    modules = ["interpreter.js", *wanted, "parser.js"]
    style, *scripts = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("lesson.css", *modules, *FILES))
    own = "".join(scripts[len(modules) :])
    code = compact_script("".join(scripts[: len(modules)]) + f"(() => {{\n{own}}})();\n")
    return f"""<!DOCTYPE html>
<html lang="{content["lang"] or "en"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy_of(code)}">
<title>{xml_text(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#panel" id="skip"></a>
<header><h1>{xml_text(title)}</h1><nav id="modes"></nav><div id="tools"></div></header>
<main id="left"><div id="graph">{compact_svg(picture, drawn)}<div id="derivation" hidden></div></div>
<div id="zoom"></div><ol id="program"></ol></main>
<section id="panel" tabindex="-1"></section>
<footer id="player"></footer>
<div id="live" role="status"></div>
<dialog id="help"></dialog>
<div id="sheet"></div>
<script type="application/json" id="data">{data}</script>
<script>{code}</script>
</body>
</html>
"""
