"""Fourier transforms: what ``numpy.fft`` and ``torch.fft`` have, for pairs of real numbers, differentiable.

A complex number is a pair (real, imaginary) along a last axis of length 2, as ``torch.view_as_real`` gives them.
"""

from tinygraph.exchange.missing import module_getattr
from tinygraph.functions.fourier import (
    fft,
    fft2,
    fftn,
    fftshift,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    irfft,
    irfft2,
    irfftn,
    make_pairs,
    multiply_pairs,
    rfft,
    rfft2,
    rfftn,
)

__all__ = [
    "fft", "fft2", "fftn", "fftshift", "ifft", "ifft2", "ifftn", "ifftshift", "irfft", "irfft2", "irfftn", "make_pairs",
    "multiply_pairs", "rfft", "rfft2", "rfftn",
]  # fmt: skip

__getattr__ = module_getattr("fft")
