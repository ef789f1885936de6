"""Name: the normalizations, softmax and statistics, composed of ops; and transforms of functions."""

from tinygraph.functions.by_hand import batch_norm_stepwise
from tinygraph.functions.normalization import (
    batch_norm,
    batch_norm_inference,
    batch_norm_spatial,
    group_norm,
    instance_norm,
    layer_norm,
)
from tinygraph.functions.softmax import cross_entropy, log_softmax, softmax
from tinygraph.functions.statistics import std, var

__all__ = [
    "batch_norm",
    "batch_norm_inference",
    "batch_norm_spatial",
    "batch_norm_stepwise",
    "cross_entropy",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "log_softmax",
    "softmax",
    "std",
    "var",
]
