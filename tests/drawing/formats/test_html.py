"""Pages: hostile names are only text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from tests.drawing.graphs import HOSTILE
from tinygraph.drawing.formats.html import html
from tinygraph.graph.data import Graph


class Tags(HTMLParser):
    """Collects what an HTML parser sees."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def test_hostile_names_in_a_page(hostile: Graph) -> None:
    page = html(hostile, title=HOSTILE[0], detail=0)
    page.encode()
    tags = Tags()
    tags.feed(page)
    assert tags.tags.count("script") == 2
    assert "</script>alert" not in page
    assert not re.findall(r'(?:src|href)="?https?:|url\(|@import', page)
    where = re.search(r'id="data">(.*?)</script>', page, re.S)
    assert where is not None
    json.loads(where[1])
