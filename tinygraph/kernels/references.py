"""Who refers to an array: one that nobody else refers to may be added into, which saves an array."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygraph.engine.types import Array

__all__ = ["is_alone"]


def is_alone(grads: Mapping[Any, Array], x: Any) -> bool:
    """Whether nobody but ``grads`` holds the gradient of ``x``, so that it may be added into."""
    return grads[x].base is None and grads[x].shape == x.shape and count_references(grads, x) <= ALONE


def count_references(grads: Mapping[Any, Array], x: object) -> int:
    """Count who refers to a gradient: the dict, this call, and anybody else."""
    return sys.getrefcount(grads[x])


# What CPython counts where there is nobody else. Other interpreters, and CPython without its lock, do not count so.
COUNTS = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
ALONE = count_references({0: np.empty(0)}, 0) if COUNTS else -1
