"""Whether ops record, asked and set as in PyTorch."""

import numpy as np

import tinygraph as tg


def test_recording_is_known_and_set():
    x = tg.Tensor(np.ones(2))
    assert tg.is_grad_enabled()
    with tg.no_grad():
        assert not tg.is_grad_enabled()
        assert not (x * x).requires_grad
        with tg.enable_grad():
            assert (x * x).requires_grad
    with tg.set_grad_enabled(False):
        assert not (x * x).requires_grad
    with tg.set_grad_enabled(True):
        assert (x * x).requires_grad
    assert tg.is_grad_enabled()
