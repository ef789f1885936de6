"""The nets of the texts, and how each text trains its net. A net consists of named blocks: boxes in a drawing.

`RECIPES` has those that `tinygraph train NAME` and the experiments use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph import nn, optim
from tinygraph.engine.tensor import Parameter
from tinygraph.engine.types import Array, ArrayLike, Shape

__all__ = ["RECIPES", "Recipe", "centred", "fully_connected", "lenet", "scaled"]

Norm = Callable[[int], nn.Module]
Transform = Callable[..., tuple[Array, Array]]


def lenet(
    shape: Shape = (1, 28, 28),
    classes: int = 10,
    norm2d: Norm | None = nn.BatchNorm2d,
    norm1d: Norm | None = nn.BatchNorm1d,
    seed: int | None = None,
) -> nn.Sequential:
    """Return LeNet with a normalization before every sigmoid.

    Two blocks of convolution 5×5 (6, then 16 channels), norm, sigmoid and 2×2 average pooling; two of linear
    (120, then 84 features), norm and sigmoid; a linear layer to the classes. Weights are Xavier's, as the text's.

    Args:
        shape: (C, H, W) of an image; 16 pixels or more each way.
        classes: how many scores there are.
        norm2d: called with the number of channels, makes a normalization of images (N, C, H, W); None leaves it out.
        norm1d: called with the number of features, makes one of rows (N, D); None leaves it out.
        seed: decides the weights; new ones each time unless given.

    Returns:
        A net that computes scores (N, classes).

    Raises:
        ValueError: the images are too small.

    Source: LeCun, Bottou, Bengio and Haffner 1998, as Zhang et al., "Dive into Deep Learning", 8.5, have it.

    >>> lenet()(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
    channels, *pixels = shape
    left = [((n - 4) // 2 - 4) // 2 for n in pixels]
    if min(left) < 1:
        raise ValueError(f"lenet takes images of 16 × 16 pixels or more, not {' × '.join(map(str, pixels))}")

    def block(layer: nn.Module, norm: Norm | None, features: int, **more: nn.Module) -> nn.Sequential:
        kind = "conv" if more else "linear"
        return nn.Sequential({kind: layer, **normalized(norm, features), "sigmoid": nn.Sigmoid(), **more})

    net = nn.Sequential({
        "block1": block(nn.Conv2d(channels, 6, kernel_size=5), norm2d, 6, pool=nn.AvgPool2d(2)),
        "block2": block(nn.Conv2d(6, 16, kernel_size=5), norm2d, 16, pool=nn.AvgPool2d(2)),
        "flatten": nn.Flatten(),
        "block3": block(nn.Linear(16 * left[0] * left[1], 120), norm1d, 120),
        "block4": block(nn.Linear(120, 84), norm1d, 84),
        "out": nn.Linear(84, classes),
    })  # fmt: skip
    generator = np.random.default_rng(seed)
    nn.init.manual_seed(net, generator)
    for layer in weighted_layers(net):
        nn.init.xavier_uniform_(layer.weight, generator=generator)
    return net


def weighted_layers(net: nn.Module) -> Iterator[nn.Linear | nn.Conv2d]:
    """Yield the layers that multiply by weights."""
    return (module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d))


def normalized(norm: Norm | None, features: int) -> dict[str, nn.Module]:
    """Return a normalization under its name, or nothing."""
    return {"norm": norm(features)} if norm else {}


def fully_connected(
    sizes: Sequence[int], norm: Norm | None = nn.BatchNorm1d, weight_scale: float | None = None, seed: int | None = None
) -> nn.Sequential:
    """Return linear layers with a normalization and relu between them.

    Args:
        sizes: number of inputs, of features in each hidden layer, and of scores: (784, 100, 100, 10).
        norm: called with the number of features, makes a normalization of rows (N, D); None leaves it out.
        weight_scale: draw weights from N(0, weight_scale²) and set biases to 0; as PyTorch does unless given.
        seed: decides the weights; new ones each time unless given.

    Returns:
        A net that computes scores (N, classes).

    Source: Stanford CS231n, assignment 2, ``FullyConnectedNet``.

    >>> fully_connected((4, 3, 2), norm=None, seed=0)
    Sequential(
      (flatten): Flatten(start_dim=1, end_dim=-1)
      (block1): Sequential(
        (linear): Linear(in_features=4, out_features=3, bias=True)
        (relu): ReLU()
      )
      (out): Linear(in_features=3, out_features=2, bias=True)
    )
    """
    *_, last, scores = sizes
    blocks = {
        f"block{i + 1}": nn.Sequential({"linear": nn.Linear(a, b), **normalized(norm, b), "relu": nn.ReLU()})
        for i, (a, b) in enumerate(zip(sizes[:-2], sizes[1:-1], strict=True))
    }
    net = nn.Sequential({"flatten": nn.Flatten(), **blocks, "out": nn.Linear(last, scores)})
    generator = np.random.default_rng(seed)
    nn.init.manual_seed(net, generator)
    if weight_scale is not None:
        for layer in weighted_layers(net):
            nn.init.normal_(layer.weight, std=weight_scale, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def scaled(images: ArrayLike | None) -> Transform:
    """Return a transform that turns pixels 0 … 255 into float32 0 … 1.

    Args:
        images: the training images, which it does not need.

    Returns:
        A function of a batch of images and its labels, for `DataLoader`.

    >>> scaled(None)(np.array([0, 255], np.uint8), None)[0]
    array([0., 1.], dtype=float32)
    """
    return lambda x, labels, generator=None: (x.astype(np.float32) * np.float32(1 / 255), labels)


def centred(images: Array) -> Transform:
    """Return a transform that subtracts the mean image from pixels 0 … 255, in float32.

    Args:
        images: the training images, (N, C, H, W).

    Returns:
        A function of a batch of images and its labels, for `DataLoader`.

    >>> centred(np.array([[0], [20]], np.uint8))(np.array([[15]], np.uint8), None)[0]
    array([[5.]], dtype=float32)
    """
    mean = images.mean(axis=0, dtype=np.float64).astype(np.float32)
    return lambda x, labels, generator=None: (x.astype(np.float32) - mean, labels)


class Recipe(NamedTuple):
    """How a text trains its net.

    Attributes:
        says: one line about it.
        build: ``build(shape, classes, norm, fused, seed)`` makes the net for images of ``shape`` (C, H, W); ``norm`` is
            "batch", "layer" or "none".
        optimizer: ``optimizer(parameters, lr)`` makes the optimizer.
        lr: learning rate.
        batch: examples a batch.
        epochs: number of epochs.
        examples: how many of the training set are used; None takes all.
        prepare: ``prepare(training images)`` makes the transform of a batch.

    >>> from tinygraph.nets import RECIPES
    >>> recipe = RECIPES["lenet"]
    >>> recipe.batch, recipe.epochs
    (256, 10)
    """

    says: str
    build: Callable[..., nn.Sequential]
    optimizer: Callable[[Iterable[Parameter] | list[dict[str, Any]], float], optim.Optimizer]
    lr: float
    batch: int
    epochs: int
    examples: int | None
    prepare: Callable[[Array], Transform]


def norm_maker(norm: Callable[..., nn.Module], fused: bool) -> Norm:
    """Return a function that makes a norm of so many features, with the fused op or composed."""
    return lambda features: norm(features, fused=fused)


def norm_of(norm: str, fused: bool) -> Norm | None:
    """Return a function that makes the normalization of that name for rows of features."""
    return {"batch": norm_maker(nn.BatchNorm1d, fused), "layer": norm_maker(nn.LayerNorm, fused), "none": None}[norm]


def lenet_of(shape: Shape, classes: int, norm: str, fused: bool, seed: int) -> nn.Sequential:
    """Return a LeNet with that normalization."""
    if norm == "layer":
        raise ValueError("lenet has batch norm or none: a layer norm of images would be of one size of them alone")
    if norm == "none":
        return lenet(shape, classes, None, None, seed)
    return lenet(shape, classes, norm_maker(nn.BatchNorm2d, fused), norm_maker(nn.BatchNorm1d, fused), seed)


def connected_of(hidden: Sequence[int]) -> Callable[..., nn.Sequential]:
    """Return a function that makes a fully connected net with those hidden layers, at the text's weight scale."""

    def build(shape: Shape, classes: int, norm: str, fused: bool, seed: int) -> nn.Sequential:
        return fully_connected((int(np.prod(shape)), *hidden, classes), norm_of(norm, fused), 2e-2, seed)

    return build


RECIPES = {
    "lenet": Recipe("LeNet with batch norm, SGD", lenet_of, optim.SGD, 1.0, 256, 10, None, scaled),
    "mlp": Recipe(
        "six linear layers (5 × 100) with batch norm, Adam", connected_of([100] * 5), optim.Adam, 1e-3, 50, 10, 1000,
        centred),
    "deep": Recipe(
        "eight linear layers (7 × 50) with batch norm, Adam", connected_of([50] * 7), optim.Adam, 1e-3, 50, 10, 1000,
        centred),
}  # fmt: skip
