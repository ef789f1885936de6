"""Every public callable describes each of its arguments, in their order, and says what it returns."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

MODULES = [
    "tinygraph", "tinygraph.bench", "tinygraph.checkpoint", "tinygraph.data", "tinygraph.fused", "tinygraph.nets",
    "tinygraph.nn", "tinygraph.nn.functional", "tinygraph.nn.init", "tinygraph.nn.module", "tinygraph.optim",
    "tinygraph.training",
]  # fmt: skip


def public() -> Iterator[Any]:
    """Yield every public callable but exceptions, which users do not make, and every method of a net's parts."""
    for path in MODULES:
        module = importlib.import_module(path)
        for name in module.__all__:
            thing = getattr(module, name)
            if not callable(thing) or (inspect.isclass(thing) and issubclass(thing, BaseException)):
                continue
            yield pytest.param(thing, id=f"{path}.{name}")
            if inspect.isclass(thing) and path.startswith("tinygraph.nn"):
                for method, function in vars(thing).items():
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield pytest.param(function, id=f"{path}.{name}.{method}")


def described(text: str, section: str) -> list[str]:
    """Return the names that a section of a docstring describes."""
    found = re.search(rf"^{section}:\n(.*?)(\n\n|\Z)", text, re.S | re.M)
    return re.findall(r"^    \*{0,2}(\w+):", found[1], re.M) if found else []


def parameters(thing: Any) -> tuple[list[str], bool]:
    """Return the names of the parameters of a callable, and whether it returns something."""
    signature = inspect.signature(thing)
    names = [name for name in signature.parameters if name != "self"]
    return names, not inspect.isclass(thing) and signature.return_annotation not in (None, "None", signature.empty)


@pytest.mark.parametrize("thing", [*public()])
def test_each_argument_is_described(thing: Any) -> None:
    text = inspect.getdoc(thing) or ""
    names, returns = parameters(thing)
    fields = hasattr(thing, "_fields") or dataclasses.is_dataclass(thing)  # made by the package: they have attributes
    assert described(text, "Args") == names or (fields and set(names) <= set(described(text, "Attributes")))
    if returns and names:
        assert re.search("^(Returns|Yields):$", text, re.M), "there is no section Returns"
