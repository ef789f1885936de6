"""Backwards that students wrote: right ones in several styles, and wrong ones, each an edit of a right one."""

from __future__ import annotations

import importlib.util
import itertools

HEAD = "import numpy as np\n\n"

FORWARD = (
    HEAD
    + """
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    N, D = x.shape
    mu = 1.0 / N * np.sum(x, axis=0)
    xmu = x - mu
    sq = xmu ** 2
    var = 1.0 / N * np.sum(sq, axis=0)
    sqrtvar = np.sqrt(var + eps)
    ivar = 1.0 / sqrtvar
    xhat = xmu * ivar
    gammax = gamma * xhat
    out = gammax + beta
    cache = (xhat, gamma, xmu, ivar, sqrtvar, var, eps)
    return out, cache

"""
)
STEPS = (
    FORWARD
    + """
def batchnorm_backward(dout, cache):
    xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache
    N, D = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / sqrtvar ** 2 * divar
    dvar = 0.5 / np.sqrt(var + eps) * dsqrtvar
    dsq = np.ones((N, D)) / N * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -np.sum(dx1, axis=0)
    dx2 = np.ones((N, D)) / N * dmu
    dx = dx1 + dx2
    return dx, dgamma, dbeta
"""
)
SHORT_FORWARD = (
    HEAD
    + """
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    sample_mean = np.mean(x, axis=0)
    sample_var = np.var(x, axis=0)
    x_norm = (x - sample_mean) / np.sqrt(sample_var + eps)
    out = gamma * x_norm + beta
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    bn_param["running_mean"] = 0.9 * running_mean + 0.1 * sample_mean
    return out, (x, x_norm, sample_mean, sample_var, gamma, eps)

"""
)
PAPER = (
    SHORT_FORWARD
    + """
def batchnorm_backward(dout, cache):
    x, x_norm, sample_mean, sample_var, gamma, eps = cache
    N = x.shape[0]
    dx_norm = dout * gamma
    dvar = np.sum(dx_norm * (x - sample_mean) * -0.5 * (sample_var + eps) ** (-1.5), axis=0)
    dmean = np.sum(-dx_norm / np.sqrt(sample_var + eps), axis=0) + dvar * np.mean(-2.0 * (x - sample_mean), axis=0)
    dx = dx_norm / np.sqrt(sample_var + eps) + dvar * 2.0 * (x - sample_mean) / N + dmean / N
    dgamma = np.sum(dout * x_norm, axis=0)
    dbeta = np.sum(dout, axis=0)
    return dx, dgamma, dbeta
"""
)
CLOSED = (
    SHORT_FORWARD
    + """
def batchnorm_backward_alt(dout, cache):
    x, x_norm, sample_mean, sample_var, gamma, eps = cache
    N = x.shape[0]
    dx = gamma / (N * np.sqrt(sample_var + eps)) * (N * dout - dout.sum(0) - x_norm * (dout * x_norm).sum(0))
    return dx, (dout * x_norm).sum(0), dout.sum(0)
"""
)
ROWS = (
    SHORT_FORWARD
    + """
def batchnorm_backward(dout, cache):
    x, x_norm, sample_mean, sample_var, gamma, eps = cache
    N, D = x.shape
    std = np.sqrt(sample_var + eps)
    dgamma = np.zeros(D)
    dbeta = np.zeros(D)
    for i in range(N):
        dgamma += dout[i] * x_norm[i]
        dbeta += dout[i]
    dx_norm = np.zeros((N, D))
    for i in range(N):
        dx_norm[i] = dout[i] * gamma
    a = np.zeros(D)
    b = np.zeros(D)
    for i in range(N):
        a += dx_norm[i]
        b += dx_norm[i] * x_norm[i]
    dx = np.empty((N, D))
    for i in range(N):
        for j in range(D):
            dx[i, j] = (dx_norm[i, j] - a[j] / N - x_norm[i, j] * b[j] / N) / std[j]
    return dx, dgamma, dbeta
"""
)
RENAMED = (
    FORWARD
    + """
def helper(g, n):
    return np.ones((n, 1)) * g / n

def batchnorm_backward(dout, cache):
    h, g, c, inv, s, v, e = cache
    n = len(dout)
    first = dout * g
    second = (first * c).sum(axis=0)
    third = -second * inv ** 2
    fourth = third / (2 * s)
    fifth = helper(fourth, n)
    sixth = first * inv + 2 * c * fifth
    seventh = -sixth.sum(axis=0)
    answer = sixth + helper(seventh, n)
    print("mean of the answer", answer.mean())
    return answer, (dout * h).sum(axis=0), dout.sum(axis=0)
"""
)
AFFINE = (
    HEAD
    + """
def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    return out, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    dx = np.dot(dout, w.T).reshape(x.shape)
    dw = np.dot(x.reshape(x.shape[0], -1).T, dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db
"""
)
LAYERNORM = (
    HEAD
    + """
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = np.mean(x, axis=1, keepdims=True)
    var = np.var(x, axis=1, keepdims=True)
    std = np.sqrt(var + eps)
    x_norm = (x - mu) / std
    out = gamma * x_norm + beta
    return out, (x_norm, std, gamma)

def layernorm_backward(dout, cache):
    x_norm, std, gamma = cache
    D = dout.shape[1]
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * x_norm, axis=0)
    dx_norm = dout * gamma
    m1 = np.mean(dx_norm, axis=1, keepdims=True)
    m2 = np.mean(dx_norm * x_norm, axis=1, keepdims=True)
    dx = (dx_norm - m1 - x_norm * m2) / std
    return dx, dgamma, dbeta
"""
)
SPATIAL = (
    STEPS
    + """

def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    flat = x.transpose(0, 2, 3, 1).reshape(-1, C)
    out, cache = batchnorm_forward(flat, gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache

def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    flat = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(flat, cache)
    dx = dx.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    return dx, dgamma, dbeta
"""
)
SOFTMAX = (
    HEAD
    + """
def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    probs = np.exp(shifted)
    probs /= np.sum(probs, axis=1, keepdims=True)
    N = x.shape[0]
    loss = -np.sum(np.log(probs[np.arange(N), y])) / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx
"""
)
RELU = (
    HEAD
    + """
def relu_forward(x):
    out = np.maximum(0, x)
    return out, x

def relu_backward(dout, cache):
    dx = dout * (cache > 0)
    return dx
"""
)
COUNT = itertools.count()


def module_of(text, folder):
    """Import a student's file."""
    path = folder / f"student{next(COUNT)}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def edit(text, old, new):
    """Change one line of a right answer; return the text and the number of the line."""
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new), text[: text.index(old)].count("\n") + 1
