"""The normalizations as one op each: the same functions as their composites, kernels in place of graphs."""

from tinygraph.fused.batch_norm import batch_norm
from tinygraph.fused.layer_norm import layer_norm

__all__ = ["batch_norm", "layer_norm"]
