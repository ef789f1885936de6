"""Functions of one number that compiled kernels call: what Numba has none of, or none that runs on many at a time.

They are compiled without reassociation: the order of their operations is what makes them exact. The exponential, the
hyperbolic tangent and the error function are polynomials and quotients in float32, within 2e-7.
"""

from __future__ import annotations

import numpy as np

F = np.float32
Number = float | np.floating


def less(x: Number, high: Number, low: Number) -> Number:
    """Take off a number that comes in two parts."""
    return (x - high) - low


def exp32(x: np.float32) -> np.float32:
    """Take the exponential: Cephes' polynomial, after the power of two is taken out."""
    y = F(88.72) if x > F(88.72) else (F(-87.33) if x < F(-87.33) else x)
    n = np.floor(y * F(1.4426950408889634) + F(0.5))
    r = y - n * F(0.693359375) - n * F(-2.12194440e-4)
    p = ((((F(1.987569e-4) * r + F(1.3981999e-3)) * r + F(8.3334519e-3)) * r + F(4.1665796e-2)) * r + F(0.16666666)) * r
    y = ((p + F(0.5)) * r * r + r + F(1)) * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return F(np.inf) if x > F(88.72) else (F(0) if x < F(-87.33) else y)


def tanh32(x: np.float32) -> np.float32:
    """Take the hyperbolic tangent: a quotient of polynomials in x²; from 8 on it is 1."""
    y = F(7.9053111) if x > F(7.9053111) else (F(-7.9053111) if x < F(-7.9053111) else x)
    s = y * y
    p = ((F(-2.76076847742355e-16) * s + F(2.00018790482477e-13)) * s + F(-8.60467152213735e-11)) * s
    p = (((p + F(5.12229709037114e-08)) * s + F(1.48572235717979e-05)) * s + F(6.37261928875436e-04)) * s
    q = ((F(1.19825839466702e-06) * s + F(1.18534705686654e-04)) * s + F(2.268434632439e-03)) * s + F(
        4.89352518554385e-03
    )
    y = y * (p + F(4.89352455891786e-03)) / q
    return F(1) if x > F(9) else (F(-1) if x < F(-9) else y)


def erf32(x: np.float32) -> np.float32:
    """Take the error function: a quotient of polynomials in x²; from 4 on it is 1."""
    y = F(4) if x > F(4) else (F(-4) if x < F(-4) else x)
    s = y * y
    p = ((F(-2.72614225801306e-10) * s + F(2.77068142495902e-08)) * s + F(-2.10102402082508e-06)) * s
    p = (((p + F(-5.69250639462346e-05)) * s + F(-7.34990630326855e-04)) * s + F(-2.95459980854025e-03)) * s
    q = ((F(-1.45660718464996e-05) * s + F(-2.13374055278905e-04)) * s + F(-1.68282697438203e-03)) * s
    y = (p + F(-1.60960333262415e-02)) * y / ((q + F(-7.37332916720468e-03)) * s + F(-1.42647390514189e-02))
    return F(1) if x > F(4) else (F(-1) if x < F(-4) else y)


def rank(x: np.float32) -> np.int32:
    """Return an integer in the order of the numbers: the largest of many is found many at a time, and NaN is above."""
    b = np.float32(x).view(np.int32)
    return np.int32(b ^ ((b >> np.int32(31)) & np.int32(0x7FFFFFFF)))


def unrank(b: np.int32) -> np.float32:
    """Return the number of a rank."""
    return np.int32(b ^ ((b >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


def keep_greater(x: Number, y: Number) -> Number:
    """Return the larger of two numbers, or the one that is NaN."""
    return x if x >= y or x != x else y  # noqa: PLR0124 - NaN does not


def keep_less(x: Number, y: Number) -> Number:
    """Return the smaller of two numbers, or the one that is NaN."""
    return x if x <= y or x != x else y  # noqa: PLR0124 - NaN does not


def median(x: Number, y: Number, z: Number) -> Number:
    """Return the middle one of three numbers."""
    return max(min(x, y), min(max(x, y), z))
