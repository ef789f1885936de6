"""A Fashion-MNIST of a few random images, in the files and the format of the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TRAIN, TEST = 7, 3  # images


def packed(array: np.ndarray) -> bytes:
    """Return an array of bytes as an IDX file."""
    return (0x800 + array.ndim).to_bytes(4) + b"".join(n.to_bytes(4) for n in array.shape) + array.tobytes()


def write_fashion(folder: Path, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Write the four files into a new folder; return their arrays by file name."""
    arrays = {}
    for part, n in (("train", TRAIN), ("t10k", TEST)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 28, 28), np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, n, np.uint8)
    folder.mkdir()
    for name, array in arrays.items():
        (folder / name).write_bytes(packed(array))
    return arrays
