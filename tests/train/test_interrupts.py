"""The first Ctrl-C asks, the second breaks in."""

from __future__ import annotations

import signal

import pytest

from tinygraph import training


def test_a_second_ctrl_c_breaks_in():
    with pytest.raises(KeyboardInterrupt), training.interruptible() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
