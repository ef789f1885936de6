"""Read a pickled dict of NumPy arrays, lists, numbers and texts, and nothing else: no code of the file runs.

A pickle is a program whose instructions name functions to call. Here each name gets a stand-in of our own, which
notes what the array is made of; any other name ends the reading.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinygraph.engine.types import Array

__all__ = ["read_pickled"]

LARGEST = 1 << 28  # bytes of a file: 256 MiB; a batch of CIFAR-10 has 31
KINDS = {name: np.dtype(name) for name in ("u1", "i1", "i2", "i4", "i8", "f4", "f8", "b1")}


class Kind:
    """Stands for a dtype: its name and its byte order."""

    def __init__(self, name: Any = "", *_: Any) -> None:
        self.name, self.order = name.decode("latin-1") if isinstance(name, bytes) else str(name), "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("latin-1") if isinstance(order, bytes) else str(order)

    def dtype(self) -> np.dtype[Any]:
        """Return the dtype; raise if it is none of numbers."""
        if self.name not in KINDS or self.order not in ("=", "<", ">", "|"):
            raise pickle.UnpicklingError(f"an array of {self.name!r} is asked for, which is none of numbers")
        return KINDS[self.name] if self.order in "=|" else KINDS[self.name].newbyteorder(self.order)  # type: ignore[arg-type]


class Held:
    """Stands for an array: what it is made of."""

    array: Array | None = None

    def __setstate__(self, state: Any) -> None:
        *_, shape, kind, is_fortran, data = state
        self.array = build_array(data, kind, shape, "F" if is_fortran else "C")


def build_array(data: Any, kind: Any, shape: Any, order: str) -> Array:
    """Make an array of its bytes; raise if they are not as many as it must have."""
    data = data.encode("latin-1") if isinstance(data, str) else data
    if not (isinstance(kind, Kind) and isinstance(data, bytes | bytearray) and isinstance(shape, tuple)):
        raise pickle.UnpicklingError("an array is not made of bytes, a dtype and a shape")
    if not all(isinstance(n, int) and n >= 0 for n in shape) or order not in ("C", "F"):
        raise pickle.UnpicklingError(f"an array of shape {shape!r} is asked for")
    dtype = kind.dtype()
    if math.prod(shape) * dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {shape} has {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order=order).copy()  # type: ignore[call-overload,no-any-return]


def from_buffer(data: Any, kind: Any, shape: Any, order: Any = "C") -> Held:
    """Stand for the function that NumPy's newer pickles call."""
    held = Held()
    held.array = build_array(data, kind, shape, order)
    return held


def encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Stand for ``codecs.encode``, with which old pickles write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"a text is to be encoded as {encoding!r}")
    return text.encode("latin-1")


STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): Held,
    ("numpy", "dtype"): Kind,
    ("_codecs", "encode"): encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: Held() for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): from_buffer for core in ("core", "_core")},
}


class Reader(pickle.Unpickler):
    """An unpickler that knows the stand-ins alone."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name; raise if there is none."""
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays and plain values are read")
        return STAND_INS[module, name]


def read_pickled(path: Path) -> dict[str, Any]:
    """Return a pickled dict of arrays, lists, numbers and texts.

    Args:
        path: the file, of 256 MiB at most.

    Returns:
        The dict, its keys as texts.

    Raises:
        ValueError: the file is no such pickle, is damaged, or asks for anything else; the message names it.
        FileNotFoundError: there is no such file.

    Source: Python's documentation of pickle, "Restricting Globals".

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "batch"
    >>> _ = path.write_bytes(pickle.dumps({b"labels": [1, 2], b"data": np.eye(2)}))
    >>> read_pickled(path)["data"]
    array([[1., 0.],
           [0., 1.]])
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{path}: has {size:,} bytes; more than {LARGEST:,} are not read")
    try:
        found = Reader(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can fail in any way that its instructions do
        raise ValueError(f"{path}: is no pickle of plain arrays: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: holds {type(found).__name__} and no dict")
    unpacked = {text_of(key): value.array if isinstance(value, Held) else value for key, value in found.items()}
    if empty := [key for key, value in unpacked.items() if value is None]:
        raise ValueError(f"{path}: {empty[0]} is an array without elements")
    return unpacked


def text_of(key: Any) -> str:
    """Return a key as text."""
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)
