"""Every graph of the gallery, many more, and models of PyTorch: letters that can be read, and no defect."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

import tinygraph as tg
from tests import gallery
from tests.drawing.chromium import CHROMIUM
from tests.drawing.defects import KINDS, defects_of_all
from tests.drawing.graphs import hostile_graph
from tests.drawing.more_graphs import HARD, MORE
from tests.drawing.test_fitting import measure
from tinygraph.drawing.formats.svg import svg
from tinygraph.drawing.formats.svg_found import svg_diff
from tinygraph.graph.data import Graph

ALL = {**gallery.GALLERY, **MORE}
made = functools.cache(lambda make: make())  # a graph is drawn many times, and never changed
LETTERS = {"letter under 12 px on a slide", "letter under 6 pt"}


def illegible(name: str, picture: str, asked: str | None) -> Iterable[str]:
    """Yield what is wrong with the size of a picture, or with its letters, without a browser."""
    width, height, points, pixels = measure(picture)
    if asked is None:
        if pixels < 11.95:
            yield f"{name}: letters of {pixels:.1f} pixels on a slide"
        return
    if points < 5.99:
        yield f"{name}: letters of {points:.2f} points"
    wanted = float(asked.removesuffix("pt"))
    if abs(width - wanted) > 1e-6 * wanted:
        yield f"{name}: {width} points wide"
    page = 720 if wanted == 506 else wanted * 2**0.5
    if height > 1.3 * page:
        yield f"{name}: {height:.0f} points high"


@pytest.mark.filterwarnings("ignore:.* is too narrow")
@pytest.mark.parametrize("width", [None, "506pt", "245pt"])
def test_every_picture_can_be_read_and_has_no_defect(width: str | None) -> None:
    """On a slide, across a page and in a column of a paper; Chromium looks for the defects, where there is one."""
    pictures = {name: svg(made(make), width=width) for name, make in ALL.items()}
    assert [fault for name, picture in pictures.items() for fault in illegible(name, picture, width)] == []
    if CHROMIUM is not None:
        has_no_defects(pictures)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("options", [{"detail": 0, "theme": "dark"}, {"detail": 1}, {"detail": 2, "theme": "print"}])
def test_no_picture_of_a_detail_that_is_asked_for_has_a_defect(options: dict[str, Any]) -> None:
    """Letters may be small there. `python tests/drawing/defects.py --detail 2` looks at more than the gallery."""
    pictures = {name: svg(made(make), title=name, **options) for name, make in gallery.GALLERY.items()}
    hostile = {"hostile": svg(hostile_graph(), **options)}  # its names have brackets and slashes
    judged_by = {"part out of page", "text out of its part"}
    has_no_defects(pictures | hostile, dict.fromkeys(pictures, LETTERS) | {"hostile": set(KINDS) - judged_by})


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_the_pictures_of_the_gallery_and_what_had_a_defect_once_have_none() -> None:
    pictures = {path.name: path.read_text(encoding="utf-8") for path in sorted(gallery.FOLDER.glob("*.svg"))}
    assert len(pictures) > 15
    small = set(pictures)
    for make, options in HARD:
        name = f"{make.__name__} {options}"
        pictures[name] = svg(made(make), **options)
        small |= {name} if "detail" in options else set()
    has_no_defects(pictures, dict.fromkeys(small, LETTERS))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_two_graphs_that_are_compared_have_no_defect() -> None:
    found = tg.diff(gallery.GALLERY["deep"](), gallery.GALLERY["mlp"]())
    wanted: list[dict[str, Any]] = [{}, {"width": "506pt"}, {"width": "245pt"}, {"height": "300pt"}]
    has_no_defects({str(options): svg_diff(found, **options) for options in wanted})


TORCH = ("mlp", "residual", "attention", "cells", "lstm", "lm", "conv", "resnet18")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"width": "506pt"}, {"detail": 2}])
def test_no_picture_of_a_model_of_pytorch_has_a_defect(options: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    from tests.exchange.test_from_torch import CASES

    pictures = {name: svg(exported(*CASES[name]), **options) for name in TORCH}
    has_no_defects(pictures, dict.fromkeys(TORCH, LETTERS if "detail" in options else set()))


@functools.cache
def exported(make: Any, inputs: Any, loss: Any) -> Graph:
    """Return the graph of a model of PyTorch."""
    return tg.from_torch(make(), *inputs, loss=loss)


def has_no_defects(pictures: dict[str, str], left: Mapping[str, set[str]] = MappingProxyType({})) -> None:
    """Fail if Chromium draws a defect of a kind that is not left in a picture."""
    for (name, _), found in zip(pictures.items(), defects_of_all(list(pictures.values())), strict=True):
        assert [defect for defect in found if defect.kind not in left.get(name, set())] == [], name
