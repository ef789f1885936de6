"""The package: its functions are functions, and their documentation is that of their definitions."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import pytest

from tests.fused_cases import DEFINED, FUSED
from tinygraph import fused


def test_the_functions_are_not_hidden_by_modules():
    """An import of a submodule sets an attribute of its package."""
    for module in pkgutil.walk_packages(fused.__path__, "tinygraph.fused."):
        importlib.import_module(module.name)
    for name in fused.__all__:
        assert inspect.isfunction(getattr(fused, name)), f"tinygraph.fused.{name} is no function"


@pytest.mark.parametrize("name", FUSED)
def test_arguments_are_described_as_those_of_the_definition(name):
    arguments = [
        re.search(r"^Args:\n.*?\n\n", inspect.getdoc(function), re.DOTALL | re.MULTILINE).group()
        for function in (FUSED[name], DEFINED[name])
    ]
    assert arguments[0] == arguments[1]
