"""Matrix products: BLAS takes one thread for those that are too short for two."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from tinygraph import Tensor
from tinygraph.kernels.blas import libraries
from tinygraph.ops import linear


@pytest.mark.parametrize(("n", "count"), [(8, 0), (128, 3), (300, 0)])
def test_short_products_use_one_thread_of_blas(monkeypatch, n, count):
    """Forward and both gradients; a small product has one anyway, and a large one needs all."""
    seen: list[int] = []

    @contextlib.contextmanager
    def noted():
        with one_thread() as is_calm:
            seen.extend(library.get() for library in libraries())
            seen.append(1)
            yield is_calm

    one_thread = linear.one_thread
    monkeypatch.setattr(linear, "one_thread", noted)
    rng = np.random.default_rng(0)
    x, y, g = (rng.standard_normal((n, n)) for _ in range(3))
    a, b = Tensor(x), Tensor(y)
    out = a @ b
    out.backward(g)
    assert seen == [1] * (count * (1 + len(libraries())))
    np.testing.assert_allclose(out.data, np.einsum("ij,jk->ik", x, y, optimize=False), atol=1e-12 * n)
    np.testing.assert_allclose(a.grad, np.einsum("ik,jk->ij", g, y, optimize=False), atol=1e-12 * n)
    np.testing.assert_allclose(b.grad, np.einsum("ij,ik->jk", x, g, optimize=False), atol=1e-12 * n)
