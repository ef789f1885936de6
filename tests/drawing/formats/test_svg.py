"""The pictures: well-formed, legible, the same every time; hostile names are only text."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from html import unescape

import numpy as np
import pytest

import tinygraph as tg
from tests import gallery
from tests.drawing.graphs import HOSTILE, noted
from tinygraph import Tensor
from tinygraph.drawing.api import file_content
from tinygraph.drawing.formats.frames import frames_of
from tinygraph.drawing.formats.html import html
from tinygraph.drawing.formats.svg import document, draw_picture, svg
from tinygraph.drawing.formats.svg_found import svg_diff, svg_paths
from tinygraph.drawing.style.text_width import width
from tinygraph.drawing.style.themes import THEMES
from tinygraph.graph.data import Graph
from tinygraph.graph.diff import diff
from tinygraph.graph.paths import paths
from tinygraph.graph.snapshot import snapshot

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("theme", list(THEMES))
@pytest.mark.parametrize("name", ["batch_norm", "mlp", "outputs"])
def test_a_picture_is_xml_with_title_nodes_in_order_and_stable_ids(
    graphs: dict[str, Graph], name: str, theme: str
) -> None:
    graph = graphs[name]
    text = svg(graph, theme=theme)
    assert text == svg(Graph.from_json(graph.to_json()), theme=theme)
    root = ET.fromstring(text)
    assert root.find(f"{SVG}title") is not None
    listed = root.find(f"{SVG}desc")
    assert listed is not None
    assert listed.text is not None
    drawn = draw_picture(graph)[1].drawn
    named = [drawn.label(n.id) for n in drawn.nodes if n.name]
    places = [listed.text.index(f"{n}: ") for n in named]
    assert len(set(places)) == len(set(named))
    ids = [e.get("id", "") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert len({name.partition("-")[0] for name in ids}) == 1
    assert {name.partition("-")[2] for name in ids} >= {"title", "desc", f"n{len(drawn) - 1}"}
    assert ("prefers-color-scheme" in text) == (theme == "auto")
    assert ('class="paper"' in text) == (theme != "transparent")


def test_the_numbers_of_the_batch_solved_by_hand_are_in_the_picture(graphs: dict[str, Graph]) -> None:
    root = ET.fromstring(svg(graphs["batch_norm"], detail=2))
    cards = {}
    for group in root.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is not None:
            cards[title.text.split("\n")[0].split("/")[-1]] = ["".join(t.itertext()) for t in group.iter(f"{SVG}text")]
    assert [v for v in cards["γ"] if re.fullmatch(r"[−\d.]+", v)] == ["1", "2", "−1", "−4", "−4", "−16"]
    assert cards["q"][-12:] == [".5", ".25", "−.125"] * 4
    ledger = [v for v in cards["x_c"] if re.fullmatch(r"[−\d.]+", v)][12:]
    assert ledger[-3:] == ["4", "4", "0"]  # the sums of ∂L/∂x_c: what μ gets, with a minus
    assert [v for v in cards["x_c"] if v in ("+", "=", "Σ")] == ["+", "=", "Σ"]
    assert [v.replace("\xa0", " ") for v in cards["x_c"] if "via" in v] == ["① via ÷", "② via ( )2"]
    words = " ".join("".join(t.itertext()) for t in root.iter(f"{SVG}text")).replace("\xa0", " ")
    for chip in (
        "copy ×4 ↑",
        "Σ rows (· −xc/σ2) ↓",
        "÷ 4, copy ×4 ↑",
        "−Σ rows ↓",
        "② × 2xc",
        "① ÷ σ",
        "× γ",
        "÷ (2σ)",
    ):
        assert chip in words, chip
    assert "16 nodes, 13 shown" in words


def test_the_ledger_adds_up_in_the_picture(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    for node in graph.nodes:
        parts = [e.grad.values for _, e in graph.consumers[node.id] if e.grad]
        if node.grad and len(parts) > 1:
            np.testing.assert_allclose(np.sum(parts, axis=0), node.grad.values)


def test_four_states_of_a_gradient_look_different() -> None:
    x, unused = Tensor([1.0, 2.0], name="x"), Tensor([1.0, 2.0], name="u")
    fixed = Tensor([3.0, 4.0], name="k", requires_grad=False)
    y = (x * fixed).named("y")
    pending = svg(snapshot(y), detail=2)
    assert "f-pending" in pending.split("</style>")[1]
    (x * 0.0).sum().backward()
    zero = (x * 0.0 + tg.sign(unused)).sum()
    zero.backward()
    done = svg(snapshot(zero), detail=2).split("</style>")[1]
    assert 'class="g0"' in done
    assert "f-pending" not in done
    flat = svg(snapshot(fixed * 2.0), detail=2).split("</style>")[1]
    assert "f-none" in flat


@pytest.mark.parametrize("width", [520, "506pt", "17cm", 1200])
def test_nothing_is_smaller_than_six_points_at_the_given_width(graphs: dict[str, Graph], width: float | str) -> None:
    for name in ("batch_norm", "mlp"):
        text = svg(graphs[name], width=width)
        root = ET.fromstring(text)
        unit = re.sub(r"[\d.]", "", root.get("width", "")) or "px"
        inner = float(root.get("viewBox", "").split()[2])
        scale = (
            float(re.sub(r"[a-z]", "", root.get("width", ""))) * {"px": 0.75, "pt": 1, "cm": 72 / 2.54}[unit] / inner
        )
        sizes = [float(s) for s in re.findall(r'font-size="([\d.]+)"', text)]
        assert min(sizes) * scale >= 5.99, (name, width, min(sizes) * scale)


def test_a_width_that_is_too_small_is_told(graphs: dict[str, Graph]) -> None:
    with pytest.warns(UserWarning, match="100 is too narrow"):
        text = svg(graphs["batch_norm"], width=100)
    assert "narrow" not in text


def test_wrong_options_are_told(graphs: dict[str, Graph]) -> None:
    graph = graphs["outputs"]
    for wrong in ({"detail": 3}, {"theme": "pink"}, {"show": "nothing"}, {"width": "wide"}, {"width": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            svg(graph, **wrong)


def test_overlays(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    assert "grad-line" not in svg(graph, show="forward").split("</style>")[1]
    saved = svg(graph, show="memory").replace("\xa0", " ")
    assert saved.count(">keeps ") >= sum(n.saved > 0 for n in graph.nodes) - 1
    assert f"{sum(n.saved for n in graph.nodes)} B in all" in saved.replace("\u2009", "")
    assert "no NaN" in svg(graph, show="health").replace("\xa0", " ")
    with np.errstate(all="ignore"):
        sick = (np.log(Tensor([0.0, -1.0, 1.0], name="x")) * 1.0).named("y")
        assert "1 NaN in value" in svg(snapshot(sick), show="health").replace("\xa0", " ")
    way = svg(graph, show=("x", "σ", "x̂"))
    root = ET.fromstring(way)
    faded = {
        g.find(f"{SVG}title").text.split("\n")[0]
        for g in root.iter(f"{SVG}g")
        if "faint" in g.get("class", "") and g.find(f"{SVG}title") is not None
    }
    assert faded == {"batch_norm/γ", "batch_norm/β", "w", "L", "batch_norm/s", "batch_norm/y"}
    assert way == svg(graph, show="path=x,σ,x̂")


def test_diff_is_drawn(graphs: dict[str, Graph]) -> None:
    x, gamma, beta = Tensor(gallery.X, name="x"), *gallery.affine(3)
    fused = snapshot(gallery.weighted(tg.fused.batch_norm(x, gamma, beta).named("y")))
    composed = snapshot(gallery.weighted(tg.batch_norm(x, gamma, beta).named("y")))
    text = svg_diff(diff(composed, fused, ("composed", "fused")))
    root = ET.fromstring(text)
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert "chosen" in text.split("</style>")[1]


def test_paths_are_drawn_as_tables_that_add_up() -> None:
    x, gamma, beta = (
        Tensor(gallery.X, name="x"),
        tg.Parameter([1.0, 2.0, -1.0], name="γ"),
        tg.Parameter([0.0, 1.0, -1.0], name="β"),
    )
    y = tg.batch_norm(x, gamma, beta, eps=0.0)
    text = svg_paths(paths(x, y, np.array(gallery.W)))
    root = ET.fromstring(text)
    cells = ["".join(t.itertext()) for t in root.iter(f"{SVG}text")]
    numbers = [v for v in cells if re.fullmatch(r"[−\d.]+", v)]
    assert len(numbers) == 5 * 12
    assert 'class="h-' not in text  # no header, and so no corners of one
    assert numbers[36:48] == ["0"] * 12  # the fourth path
    assert numbers[48:] == ["2", "−2", "1", "−2", "0", "1", "0", "2", "−1", "0", "0", "−1"]


@pytest.mark.parametrize("detail", [0, 1, 2])
def test_hostile_names_come_out_as_text(hostile: Graph, detail: int) -> None:
    text = svg(hostile, detail=detail, title=HOSTILE[0])
    text.encode()
    root = ET.fromstring(text)
    tags = {e.tag.removeprefix(SVG) for e in root.iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "g", "text", "tspan", "path"}
    shown = "".join(root.itertext())
    assert "<script>" in shown
    assert "]]>" in shown


def test_two_pictures_in_one_page_share_no_id(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    pages = [svg(graph), svg(graph, theme="dark"), svg(graph, title="again"), svg(graphs["mlp"])]
    pages += [svg_diff(diff(graph, graph)), document([], 9, 9, "light", "x", "y", prefix="step1-")]
    seen: set[str] = set()
    for page in pages:
        root = ET.fromstring(page)
        ids = {e.get("id", "") for e in root.iter() if e.get("id")}
        assert set((root.get("aria-labelledby") or "").split()) <= ids
        assert not ids & seen
        seen |= ids
    assert {"step1-title", "step1-desc"} <= seen


@pytest.mark.parametrize("detail", [0, 1, 2])
def test_a_family_that_is_not_known_is_no_part_of_the_markup(detail: int) -> None:
    graph = snapshot((Tensor([1.0], name="x") * 2).named("y"))
    nodes = tuple(dataclasses.replace(n, family='"/><script>alert(1)</script><rect class="') for n in graph.nodes)
    text = svg(dataclasses.replace(graph, nodes=nodes), detail=detail)
    assert {e.tag for e in ET.fromstring(text).iter()} == {
        e.tag for e in ET.fromstring(svg(graph, detail=detail)).iter()
    }
    assert "script" not in text


def test_thousands_of_nodes_come_out_small() -> None:
    text = svg(gallery.huge())
    ET.fromstring(text)
    assert len(text) < 400_000
    assert re.search(r"4\d\d\d.nodes,.\d+.shown", text)
    page = html(gallery.deep(6), depth=0)
    assert page.count('data-open="') > 3


def test_a_long_note_is_broken_into_lines_that_fit() -> None:
    picture = file_content(noted(), ".svg", {"detail": 0}).decode()
    room = float(re.findall(r'viewBox="0 0 ([\d.]+)', picture)[0])
    lines = re.findall(
        r'<text class="sans muted" x="[\d.]+" y="[\d.]+" font-size="10" text-anchor="middle">(.*?)<', picture
    )
    assert len(lines) > 1
    for line in lines:
        assert "…" not in line
        assert width(unescape(line), 10) <= room


def test_the_legend_of_a_narrow_picture_stays_inside_it() -> None:
    picture = file_content(noted(), ".svg", {"detail": 2}).decode()
    room = float(re.findall(r'viewBox="0 0 ([\d.]+)', picture)[0])
    keys = re.findall(
        r'<g transform="translate\(([\d.]+) [\d.]+\)">.*?<text class="sans muted" x="([\d.]+)".*?>(.*?)<', picture
    )
    assert keys
    for place, x, said in keys:
        assert float(place) + float(x) + width(unescape(said), 10) <= room, said
    assert "swaps them" in re.sub(r"<[^>]*>|\s|\xa0", " ", picture).replace("  ", " ")


def test_what_is_cut_off_for_a_screen_reader_ends_in_an_ellipsis() -> None:
    long = "x" * 500
    with tg.scope("s" * 400):
        y = [(Tensor([1.0], name=long) * k).named(f"{long}{k}") for k in range(6)]
    picture = svg(snapshot(*y), detail=0)
    root = ET.fromstring(picture)
    name, said = (next(root.iter(f"{SVG}{tag}")).text or "" for tag in ("title", "desc"))
    assert name == "Computation of " + ", ".join(["x" * 59 + "…"] * 4 + ["…"])
    cut = re.findall("x+(.)", said)
    assert cut.count("…") >= 12
    tips = [title.text or "" for title in root.iter(f"{SVG}title")][1:]
    assert all(re.search("[sx]…$", tip.split("\n")[0]) for tip in tips)


def test_exponents_and_indices_are_kept_in_what_is_read_out() -> None:
    x = Tensor([[1.0, 2.0]], name="x_c")
    y = (np.exp(Tensor([1.0, 2.0], name="log σ²")) * ((1 - x) + 1e-7)).named("y")
    (gradient,) = tg.grad(y.sum().named("L"), x, create_graph=True)
    said = svg(snapshot(gradient)) + " ".join(frame.title for frame in frames_of(snapshot(y)))
    assert "∂L/∂x_c" in said
    assert "e^(log σ²)" in said
    assert "(1 − x_c) + 10⁻⁷" in said
