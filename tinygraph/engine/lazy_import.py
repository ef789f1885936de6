"""What an import does not need is loaded when it is first asked for."""

from __future__ import annotations

import functools
import importlib
from typing import Any, NamedTuple


class Later(NamedTuple):
    """A method that a module on a floor above gives; it is loaded when the method is first asked for."""

    module: str
    name: str

    def __get__(self, instance: Any, owner: type) -> Any:
        function = getattr(importlib.import_module(self.module), self.name)
        return function if instance is None else functools.partial(function, instance)


EXTRAS = {"draw": "pillow pygraphviz typst", "jit": "numba", "plot": "matplotlib", "data": "pooch", "torch": "torch"}
EXTRAS |= {"special": "scipy", "safetensors": "safetensors", "completion": "shtab"}  # as in pyproject.toml
EXTRAS |= {"cuda12": "cupy-cuda12x", "cuda13": "cupy-cuda13x"}


def install_hint(extra: str) -> str:
    """Return the command that installs the packages of an extra. (On the public index, `tinygraph` is another one.)"""
    return f"pip install {EXTRAS[extra]}"
