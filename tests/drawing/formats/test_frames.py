"""One layout, many pictures: nothing moves, each step adds what it says, and the last picture has everything."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygraph as tg
from tests import gallery
from tests.drawing.graphs import anything, hostile_graph
from tests.drawing.more_graphs import MORE
from tests.drawing.test_fitting import measure
from tinygraph import Tensor
from tinygraph.drawing.formats.frames import MOST_STEPS, Frames, frame_upto, frames_of, spans_of
from tinygraph.drawing.formats.svg import svg
from tinygraph.drawing.layout.card import Table
from tinygraph.drawing.style.themes import THEMES
from tinygraph.graph.data import Summary

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def film() -> Frames:
    return frames_of(gallery.GALLERY["batch_norm"]())


def places(text: str) -> tuple[str | None, dict[str, str | None]]:
    """Return the canvas, and where each card is."""
    root = ET.fromstring(text)
    cards = {
        g.get("id", "").partition("-")[2]: g.get("transform")
        for g in root.iter(f"{SVG}g")
        if "node" in (g.get("class") or "")
    }
    return root.get("viewBox"), cards


def numbers(text: str) -> int:
    """Count the cells with a number on cards; the panel is left out."""
    return len(re.findall('class="sans (?:ink|zero) of-', text.partition('<g class="panel"')[0]))


def test_every_picture_has_one_size_and_every_card_one_place(film: Frames) -> None:
    found = {(box, tuple(cards.items())) for box, cards in (places(frame.svg()) for frame in film)}
    assert len(found) == 1
    panels = {re.search(r'<rect class="card"[^>]*rx="10"/>', frame.svg())[0] for frame in film}  # type: ignore[index]
    assert len(panels) == 1


@pytest.mark.parametrize("name", ["batch_norm", "mlp", "embedding_net"])
def test_letters_can_be_read_on_a_slide_whatever_the_panel_needs(name: str) -> None:
    """Its widest and its highest step count, for all have one canvas."""
    film = frames_of({**gallery.GALLERY, **MORE}[name](), title=name)
    for frame in (film[0], film[len(film) // 2], film[-1]):
        assert measure(frame.svg())[3] >= 11.95
    x0, y0, x1, y1 = film.panel(0).rect
    for table, text in zip(film.tables, film.texts, strict=True):
        left, top = film.place.tables
        right = x0 + 12 + film.place.scale * (left + table.width)
        assert right <= x1
        assert top > 20 or right <= film.panel(0).said.box[0]  # the number of the step stands beside them
        assert film.place.scale * max(top + table.height, text.height) <= y1 - y0


def test_a_step_only_adds(film: Frames) -> None:
    counts = [numbers(frame.svg()) for frame in film]
    assert counts == sorted(counts)
    assert counts[0] == 12 + 3 + 3 + 12  # x, γ, β, w
    assert counts[1] == counts[0] + 3  # μ
    heads = [frame.svg().count('class="grad-head"') for frame in film]
    assert heads[-1] == 13
    assert all(b - a in (0, 1) for a, b in zip(heads, heads[1:], strict=False))


def test_a_collapsed_card_has_a_step_forward() -> None:
    film = frames_of(gallery.GALLERY["batch_norm"](), depth=0)
    (scope,) = [n.id for n in film.drawn.nodes if n.kind == "scope"]
    (number,) = [k for k, step in enumerate(film.steps) if step.forward and step.node == scope]
    assert film[number].title == "y = batch_norm(x)"  # its parameters are inside
    assert film[number].caption == "9 ops in one step: they are collapsed."
    assert "value" not in film.done(number - 1).get(scope, ())
    assert "value" in film.done(number)[scope]
    assert "batch_norm" not in film[0].caption  # it is not given


def test_a_product_whose_other_factor_is_collapsed_has_no_line_of_code() -> None:
    x = Tensor(np.ones((4, 3)), name="x")
    with tg.scope("net"):
        y = (x @ np.stack([tg.Parameter(np.ones(3), name=f"p{k}") for k in range(2)], axis=1)).named("y")
    loss = y.sum().named("L")
    loss.backward()
    last = frames_of(tg.snapshot(loss), depth=0)[-1]
    assert (last.title, last.caption) == ("∂L/∂x = ∂L/∂y → x", "What comes back through y.")


def test_the_last_picture_is_the_whole_graph(film: Frames) -> None:
    cells = '<text class="sans (?:ink|zero) of-[^>]*>([^<]*)<'
    last = film[-1].svg().partition('<g class="panel"')[0]
    assert re.findall(cells, last) == re.findall(cells, svg(film.graph, detail=2))
    assert 'class="faint' not in last
    assert "node faint" not in last
    assert "node faint" in film[0].svg()


def test_the_current_card_and_arrow_are_marked(film: Frames) -> None:
    for frame in film:
        text = frame.svg().split("</style>")[1]
        assert text.count('class="now') == (frame.step.kind != "given")
        thick = text.count("-line thick")
        assert thick == {"value": len(film.drawn.nodes[frame.step.node or 0].inputs), "part": 1}.get(frame.step.kind, 0)


def test_a_contribution_stands_beside_empty_cells_until_the_others_come(film: Frames) -> None:
    steps = [k for k, s in enumerate(film.steps) if s.node == film.drawn.find("x_c").id and not s.forward]
    first, second, total = steps
    card = f'-n{film.drawn.find("x_c").id}" class="node'
    cells = [film[k].svg().partition(card)[2].partition("</g>")[0].count("of-grad") for k in (first, second, total)]
    assert cells == [12, 24, 36]
    empty = [
        film[k].svg().partition(card)[2].partition("</g>")[0].count("grad-line rule") for k in (first, second, total)
    ]
    assert empty == [2, 1, 0]


def test_the_panel_has_the_product_as_tables(film: Frames) -> None:
    k = next(k for k, s in enumerate(film.steps) if film[k].title.startswith("∂L/∂σ"))
    tables = [item for item in film.tables[k].items if isinstance(item, Table)]
    arrays = [np.array([[float(t.replace("−", "-")) for t, _ in row] for row in table.cells]) for table in tables]
    up, local, product, result = arrays
    np.testing.assert_allclose(up * local, product)
    np.testing.assert_allclose(product.sum(axis=0), result[0])
    assert result[0].tolist() == [4, 4, -4]
    assert film.told[k].code == "∂σ = (∂x̂ * (-x_c / σ**2)).sum(axis=0)"
    assert film[k].caption.startswith("σ was copied 4 times going forward")


def test_the_lines_of_code_compute_batch_norm(film: Frames) -> None:
    names = {"np": np}
    for node in film.drawn.nodes:
        if node.op is None and node.name and node.value and node.value.values:
            names[node.name] = np.array(node.value.values).reshape(node.shape)
    for told in film.told:
        if told.code:
            exec(told.code.replace("∂", "d"), names)
    for node in film.drawn.nodes:
        if node.grad is not None:
            expected = np.array(node.grad.values).reshape(node.shape)
            found = next(v for k, v in names.items() if k == f"d{node.name}" or (node.name == "x̂" and k == "dx̂"))
            np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_the_lines_of_code_compute_any_graph(seed: int) -> None:
    film = frames_of(anything(seed), depth=9)
    drawn = film.drawn
    called = {n.id: n.name or f"t{n.number}" for n in drawn.nodes}
    names: dict[str, object] = {"np": np}
    names |= {called[n.id]: values(n.value) for n in drawn.nodes if n.op is None}
    for step, told in zip(film.steps, film.told, strict=True):
        assert told.code or step.kind == "given", (step, told)
        exec(told.code.replace("∂", "d"), names)
    for n in drawn.nodes:
        np.testing.assert_allclose(names[called[n.id]], values(n.value), atol=1e-12)
        if n.grad is not None:
            np.testing.assert_allclose(names[f"d{called[n.id]}"], values(n.grad), atol=1e-12)


def values(s: Summary | None) -> np.ndarray:
    assert s is not None
    assert s.values is not None
    return np.array(s.values, float).reshape(s.shape)


@pytest.mark.parametrize(
    ("upto", "number"), [(1, 0), (26, 25), ("σ", 5), ("∂σ", 17), ("∂L/∂x_c", 21), ("γ", 0), ("∂x", 25)]
)
def test_upto_is_one_of_them(film: Frames, upto: int | str, number: int) -> None:
    assert film.at(upto).number == number


def test_upto_is_an_option_of_draw(film: Frames, tmp_path) -> None:
    path = tg.draw(film.graph, tmp_path / "a.svg", upto="∂σ")
    assert path.read_text(encoding="utf-8") == film[17].svg()
    assert "<title>" in tg.draw(film.graph, tmp_path / "a.html", upto=3).read_text(encoding="utf-8")
    for wrong, error, said in (
        (0, ValueError, "steps 1 to 26"),
        ("∂w", ValueError, "no gradient comes to w"),
        ("?", KeyError, "'?'"),
    ):
        with pytest.raises(error, match=re.escape(said)):
            tg.draw(film.graph, tmp_path / "b.svg", upto=wrong)
    with pytest.raises(ValueError, match="takes no upto"):
        tg.draw(film.graph, tmp_path / "b.mmd", upto=3)
    forward = tg.snapshot((Tensor([1.0], name="x") * 3).named("y"))
    with pytest.raises(ValueError, match=r"call backward\(\) first"):
        tg.draw(forward, tmp_path / "b.svg", upto="∂x")


@pytest.mark.parametrize("seed", range(6))
def test_any_graph_has_frames(seed: int) -> None:
    film = frames_of(anything(seed))
    found = {places(frame.svg())[0] for frame in film}
    assert len(found) == 1
    heads = film[-1].svg().count('class="grad-head"')
    assert heads == sum(bool(r.backward) for r in film.layout.routes)


@pytest.mark.parametrize("theme", list(THEMES))
def test_names_that_try_to_break_out(theme: str) -> None:
    film = frames_of(hostile_graph(), theme=theme, title="<&>")
    for k in (0, 5, len(film) - 1):
        root = ET.fromstring(film[k].svg())
        assert not [e for e in root.iter() if e.tag.endswith("script")]
    ids = [e.get("id") for e in ET.fromstring(film.animated()).iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert film.place.canvas[0] < 4000


def test_too_many_steps_are_told(film: Frames) -> None:
    with pytest.raises(ValueError, match=r"26 steps, more than 20: .*depth=.*most=26"):
        tg.frames(film.graph, most=20)
    assert MOST_STEPS == 200


def test_what_is_no_graph_has_no_frames(film: Frames) -> None:
    with pytest.raises(TypeError, match="frames takes a Tensor"):
        tg.frames(tg.diff(film.graph, film.graph))  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="26 frames"):
        film[26]
    assert film[-1].number == 25


def elements(group: ET.Element) -> list[str]:
    """Return what is in a group, without the ids, of which an animation has each once."""
    for element in group.iter():
        element.attrib.pop("id", None)
    return [ET.tostring(child, encoding="unicode").strip() for child in group]


def test_the_animation_shows_at_each_time_what_the_picture_shows(film: Frames) -> None:
    text = film.animated()
    assert len(text) < 400_000
    for k in range(0, len(film), 5):
        picture = next(g for g in ET.fromstring(film[k].svg()) if g.tag == f"{SVG}g")
        playing = next(g for g in ET.fromstring(text) if g.tag == f"{SVG}g")
        shown = []
        for child in list(playing):
            name = re.fullmatch(r"tg-step tg\w+-(\d+)-(\d+)", child.get("class") or "")
            if name is None:
                shown += [child]
            elif int(name[1]) <= k <= int(name[2]):
                shown += list(child)
        playing[:] = shown
        assert elements(playing) == elements(picture)
    still = re.search(r"\.tg-step\{visibility:hidden\}(.*?)\{visibility:visible\}", text)
    assert still is not None
    assert all(name.endswith("-25") for name in still[1].split(","))  # where no motion is wanted, the last picture
    assert text.index("{visibility:visible}") < text.index("@media (prefers-reduced-motion:no-preference)")


def test_spans() -> None:
    assert spans_of([0, 1, 2, 5, 7, 8]) == [(0, 2), (5, 5), (7, 8)]


@pytest.mark.parametrize(("upto", "title"), [("∂σ", "∂L/∂σ"), ("∂L/∂σ", "∂L/∂σ"), ("σ", "σ")])
def test_upto_finds_recorded_gradients_and_opens_what_holds_them(upto: str, title: str) -> None:
    graph = gallery.GALLERY["gradient_graph"]()
    assert frame_upto(graph, upto).title.partition(" = ")[0].strip("()") == title
    with pytest.raises(ValueError, match=r"stands inside ▸ batch_norm, which expand='.*batch_norm' opens"):
        tg.frames(graph).at(upto)
    with pytest.raises(KeyError, match="the names are: x, γ, w, μ"):
        frame_upto(graph, "∂nothing")
