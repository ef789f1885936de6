"""Workers use one core each; the examples in docstrings know np, tg, and all that tinygraph exports."""

import functools
import os
import signal
import sys
from typing import Any

import pytest

# Before NumPy is loaded: several workers whose libraries each take all cores wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

# Processes that tests start import the package, too: it is compiled once, also where Python is told to keep nothing.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell runs a command in the background without Ctrl-C, and what a test starts would have none either.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep a file on one worker, in the order of the files: what it makes or compiles is made once."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_collection_finish():
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@functools.cache
def exported() -> dict[str, Any]:
    """What every example knows; a name that is loaded when it is asked for is loaded once for a whole run."""
    import numpy as np

    import tinygraph as tg

    return {"np": np, "tg": tg} | {name: getattr(tg, name) for name in tg.__all__ if name != "fused"}


@pytest.fixture(autouse=True)
def names(request, doctest_namespace):
    doctest = getattr(request.node, "dtest", None)
    if doctest is None:  # a test: it imports what it needs
        return
    doctest_namespace.clear()  # a module's own names go before ours
    doctest_namespace.update({name: thing for name, thing in exported().items() if name not in doctest.globs})
