"""``tinygraph predict``: which class a trained net gives to images of yours."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from tinygraph.cli.arrays import read
from tinygraph.cli.errors import UsageError
from tinygraph.cli.run_files import load_run
from tinygraph.engine.errors import clean
from tinygraph.engine.types import Array

HELP = "predict the classes of images with a trained net"
DESCRIPTION = """\
Give each image in a file to the net of a run of `tinygraph train`, and print a table (CSV): the number of the image,
its class, and the net's probability of it. Pixels are 0 … 255, as in the data that the net was trained on."""
EXAMPLES = """\
  tinygraph predict runs/mlp images.npy             (N, 8, 8) or (N, 1, 8, 8)
  tinygraph predict runs/lenet rows.csv -o out.csv  an image a row
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", type=Path, help="a checkpoint of `tinygraph train`, or its folder")
    add("images", metavar="FILE", type=Path, help="images: .npy, .npz or .csv, an image a row")
    add("--data", metavar="WHERE", help="what the net was trained on, if that is elsewhere now")
    add("-o", "--out", type=Path, metavar="FILE", help="file to write (default: print)")


def run(options: argparse.Namespace) -> int:
    """Predict classes; return the exit status.

    Raises:
        UsageError: there is no such checkpoint or file, or the images are of another size.
    """
    from tinygraph.train.datasets import DataLoader
    from tinygraph.train.records import outcomes, write_table

    found = load_run(options.checkpoint, options.data)
    images = read_images(options.images, found.train[0].shape[1:])
    batches = DataLoader((images, np.zeros(len(images), np.int64)), 1000, transform=found.transform)
    rows = [(o.example, o.predicted, f"{o.confidence:.6f}") for o in outcomes(found.net, batches)]
    names = ("image", "class", "probability")
    if options.out:
        write_table(names, rows, options.out)
        print(clean(f"wrote {options.out}"), file=sys.stderr)
    else:
        print("\n".join(",".join(map(str, row)) for row in (names, *rows)))
    return 0


def read_images(path: Path, shape: tuple[int, ...]) -> Array:
    """Return the images in a file, (N, C, H, W)."""
    found = read(path)
    pixels = int(np.prod(shape))
    if found.size == pixels and found.shape in (shape, shape[1:]):
        found = found[None]  # one image
    if found[0].size != pixels:
        raise UsageError(f"{path}: each has the shape {found.shape[1:]}; the net takes {shape}, {pixels} numbers each")
    return found.reshape(len(found), *shape)
