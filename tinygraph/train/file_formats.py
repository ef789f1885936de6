"""The two kinds of file that hold arrays by name, and texts beside them: read, they are checked part by part."""

from __future__ import annotations

import json
import math
import tokenize
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tinygraph.engine.types import Array

__all__ = ["NPZ", "SAFETENSORS", "Damaged", "Format"]

Arrays = dict[str, Array]
Texts = dict[str, str]


class Damaged(Exception):
    """What is wrong with a file; the file itself is named by who opened it."""


class Format(NamedTuple):
    """How a kind of file is written and read: arrays, and texts by name."""

    write: Callable[[BinaryIO, Arrays, Texts], None]
    read: Callable[[Path, int], tuple[Arrays, Texts]]  # the number is the most bytes that it may unpack to


# Safetensors --------------------------------------------------------------------------------------------------------

TYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "BF16": "<u2",
}  # fmt: skip


def write_safetensors(file: BinaryIO, arrays: Arrays, texts: Texts) -> None:
    """Write arrays and texts in the format of safetensors."""
    from safetensors.numpy import save as to_bytes  # its save_file leaves files of its own behind when it is killed

    file.write(to_bytes(arrays, {"format": "np", **texts}))


def read_safetensors(path: Path, limit: int) -> tuple[Arrays, Texts]:
    """Read arrays and texts in the format of safetensors."""
    from safetensors import SafetensorError, deserialize

    data = path.read_bytes()
    try:
        parts = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise Damaged(f"truncated, corrupt or no safetensors file: {error}") from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return {key: array_of_part(key, part) for key, part in parts}, header.get("__metadata__") or {}


def array_of_part(key: str, part: dict[str, Any]) -> Array:
    """Return an array of a safetensors file; bfloat16 as float32, which has all its values."""
    kind = part["dtype"]
    if kind not in TYPES:
        raise Damaged(f"{key} is of the type {kind}, which NumPy does not have; save it as float32")
    array = np.frombuffer(part["data"], TYPES[kind])
    if kind == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False).reshape(part["shape"])


# NumPy's archives ---------------------------------------------------------------------------------------------------

LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"  # a part begins with the first, its line in the list with the second


def write_npz(file: BinaryIO, arrays: Arrays, texts: Texts) -> None:
    """Write arrays and texts as NumPy's ``savez`` does, which takes fewer keys."""
    encoded = {f"/{name}": np.frombuffer(text.encode(), np.uint8) for name, text in texts.items()}
    with zipfile.ZipFile(file, "w") as archive:
        for key, array in {**arrays, **encoded}.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_npz(path: Path, limit: int) -> tuple[Arrays, Texts]:
    """Read arrays and texts; every part has a checksum, which is checked."""
    arrays: Arrays = {}
    key = "the list of its parts"
    try:
        with zipfile.ZipFile(path) as file:
            check_list(file)
            left = limit
            for info in file.infolist():
                key = info.filename.removesuffix(".npy")
                left -= info.file_size
                if left < 0:
                    raise Damaged(f"unpacks to more than {limit:,} bytes; load(path, limit=…) takes more")
                if key in arrays:
                    raise Damaged(f"{key} is there twice")
                with file.open(info) as member:
                    arrays[key] = read_array(key, member, info.file_size)
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise Damaged(f"{key} is truncated or corrupt: {error}") from error
    texts = {key[1:]: arrays.pop(key).tobytes().decode() for key in [*arrays] if key.startswith("/")}
    return arrays, texts


def check_list(file: zipfile.ZipFile) -> None:
    """Raise if the parts of an archive overlap, or if there are parts that its list does not name."""
    stream: Any = file.fp
    place = 0
    ends = [(info.header_offset, info) for info in sorted(file.infolist(), key=lambda info: info.header_offset)]
    for offset, info in (*ends, (file.start_dir, None)):
        stream.seek(place)
        if offset < place or (offset > place and stream.read(4) in (LOCAL, CENTRAL)):
            raise zipfile.BadZipFile("there are parts that it does not name")
        if info is not None:
            stream.seek(offset + 26)
            lengths = stream.read(4)
            place = offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
            place += info.compress_size


def read_array(key: str, member: Any, size: int) -> Array:
    """Return the array of a part that unpacks to so many bytes; its header must say as many, before one is read."""
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"its version {version} is none of NumPy's")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, is_fortran, dtype = read_header(member)
    except (tokenize.TokenError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    if dtype.hasobject:
        raise Damaged(f"{key} holds objects, which are not unpickled")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"its header says the shape {shape}")
    count, found = math.prod(shape) * dtype.itemsize, size - member.tell()
    if count != found:
        raise ValueError(f"its header says {count} bytes, and there are {found}")
    data, filled = np.empty(count, np.uint8), 0
    while filled < count:
        got = member.readinto(data[filled:])
        if not got:
            raise EOFError(f"it ends at byte {filled} of {count}")
        filled += got
    member.read(1)  # to the end, where the checksum is
    array = data.view(dtype) if dtype.itemsize else np.empty(math.prod(shape), dtype)
    return array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)


SAFETENSORS, NPZ = Format(write_safetensors, read_safetensors), Format(write_npz, read_npz)
