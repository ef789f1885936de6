"""What the tests of nets share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def torch():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two libraries that each take all cores wait for one another
    yield torch
    torch.set_num_threads(threads)
