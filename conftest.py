"""The examples in docstrings know the names that every reader has: np, tg, and all that tinygraph exports."""

import numpy as np
import pytest

import tinygraph as tg


@pytest.fixture(autouse=True)
def names(request, doctest_namespace):
    own = getattr(getattr(request.node, "dtest", None), "globs", {})  # a module's own names go before ours
    ours = {"np": np, "tg": tg} | {name: getattr(tg, name) for name in tg.__all__ if name != "fused"}
    doctest_namespace.clear()
    doctest_namespace.update({name: thing for name, thing in ours.items() if name not in own})
