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
