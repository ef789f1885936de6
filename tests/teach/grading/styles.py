"""Right backwards in many styles: closed forms, einsum, matrices, loops, helpers, objects, nested functions."""

from __future__ import annotations

HEAD = "import numpy as np\n"
BN = (
    HEAD
    + """
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param["eps"]
    mean = x.mean(axis=0)
    var = x.var(axis=0)
    std = np.sqrt(var + eps)
    x_hat = (x - mean) / std
    out = gamma * x_hat + beta
    return out, {"x": x, "mean": mean, "var": var, "std": std, "x_hat": x_hat, "gamma": gamma, "eps": eps}
"""
)
EINSUM = (
    BN
    + """
def batchnorm_backward(dout, cache):
    x_hat, gamma, std = cache["x_hat"], cache["gamma"], cache["std"]
    n = len(dout)
    dgamma = np.einsum("nd,nd->d", dout, x_hat)
    dbeta = np.einsum("nd->d", dout)
    dx_hat = np.einsum("nd,d->nd", dout, gamma)
    through_mean = np.einsum("nd->d", dx_hat) / n
    through_var = np.einsum("nd,nd->d", dx_hat, x_hat) / n
    dx = (dx_hat - through_mean - x_hat * through_var) / std
    return dx, dgamma, dbeta
"""
)
MATRIX = (
    BN
    + """
def batchnorm_backward(dout, cache):
    x_hat, gamma, std = cache["x_hat"], cache["gamma"], cache["std"]
    N, D = dout.shape
    C = np.eye(N) - 1.0 / N
    dx = np.zeros_like(dout)
    for j in range(D):
        h = x_hat[:, j:j + 1]
        J = (C - h @ h.T / N) / std[j]
        dx[:, j] = J.T @ (gamma[j] * dout[:, j])
    dgamma = np.diag(dout.T @ x_hat)
    dbeta = np.ones(N) @ dout
    return dx, dgamma, dbeta
"""
)
ONE_LINER = (
    BN
    + """
def batchnorm_backward(dout, cache):
    h, g, s = cache["x_hat"], cache["gamma"], cache["std"]
    return g / s * (dout - dout.mean(0) - h * (dout * h).mean(0)), (dout * h).sum(0), dout.sum(0)
"""
)
STAGED = (
    BN
    + """
def batchnorm_backward(dout, cache):
    x, mean, var, eps = cache["x"], cache["mean"], cache["var"], cache["eps"]
    x_hat, gamma = cache["x_hat"], cache["gamma"]
    N = x.shape[0]
    dgamma, dbeta = np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)
    dx_hat = np.multiply(dout, gamma)
    xc = np.subtract(x, mean)
    dvar = -0.5 * np.sum(dx_hat * xc, axis=0) * np.power(var + eps, -1.5)
    dmean = -np.sum(np.divide(dx_hat, np.sqrt(var + eps)), axis=0) - 2.0 / N * dvar * np.sum(xc, axis=0)
    dx = dx_hat / np.sqrt(var + eps)
    dx += 2.0 / N * dvar * xc
    dx += dmean / N
    return dx, dgamma, dbeta
"""
)
KEEPDIMS = (
    BN
    + """
def batchnorm_backward(dout, cache):
    x_hat, gamma, std = cache["x_hat"], cache["gamma"][None, :], cache["std"][None, :]
    m = dout.shape[0]
    dx_hat = dout * gamma
    s1 = np.sum(dx_hat, axis=0, keepdims=True)
    s2 = np.sum(dx_hat * x_hat, axis=0, keepdims=True)
    dx = (m * dx_hat - s1 - x_hat * s2) / (m * std)
    dgamma = np.sum(dout * x_hat, axis=0, keepdims=True).squeeze()
    dbeta = np.sum(dout, axis=0, keepdims=True).reshape(-1)
    return [dx, dgamma, dbeta]
"""
)
HELPERS = (
    BN
    + """
def add_up(a):
    return a.sum(axis=0)

def project_out(g, direction):
    return g - direction * (g * direction).mean(axis=0)

def batchnorm_backward(dout, cache):
    x_hat, gamma, std = cache["x_hat"], cache["gamma"], cache["std"]
    g = dout * gamma
    g = g - g.mean(axis=0)
    g = project_out(g, x_hat)
    return g / std, add_up(dout * x_hat), add_up(dout)
"""
)
OBJECT = (
    HEAD
    + """
from dataclasses import dataclass

@dataclass
class Cache:
    xc: np.ndarray
    std: np.ndarray
    gamma: np.ndarray

def batchnorm_forward(x, gamma, beta, bn_param):
    xc = x - np.mean(x, axis=0)
    std = np.sqrt(np.mean(xc ** 2, axis=0) + bn_param["eps"])
    return gamma * xc / std + beta, Cache(xc, std, gamma)

def batchnorm_backward(dout: np.ndarray, cache: Cache):
    N: int = dout.shape[0]
    dbeta: np.ndarray = dout.sum(0)
    dgamma: np.ndarray = (dout * cache.xc / cache.std).sum(0)
    dxhat = dout * cache.gamma
    if N > 0:
        dstd = -(dxhat * cache.xc).sum(0) / cache.std ** 2
        dvar = dstd / (2 * cache.std)
        dxc = dxhat / cache.std + 2 * cache.xc * dvar / N
    with np.errstate(all="ignore"):
        dmu = -dxc.sum(0)
    try:
        dx = dxc + dmu / N
    finally:
        pass
    return dx, dgamma, dbeta
"""
)
COMPREHENSION = (
    BN
    + """
def batchnorm_backward(dout, cache):
    h, gamma, std = (cache[k] for k in ("x_hat", "gamma", "std"))
    N, D = dout.shape
    dgamma = np.array([dout[:, j] @ h[:, j] for j in range(D)])
    dbeta = np.array([sum(dout[i, j] for i in range(N)) for j in range(D)])
    columns = []
    for j in range(D):
        g = dout[:, j] * gamma[j]
        columns.append((g - g.mean() - h[:, j] * (g @ h[:, j]) / N) / std[j])
    return np.stack(columns, axis=1), dgamma, dbeta
"""
)
LN_BY_TRANSPOSE = (
    HEAD
    + """
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xT = x.T
    mu = np.mean(xT, axis=0)
    var = np.var(xT, axis=0)
    std = np.sqrt(var + eps)
    z = ((xT - mu) / std).T
    out = gamma * z + beta
    return out, (z, gamma, std)

def layernorm_backward(dout, cache):
    z, gamma, std = cache
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * z, axis=0)
    dfdz = (dout * gamma).T
    zT = z.T
    N = zT.shape[0]
    dx = dfdz - dfdz.sum(axis=0) / N - zT * np.sum(dfdz * zT, axis=0) / N
    dx = (dx / std).T
    return dx, dgamma, dbeta
"""
)
LN_ROWS = (
    HEAD
    + """
def layernorm_forward(x, gamma, beta, ln_param):
    out = np.zeros_like(x)
    rows = []
    for i in range(x.shape[0]):
        m, v = x[i].mean(), x[i].var()
        s = np.sqrt(v + ln_param["eps"])
        h = (x[i] - m) / s
        out[i] = gamma * h + beta
        rows.append((h, s))
    return out, (rows, gamma)

def layernorm_backward(dout, cache):
    rows, gamma = cache
    N, D = dout.shape
    dx, dgamma, dbeta = np.zeros((N, D)), np.zeros(D), np.zeros(D)
    for i, (h, s) in enumerate(rows):
        dgamma += dout[i] * h
        dbeta += dout[i]
        dh = dout[i] * gamma
        dx[i] = (dh - dh.mean() - h * (dh * h).mean()) / s
    return dx, dgamma, dbeta
"""
)
SPATIAL_AXES = (
    HEAD
    + """
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    mu = x.mean(axis=(0, 2, 3), keepdims=True)
    var = x.var(axis=(0, 2, 3), keepdims=True)
    ivar = 1 / np.sqrt(var + eps)
    xhat = (x - mu) * ivar
    out = gamma[None, :, None, None] * xhat + beta[None, :, None, None]
    return out, (xhat, ivar, gamma)

def spatial_batchnorm_backward(dout, cache):
    xhat, ivar, gamma = cache
    N, C, H, W = dout.shape
    m = N * H * W
    dbeta = dout.sum(axis=(0, 2, 3))
    dgamma = (dout * xhat).sum(axis=(0, 2, 3))
    dxhat = dout * gamma.reshape(1, C, 1, 1)
    total = dxhat.sum(axis=(0, 2, 3), keepdims=True)
    along = (dxhat * xhat).sum(axis=(0, 2, 3), keepdims=True)
    dx = ivar / m * (m * dxhat - total - xhat * along)
    return dx, dgamma, dbeta
"""
)
GROUPNORM = (
    HEAD
    + """
def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    size = (N * G, C // G * H * W)
    xr = x.reshape(size).T
    mu = xr.mean(axis=0)
    xmu = xr - mu
    var = np.mean(xmu ** 2, axis=0)
    std = np.sqrt(var + eps)
    xhat = xmu / std
    xhat = xhat.T.reshape(N, C, H, W)
    out = gamma * xhat + beta
    return out, (G, size, xmu, std, gamma, xhat)

def spatial_groupnorm_backward(dout, cache):
    G, size, xmu, std, gamma, xhat = cache
    N, C, H, W = dout.shape
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3), keepdims=True)
    dxhat = (dout * gamma).reshape(size).T
    m = size[1]
    dstd = -np.sum(dxhat * xmu, axis=0) / std ** 2
    dvar = 0.5 * dstd / std
    dxmu = dxhat / std + 2 * dvar * xmu / m
    dmu = -np.sum(dxmu, axis=0)
    dx = dxmu + dmu / m
    dx = dx.T.reshape(N, C, H, W)
    return dx, dgamma, dbeta
"""
)
AFFINE_EINSUM = (
    HEAD
    + """
def affine_forward(x, w, b):
    N = x.shape[0]
    D = np.prod(x.shape[1:])
    out = np.matmul(x.reshape(N, D), w) + b
    cache = (x, w, b)
    return out, cache

def affine_backward(dout, cache):
    x, w, b = cache
    flat = x.reshape(len(x), -1)
    dw = np.einsum("ni,no->io", flat, dout)
    db = np.ones(len(x)).dot(dout)
    dx = np.tensordot(dout, w, axes=([1], [1])).reshape(*x.shape)
    return dx, dw, db
"""
)
AFFINE_LOOPS = (
    HEAD
    + """
def affine_forward(x, w, b):
    return x.reshape(x.shape[0], -1) @ w + b, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    flat = x.reshape(len(x), -1)
    N, M = dout.shape
    dflat, dw, db = np.zeros_like(flat), np.zeros_like(w), np.zeros_like(b)
    for n in range(N):
        for m in range(M):
            dflat[n] += dout[n, m] * w[:, m]
            dw[:, m] += dout[n, m] * flat[n]
            db[m] += dout[n, m]
    return dflat.reshape(x.shape), dw, db
"""
)
SOFTMAX_EYE = (
    HEAD
    + """
def softmax_loss(x, y):
    N, C = x.shape
    z = x - x.max(axis=1, keepdims=True)
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(C)[y]
    loss = -np.mean(np.sum(t * np.log(p), axis=1))
    return loss, (p - t) / N
"""
)
SOFTMAX_LOOPS = (
    HEAD
    + """
def softmax_loss(x, y):
    num_train, num_class = x.shape
    loss = 0.0
    dx = np.zeros_like(x)
    for i in range(num_train):
        scores = x[i] - np.max(x[i])
        total = np.sum(np.exp(scores))
        loss += np.log(total) - scores[y[i]]
        for j in range(num_class):
            dx[i, j] = np.exp(scores[j]) / total - (j == y[i])
    loss /= num_train
    dx /= num_train
    return loss, dx
"""
)
SVM = (
    HEAD
    + """
def svm_loss(x, y):
    N = x.shape[0]
    correct = x[np.arange(N), y]
    margins = np.maximum(0, x - correct[:, np.newaxis] + 1.0)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N
    num_pos = np.sum(margins > 0, axis=1)
    dx = np.zeros_like(x)
    dx[margins > 0] = 1
    dx[np.arange(N), y] -= num_pos
    dx /= N
    return loss, dx
"""
)
CONV = (
    HEAD
    + """
def conv_forward_naive(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    Ho, Wo = 1 + (H + 2 * pad - HH) // stride, 1 + (W + 2 * pad - WW) // stride
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((N, F, Ho, Wo))
    for i in range(Ho):
        for j in range(Wo):
            window = xp[:, :, i * stride:i * stride + HH, j * stride:j * stride + WW]
            for f in range(F):
                out[:, f, i, j] = np.sum(window * w[f], axis=(1, 2, 3)) + b[f]
    return out, (x, w, b, conv_param)

def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for n in range(N):
        for f in range(F):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    r, c = i * stride, j * stride
                    dw[f] += xp[n, :, r:r + HH, c:c + WW] * dout[n, f, i, j]
                    dxp[n, :, r:r + HH, c:c + WW] += w[f] * dout[n, f, i, j]
    db = dout.sum(axis=(0, 2, 3))
    dx = dxp[:, :, pad:pad + H, pad:pad + W]
    return dx, dw, db
"""
)
POOL = (
    HEAD
    + """
def max_pool_forward_naive(x, pool_param):
    h, w, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    out = np.zeros((N, C, 1 + (H - h) // s, 1 + (W - w) // s))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = x[:, :, i * s:i * s + h, j * s:j * s + w].max(axis=(2, 3))
    return out, (x, pool_param)

def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    h, w, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    N, C, Ho, Wo = dout.shape
    for n in range(N):
        for c in range(C):
            for i in range(Ho):
                for j in range(Wo):
                    window = x[n, c, i * s:i * s + h, j * s:j * s + w]
                    mask = window == np.max(window)
                    dx[n, c, i * s:i * s + h, j * s:j * s + w] += mask * dout[n, c, i, j]
    return dx
"""
)
DROPOUT = (
    HEAD
    + """
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    out = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    elif mode == "test":
        out = x
    cache = (dropout_param, mask)
    out = out.astype(x.dtype, copy=False)
    return out, cache

def dropout_backward(dout, cache):
    dropout_param, mask = cache
    mode = dropout_param["mode"]
    dx = None
    if mode == "train":
        dx = dout * mask
    elif mode == "test":
        dx = dout
    return dx
"""
)
RELU_IN_PLACE = (
    HEAD
    + """
def relu_forward(x):
    out = x * (x > 0)
    cache = x
    return out, cache

def relu_backward(dout, cache):
    dx, x = dout.copy(), cache
    dx[x <= 0] = 0
    return dx
"""
)
FEW_NAMES = (
    HEAD
    + """
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get('eps', 1e-5)
    mu = x.mean(axis=0, keepdims=True)
    x_mu = x - mu
    sigma2 = np.mean(x_mu ** 2, axis=0, keepdims=True)
    ivar = 1 / np.sqrt(sigma2 + eps)
    y = gamma * (x_mu * ivar) + beta
    return y, (gamma, x_mu, ivar)


def batchnorm_backward(dy, cache):
    gamma, x_mu, ivar = cache
    m = len(dy)
    dyivar = dy * ivar
    dg = (x_mu * dyivar).sum(axis=0)
    db = dy.sum(axis=0)
    dyivar = dyivar * gamma
    dsigma2 = -0.5 * np.sum(dyivar * x_mu * ivar ** 2, axis=0)
    dmu = -np.sum(dyivar, axis=0) - 2 * dsigma2 * np.sum(x_mu, axis=0) / m
    dx = dyivar + dsigma2 * 2 * x_mu / m + dmu / m
    return dx, dg, db
"""
)
SUMMED_PARTS = (
    HEAD
    + """
def batchnorm_forward(x, gamma, beta, bn_param):
    mean = np.mean(x, axis=0)
    x_minus_mean = x - mean
    var = np.var(x, axis=0)
    std = np.sqrt(var + bn_param.get("eps", 1e-5))
    inv_std = 1.0 / std
    normalized = x_minus_mean * inv_std
    out = gamma * normalized + beta
    cache = {"n": normalized, "g": gamma, "c": x_minus_mean, "inv": inv_std, "std": std, "x": x}
    return out, cache


def batchnorm_backward(dout, cache):
    normalized, gamma, x_minus_mean = cache["n"], cache["g"], cache["c"]
    inv_std, std = cache["inv"], cache["std"]
    N, D = dout.shape
    dbeta = dout.sum(0)
    dgamma = np.einsum("ij,ij->j", dout, normalized)
    dnormalized = np.multiply(dout, gamma)
    dinv_std = (dnormalized * x_minus_mean).sum(0)
    dstd = dinv_std * -(inv_std ** 2)
    dvar = dstd / (2.0 * std)
    dx_minus_mean = dnormalized * inv_std + x_minus_mean * (2.0 / N) * dvar
    dmean = -dx_minus_mean.sum(0)
    dx = dx_minus_mean + dmean / N
    return dx, dgamma, dbeta
"""
)
ATTENTION = (
    HEAD
    + """
def attention_forward(q, k, v):
    d = q.shape[-1]
    s = q @ k.T / np.sqrt(d)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    out = p @ v
    return out, (q, k, v, p)


def attention_backward(dout, cache):
    q, k, v, p = cache
    d = q.shape[-1]
    dv = p.T @ dout
    dp = dout @ v.T
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    ds = ds / np.sqrt(d)
    dq = ds @ k
    dk = ds.T @ q
    return dq, dk, dv
"""
)
POOL_TILES = (
    HEAD
    + """
def max_pool_forward_reshape(x, pool_param):
    ph, pw = pool_param["pool_height"], pool_param["pool_width"]
    N, C, H, W = x.shape
    return x.reshape(N, C, H // ph, ph, W // pw, pw).max(axis=(3, 5)), (x, ph, pw)

def max_pool_backward_reshape(dout, cache):
    x, ph, pw = cache
    N, C, H, W = x.shape
    tiles = x.reshape(N, C, H // ph, ph, W // pw, pw)
    mask = tiles == tiles.max(axis=(3, 5), keepdims=True)
    return (mask * dout[:, :, :, None, :, None]).reshape(x.shape)
"""
)
RIGHT = {
    "einsum": (EINSUM, "batchnorm_backward"), "matrix": (MATRIX, "batchnorm_backward"),
    "one-liner": (ONE_LINER, "batchnorm_backward"), "staged": (STAGED, "batchnorm_backward"),
    "keepdims": (KEEPDIMS, "batchnorm_backward"), "helpers": (HELPERS, "batchnorm_backward"),
    "object": (OBJECT, "batchnorm_backward"), "comprehension": (COMPREHENSION, "batchnorm_backward"),
    "layer norm by transposing": (LN_BY_TRANSPOSE, "layernorm_backward"),
    "layer norm by rows": (LN_ROWS, "layernorm_backward"),
    "spatial": (SPATIAL_AXES, "spatial_batchnorm_backward"), "group norm": (GROUPNORM, "spatial_groupnorm_backward"),
    "affine by einsum": (AFFINE_EINSUM, "affine_backward"), "affine by loops": (AFFINE_LOOPS, "affine_backward"),
    "softmax by one-hot": (SOFTMAX_EYE, "softmax_loss"), "softmax by loops": (SOFTMAX_LOOPS, "softmax_loss"),
    "svm": (SVM, "svm_loss"), "convolution": (CONV, "conv_backward_naive"), "pool": (POOL, "max_pool_backward_naive"),
    "dropout": (DROPOUT, "dropout_backward"), "relu in place": (RELU_IN_PLACE, "relu_backward"),
    "few names": (FEW_NAMES, "batchnorm_backward"), "summed parts": (SUMMED_PARTS, "batchnorm_backward"),
    "pool of tiles": (POOL_TILES, "max_pool_backward_reshape"),
}  # fmt: skip
