"""What PyTorch has no function for, in PyTorch: a printed program begins with those of these that it uses."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # nothing here imports PyTorch: a printed program does
    import numpy as np
    import torch


def cbrt(x):
    """Return the cube root of each element, of either sign."""
    return x.sign() * x.abs() ** (1 / 3)


def psi(x, n=0):
    """Return derivative number n of the digamma function; PyTorch's own polygamma has 10 digits."""
    return (-1) ** (n + 1) * math.factorial(n) * torch.special.zeta(n + 1.0, x) if n else x.digamma()


def sinc(x, order=0):
    """Return sin(πx) / (πx), or one of its derivatives: near 0 from the sum of its powers of x."""
    z = math.pi * x
    near = z.abs() < 1 + 0.5 * order
    far, small = torch.where(near, 1, z), torch.where(near, z, 0)
    out = far.sin() / far
    for n in range(1, order + 1):
        out = ((far + n * math.pi / 2).sin() - n * out) / far
    powers = range((order + 1) // 2, order + 20)
    terms = [(-1) ** k * math.perm(2 * k, order) / math.factorial(2 * k + 1) * small ** (2 * k - order) for k in powers]
    return torch.where(near, sum(terms), out) * math.pi**order


def scatter(x, key, shape):
    """Return zeros of a shape, with x added at the places key: what undoes x[key]."""
    count = torch.Size(shape).numel()
    places = torch.from_numpy(np.arange(count).reshape(shape)[key].flatten())
    return torch.zeros(count, dtype=x.dtype).index_add(0, places, x.flatten()).reshape(shape)


def assemble(*xs, keys, shape):
    """Return zeros of a shape, with each of xs added at its place."""
    return sum(scatter(x, key, shape) for x, key in zip(xs, keys, strict=True))


def pad(x, pad_width, mode="constant", constant_values=0.0):
    """Surround an array, as numpy.pad does."""
    if mode == "constant":
        inside = np.pad(np.zeros(x.shape, bool), pad_width, constant_values=True)
        out = torch.full(inside.shape, constant_values, dtype=x.dtype)
        return out.index_put(torch.from_numpy(~inside).nonzero(as_tuple=True), x.flatten())
    places = np.pad(np.arange(x.numel()).reshape(x.shape), pad_width, mode=mode)
    return x.flatten()[torch.from_numpy(places)]


def logsumexp(x, axis=None, keepdims=False):
    """Return log Σ exp(x)."""
    return torch.logsumexp(x, tuple(range(x.ndim)) if axis is None else axis, keepdims)


def of_rank(name, rank):
    """Return a function of PyTorch over so many axes."""
    return getattr(torch.nn.functional, f"{name}{rank}d")


def same_transpose(x, w, groups=1, dilation=1):
    """Put a filter at every pixel of x, times the pixel, and add them up: the gradient of a convolution, padded to keep
    the lengths of the axes, in its images.
    """
    rank = w.ndim - 2
    images = torch.zeros(
        *x.shape[: -rank - 1], w.shape[1] * groups, *x.shape[-rank:], dtype=x.dtype, requires_grad=True
    )
    y = of_rank("conv", rank)(images, w, padding="same", groups=groups, dilation=dilation)
    return torch.autograd.grad(y, images, x)[0]


def conv_weight(x, y, kernel, stride=1, padding=0, dilation=1, groups=1):
    """Multiply each window of x by its pixel of y and add up: the gradient of a convolution in its filters."""
    rank = len(kernel)
    w = torch.zeros(y.shape[-rank - 1], x.shape[-rank - 1] // groups, *kernel, dtype=x.dtype, requires_grad=True)
    return torch.autograd.grad(of_rank("conv", rank)(x, w, None, stride, padding, dilation, groups), w, y)[0]


def flat(x, rank):
    """Return images (…, *lengths) with one axis for all in front; PyTorch takes no more."""
    return x.reshape(1, -1, *x.shape[-rank:])


def avg_unpool(x, kernel, *options, size=()):
    """Give each pixel of a window an equal share of x: the gradient of an average pooling."""
    images = torch.zeros(1, x.shape[: -len(size)].numel(), *size, dtype=x.dtype, requires_grad=True)
    pooled = of_rank("avg_pool", len(size))(images, kernel, *options)
    return torch.autograd.grad(pooled, images, flat(x, len(size)))[0].reshape(*x.shape[: -len(size)], *size)


def max_places(x, kernel, *options):
    """Return the largest of each window of images, and at which pixel of its image it is."""
    rank = len(kernel)
    best, places = of_rank("max_pool", rank)(flat(x, rank), kernel, *options, return_indices=True)
    return best.reshape(*x.shape[:-rank], *best.shape[-rank:]), places.reshape(*x.shape[:-rank], -1)


def to_largest(g, x, kernel, *options):
    """Send g to the largest of each window of x: the gradient of a maximum pooling."""
    places = max_places(x, kernel, *options)[1]
    out = torch.zeros(*x.shape[: -len(kernel)], x.shape[-len(kernel) :].numel(), dtype=g.dtype)
    return out.scatter_add(-1, places, g.reshape(places.shape)).reshape(x.shape)


def at_largest(y, x, kernel, *options):
    """Take y where x is the largest of its window."""
    best, places = max_places(x, kernel, *options)
    return y.flatten(-len(kernel)).gather(-1, places).reshape(best.shape)


def add_along_axis(x, indices, axis=-1, shape=()):
    """Return zeros of a shape, with x added at places along an axis: what undoes torch.take_along_dim."""
    count = torch.Size(shape).numel()
    places = torch.take_along_dim(torch.arange(count).reshape(shape), indices, axis)
    return (
        torch.zeros(count, dtype=x.dtype)
        .index_add(0, places.flatten(), x.expand(places.shape).flatten())
        .reshape(shape)
    )


def prod(x, axis=None, keepdims=False):
    """Return the product over several axes."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    for a in sorted((a % x.ndim for a in axes), reverse=True):
        x = x.prod(a, keepdim=keepdims)
    return x


def cross(x, y):
    """Return the cross product of vectors along the last axis."""
    return torch.linalg.cross(*torch.broadcast_tensors(x, y))


def cofactor(a):
    """Return the cofactors of matrices: det(a) a⁻ᵀ."""
    return torch.linalg.det(a)[..., None, None] * torch.linalg.inv(a).mT


def logabsdet(a):
    """Return log |det a|."""
    return torch.linalg.slogdet(a)[1]


def eigh(a):
    """Return the eigenvalues of symmetric matrices, and below them the eigenvectors."""
    values, vectors = torch.linalg.eigh((a + a.mT) / 2)
    return torch.cat([values[..., None, :], vectors], dim=-2)


def svd(a):
    """Return singular values, below them the left singular vectors, and below these the right ones."""
    left, values, right = torch.linalg.svd(a, full_matrices=False)
    return torch.cat([values[..., None, :], left, right.mT], dim=-2)


def complement(x):
    """Return orthonormal vectors that are orthogonal to those of x."""
    return torch.linalg.qr(x, mode="complete")[0][..., x.shape[-1] :]


def qr(a):
    """Return Q, and below it the transpose of R."""
    q, r = torch.linalg.qr(a)
    return torch.cat([q, r.mT], dim=-2)


def fftn(x, axes=(-1,), norm="backward"):
    """Return the discrete Fourier transform of pairs."""
    return torch.view_as_real(torch.fft.fftn(torch.view_as_complex(x.contiguous()), dim=axes, norm=norm))


def ifftn(x, axes=(-1,), norm="backward"):
    """Return the inverse discrete Fourier transform of pairs."""
    return torch.view_as_real(torch.fft.ifftn(torch.view_as_complex(x.contiguous()), dim=axes, norm=norm))


def rfft(x, axis=-1, norm="backward"):
    """Return half of the discrete Fourier transform of real numbers, as pairs."""
    return torch.view_as_real(torch.fft.rfft(x, dim=axis, norm=norm))


def irfft(x, n=1, axis=-1, norm="backward"):
    """Return the n real numbers whose transform has these pairs."""
    return torch.fft.irfft(torch.view_as_complex(x.contiguous()), n=n, dim=axis, norm=norm)


def convolve(x, y, valid=False):
    """Return the convolution of two sequences: in full, or where they overlap in full."""
    x, y = (x, y) if len(x) >= len(y) else (y, x)
    padding = 0 if valid else len(y) - 1
    return torch.nn.functional.conv1d(x[None, None], y.flip(0)[None, None], padding=padding)[0, 0]


def resample(x, size, mode="nearest", align_corners=False, scales=None):
    """Read images at evenly spaced places along their last axes."""
    rank = len(size)
    theirs = {"linear": ("linear", "bilinear", "trilinear")[rank - 1], "cubic": "bicubic"}.get(mode, mode)
    given = {"scale_factor": scales} if scales else {"size": size}
    aligned = {} if mode.startswith("nearest") else {"align_corners": align_corners}
    found = torch.nn.functional.interpolate(flat(x, rank), mode=theirs, **given, **aligned)
    return found.reshape(*x.shape[:-rank], *found.shape[2:])


def resample_back(x, size, *options):
    """Send results to the elements that they were read from: the gradient of resample."""
    images = torch.zeros(*x.shape[: -len(size)], *size, dtype=x.dtype, requires_grad=True)
    return torch.autograd.grad(resample(images, x.shape[-len(size) :], *options), images, x)[0]


def unfold(x, kernel, dilation=1, padding=0, stride=1):
    """Lay the windows of images out as columns."""
    if len(kernel) == 2:
        return torch.nn.functional.unfold(x, kernel, dilation, padding, stride)
    return torch.nn.functional.unfold(x.unsqueeze(-2), (1, *kernel), (1, dilation), (0, padding), (1, stride))


def fold(x, size, kernel, dilation=1, padding=0, stride=1):
    """Add windows up into images."""
    if len(kernel) == 2:
        return torch.nn.functional.fold(x, size, kernel, dilation, padding, stride)
    return torch.nn.functional.fold(x, (1, *size), (1, *kernel), (1, dilation), (0, padding), (1, stride)).squeeze(-2)
