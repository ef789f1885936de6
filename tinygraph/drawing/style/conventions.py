"""What every format says and shows alike: words for a gradient that is missing, numbers of contributions, limits."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "CIRCLED",
    "MOST_CARDS",
    "NOUGHT",
    "TABLE_COLUMNS",
    "TABLE_ROWS",
    "TINTS",
    "numeral",
    "plural",
    "shape_text",
    "state_words",
]

MOST_CARDS = 200  # in one drawing: scopes collapse until there are no more
TABLE_ROWS, TABLE_COLUMNS = 6, 8  # the largest table that is written out in numbers
TINTS = 6  # of a cell, from faint to strong
CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
STATE = {"none": "no grad", "pending": "not computed yet", "unused": "None: never reached"}
NOUGHT = "0, but for rounding"


def numeral(k: int) -> str:
    """Return the number of contribution ``k``, counted from 0.

    >>> numeral(0), numeral(20)
    ('①', '(21)')
    """
    return CIRCLED[k] if k < len(CIRCLED) else f"({k + 1})"


def plural(count: int, what: str) -> str:
    """Write a number of things.

    >>> plural(1, "op"), plural(2, "op")
    ('1 op', '2 ops')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}".replace(",", "\u2009")


def shape_text(shape: Sequence[int]) -> str:
    """Write a shape as Python does; a scalar's brackets stand apart.

    >>> shape_text((4, 3)), shape_text((3,)), shape_text(())
    ('(4, 3)', '(3,)', '( )')
    """
    return str(tuple(shape)) if shape else "( )"


def state_words(state: str) -> str:
    """Say why a gradient is not shown.

    >>> state_words("pending"), state_words("computed")
    ('not computed yet', 'left out')
    """
    return STATE.get(state, "left out")
