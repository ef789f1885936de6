"""The mathematics, a family a file. Importing it fills the registry."""

from tinygraph.ops import (
    convolution,
    elementwise,
    indexing,
    joining,
    linear,
    padding,
    pooling,
    reduce,
    scans,
    shape,
    sorting,
)

__all__ = [
    "convolution", "elementwise", "indexing", "joining", "linear", "padding", "pooling", "reduce", "scans", "shape",
    "sorting",
]  # fmt: skip
