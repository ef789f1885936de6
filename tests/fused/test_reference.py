"""The closed form that takes over where no kernel does."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fused_cases import CASES, make_batch, passes
from tinygraph import fused


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is float64 here")
@pytest.mark.parametrize(("name", "shape", "axis"), [CASES[0], CASES[16]])
def test_a_wider_dtype_keeps_its_digits(name, shape, axis):
    """The means of y and dx are 0 to more digits than float64 has."""
    x, *_, g = make_batch(name, shape, axis, np.longdouble)
    y, dx, *_ = passes(getattr(fused, name), [x, None, None, g], axis=axis)
    assert y.dtype == dx.dtype == np.longdouble
    assert abs(y.mean(axis)).max() < 1e-17 and abs(dx.mean(axis)).max() < 1e-17
