"""What NumPy has no function for, in NumPy: a printed program begins with those of these that it uses."""

import math

import numpy as np


def erf(x):
    """Return the error function of each element."""
    return np.vectorize(math.erf, otypes=[float])(x)


def erfc(x):
    """Return one less the error function of each element."""
    return np.vectorize(math.erfc, otypes=[float])(x)


def erfinv(x):
    """Return the inverse of the error function."""
    from scipy import special

    return special.erfinv(x)


def gammaln(x):
    """Return the logarithm of the Gamma function."""
    from scipy import special

    return special.gammaln(x)


def psi(x, n=0):
    """Return derivative number n of the digamma function."""
    from scipy import special

    return special.polygamma(n, x)


def i1(x):
    """Return the Bessel function I of order 1."""
    from scipy import special

    return special.i1(x)


def entr(x):
    """Return -x log x, and 0 at 0."""
    return np.where(x < 0, -np.inf, -x * np.log(np.where(x > 0, x, 1)))


def xlog1py(x, y):
    """Return x log(1 + y), and 0 where x is 0."""
    return np.where(x == 0, 0.0, x * np.log1p(np.where(x == 0, 0.0, y)))


def elu(x, alpha=1.0):
    """Return x above 0, and alpha (exp x - 1) below."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def mish(x):
    """Return x tanh(log(1 + exp x))."""
    return x * np.tanh(np.logaddexp(0, x))


def xlogy(x, y):
    """Return x log y, and 0 where x is 0."""
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log(np.where(x == 0, 1.0, y)))


def sinc(x, order=0):
    """Return sin(πx) / (πx), or one of its derivatives: near 0 from the sum of its powers of x."""
    z = math.pi * np.asarray(x, float)
    near = np.abs(z) < 1 + 0.5 * order
    far, small = np.where(near, 1, z), np.where(near, z, 0)
    out = np.sin(far) / far
    for n in range(1, order + 1):
        out = (np.sin(far + n * math.pi / 2) - n * out) / far
    powers = range((order + 1) // 2, order + 20)
    terms = [(-1) ** k * math.perm(2 * k, order) / math.factorial(2 * k + 1) * small ** (2 * k - order) for k in powers]
    return np.where(near, sum(terms), out) * math.pi**order


def logsumexp(x, axis=None, keepdims=False):
    """Return log Σ exp(x); the largest is taken off first, so that nothing overflows."""
    largest = x.max(axis=axis, keepdims=True)
    return (largest + np.log(np.exp(x - largest).sum(axis=axis, keepdims=True))).sum(axis=axis, keepdims=keepdims)


def scatter(x, key, shape):
    """Return zeros of a shape, with x added at the places key: what undoes x[key]."""
    out = np.zeros(shape, x.dtype)
    np.add.at(out, key, x)
    return out


def assemble(*xs, keys, shape):
    """Return zeros of a shape, with each of xs added at its place."""
    out = np.zeros(shape, np.result_type(*xs))
    for x, key in zip(xs, keys, strict=True):
        out[key] += x
    return out


def each(n, rank):
    """Return an option as one number for each axis."""
    return tuple(n) if isinstance(n, tuple | list) else (n,) * rank


def sides(padding, kernel, dilation=1):
    """Return the padding before and after each axis; "same" keeps the lengths of the axes."""
    if padding == "same":
        wanted = [d * (k - 1) for d, k in zip(each(dilation, len(kernel)), kernel, strict=True)]
        return [(n // 2, n - n // 2) for n in wanted]
    return [(p, p) for p in each(0 if padding == "valid" else padding, len(kernel))]


def places(kernel, count, stride, dilation=1):
    """Yield each place of a kernel, and the pixels of padded images on which it lies in all windows."""
    steps, gaps = each(stride, len(kernel)), each(dilation, len(kernel))
    for i in np.ndindex(*kernel):
        starts = [a * d for a, d in zip(i, gaps, strict=True)]
        yield i, (..., *(slice(a, a + s * (m - 1) + 1, s) for a, s, m in zip(starts, steps, count, strict=True)))


def surround(x, around, value=0.0):
    """Put a value around images, so much before and after each of their last axes."""
    return np.pad(x, [(0, 0)] * (x.ndim - len(around)) + list(around), constant_values=value)


def crop(x, around, size):
    """Take the padding of images away again."""
    return x[(..., *(slice(a, a + n) for (a, _), n in zip(around, size, strict=True)))]


def windows(size, kernel, around, stride, dilation=1):
    """Return how many windows lie along each axis of images."""
    steps, gaps = each(stride, len(kernel)), each(dilation, len(kernel))
    whole = zip(size, around, kernel, steps, gaps, strict=True)
    return [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, p, k, s, d in whole]


def conv(x, w, stride=1, padding=0, dilation=1, groups=1):
    """Slide the filters w (O, C/groups, *kernel) over images x (N, C, *lengths), or over one of them."""
    kernel = w.shape[2:]
    if x.ndim == w.ndim - 1:
        return conv(x[None], w, stride, padding, dilation, groups)[0]
    around = sides(padding, kernel, dilation)
    count = windows(x.shape[2:], kernel, around, stride, dilation)
    images, filters = surround(x, around), w.reshape(groups, -1, *w.shape[1:])
    out = 0
    for i, place in places(kernel, count, stride, dilation):
        taken = images[place].reshape(len(x), groups, -1, *count)
        out = out + np.einsum("ngc...,goc->ngo...", taken, filters[(..., *i)])
    return out.reshape(len(x), len(w), *count)


def conv_transpose(x, w, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Put a filter at every pixel of x, times the pixel, and add them up: the gradient of conv in its images."""
    kernel, count = w.shape[2:], x.shape[-(w.ndim - 2) :]
    if x.ndim == w.ndim - 1:
        return conv_transpose(x[None], w, stride, padding, output_padding, groups, dilation)[0]
    around, rank = sides(padding, kernel, dilation), len(kernel)
    options = zip(
        count, each(stride, rank), around, kernel, each(dilation, rank), each(output_padding, rank), strict=True
    )
    size = [(n - 1) * s - sum(p) + d * (k - 1) + e + 1 for n, s, p, k, d, e in options]
    x, w = x.reshape(len(x), groups, -1, *count), w.reshape(groups, -1, *w.shape[1:])
    whole = [n + sum(p) for n, p in zip(size, around, strict=True)]
    out = np.zeros((len(x), groups * w.shape[2], *whole), np.result_type(x, w))
    for i, place in places(kernel, count, stride, dilation):
        sent = np.einsum("ngo...,goc->ngc...", x, w[(..., *i)])
        out[place] += sent.reshape(len(x), -1, *count)
    return crop(out, around, size)


def conv_weight(x, y, kernel, stride=1, padding=0, dilation=1, groups=1):
    """Multiply each window of x by its pixel of y and add up: the gradient of conv in its filters."""
    if x.ndim == len(kernel) + 1:
        return conv_weight(x[None], y[None], kernel, stride, padding, dilation, groups)
    around, count = sides(padding, kernel, dilation), y.shape[2:]
    images, results = surround(x, around), y.reshape(len(y), groups, -1, *count)
    out = np.zeros((y.shape[1], x.shape[1] // groups, *kernel), np.result_type(x, y))
    for i, place in places(kernel, count, stride, dilation):
        taken = images[place].reshape(len(x), groups, -1, np.prod(count, dtype=int))
        part = np.einsum("ngcr,ngor->goc", taken, results.reshape(len(y), groups, -1, taken.shape[-1]))
        out[(slice(None), slice(None), *i)] = part.reshape(y.shape[1], -1)
    return out


def pool_windows(size, kernel, stride, padding, dilation=1, ceil_mode=False):
    """Return how many windows lie along each axis of images, and their padding before and after each axis."""
    rank, around, count = len(kernel), [], []
    strides = each(kernel if stride is None else stride, rank)
    for n, k, s, p, d in zip(size, kernel, strides, each(padding, rank), each(dilation, rank), strict=True):
        left = n + 2 * p - d * (k - 1) - 1
        m = (-(-left // s) if ceil_mode else left // s) + 1
        m -= ceil_mode and (m - 1) * s >= n + p  # the last window begins within the array
        count.append(m)
        around.append((p, max((m - 1) * s + d * (k - 1) + 1 - n - p, p)))
    return count, around, strides


def shares(size, kernel, count, stride, padding, count_include_pad=True, divisor_override=None):
    """Return what a pixel of each window counts in an average."""
    if divisor_override:
        return 1 / divisor_override
    found = np.ones(())
    for n, k, m, s, p in zip(size, kernel, count, stride, each(padding, len(kernel)), strict=True):
        starts = np.arange(m) * s - p
        first, last = (-p, n + p) if count_include_pad else (0, n)
        found = found[..., None] / (np.minimum(starts + k, last) - np.maximum(starts, first))
    return found


def avg_pool(x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """Average each window of images."""
    size = x.shape[-len(kernel) :]
    count, around, stride = pool_windows(size, kernel, stride, padding, 1, ceil_mode)
    images, share = (
        surround(x, around),
        shares(size, kernel, count, stride, padding, count_include_pad, divisor_override),
    )
    return sum(images[place] for _, place in places(kernel, count, stride)) * share


def avg_unpool(x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None,
               size=()):  # fmt: skip
    """Give each pixel of a window an equal share of x: the gradient of avg_pool."""
    count, around, stride = pool_windows(size, kernel, stride, padding, 1, ceil_mode)
    out = surround(np.zeros((*x.shape[: -len(kernel)], *size), x.dtype), around)
    x = x * shares(size, kernel, count, stride, padding, count_include_pad, divisor_override)
    for _, place in places(kernel, count, stride):
        out[place] += x
    return crop(out, around, size)


def largest(x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Return the largest of each window; where x is largest, the first of equals, for each place of a window; and the
    padding of the images.
    """
    count, around, stride = pool_windows(x.shape[-len(kernel) :], kernel, stride, padding, dilation, ceil_mode)
    images = surround(x, around, -np.inf)
    found = [place for _, place in places(kernel, count, stride, dilation)]
    best = np.max([images[place] for place in found], axis=0)
    free, marked = True, []
    for place in found:
        here = free & (images[place] == best)
        free = free & ~here
        marked.append((here, place))
    return best, marked, around


def max_pool(x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Take the largest of each window of images."""
    return largest(x, kernel, stride, padding, dilation, ceil_mode)[0]


def to_largest(g, x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Send g to the largest of each window of x: the gradient of max_pool."""
    _, marked, around = largest(x, kernel, stride, padding, dilation, ceil_mode)
    out = surround(np.zeros(x.shape, g.dtype), around)
    for here, place in marked:
        out[place] += g * here
    return crop(out, around, x.shape[-len(kernel) :])


def at_largest(y, x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Take y where x is the largest of its window."""
    _, marked, around = largest(x, kernel, stride, padding, dilation, ceil_mode)
    images = surround(y, around)
    return sum(images[place] * here for here, place in marked)


def add_along_axis(x, indices, axis=-1, shape=()):
    """Return zeros of a shape, with x added at places along an axis: what undoes np.take_along_axis."""
    out = np.zeros(shape, x.dtype)
    places = np.take_along_axis(np.arange(out.size).reshape(shape), indices, axis)
    np.add.at(out.reshape(-1), places, x)
    return out


def descending_places(x, axis):
    """Return where the elements lie in falling order; equal ones keep their order."""
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)


def cofactor(a):
    """Return the cofactors of matrices: det(a) a⁻ᵀ."""
    return np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)


def logabsdet(a):
    """Return log |det a|."""
    return np.linalg.slogdet(a)[1]


def eigh(a):
    """Return the eigenvalues of symmetric matrices, and below them the eigenvectors."""
    values, vectors = np.linalg.eigh((a + np.swapaxes(a, -1, -2)) / 2)
    return np.concatenate([values[..., None, :], vectors], axis=-2)


def svd(a):
    """Return singular values, below them the left singular vectors, and below these the right ones."""
    left, values, right = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([values[..., None, :], left, np.swapaxes(right, -1, -2)], axis=-2)


def complement(x):
    """Return orthonormal vectors that are orthogonal to those of x."""
    return np.linalg.qr(x, mode="complete")[0][..., x.shape[-1] :]


def qr(a):
    """Return Q, and below it the transpose of R."""
    q, r = np.linalg.qr(a)
    return np.concatenate([q, np.swapaxes(r, -1, -2)], axis=-2)


def pairs(z):
    """Return complex numbers as pairs along a last axis."""
    return np.stack([z.real, z.imag], axis=-1)


def fftn(x, axes=(-1,), norm="backward"):
    """Return the discrete Fourier transform of pairs."""
    return pairs(np.fft.fftn(x[..., 0] + 1j * x[..., 1], axes=axes, norm=norm))


def ifftn(x, axes=(-1,), norm="backward"):
    """Return the inverse discrete Fourier transform of pairs."""
    return pairs(np.fft.ifftn(x[..., 0] + 1j * x[..., 1], axes=axes, norm=norm))


def rfft(x, axis=-1, norm="backward"):
    """Return half of the discrete Fourier transform of real numbers, as pairs."""
    return pairs(np.fft.rfft(x, axis=axis, norm=norm))


def irfft(x, n=1, axis=-1, norm="backward"):
    """Return the n real numbers whose transform has these pairs."""
    return np.fft.irfft(x[..., 0] + 1j * x[..., 1], n=n, axis=axis, norm=norm)


def resample_weights(before, after, mode, align_corners=False, scale=None, rank=1):
    """Return the matrix (after, before) that reads an axis at evenly spaced places."""
    i, step, out = np.arange(after), 1 / scale if scale else before / after, np.zeros((after, before))
    if mode.startswith("nearest"):
        at = np.floor(((i + (mode == "nearest-exact") * 0.5) * step).astype(np.float32)).astype(int)
        if mode == "nearest" and rank == 2 and after in (before, 2 * before):
            at = i // (after // before)
        out[i, np.minimum(at, before - 1)] = 1
        return out
    if before == after and mode == "linear":
        return np.eye(after)
    at = i * ((before - 1) / max(after - 1, 1)) if align_corners else (i + 0.5) * step - 0.5
    at = np.maximum(at, 0) if mode == "linear" else at
    first, t = np.floor(at).astype(int), at - np.floor(at)
    near, far = lambda d: (1.25 * d - 2.25) * d * d + 1, lambda d: -0.75 * (((d - 5) * d + 8) * d - 4)
    taps = {0: 1 - t, 1: t} if mode == "linear" else {-1: far(t + 1), 0: near(t), 1: near(1 - t), 2: far(2 - t)}
    for k, weight in taps.items():
        np.add.at(out, (i, np.clip(first + k, 0, before - 1)), weight)
    return out


def resample(x, size, mode="nearest", align_corners=False, scales=None):
    """Read an array at evenly spaced places along its last axes."""
    for k, (m, scale) in enumerate(zip(size, scales or [None] * len(size), strict=True)):
        axis = k - len(size)
        weights = resample_weights(x.shape[axis], m, mode, align_corners, scale, len(size))
        x = np.moveaxis(np.tensordot(x, weights, (axis, 1)), -1, axis)
    return x


def resample_back(x, size, mode="nearest", align_corners=False, scales=None):
    """Send results to the elements that they were read from: the gradient of resample."""
    for k, (n, scale) in enumerate(zip(size, scales or [None] * len(size), strict=True)):
        axis = k - len(size)
        weights = resample_weights(n, x.shape[axis], mode, align_corners, scale, len(size))
        x = np.moveaxis(np.tensordot(x, weights, (axis, 0)), -1, axis)
    return x


def unfold(x, kernel, dilation=1, padding=0, stride=1):
    """Lay the windows of images (N, C, *lengths), or of one, out as columns (N, C · kernel, windows)."""
    rank, around = len(kernel), sides(padding, kernel)
    count = windows(x.shape[-rank:], kernel, around, stride, dilation)
    images, lead = surround(x, around), x.shape[: -rank - 1]
    parts = [images[place] for _, place in places(kernel, count, stride, dilation)]
    return np.stack(parts, -rank - 1).reshape(*lead, -1, np.prod(count))


def fold(x, size, kernel, dilation=1, padding=0, stride=1):
    """Add windows, the columns of x, up into images: the gradient of unfold."""
    size, around = each(size, len(kernel)), sides(padding, kernel)
    count = windows(size, kernel, around, stride, dilation)
    parts = x.reshape(*x.shape[:-2], -1, np.prod(kernel), *count)
    out = np.zeros(
        (*parts.shape[: -len(kernel) - 1], *(n + sum(p) for n, p in zip(size, around, strict=True))), x.dtype
    )
    for k, (_, place) in enumerate(places(kernel, count, stride, dilation)):
        out[place] += np.moveaxis(parts, -len(kernel) - 1, 0)[k]
    return crop(out, around, size)
