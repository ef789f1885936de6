"""The IDX files of MNIST and its kin, packed or not: read no further than the header says."""

from __future__ import annotations

import contextlib
import gzip
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tinygraph.engine.types import Array, Shape

__all__ = ["read_idx"]

MOST = 1_000_000  # records in a file; a header that says more is not believed


def read_idx(path: Path, record: Shape) -> Array:
    """Return the array in an IDX file of bytes: magic number, length of each axis (big-endian), then the elements.

    Args:
        path: the file; it is packed if it ends in .gz.
        record: the shape of one record: (28, 28) for an image, () for a label.

    Returns:
        The records, (N, *record).

    Raises:
        ValueError: a byte is not as the format says, the records have another shape, or there are none.

    Source: Y. LeCun, http://yann.lecun.com/exdb/mnist, "the IDX file format".
    """
    ndim = 1 + len(record)
    size, kind = 4 + 4 * ndim, 0x800 + ndim
    with reading(path) as read:
        header = read(size)
        if len(header) < size:
            raise ValueError(f"{path}: ends at byte {len(header)}, within the header of {size} bytes")
        magic, *shape = (int.from_bytes(header[i : i + 4]) for i in range(0, size, 4))
        if magic != kind:
            raise ValueError(f"{path}: at byte 0 stands {magic:#010x}; IDX of bytes, {ndim} axes, has {kind:#010x}")
        if tuple(shape[1:]) != record:
            raise ValueError(f"{path}: its records are {tuple(shape[1:])}, and must be {record}")
        if not 0 < shape[0] <= MOST:
            raise ValueError(f"{path}: its header says {shape[0]} records; there must be 1 … {MOST:,}")
        count = math.prod(shape)
        data = read(count + 1)  # a packed file is checked when its end is reached
    if len(data) != count:
        what = "ends at" if len(data) < count else "goes on after"
        place = size + min(len(data), count)
        raise ValueError(
            f"{path}: {what} byte {place}; its header says {tuple(shape)}, which makes {size + count} bytes"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Callable[[int], bytes]]:
    """Open a file; yield a function that returns its next bytes, unpacked, fewer at the end; name it in errors."""
    good = 0

    def read(count: int) -> bytes:
        nonlocal good
        pieces = []
        while count and (piece := file.read(min(count, 1 << 16))):
            pieces.append(piece)
            good, count = good + len(piece), count - len(piece)
        return b"".join(pieces)

    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            yield read
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"{path}: the packed file, of {path.stat().st_size} bytes, is truncated or corrupt: it unpacks up to "
                f"about byte {good}, then: {error}"
            ) from error
