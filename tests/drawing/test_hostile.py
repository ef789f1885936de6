"""Whatever stands in a field of a graph is only text: in every format no element, no script, no command, no escape."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.drawing.formats.frames import frames_of
from tinygraph.drawing.formats.html import html
from tinygraph.drawing.formats.mermaid import mermaid
from tinygraph.drawing.formats.svg import svg
from tinygraph.drawing.formats.svg_found import svg_diff
from tinygraph.drawing.formats.tikz import tikz
from tinygraph.graph.data import Graph, Node

HOSTILE = {
    "markup": '"/><script>alert(1)</script><img src=x onerror=alert(1)>]]>-->',
    "lines": "\"'`]\n  click n0 call alert()\n%% {}; \\ ${x} #1;",
    "terminal": "\x1b[31m\x1b]0;t\x07\x9b\u202e\r\x00",
    "commands": r"\input{/etc/passwd}\write18{id}\end{document}",
    "half": "\ud800" + "x" * 5_000,
    "empty": "",
}
FIELDS = (
    "op", "kind", "family", "name", "scope", "params", "tex", "says", "partial", "operand", "dtype", "notes", "at",
    "grad_state", "summaries",
)  # fmt: skip


def net() -> Graph:
    with tg.scope("net"):
        x = tg.Tensor(np.array([[1.0], [3.0]]), name="x")
        loss = tg.sqrt(x * tg.Parameter(np.array([2.0]), name="γ")).sum(axis=0).sum().named("L")
    loss.backward()
    return tg.snapshot(loss)


def with_texts(graph: Graph, field: str, *texts: str) -> Graph:
    """Return a graph in which a field of every node is a text: of each node another one, where there are several."""
    if field == "notes":
        return dataclasses.replace(graph, notes=texts)
    nodes = (with_text_in_node(node, field, texts[node.id % len(texts)]) for node in graph.nodes)
    return dataclasses.replace(graph, nodes=tuple(nodes))


def with_text_in_node(node: Node, field: str, text: str) -> Node:
    """Return a node in which a field is a text."""
    values: dict[str, Any] = {
        "params": ((text, text), ("axis", 0), ("f", {"float": text}), ("d", {"dtype": text}),
                   ("s", {"slice": [text, None, None]}), ("t", {"tuple": [text]})),
        "scope": (text, "net", text),
        "inputs": tuple(dataclasses.replace(e, **{field: text}) for e in node.inputs)
        if field in ("partial", "operand")
        else (),
    }  # fmt: skip
    if field == "summaries":
        changed = {name: dataclasses.replace(s, dtype=text) for name in ("value", "grad") if (s := getattr(node, name))}
        return dataclasses.replace(node, **changed)
    if field in ("op", "tex", "says", "params") and node.op is None:
        return node
    name = "inputs" if field in ("partial", "operand") else field
    return dataclasses.replace(node, **{name: values.get(name, text)})


class Page(HTMLParser):
    """Collects the tags of a page, and the attributes that a browser would run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.scripts = 0
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.scripts += tag == "script"
        self.handlers += [name for name, value in attrs if name.startswith("on") or "script:" in (value or "")]


def is_picture(text: str) -> None:
    root = ET.fromstring(text)
    known = {"svg", "title", "desc", "style", "rect", "g", "text", "tspan", "path", "circle", "line", "animate", "set"}
    assert {e.tag.rpartition("}")[2] for e in root.iter()} <= known
    assert float(root.attrib["viewBox"].split()[2]) < 4000
    assert not [name for e in root.iter() for name in e.attrib if name.rpartition("}")[2].startswith(("on", "href"))]


@functools.cache
def own_scripts() -> int:
    return Page(html(net())).scripts


def is_page(text: str) -> None:
    page = Page(text)
    assert page.scripts == own_scripts()
    assert not page.handlers
    assert not page.tags & {"img", "iframe", "a", "object", "embed"}


def is_chart(text: str) -> None:
    line = r"""%%\{init: .*\}%%|flowchart LR|subgraph lane\d+\["[^"]*"\]|direction LR|end|classDef .*|
        n\d+\["[^"]*"\](:::\w+)?|n\d+ (-- "[^"]*" )?--> n\d+|note\d+\["[^"]*"\]:::note"""
    for each in text.splitlines():
        assert re.fullmatch(re.sub(r"\n\s*", "", line), each.strip()), each
    assert not re.search(r"<(?!/?small>|br/>)", re.sub(r"%%\{.*\}%%", "", text))


def is_paper(text: str) -> None:
    body = text.split(r"\begin{tikzpicture}")[1]
    assert not re.search(r"\\(input|include|write|openout|read|catcode|immediate|csname|special)\b", body)
    assert text.count(r"\end{document}") == 1
    assert text.count(r"\begin{") == text.count(r"\end{")


def is_dot(text: str) -> None:
    quoted = re.sub(r'"(\\.|[^"\\])*"', "", text)  # what is left is HTML-like
    assert not re.search(r"<(script|img)\b", quoted, re.I)
    assert quoted.count("<") == quoted.count(">") - quoted.count("->")


def is_json(text: str) -> None:
    json.loads(text)


def is_lines(text: str) -> None:
    assert all(line.isprintable() for line in text.split("\n"))


def names_in_an_error(graph: Graph) -> str:
    with pytest.raises(KeyError) as caught:
        graph.find("not there")
    return str(caught.value.args[0])


WRITERS: dict[str, tuple[Callable[[Graph], str], Callable[[str], None]]] = {
    "svg": (svg, is_picture),
    "svg, symbols": (lambda g: svg(g, detail=0, depth=1, title="t"), is_picture),
    "svg, numbers": (lambda g: svg(g, detail=2), is_picture),
    "svg, memory": (lambda g: svg(g, show="memory"), is_picture),
    "svg, difference": (lambda g: svg_diff(tg.diff(net(), g)), is_picture),
    "frames": (lambda g: frames_of(g).animated(), is_picture),
    "html": (html, is_page),
    "mermaid": (mermaid, is_chart),
    "tikz": (tikz, is_paper),
    "dot": (Graph.to_dot, is_dot),
    "json": (Graph.to_json, is_json),
    "text": (Graph.text, is_lines),
    "text, colours": (lambda g: re.sub(r"\x1b\[[\d;]*m", "", g.text(color=True)), is_lines),
    "difference": (lambda g: str(tg.diff(net(), g)), is_lines),
    "repr": (repr, is_lines),
    "error": (names_in_an_error, is_lines),
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_only_text_in_every_format(field: str) -> None:
    """In the three graphs each text comes once to a leaf, and twice to an op."""
    whole, texts = net(), [*HOSTILE.values()]
    for turn in (0, 2, 4):
        graph = with_texts(whole, field, *texts[turn:], *texts[:turn])
        assert graph != whole, "nothing was changed"
        for name, (write, check) in WRITERS.items():
            written = write(graph)
            written.encode()
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", written), (turn, name)
            check(written)


UNREADABLE = ["{" * 5_000, r"\sqrt{" * 3_000 + "}" * 3_000, "x^{" * 3_000 + "}" * 3_000, "}{", "x^", r"\sqrt"]


@pytest.mark.parametrize("tex", UNREADABLE, ids=lambda tex: tex[:8])
@pytest.mark.parametrize("field", ["tex", "partial"])
def test_latex_that_cannot_be_read_is_named_in_one_line(field: str, tex: str) -> None:
    writers = (svg, Graph.text, tikz, Graph.to_dot, lambda g: frames_of(g).animated(), mermaid)
    graph = with_texts(net(), field, tex)
    for write in writers if field == "tex" else writers[:-1]:
        with pytest.raises(ValueError, match=r"^the LaTeX .* cannot be read: its braces must close") as caught:
            write(graph)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 200
