"""Fourier transforms of pairs against PyTorch's of complex numbers, to second order; and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import against_torch, close
from tinygraph import Tensor, fft

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
ONE = [{}, {"n": 7}, {"n": 3}, {"n": 12}, {"dim": 0}, {"norm": "ortho", "n": 5, "dim": -2}, {"norm": "forward"}]
SEVERAL = [{}, {"s": (6, 3)}, {"dim": (0, 1)}, {"norm": "ortho", "s": (5, 2), "dim": (-3, -1)}]
CALLS = [
    *((name, options) for name in ("fft", "ifft", "rfft", "irfft") for options in ONE),
    *((f"{name}{rank}", options) for name in ("fft", "ifft", "rfft", "irfft") for rank in "2n" for options in SEVERAL),
    *((name, options) for name in ("fftshift", "ifftshift") for options in ({}, {"dim": 1}, {"dim": (0,)})),
]


def paired(name, x, options):
    """PyTorch's function, from and to pairs."""
    z = x if name.startswith("rfft") else torch.view_as_complex(x.contiguous())
    y = getattr(torch.fft, name)(z, **options)
    return torch.view_as_real(y) if y.is_complex() else y


@pytest.mark.parametrize(("name", "options"), CALLS)
def test_transforms_equal_pytorch(name, options):
    x = RNG.standard_normal((3, 4, 5) + (2,) * (not name.startswith("rfft")))
    against_torch(lambda a: getattr(fft, name)(a, **options), lambda a: paired(name, a, options), [x])


def test_numpys_names_of_arguments():
    x = RNG.standard_normal((3, 4, 2))
    z = x[..., 0] + 1j * x[..., 1]
    found, wanted = fft.fft2(Tensor(x), (4, 4), axes=(1, 0)).data, np.fft.fft2(z, (4, 4), axes=(1, 0))
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], wanted, atol=1e-12)
    np.testing.assert_allclose(fft.rfft(x[..., 0], axis=0)[..., 0], np.fft.rfft(x[..., 0], axis=0).real, atol=1e-13)


def test_the_theorem_of_convolution():
    """A product of transforms is a convolution in a circle: so is its gradient."""
    x, y = RNG.standard_normal(6), RNG.standard_normal(6)

    def circular(a, b):
        return fft.irfft(fft.multiply_pairs(fft.rfft(a), fft.rfft(b)), 6)

    rolled = np.stack([np.roll(y[::-1], k + 1) for k in range(6)])
    close(circular(x, y), rolled @ x, 1e-13)
    tg.gradcheck(circular, (x, y))
    a = Tensor(x)
    (circular(a, y) * np.arange(6.0)).sum().backward()
    close(a.grad, rolled.T @ np.arange(6.0), 1e-13)


def test_parseval():
    """The squares of a signal are the squares of its transform over n; their gradient is 2x."""
    x = Tensor(RNG.standard_normal((3, 8, 2)))
    energy = (fft.fft(x, norm="ortho") ** 2).sum()
    assert energy.item() == pytest.approx((x.data**2).sum())
    close(tg.grad(energy, x)[0], 2 * x.data, 1e-13)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_dtype_is_kept(dtype):
    x = Tensor(RNG.standard_normal((4, 2)).astype(dtype))
    for y in (fft.fft(x), fft.irfft(x), fft.rfft(x[:, 0]), fft.fftshift(x)):
        assert y.dtype == dtype
        assert tg.grad(y.sum(), x)[0].dtype == dtype


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda x: fft.fft(x),
            ValueError,
            r"fft takes pairs .* and not shape \(2, 3\): for real numbers there is rfft",
        ),
        (lambda x: fft.rfft(x, 0), ValueError, "rfft: a transform has at least 1 element, and 0 are asked for"),
        (lambda x: fft.irfft(x[:, :2], -2), ValueError, "irfft: a transform has at least 1 element"),
        (lambda x: fft.rfft(x, norm="half"), ValueError, "norm is 'half', and must be"),
        (lambda x: fft.rfft(x, axis=2), ValueError, "axis 2 is out of bounds"),
        (lambda x: np.fft.rfft(x), TypeError, "write tinygraph.fft.rfft, where a complex number is a pair"),
        (lambda x: np.fft.fftshift(x), TypeError, "write tinygraph.fft.fftshift, where a complex number is a pair"),
        (lambda x: fft.hfft(x), AttributeError, "write irfft or rfft"),
        (lambda x: Tensor(np.ones(2) * 1j), TypeError, "is complex"),
    ],
)
def test_what_does_not_fit_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call(Tensor(np.ones((2, 3))))
