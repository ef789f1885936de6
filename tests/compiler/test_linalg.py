"""Functions with linear algebra and transforms, compiled: their ops run as they are, between kernels."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import close
from tests.matrices import positive_definite, regular
from tinygraph import Tensor, linalg
from tinygraph.compiler import compiled as module

A = regular(np.random.default_rng(0).standard_normal((5, 5)))
S = positive_definite(A)
CALLS = {
    "inv": (lambda x: linalg.inv(x) * 2, A),
    "solve": (lambda x: linalg.solve(x, x[:, :2] + 1), A),
    "det": (lambda x: linalg.det(x) * x, A),
    "logdet": (lambda x: linalg.logdet(x @ x.mT), A),
    "cholesky": (lambda x: linalg.cholesky(x) + 1, S),
    "eigvalsh": (lambda x: linalg.eigvalsh(x) ** 2, S),
    "nuc": (lambda x: linalg.norm(x * 2, "nuc"), A),
    "qr": (lambda x: linalg.qr(x).R * 2, A),
    "pinv": (lambda x: linalg.pinv(x[:, :3]) * 2, A),
    "rfft": (lambda x: tg.fft.rfft(x * 2) ** 2, A),
    "irfft": (lambda x: tg.fft.irfft(tg.stack([x, 2 * x], -1), 7), A),
    "convolve": (lambda x: tg.convolve(x[0] * 2, x[1]), A),
    "outer": (lambda x: tg.outer(x[0], x[1]) * 2, A),
}


@pytest.mark.parametrize("name", CALLS)
def test_compiled_is_the_function(name, monkeypatch):
    monkeypatch.setattr(module, "SMALL", 0)
    function, array = CALLS[name]
    compiled = tg.compile(function, backend="numpy")
    x, y = Tensor(array), Tensor(array)
    found, wanted = compiled(x), function(y)
    close(found.data, wanted.data, 1e-12)
    g = np.random.default_rng(1).standard_normal(wanted.shape)
    close(tg.grad(found, x, g)[0], tg.grad(wanted, y, g)[0], 1e-11)
