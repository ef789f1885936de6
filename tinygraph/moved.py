"""Modules that were documented and moved: the old path still works, and warns."""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED", "install"]

MOVED = {
    "tinygraph.check": (
        "tinygraph.verify.certificate",
        "tinygraph.verify.comparison",
        "tinygraph.verify.gradients",
    ),
    "tinygraph.device": ("tinygraph.kernels.arrays",),
    "tinygraph.fusion": ("tinygraph.fused.fused_op",),
    "tinygraph.ops.window": ("tinygraph.ops.convolution", "tinygraph.ops.pooling"),
}


class MovedFinder(MetaPathFinder, Loader):
    """Finds a module under its old path. Python asks last, so a file of that name would win."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return a spec for an old path, and None for any other name."""
        return ModuleSpec(name, self) if name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the old module with the names of the new ones."""
        places = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} has moved to {' and '.join(places)}", DeprecationWarning, stacklevel=2)
        for place in places:
            vars(module).update({k: v for k, v in vars(importlib.import_module(place)).items() if k[:2] != "__"})


def install() -> None:
    """Let Python find the old paths."""
    sys.meta_path.append(MovedFinder())
