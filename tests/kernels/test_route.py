"""Which route an array takes: by its type, its dtype, its size and the environment."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.decoy import Decoy
from tinygraph.kernels import jit
from tinygraph.kernels import route as routes


def test_the_route_follows_type_and_size(monkeypatch):
    monkeypatch.delenv("TINYGRAPH_FUSED", raising=False)
    large, small = np.ones(routes.COMPILED, np.float32), np.ones(routes.COMPILED - 1, np.float32)
    compiled = "numba" if (jit.load_numba() is not None) else "numpy"
    assert routes.choose_route(large) == compiled and routes.choose_route(small) == "numpy"
    assert routes.choose_route(large.astype(np.float64)) == compiled
    assert routes.choose_route(large.astype(np.float16)) == "numpy"
    assert routes.choose_route(large.astype(">f4")) == "plain"
    assert routes.choose_route(np.ones(9999, np.longdouble)) == "plain"
    assert routes.choose_route(Decoy(large)) == "plain"
    assert routes.choose_route(large.view(type("Mine", (np.ndarray,), {}))) == "plain"
    for wish in ("plain", "numpy"):
        monkeypatch.setenv("TINYGRAPH_FUSED", wish)
        assert routes.choose_route(large) == routes.choose_route(small) == wish
    monkeypatch.setenv("TINYGRAPH_FUSED", "cobol")
    with pytest.raises(ValueError, match="TINYGRAPH_FUSED is 'cobol'; there are plain, numpy, numba"):
        routes.choose_route(large)


def test_without_numba_numpy_takes_over(monkeypatch, fresh):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("TINYGRAPH_FUSED", raising=False)
    assert routes.choose_route(np.ones(routes.COMPILED)) == "numpy"
    monkeypatch.setenv("TINYGRAPH_FUSED", "numba")
    with pytest.raises(ModuleNotFoundError, match="pip install numba"):
        routes.choose_route(np.ones(routes.COMPILED))
