"""The mathematics, a family a file. Importing it fills the registry."""

from tinygraph.ops import convolution, elementwise, linear, pooling, reduce, shape

__all__ = ["convolution", "elementwise", "linear", "pooling", "reduce", "shape"]
