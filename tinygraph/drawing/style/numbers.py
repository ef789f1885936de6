"""Numbers in three digits, as texts and pictures show them."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["narrow_number", "short_number"]


LONG = 1e5  # from here on a number has an exponent


def short_number(x: Any, largest: float = 0.0) -> str:
    """Write a number in three digits with a true minus; in one digit, if it is far below ``largest``.

    A digit that is written is a digit of the number: 1234.5 is 1234 and not 1230, and 400 million are 4e8.

    Args:
        x: a number; anything else, such as True, is written as it is.
        largest: greatest magnitude of the array that x is from, ≥ 0.

    Returns:
        The text; −0 is 0, and ∞ and NaN have their signs and names.

    >>> short_number(-0.12345), short_number(1e-5), short_number(float("-inf")), short_number(-4e8)
    ('−0.123', '1e−05', '−∞', '−4e8')
    """
    if isinstance(x, bool) or not isinstance(x, int | float):
        return str(x)
    if not math.isfinite(x):
        return {"inf": "∞", "-inf": "−∞"}.get(str(x), "NaN")
    x = float(f"{x:.12g}")  # or half of a last digit would go up on one machine and down on another
    few = abs(x) < 1e-3 * largest and not 1 <= abs(x) < LONG
    rounded = float(f"{x:.{1 if few else 3}g}") + 0.0
    if 100 <= abs(rounded) < LONG:
        return f"{x:.0f}".replace("-", "−")
    mantissa, e, power = f"{rounded:.3g}".partition("e")
    power = f"{int(power):03d}" if e and int(power) < 0 else power.lstrip("+0")
    return f"{mantissa}{e}{power}".replace("-", "−")


def narrow_number(x: Any, largest: float = 0.0) -> str:
    """Write a number as `short_number` does, without the zeros that a cell has no room for.

    >>> narrow_number(-0.12345), narrow_number(1e-5)
    ('−.123', '1e−5')
    """
    head, e, power = short_number(x, largest).partition("e")
    if head.removeprefix("−").startswith("0."):
        head = head.replace("0.", ".", 1)
    return head + (f"e{power[:1].strip('+')}{power[1:].lstrip('0')}" if e else "")
