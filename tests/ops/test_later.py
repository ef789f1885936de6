"""Families that are loaded later: the table says what is in them, and a name finds its family wherever it is asked."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap

import pytest

import tinygraph as tg
from tinygraph import Tensor
from tinygraph.ops.later import FAMILIES, Method, load_all


@pytest.mark.parametrize("module", FAMILIES)
def test_the_table_says_what_is_in_a_family(module):
    family = importlib.import_module(f"tinygraph.{module}")
    load_all()
    methods = {
        name for name, thing in vars(Tensor).items() if getattr(thing, "__module__", "") == f"tinygraph.{module}"
    }
    functions = FAMILIES[module].functions.split()
    assert sorted(functions) == sorted(family.__all__) or not functions  # `linalg` and `fft` give the others out
    listed = set(FAMILIES[module].methods.split())
    assert methods <= listed and all(name.startswith("__r") for name in listed - methods)  # those swap operands
    assert not any(isinstance(thing, Method) for thing in vars(Tensor).values())


ASKED = {
    "function": "tg.sin(x)",
    "method": "x.sin()",
    "class": "tg.Tensor.sin(x)",
    "NumPy": "np.sin(x)",
    "a function of NumPy's": "np.flip(x)",
    "NumPy's second name": "np.rad2deg(x)",
    "listed": "'sin' in dir(x) and 'sin' in dir(tg)",
    "registry": "tg.OPS['sin']",
    "graph": "tg.run(tg.Graph.from_json(TEXT))",
    "source": "tg.source(tg.Graph.from_json(TEXT))",
}


ASK = """
    import os, sys
    import numpy as np
    import tinygraph as tg

    assert "tinygraph.ops.trigonometry" not in sys.modules
    x, failed, (TEXT, *expressions) = tg.Tensor([1.0]), [], sys.argv[1:]
    for expression in expressions:
        if not os.fork():
            assert eval(expression) is not None
            os._exit(0)
        if os.wait()[1]:
            failed.append(expression)
    sys.exit(", ".join(failed) or 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_name_finds_its_family():
    """Each in a process of its own, which is forked from one that has imported tinygraph."""
    text = tg.snapshot(tg.sin(Tensor([1.0], name="x")), values=9).to_json()
    command = [sys.executable, "-c", textwrap.dedent(ASK), text, *ASKED.values()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
