"""The mathematics, a family a file. Importing it fills the registry."""

from tinygraph.ops import elementwise, linear, reduce, shape, window

__all__ = ["elementwise", "linear", "reduce", "shape", "window"]
