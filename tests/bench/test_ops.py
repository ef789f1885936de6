"""What tests/bench/ops.py times is the same work in both libraries."""

import numpy as np
import pytest

from tests.bench.ops import CALLS, LINALG, REASONS, arrays, names_of, reason, table, written

pytest.importorskip("torch")
OTHERWISE = {"RNN", "GRU", "LSTM"}  # their weights are random
SIGNS = {"eigh", "svd", "qr"}  # of vectors: either is right


@pytest.fixture(scope="module")
def libraries():
    return {(name, dtype): names_of(name, dtype)[0] for name in ("tinygraph", "torch") for dtype in ("f4", "f8")}


@pytest.mark.parametrize("name", [name for name in {**CALLS, **LINALG} if name not in OTHERWISE])
def test_both_calls_have_the_same_value(name, libraries):
    dtype = "f8" if name in LINALG else "f4"
    ours = eval(written(name)[0], libraries["tinygraph", dtype]).data
    theirs = eval(written(name)[1], libraries["torch", dtype]).detach().numpy()
    if name in SIGNS:
        ours, theirs = abs(ours), abs(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-4)


def test_a_row_says_why():
    assert set(arrays()) >= {"x", "y", "z", "m", "s", "l", "p"}
    text = table({"erfc": (30.0, 10.0), "sum": (1.0, 1.0)}, 2.0)
    assert "Of 2 calls 1 take more than 2 times" in text and REASONS["erf"] in text and "`sum`" not in text
    assert reason("nothing of this name") == ""
