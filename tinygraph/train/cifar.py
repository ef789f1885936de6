"""CIFAR-10, in the binary version or the pickled one that courses hand out, and the split that they use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygraph.engine.types import Array
from tinygraph.train.pickled import read_pickled

__all__ = ["cifar10", "cifar10_splits"]

Pair = tuple[Array, Array]
PIXELS = 3 * 32 * 32  # of an image
RECORDS = 10_000  # in a file


def cifar10(root: str | Path) -> tuple[Pair, Pair]:
    """Return CIFAR-10: 50,000 colour images to train on and 10,000 to test on, 10 classes.

    Of the Python version, which is pickled, arrays and lists alone are read: no code of a file runs.

    Args:
        root: the folder with ``data_batch_1`` … ``data_batch_5`` and ``test_batch``, each with ``.bin`` (the binary
            version) or without (the Python version); or the folder above it.

    Returns:
        ``(images, labels)`` to train on and ``(images, labels)`` to test on: images (N, 3, 32, 32) uint8,
        labels (N,) int64.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is truncated or corrupt, or asks for more than arrays.

    Source: A. Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html.

    >>> cifar10("an empty folder")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    folder = folder_of(Path(root))
    parts = [batch_of(folder, f"data_batch_{i}") for i in range(1, 6)]
    train = np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])
    return train, batch_of(folder, "test_batch")


def cifar10_splits(
    root: str | Path,
    train: int = 49_000,
    validation: int = 1_000,
    test: int = 1_000,
    subtract_mean: bool = True,
    dtype: npt.DTypeLike = np.float32,
) -> dict[str, Array]:
    """Return CIFAR-10 as CS231n's ``get_CIFAR10_data`` does: a part to train on, the next to validate, and a test set.

    Args:
        root: as for `cifar10`.
        train: how many images to train on: the first ones.
        validation: how many to validate on: those that follow.
        test: how many of the test set: the first ones.
        subtract_mean: subtract the mean image of the training part from all.
        dtype: of the images.

    Returns:
        ``X_train``, ``X_val``, ``X_test``: images (N, 3, 32, 32), pixels 0 … 255 less the mean image; ``y_train``,
        ``y_val``, ``y_test``: labels (N,) int64.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is corrupt, or there are not so many images.

    Source: Stanford CS231n, assignment 2, ``data_utils.py``.

    >>> cifar10_splits("an empty folder")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    (images, labels), (tests, test_labels) = cifar10(root)
    if min(train, validation, test) < 0 or train < 1 or train + validation > len(images) or test > len(tests):
        raise ValueError(
            f"cifar10_splits: {train} + {validation} of {len(images)} images and {test} of {len(tests)}: not so many"
        )
    found = {
        "X_train": images[:train].astype(dtype),
        "y_train": labels[:train],
        "X_val": images[train : train + validation].astype(dtype),
        "y_val": labels[train : train + validation],
        "X_test": tests[:test].astype(dtype),
        "y_test": test_labels[:test],
    }
    if subtract_mean:
        mean = found["X_train"].mean(axis=0, dtype=np.float64).astype(dtype)
        for part in ("X_train", "X_val", "X_test"):
            found[part] -= mean
    return found


def folder_of(root: Path) -> Path:
    """Return the folder with the files: ``root``, or the one in it that bears the name of a version."""
    inside = [root / f"cifar-10-batches-{version}" for version in ("bin", "py")]
    return next(filter(Path.is_dir, inside), root)


def batch_of(folder: Path, name: str) -> Pair:
    """Return the images and labels of a file, of either version."""
    binary, pickled = folder / f"{name}.bin", folder / name
    if binary.is_file():
        pixels, labels = read_binary(binary)
    elif pickled.is_file():
        pixels, labels = read_python(pickled)
    else:
        raise FileNotFoundError(f"{binary}: there is no such file, and no {name} of CIFAR-10's Python version")
    if (wrong := (labels < 0) | (labels > 9)).any():
        i = int(wrong.argmax())
        file, where = (binary, f"at byte {i * (1 + PIXELS)}") if binary.is_file() else (pickled, f"of image {i}")
        raise ValueError(f"{file}: {where} stands the label {labels[i]}; classes are 0 … 9")
    return pixels.reshape(-1, 3, 32, 32), labels


def read_binary(path: Path) -> Pair:
    """Return pixels (N, 3072) and labels of a binary file: an image is a label and 3,072 pixels: red, green, blue."""
    data = np.fromfile(path, np.uint8)
    wanted = RECORDS * (1 + PIXELS)
    if len(data) != wanted:
        what = "ends at" if len(data) < wanted else "goes on after"
        at = min(len(data), wanted)
        raise ValueError(f"{path}: {what} byte {at}; it must hold {RECORDS} images, which makes {wanted} bytes")
    records = data.reshape(-1, 1 + PIXELS)
    return records[:, 1:], records[:, 0].astype(np.int64)


def read_python(path: Path) -> Pair:
    """Return pixels (N, 3072) and labels of a pickled file."""
    found: dict[str, Any] = read_pickled(path)
    pixels, labels = found.get("data"), np.asarray(found.get("labels", ()))
    if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape == (RECORDS, PIXELS)):
        raise ValueError(f"{path}: its data are not {RECORDS} images of {PIXELS} bytes")
    if labels.shape != (RECORDS,) or labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: its labels are not {RECORDS} whole numbers")
    return pixels, labels.astype(np.int64)
