"""The public names: all there, all documented, each with an example, and importing them is light."""

import inspect
import subprocess
import sys

import pytest

import tinygraph

NAMES = sorted(set(tinygraph.__all__) - {"OPS", "fused"} | {"abs", "max", "min", "sum"})


@pytest.mark.parametrize("name", NAMES)
def test_public_name_is_documented(name):
    thing = getattr(tinygraph, name)
    text = inspect.getdoc(thing)
    assert text, f"{name} has no docstring"
    first = text.splitlines()[0]
    assert first[0].isupper() or name in ("hvp", "jvp", "vjp"), first
    if inspect.isfunction(thing) and name not in ("sample",):
        assert ">>>" in text, f"{name} has no example"


def test_star_import_leaves_builtins_alone():
    import builtins

    assert not set(tinygraph.__all__) & set(dir(builtins))


def test_all_is_complete():
    of = {n: getattr(tinygraph, n) for n in dir(tinygraph) if not n.startswith("_")}
    public = {n for n, v in of.items() if not inspect.ismodule(v)} - {"abs", "max", "min", "sum"}
    assert public == set(tinygraph.__all__) - {"fused"}


def test_import_loads_no_extra():
    """What draws, compares or trains, and what it stands on, is loaded only when used."""
    extras = {"graphviz", "numba", "matplotlib", "cupy", "torch", "pygraphviz", "tinygraph.graph", "tinygraph.nn"}
    code = f"import sys, tinygraph; print(*{extras} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
