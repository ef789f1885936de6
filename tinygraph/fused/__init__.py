"""The normalizations as one op each: the same functions as their composites, with kernels in place of graphs.

The kernels for NumPy and Numba are tested on every run. Those for CUDA are experimental: they compile with nvcc and
pass their tests thread by thread on the CPU, and have not yet run on a GPU.
"""

from tinygraph.fused.batch import batch_norm, batch_norm_statistics
from tinygraph.fused.layer import layer_norm

__all__ = ["batch_norm", "batch_norm_statistics", "layer_norm"]
