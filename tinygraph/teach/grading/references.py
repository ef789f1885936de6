"""Forwards of the functions that students write, as plain NumPy with the names of the course: what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.ops.convolution import conv2d
from tinygraph.ops.pooling import max_pool2d

__all__ = ["affine", "batchnorm", "batchnorm_by_var", "conv", "dropout", "groupnorm", "layernorm", "max_pool", "relu",
           "softmax_loss", "spatial_batchnorm", "svm_loss"]  # fmt: skip


def batchnorm(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
    """Batch norm of rows, a line a node."""
    mu = x.mean(axis=0)
    xmu = x - mu
    sq = xmu**2
    var = sq.mean(axis=0)
    sqrtvar = np.sqrt(var + bn_param["eps"])
    ivar = 1.0 / sqrtvar
    xhat = xmu * ivar
    gammax = gamma * xhat
    return gammax + beta


def batchnorm_by_var(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
    """Batch norm with a quotient in place of the inverse."""
    mu = x.mean(axis=0)
    xmu = x - mu
    var = (xmu**2).mean(axis=0)
    sqrtvar = np.sqrt(var + bn_param["eps"])
    xhat = xmu / sqrtvar
    return gamma * xhat + beta


def layernorm(x: Any, gamma: Any, beta: Any, ln_param: Any) -> Any:
    """Layer norm: each row has its own mean and variance."""
    mu = x.mean(axis=1, keepdims=True)
    xmu = x - mu
    sq = xmu**2
    var = sq.mean(axis=1, keepdims=True)
    sqrtvar = np.sqrt(var + ln_param["eps"])
    xhat = xmu / sqrtvar
    gammax = gamma * xhat
    return gammax + beta


def spatial_batchnorm(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
    """Batch norm of images: each channel has one mean and one variance."""
    mu = x.mean(axis=(0, 2, 3), keepdims=True)
    xmu = x - mu
    var = (xmu**2).mean(axis=(0, 2, 3), keepdims=True)
    sqrtvar = np.sqrt(var + bn_param["eps"])
    xhat = xmu / sqrtvar
    return gamma.reshape(1, -1, 1, 1) * xhat + beta.reshape(1, -1, 1, 1)


def groupnorm(x: Any, gamma: Any, beta: Any, G: int, gn_param: Any) -> Any:
    """Group norm of images; gamma and beta are (1, C, 1, 1)."""
    shape = x.shape
    xg = x.reshape(shape[0], G, -1)
    mu = xg.mean(axis=2, keepdims=True)
    xmu = xg - mu
    var = (xmu**2).mean(axis=2, keepdims=True)
    sqrtvar = np.sqrt(var + gn_param["eps"])
    xhat = (xmu / sqrtvar).reshape(*shape)
    return gamma * xhat + beta


def affine(x: Any, w: Any, b: Any) -> Any:
    """A dense layer; each example is flattened."""
    xr = x.reshape(x.shape[0], -1)
    xw = xr @ w
    return xw + b


def relu(x: Any) -> Any:
    """The positive part."""
    return np.maximum(x, 0)


def dropout(x: Any, dropout_param: Any) -> Any:
    """Inverted dropout, with the seed that is given."""
    np.random.seed(dropout_param["seed"])
    mask = (np.random.rand(*x.shape) < dropout_param["p"]) / dropout_param["p"]
    return x * mask


def conv(x: Any, w: Any, b: Any, conv_param: Any) -> Any:
    """Convolution of images."""
    xw = conv2d(x, w, stride=conv_param["stride"], padding=conv_param["pad"])
    return xw + b.reshape(1, -1, 1, 1)


def max_pool(x: Any, pool_param: Any) -> Any:
    """The greatest of each window."""
    return max_pool2d(x, pool_param["pool_height"], stride=pool_param["stride"])


def softmax_loss(x: Any, y: Any) -> Any:
    """Softmax and cross-entropy, averaged over the rows."""
    shifted = x - np.max(x, axis=1, keepdims=True)
    Z = np.sum(np.exp(shifted), axis=1, keepdims=True)
    log_probs = shifted - np.log(Z)
    return -np.sum(log_probs[np.arange(x.shape[0]), y]) / x.shape[0]


def svm_loss(x: Any, y: Any) -> Any:
    """The hinge loss of several classes, averaged over the rows."""
    n = x.shape[0]
    correct = x[np.arange(n), y].reshape(n, 1)
    others = np.arange(x.shape[1]) != np.asarray(y).reshape(n, 1)
    margins = np.maximum(0, x - correct + 1.0) * others
    return np.sum(margins) / n
