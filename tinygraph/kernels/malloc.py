"""One request at import keeps the memory of large arrays within the process: else each 4 KB of them cost a page fault.

glibc takes arrays above 128 KB fresh from the system and gives them back when they are freed, until the program has
freed a larger block; from then on it reuses their memory. Composed batch norm is twice as fast after that. This is a
setting of the whole process, so ``TINYGRAPH_MALLOC=0`` turns it off.
"""

from __future__ import annotations

import os

import numpy as np

__all__ = ["keep_freed_memory"]

LARGEST = 31 << 20  # bytes; glibc learns from freed blocks of up to 32 MiB


def keep_freed_memory() -> bool:
    """Allocate and free one large block, so that glibc keeps the memory of smaller ones; say whether it was done."""
    if os.environ.get("TINYGRAPH_MALLOC") == "0":
        return False
    np.empty(LARGEST, np.uint8)
    return True
