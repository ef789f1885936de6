"""The examples in docstrings know the names that every reader has: np, tg, and all that tinygraph exports."""

import numpy as np
import pytest

import tinygraph as tg


@pytest.fixture(autouse=True)
def names(doctest_namespace):
    doctest_namespace.update({"np": np, "tg": tg} | {name: getattr(tg, name) for name in tg.__all__ if name != "fused"})
