"""Notebooks: a picture that fits its cell, a number first, short tables; text where there is no HTML."""

from __future__ import annotations

import base64
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any
from xml.dom import minidom

import numpy as np
import pytest

import tinygraph as tg
from tests.batch import by_hand
from tinygraph import nn
from tinygraph.drawing.formats.notebook import table_html

HOSTILE = "</p><script>alert(1)</script>"


def shown(what: Any) -> dict[str, str]:
    return what._repr_mimebundle_(include=None, exclude=None)


def picture(what: Any) -> str:
    """Return the SVG inside what a notebook shows."""
    found = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', shown(what)["text/html"])
    assert found is not None
    return base64.b64decode(found[1]).decode()


class Balance(HTMLParser):
    """Collects tags, and those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [tag] if tag != "img" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def profiled(scopes: int) -> Any:
    with tg.profile() as found:
        x = tg.Tensor([1.0, 2.0])
        for k in range(scopes):
            with tg.scope(f"block{k}"):
                x = np.tanh(x)
    return found


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def certificate() -> Any:
    return tg.compare(tg.batch_norm, tg.fused.batch_norm, np.arange(24.0).reshape(8, 3) ** 2, np.ones(3), np.zeros(3))


def everything() -> dict[str, Any]:
    loss = by_hand()[1]
    x = tg.Tensor([1.0, 2.0], name="x")
    return {
        "tensor": loss,
        "graph": tg.snapshot(loss),
        "difference": tg.diff(tg.snapshot(loss), tg.snapshot(loss)),
        "paths": tg.paths(x, (x * x).named("y"), np.ones(2)),
        "module": net(),
        "profile": profiled(3),
        "certificate": certificate(),
        "hostile": (tg.Tensor(1.0, name=HOSTILE) * 2).named(HOSTILE),
    }


@pytest.mark.parametrize("name", list(everything()))
def test_everything_shows_itself_as_html_and_as_text(name: str) -> None:
    found = shown(everything()[name])
    assert set(found) == {"text/html", "text/plain"}
    reader = Balance()
    reader.feed(found["text/html"])
    reader.close()
    assert reader.open == []
    assert set(reader.tags) <= {"style", "div", "p", "img", "table", "tr", "td", "th", "details", "summary", "pre"}
    assert len(found["text/plain"]) < 8000


@pytest.mark.parametrize("name", ["tensor", "graph", "difference", "paths"])
def test_a_picture_is_never_wider_than_its_cell_and_has_both_themes(name: str) -> None:
    what = everything()[name]
    html = shown(what)["text/html"]
    assert re.search(r'<img alt="[^"]+" style="max-width:100%;height:auto"', html)
    svg = picture(what)
    assert minidom.parseString(svg)
    assert "prefers-color-scheme: dark" in svg
    for side, theme in (("true", "light"), ("false", "dark")):
        assert f'[data-jp-theme-light="{side}"] .tinygraph' in html
        assert f".vscode-{theme} .tinygraph{{color-scheme:{theme}}}" in html
    assert float(re.findall(r' width="([\d.]+)', svg)[0]) <= 1000


def test_a_number_stands_before_its_graph() -> None:
    loss = by_hand()[1]
    found = shown(loss)
    assert found["text/html"].index(repr(loss).replace("'", "&#x27;")) < found["text/html"].index("<img")
    assert found["text/plain"].startswith(repr(loss))
    y = tg.Tensor([1.0, 2.0], name="x") * 2
    assert 'class="first"' not in shown(y)["text/html"].split("</style>")[1]


def test_a_tensor_that_nothing_was_computed_from_has_no_gradient_to_wait_for() -> None:
    x = tg.Tensor([1.0, 2.0], name="x")
    assert "not computed" not in picture(x)
    assert "∂" not in picture(x)
    assert shown(x)["text/plain"] == repr(x)
    assert "not computed" not in tg.snapshot(x).text()
    assert "not computed" not in tg.snapshot(x).to_dot()
    y = (x * 2).named("y")  # here there is one
    assert "not computed yet" in picture(y).replace("\xa0", " ")
    assert "not computed yet" in tg.snapshot(y).text()


def test_the_text_of_a_long_graph_or_a_freed_one_is_the_tensor() -> None:
    h = tg.Tensor([1.0, 2.0], name="x")
    for _ in range(200):
        h = np.tanh(h)
    assert shown(h)["text/plain"] == repr(h)
    gone = h.sum()
    gone.backward(retain_graph=False)
    assert shown(gone) == {"text/plain": repr(gone)}


def test_a_certificate_shows_its_verdict_and_folds_its_figures() -> None:
    c = certificate()
    assert len(repr(c)) < 300
    assert c.verdict in repr(c)
    html = shown(c)["text/html"]
    assert unescape(html).index(c.verdict) < html.index("<details>")
    for line in str(c).splitlines()[2:]:
        assert line in unescape(html)


def test_a_profile_of_many_scopes_is_a_short_table_that_still_adds_up() -> None:
    found = profiled(300)
    assert len(str(found).splitlines()) < 40
    others = re.search(r"^(\d+) others +(\d+) ", str(found), re.M)
    assert others is not None
    assert int(others[1]) == 300 - 19
    assert int(others[2]) == 300 - 19  # calls
    assert "281 others" in shown(found)["text/html"]
    assert "300 others" not in str(profiled(20))
    assert "others" not in str(profiled(20))
    assert repr(found).startswith("<Profile: ")


def test_a_module_shows_its_parameters() -> None:
    html = shown(net())["text/html"]
    assert "Sequential: 58 elements in 4 parameters" in html
    assert "<td>0.weight</td><td>(8, 4)</td><td>float32</td><td>32</td>" in html
    assert shown(net())["text/plain"] == repr(net())


def test_a_table_of_many_rows_says_how_many_more_there_are() -> None:
    html = table_html(["a", "b"], [[str(k), "<"] for k in range(100)])
    assert html.count("<tr>") == 42
    assert "<td>… 60 more</td>" in html
    assert "<td>&lt;</td>" in html
