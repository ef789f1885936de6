"""Experiment 11: which preprocessing of the data is like batch norm, and which like layer norm.

Inline question 3 of CS231n's notebook names four: scale each image so that each row of pixels sums to 1; scale each
image so that all pixels sum to 1; subtract the mean image of the data set; set each pixel to 0 or 1 by a threshold.
What each is like shows in what it does not see any more: its result stays the same when the images change in that way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from report import Report, images, main, table
from six_layers import HIDDEN, split, train_net

SMALL = 1e-5


def rows_to_one(x: np.ndarray) -> np.ndarray:
    """Scale each image so that each of its rows, with all channels, sums to 1."""
    return x / (x.sum(axis=(1, 3), keepdims=True) + SMALL)


def image_to_one(x: np.ndarray) -> np.ndarray:
    """Scale each image so that all its pixels sum to 1."""
    return x / x.sum(axis=(1, 2, 3), keepdims=True)


def less_mean_image(x: np.ndarray) -> np.ndarray:
    """Subtract the mean image of the data set."""
    return x - x.mean(axis=0)


def threshold(x: np.ndarray) -> np.ndarray:
    """Set each pixel to 0 or 1."""
    return (x > 127).astype(x.dtype)


def batch_norm(x: np.ndarray) -> np.ndarray:
    """Normalize each pixel over the images."""
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + SMALL)


def layer_norm(x: np.ndarray) -> np.ndarray:
    """Normalize each image over its pixels."""
    axes = (1, 2, 3)
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + SMALL)


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "batch norm": batch_norm,
    "subtract the mean image": less_mean_image,
    "layer norm": layer_norm,
    "scale images to the sum 1": image_to_one,
    "scale rows to the sum 1": rows_to_one,
    "threshold": threshold,
}


def changes(x: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the images changed in some ways; the first image stays the same in the last of them."""
    others = x.copy()
    others[1:] = others[1:] * 0.5 + 40
    return {
        "a shift of each pixel": x + rng.uniform(0, 60, x.shape[1:]),
        "a scale of each image": x * rng.uniform(0.5, 2, (len(x), 1, 1, 1)),
        "a scale of each row": x * rng.uniform(0.5, 2, (len(x), 1, x.shape[2], 1)),
        "other images": others,
    }


def run(short: bool = False, data: Path | None = None) -> Report:
    """See what each way does not see, and train on what it leaves."""
    sets = split(images(data)[0], 300 if short else 1000)
    sample = sets[0][0][:100].astype(np.float64) + 1  # no row is empty
    changed = changes(sample, np.random.default_rng(0))
    rows, found = [], {}
    for name, way in WAYS.items():
        before = way(sample)
        blind = {}
        for what, other in changed.items():
            after = way(other)
            pair = (before[0], after[0]) if what == "other images" else (before, after)
            blind[what] = bool(np.allclose(*pair, atol=1e-4 * np.abs(before).max()))
        ready = [(way(part[0].astype(np.float64)).astype(np.float32), part[1]) for part in sets]
        spread = ready[0][0].std()
        plain = lambda x, labels, generator=None, spread=spread: (x / spread, labels)
        curves = train_net(tuple(ready), HIDDEN, None, weight_scale=0.1, epochs=2 if short else 10, transform=plain)
        found[name] = {**blind, "validation": curves.validation[-1]}
        rows.append((name, *("yes" if sees else "no" for sees in blind.values()), f"{curves.validation[-1]:.3f}"))
    head = "preprocessing", *(f"blind to {what}" for what in changed), "validation accuracy"
    return Report(table(head, rows), None, found)


if __name__ == "__main__":
    main(11, run)
