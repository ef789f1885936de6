"""The graphs of docs/gallery, each made once, and one that is too large for a picture."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tinygraph import Parameter, Tensor, scope, snapshot
from tinygraph.graph.data import Graph

FOLDER = Path(__file__).parent.parent / "docs" / "gallery"


def loaded() -> object:
    """Run docs/gallery/build.py as a module."""
    spec = importlib.util.spec_from_file_location("tinygraph_gallery", FOLDER / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where inspect looks for its source
    spec.loader.exec_module(module)
    return module


build = loaded()
X, W, affine, weighted, deep = build.X, build.W, build.affine, build.weighted, build.deep
GALLERY: dict[str, Callable[[], Graph]] = {make.__name__: functools.cache(make) for make in build.GRAPHS}


def huge(count: int = 5000) -> Graph:
    """Thousands of nodes in nested scopes."""
    normal = build.normals(4)
    h = Tensor(normal(4, 3), name="x")
    for stage in range(10):
        for block in range(count // 160):
            with scope(f"stage{stage}", f"block{block}"):
                for _ in range(4):
                    h = np.tanh(h * 0.9 + Parameter(normal(3), name="b"))
    loss = weighted(h)
    loss.backward()
    return snapshot(loss)
