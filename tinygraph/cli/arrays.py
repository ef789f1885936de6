"""Arrays that a user gives as a file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tinygraph.cli.errors import UsageError
from tinygraph.engine.types import Array

__all__ = ["read"]


def read(path: Path) -> Array:
    """Read an array from a .npy, .npz or .csv file; nothing in it is ever unpickled.

    Args:
        path: the file. A .npz must hold one array, or one named x.

    Returns:
        The array: of numbers, and not empty.

    Raises:
        UsageError: the file is missing, has another ending, is damaged, or holds no numbers.
    """
    x: Array
    try:
        ending = path.suffix.lower()
        if ending == ".npy":
            x = np.load(path, allow_pickle=False)
        elif ending == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                if "x" not in archive.files and len(archive.files) != 1:
                    raise UsageError(
                        f"{path}: holds {', '.join(archive.files) or 'nothing'}; one array, or one named x, is needed"
                    )
                x = archive["x" if "x" in archive.files else archive.files[0]]
        elif ending == ".csv":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # an empty file is refused below
                form: dict[str, Any] = {"delimiter": ",", "quotechar": '"', "ndmin": 2, "encoding": "utf-8-sig"}
                x = np.loadtxt(path, skiprows=int(has_header(path)), **form)
        else:
            raise UsageError(f"{path}: must end in .npy, .npz or .csv")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except UsageError:
        raise
    except Exception as error:  # a damaged file can fail in any way that NumPy, zip or a codec fails
        raise UsageError(f"{path}: cannot be read as {path.suffix}: {error}") from None
    if x.dtype.kind not in "fiub":
        raise UsageError(f"{path}: holds {x.dtype}, not numbers")
    if not x.size:
        raise UsageError(f"{path}: holds no rows")
    return x


def has_header(path: Path) -> bool:
    """Say whether the first line of a CSV file has names: it has no number. With one, it is a row with a gap."""
    with path.open(encoding="utf-8-sig") as file:
        return not any(map(is_number, file.readline().split(",")))


def is_number(field: str) -> bool:
    """Say whether a field of a CSV file is a number, in quotes or not."""
    try:
        float(field.strip().strip('"'))
    except ValueError:
        return False
    return True
