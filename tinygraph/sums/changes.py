"""What changes from one formula to the next: which of its terms go, and which come."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

__all__ = ["changes", "terms_of"]


def changes(before: Sequence[object], after: Sequence[object]) -> tuple[frozenset[int], frozenset[int]]:
    """Return the places of the terms that one formula alone has, and of those that the next one alone has.

    >>> goes, came = changes(["dy", "− Σ(−y)"], ["dy", "+ Σ y"])
    >>> sorted(goes), sorted(came)
    ([1], [1])
    """
    goes, came = set(range(len(before))), set(range(len(after)))
    for i, j, n in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        goes -= set(range(i, i + n))
        came -= set(range(j, j + n))
    return frozenset(goes), frozenset(came)


def terms_of(formula: str) -> list[str]:
    """Return the terms of a formula, as text or as LaTeX, each with its sign; those in brackets stay together.

    >>> terms_of("dy y − y Σ(dy + y)")
    ['dy y', ' − y Σ(dy + y)']
    """
    found, depth = [""], 0
    for k, c in enumerate(formula):
        depth += (c in "({") - (c in ")}")
        if formula[k : k + 3] in (" + ", " - ", " − ") and not depth and k:
            found.append("")
        found[-1] += c
    return found
