"""The first Ctrl-C asks, the second breaks in."""

from __future__ import annotations

import signal
import threading

import pytest

from tinygraph import training


@pytest.fixture
def default_handler():
    """Python's own handler, also where a shell has started the tests in the background and Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_breaks_in(default_handler):
    with pytest.raises(KeyboardInterrupt), training.interruptible() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_thread_hears_of_no_signal():
    answers = []

    def run():
        with training.interruptible() as asked:
            answers.append(asked())

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert answers == [False]
    assert signal.getsignal(signal.SIGINT) is before
