"""Data sets as plain arrays, and batches of them. A file is used only if every byte is as its format says.

An error names the file and the byte at which it is wrong. Nothing is unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygraph.engine.lazy_import import install_hint
from tinygraph.engine.types import Array
from tinygraph.exchange.missing import module_getattr
from tinygraph.functions.creation import random_generator
from tinygraph.ops.keywords import explain_keywords
from tinygraph.train.cifar import cifar10, cifar10_splits
from tinygraph.train.idx import read_idx

__all__ = ["DataLoader", "cifar10", "cifar10_splits", "dataset", "digits", "fashion_mnist"]

__getattr__ = module_getattr("data")

Pair = tuple[Array, Array]
Batch = tuple[Any, ...]  # arrays; a transform may give other things

EMBEDDED = Path(__file__).parent / "embedded"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
FASHION_MNIST = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FILES = {"images-idx3": (28, 28), "labels-idx1": ()}  # and the shape of their records
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
}


def digits() -> Pair:
    """Return the embedded handwritten digits: 1,797 images of 8×8 pixels, and what they show.

    Returns:
        images (1797, 64) float32, counts of black pixels 0 … 16 as they come; labels (1797,) int64, 0 … 9.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
        Repository, 1998, https://doi.org/10.24432/C50P49; licence CC BY 4.0.

    >>> images, labels = digits()
    >>> images.shape, labels[:5]
    ((1797, 64), array([0, 1, 2, 3, 4]))
    """
    with np.load(EMBEDDED / "digits.npz", allow_pickle=False) as file:
        return file["images"].astype(np.float32), file["labels"].astype(np.int64)


def fashion_mnist(root: str | Path | None = None, download: bool = False) -> tuple[Pair, Pair]:
    """Return Fashion-MNIST: 60,000 images of clothes to train on and 10,000 to test on, 10 classes.

    Args:
        root: the folder with the four IDX files, packed (.gz) or not. Unless given, that of Debian's
            package dataset-fashion-mnist, or else that of an earlier download.
        download: fetch what is missing into ``root`` (or a cache), and check its checksum; needs the
            package pooch.

    Returns:
        ``(images, labels)`` to train on and ``(images, labels)`` to test on: images (N, 1, 28, 28) uint8,
        labels (N,) int64.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is truncated, corrupt, of another kind, or not what its checksum says.
        ModuleNotFoundError: ``download``, and pooch is not installed.

    Source: Xiao, Rasul and Vollgraf 2017, https://github.com/zalandoresearch/fashion-mnist; licence MIT.

    >>> fashion_mnist("an empty folder")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    folder = Path(root) if root is not None else DEBIAN
    if root is None and not DEBIAN.is_dir():
        folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tinygraph" / "fashion-mnist"
    if download:
        download_missing(folder)
    pairs = []
    for part in ("train", "t10k"):
        images, labels = (read_idx(find_file(folder, f"{part}-{name}-ubyte"), record) for name, record in FILES.items())
        if len(images) != len(labels):
            raise ValueError(f"{folder}: {part} has {len(images)} images and {len(labels)} labels")
        pairs.append(with_channel(images, labels, folder / part))
    return pairs[0], pairs[1]


def with_channel(images: Array, labels: Array, files: Path) -> Pair:
    """Return images with a channel axis and labels as int64; raise if a label names none of the ten classes."""
    if labels.max() > 9:
        i = int(np.argmax(labels > 9))
        raise ValueError(f"{files}-labels-idx1-ubyte: at byte {8 + i} stands the label {labels[i]}; classes are 0 … 9")
    return images[:, None], labels.astype(np.int64)


def find_file(folder: Path, name: str) -> Path:
    """Return the path of a file, packed or not."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder / name}: neither this file nor {name}.gz is there; give the folder that has it, install Debian's "
        "dataset-fashion-mnist, or fetch it: tinygraph.data.fashion_mnist(download=True)"
    )


def download_missing(folder: Path) -> None:
    """Download the files of Fashion-MNIST that are missing; each is checked before it gets its name."""
    try:
        import pooch
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"downloads need pooch: {install_hint('data')}") from None
    for name, checksum in CHECKSUMS.items():
        if not ((folder / name).is_file() or (folder / name.removesuffix(".gz")).is_file()):
            pooch.retrieve(FASHION_MNIST + name, known_hash=checksum, fname=name, path=folder)


def dataset(where: str | Path | None = None) -> tuple[Pair, Pair]:
    """Return a data set by its name, or by the folder that it is in.

    Args:
        where: "digits", of which the first 1,500 are to train on; or a folder with the files of CIFAR-10 or
            Fashion-MNIST. None is Fashion-MNIST, in the folder where `fashion_mnist` finds it.

    Returns:
        ``(images, labels)`` to train on and ``(images, labels)`` to test on: images (N, C, H, W) uint8, 0 … 255,
        labels (N,) int64, 0 … 9.

    Raises:
        FileNotFoundError: there is no such folder, or a file is missing in it.
        ValueError: a file is truncated or corrupt.

    >>> (images, labels), _ = dataset("digits")
    >>> images.shape, images.max(), labels[:3]
    ((1500, 1, 8, 8), np.uint8(255), array([0, 1, 2]))
    """
    if where is None:
        return fashion_mnist()
    if where == "digits":
        images, labels = digits()
        images = (images * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        return (images[:1500], labels[:1500]), (images[1500:], labels[1500:])
    folder = Path(where)
    if not folder.is_dir():
        raise FileNotFoundError(f"{where}: neither 'digits' nor a folder")
    is_cifar = any(next(folder.glob(pattern), None) for pattern in ("data_batch_1*", "cifar-10-batches-*"))
    return cifar10(folder) if is_cifar else fashion_mnist(folder)


class DataLoader:
    """Batches of arrays, in an order that depends only on the seed and the number of the epoch.

    So a run that is resumed sees the batches that it would have seen: set ``epoch``, or take `batches` from the middle.

    Args:
        dataset: an array, or several of the same length: ``(images, labels)``.
        batch_size: examples a batch, 1 or more.
        shuffle: whether every epoch has its own random order.
        seed: decides the orders and the transforms' random numbers; a new one unless given.
        drop_last: whether to leave out a last batch that is smaller.
        transform: called as ``transform(*batch, generator=...)``; returns the batch to use. The generator is new for
            each batch, so its random numbers do not depend on the batches before.

    Attributes:
        epoch: number of the epoch that the next loop over the loader will be, from 0.

    Raises:
        ValueError: the arrays are of different lengths, or batch_size is less than 1.

    >>> loader = DataLoader((np.arange(5), np.arange(5) * 10), batch_size=2)
    >>> [labels for numbers, labels in loader]
    [array([ 0, 10]), array([20, 30]), array([40])]
    >>> len(loader)
    3
    """

    @explain_keywords
    def __init__(
        self,
        dataset: Array | Sequence[Array],
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        seed: int | None = None,
        drop_last: bool = False,
        transform: Callable[..., tuple[Any, ...]] | None = None,
    ) -> None:
        self.arrays: Sequence[Array] = dataset if isinstance(dataset, tuple | list) else (dataset,)
        lengths = [len(array) for array in self.arrays]
        if len(set(lengths)) != 1:
            raise ValueError(f"DataLoader: the arrays have lengths {', '.join(map(str, lengths))}")
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size is {batch_size}")
        self.examples, self.batch_size, self.shuffle = lengths[0], batch_size, shuffle
        self.drop_last, self.transform, self.epoch = drop_last, transform, 0
        self.seed = int(random_generator().integers(1 << 32)) if seed is None else seed

    def __len__(self) -> int:
        return self.examples // self.batch_size if self.drop_last else -(-self.examples // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        self.epoch += 1
        return self.batches(self.epoch - 1)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield batches of an epoch.

        Args:
            epoch: number of the epoch, from 0; it decides the order.
            start: number of the first batch to yield, from 0.
        """
        order = np.arange(self.examples)
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.examples)
        for number in range(start, len(self)):
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            batch: Batch = tuple(array[rows] for array in self.arrays)
            if self.transform is not None:
                batch = self.transform(*batch, generator=np.random.default_rng([self.seed, epoch, number]))
            yield batch
