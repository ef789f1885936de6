"""Every option in every format: the table of the guide says which takes which, and this is how it is."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest

import tinygraph as tg
from tests import gallery
from tests.cases import check_each
from tests.gallery import FOLDER
from tinygraph.drawing import api
from tinygraph.drawing.api import ENDINGS, file_content
from tinygraph.graph.data import Graph

PICTURES = (".svg", ".html", ".png", ".pdf", ".tex", ".tikz")
VALUES = {  # that change the picture of batch norm, each with what goes with it
    "detail": ({"detail": 0}, {"detail": 1}),
    "show": (
        {"show": "forward"},
        {"show": "backward"},
        {"show": "gradient"},
        {"show": "memory"},
        {"show": ("x", "σ", "x̂")},
    ),
    "theme": ({"theme": "dark"}, {"theme": "print"}, {"theme": "transparent"}),
    "width": ({"width": "506pt"},),
    "height": ({"height": "190pt"},),
    "font_size": ({"font_size": 12},),
    "depth": ({"depth": 0},),
    "expand": ({"depth": 0, "expand": ("batch_norm",)},),
    "title": ({"title": "Heading"},),
    "blank": ({"blank": ("gradients",)}, {"blank": ("σ", "∂x̂")}),
    "batch": ({"batch": ()},),
    "legend": ({"legend": False},),
    "caption": ({"caption": False},),
    "upto": ({"upto": 3}, {"upto": "∂σ"}),
    "profile": ({"profile": True},),
    "engine": ({"engine": "dot"},),
}
USUAL = {"expand": {"depth": 0}}  # what the picture is compared with, where it is not that without options


def read_table() -> dict[str, set[str]]:
    """Return which endings take an option, as the guide says."""
    guide = (FOLDER.parent / "drawing.md").read_text(encoding="utf-8").partition("## Options")[2]
    taken = {}
    for name, of in re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", guide, re.M):
        named = set(re.findall(r"`(\.\w+)`", of))
        taken[name] = set(ENDINGS) - named if of.startswith("all but") else named | set(PICTURES * ("pictures" in of))
    return taken


TAKEN = read_table()


@pytest.fixture(scope="module")
def measured() -> tg.Profile:
    with tg.profile() as found:
        gallery.build.batch_norm()
    return found


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch, measured: tg.Profile):
    """Return a function that draws batch norm with options; what would be printed stays the SVG that it is made of."""
    monkeypatch.setattr(api, "print_picture", lambda picture, form: picture.encode())
    monkeypatch.setattr(api, "run_graphviz", lambda source, form: source.encode())
    graph: Graph = gallery.GALLERY["batch_norm"]()

    def drawn(ending: str, options: dict[str, object]) -> bytes:
        options = {**options}
        engine = str(options.pop("engine", "lanes"))
        if "profile" in options:
            options["profile"] = measured
        if ending == ".txt" and "width" in options:
            options["width"] = 60
        return file_content(graph, ending, options, engine)

    return drawn


def test_the_table_has_every_option() -> None:
    assert TAKEN.keys() == VALUES.keys()


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_option_is_honoured_or_refused(ending: str, draw) -> None:
    usual = functools.cache(lambda *names: draw(ending, dict(names)))

    def check(option: str) -> None:
        for options in VALUES[option]:
            if ending not in TAKEN[option]:
                with pytest.raises(ValueError, match=rf"takes no .*\b{option}\b|engine='dot' lays a graph out as"):
                    draw(ending, options)
            else:
                assert draw(ending, options) != usual(*USUAL.get(option, {}).items()), options

    check_each(check, VALUES)


@pytest.mark.parametrize("ending", [".mmd", ".txt"])
@pytest.mark.parametrize("show", ["memory", "health", "path=x,y"])
def test_what_else_may_be_shown_is_said(ending: str, show: str, draw) -> None:
    with pytest.raises(ValueError, match="takes no show"):
        draw(ending, {"show": show})


@pytest.mark.parametrize("ending", [".tex", ".tikz"])
@pytest.mark.parametrize("more", [{}, {"upto": 2}])
def test_a_paper_has_no_reader_s_theme(ending: str, more: dict[str, object], draw) -> None:
    with pytest.raises(ValueError, match="theme 'auto' follows a reader's system"):
        draw(ending, {"theme": "auto", **more})


@pytest.mark.parametrize("ending", PICTURES)
@pytest.mark.parametrize(
    "option",
    [
        {"show": "forward"},
        {"height": 300},
        {"font_size": 7},
        {"blank": ("values",)},
        {"legend": False},
        {"caption": False},
    ],
    ids=lambda option: next(iter(option)),
)
def test_a_step_says_which_options_it_does_not_take(ending: str, option: dict[str, object], draw) -> None:
    with pytest.raises(ValueError, match=rf"{ending} with upto= takes no {next(iter(option))}; it takes detail"):
        draw(ending, {"upto": 2, **option})


def test_a_sheet_tells_no_times(measured: tg.Profile) -> None:
    with pytest.raises(ValueError, match="blank= has its picture alone"):
        file_content(gallery.GALLERY["batch_norm"](), ".html", {"blank": ("values",), "profile": measured})


def test_a_graph_without_gradients_has_none_to_show() -> None:
    graph = tg.snapshot((tg.Tensor(np.ones(3), name="x") * 2).named("y"))
    for ending in (".svg", ".tex", ".dot"):
        with pytest.raises(ValueError, match=r"the graph has no gradient: run backward\(\) first"):
            file_content(graph, ending, {"show": "gradient"})
