"""What random configurations are made of, and those of losses and activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Fixed(NamedTuple):
    """An input that is not differentiated."""

    array: Any


class Setup(NamedTuple):
    """A layer's arguments, and what it is called with."""

    args: tuple[Any, ...]
    options: dict[str, Any]
    inputs: tuple[Any, ...]
    named: dict[str, Any] = {}  # noqa: RUF012 - inputs by name, never changed
    call: Callable[..., Any] | None = None  # calls the layer where its result is not compared as it is
    modes: tuple[bool, ...] = (True, False)  # in training, then in evaluation


class Draw:
    """What configurations are drawn with."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def any(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def flag(self) -> bool:
        return bool(self.rng.integers(2))

    def size(self, low: int = 1, high: int = 5) -> int:
        return int(self.rng.integers(low, high + 1))

    def shape(self, low: int = 1, high: int = 3) -> tuple[int, ...]:
        return tuple(self.size() for _ in range(self.size(low, high)))

    def real(self, low: float = 0.1, high: float = 2.0) -> float:
        return float(self.rng.uniform(low, high))

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape) * 1.5

    def unit(self, *shape: int) -> np.ndarray:
        return self.rng.uniform(0.02, 0.98, shape)

    def whole(self, high: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, high, shape)

    def sign(self, *shape: int) -> np.ndarray:
        return self.rng.choice([-1, 1], shape)

    def reduction(self) -> str:
        return self.any("mean", "sum", "none")


def of_two(make: Callable[[Draw], tuple[dict[str, Any], Callable[..., Any]]]) -> Callable[[Draw], Setup]:
    """A loss of numbers and a target of their shape."""

    def setup(r: Draw) -> Setup:
        shape = r.shape()
        options, target = make(r)
        return Setup((), {"reduction": r.reduction(), **options}, (r.normal(*shape), target(*shape)))

    return setup


def of_classes(r: Draw, name: str) -> Setup:
    classes, rest = r.size(2, 5), r.any((), (), (3,), (2, 2))
    n = r.any((), (4,)) if not rest else (4,)
    options: dict[str, Any] = {"reduction": r.reduction()}
    if r.flag():
        options["weight"] = r.unit(classes)
    x = r.normal(*n, classes, *rest)
    if name == "CrossEntropyLoss":
        options["label_smoothing"] = r.any(0.0, r.real(0, 1))
        if r.flag():
            return Setup((), options, (x, np.abs(r.normal(*x.shape))))
    target = r.whole(classes, *n, *rest)
    if r.flag():
        options["ignore_index"] = int(target.flat[0]) if target.size > 1 else -1
    return Setup((), options, (x, Fixed(target)))


def probabilities(r: Draw) -> Setup:
    shape = r.shape()
    options = {"reduction": r.reduction(), **({"weight": r.unit(*shape)} if r.flag() else {})}
    return Setup((), options, (r.unit(*shape), r.unit(*shape)))


def logits(r: Draw) -> Setup:
    shape = r.shape()
    options: dict[str, Any] = {"reduction": r.reduction()}
    for name in ("weight", "pos_weight"):
        if r.flag():
            options[name] = r.unit(*r.any(shape, shape[-1:]))
    return Setup((), options, (r.normal(*shape) * 10, r.unit(*shape)))


def divergence(r: Draw) -> Setup:
    shape, log_target = r.shape(), r.flag()
    target = r.normal(*shape) if log_target else r.unit(*shape)
    options = {"reduction": r.any("mean", "sum", "none", "batchmean"), "log_target": log_target}
    return Setup((), options, (r.normal(*shape), target))


def poisson(r: Draw) -> Setup:
    shape, log_input = r.shape(), r.flag()
    options = {"log_input": log_input, "full": r.flag(), "eps": r.any(1e-8, 0.1), "reduction": r.reduction()}
    return Setup((), options, (r.normal(*shape) if log_input else r.unit(*shape), Fixed(r.whole(5, *shape) * 1.0)))


def gaussian(r: Draw) -> Setup:
    shape = (*r.shape(), 3)
    var = r.unit(*r.any(shape, (*shape[:-1], 1), shape[:-1]))
    options = {"full": r.flag(), "eps": r.any(1e-6, 0.5), "reduction": r.reduction()}
    return Setup((), options, (r.normal(*shape), r.normal(*shape), var))


def hinge(r: Draw) -> Setup:
    shape = r.shape()
    return Setup((), {"margin": r.real(), "reduction": r.reduction()}, (r.normal(*shape), Fixed(r.sign(*shape))))


def soft_margin(r: Draw) -> Setup:
    shape = r.shape()
    return Setup((), {"reduction": r.reduction()}, (r.normal(*shape), Fixed(r.sign(*shape) * 1.0)))


def several_margins(r: Draw) -> Setup:
    n, classes = r.any((), (3,)), r.size(2, 5)
    options: dict[str, Any] = {"p": r.any(1, 2), "margin": r.real(), "reduction": r.reduction()}
    if r.flag():
        options["weight"] = r.unit(classes)
    return Setup((), options, (r.normal(*n, classes), Fixed(r.whole(classes, *n))))


def label_margins(r: Draw) -> Setup:
    n, classes = r.any((), (3,)), r.size(2, 5)
    target = np.stack([r.rng.permutation(classes) for _ in range(*(n or (1,)))]).reshape(*n, classes)
    target[..., r.size(0, classes) :][..., :1] = -1
    return Setup((), {"reduction": r.reduction()}, (r.normal(*n, classes), Fixed(target)))


def label_entropy(r: Draw) -> Setup:
    shape = (r.size(), r.size(2, 5))
    options = {"reduction": r.reduction(), **({"weight": r.unit(shape[1])} if r.flag() else {})}
    return Setup((), options, (r.normal(*shape), Fixed(r.whole(2, *shape) * 1.0)))


def ranking(r: Draw) -> Setup:
    shape = r.shape()
    options = {"margin": r.real(), "reduction": r.reduction()}
    return Setup((), options, (r.normal(*shape), r.normal(*shape), Fixed(r.sign(*shape))))


def cosine_embedding(r: Draw) -> Setup:
    n = r.any((), (4,))
    options = {"margin": r.real(-0.5, 0.5), "reduction": r.reduction()}
    return Setup((), options, (r.normal(*n, 3), r.normal(*n, 3), Fixed(r.sign(*n))))


def triplet(r: Draw) -> Setup:
    n = r.any((), (4,))
    options = {"margin": r.real(), "p": r.any(1.0, 2.0, 3.0), "swap": r.flag(), "reduction": r.reduction()}
    return Setup((), options, tuple(r.normal(*n, 3) for _ in range(3)))


def triplet_with_distance(r: Draw) -> Setup:
    options = {"margin": r.real(), "swap": r.flag(), "reduction": r.reduction()}
    options["distance_function"] = r.any(None, lambda a, b: ((a - b) ** 2).sum(-1))
    return Setup((), options, tuple(r.normal(4, 3) for _ in range(3)))


def sequences(r: Draw) -> Setup:
    """Letters to be laid out in time, some of which do not fit into it; scores, of which a log_softmax is taken."""
    classes, steps, most, n = r.size(2, 4), r.size(3, 7), r.size(1, 3), r.size(1, 3)
    blank = r.any(0, classes - 1)
    options = {"blank": blank, "reduction": r.reduction(), "zero_infinity": True}
    lengths = r.rng.integers(0, most + 1, n)
    letters = (r.whole(classes - 1, n, most) + 1 + blank) % classes
    if r.flag():
        letters = np.concatenate([row[:k] for row, k in zip(letters, lengths, strict=True)])
    times = r.rng.integers(2, steps + 1, n)

    def call(layer: Any, x: Any, *rest: Any) -> Any:
        return layer(x.log_softmax(2), *rest)

    return Setup((), options, (r.normal(steps, n, classes), Fixed(letters), Fixed(times), Fixed(lengths)), call=call)


LOSSES: dict[str, Callable[[Draw], Setup]] = {
    "CTCLoss": sequences,
    "MSELoss": of_two(lambda r: ({}, r.normal)),
    "L1Loss": of_two(lambda r: ({}, r.normal)),
    "SmoothL1Loss": of_two(lambda r: ({"beta": r.any(0.0, 1.0, r.real())}, r.normal)),
    "HuberLoss": of_two(lambda r: ({"delta": r.real()}, r.normal)),
    "NLLLoss": lambda r: of_classes(r, "NLLLoss"),
    "CrossEntropyLoss": lambda r: of_classes(r, "CrossEntropyLoss"),
    "BCELoss": probabilities,
    "BCEWithLogitsLoss": logits,
    "KLDivLoss": divergence,
    "PoissonNLLLoss": poisson,
    "GaussianNLLLoss": gaussian,
    "HingeEmbeddingLoss": hinge,
    "SoftMarginLoss": soft_margin,
    "MultiMarginLoss": several_margins,
    "MultiLabelMarginLoss": label_margins,
    "MultiLabelSoftMarginLoss": label_entropy,
    "MarginRankingLoss": ranking,
    "CosineEmbeddingLoss": cosine_embedding,
    "TripletMarginLoss": triplet,
    "TripletMarginWithDistanceLoss": triplet_with_distance,
}


def bends(**options: Callable[[Draw], Any]) -> Callable[[Draw], Setup]:
    """An activation, with options drawn by name."""

    def setup(r: Draw) -> Setup:
        x = r.normal(*r.shape()) * 3
        return Setup((), {name: draw(r) for name, draw in options.items()}, (x,))

    return setup


def slopes(r: Draw) -> Setup:
    channels = r.size()
    shape = (2, channels, *r.any((), (3,), (2, 2)))
    return Setup((r.any(1, channels),), {"init": r.real()}, (r.normal(*shape),))


def halves(r: Draw) -> Setup:
    shape = [2 * r.size(1, 2), 2 * r.size(1, 2)]
    return Setup((), {"dim": r.any(0, 1, -1)}, (r.normal(*shape),))


def probable(r: Draw) -> Setup:
    shape = r.shape(1, 4)
    return Setup((), {"dim": r.size(1, len(shape)) - 1}, (r.normal(*shape),))


ACTIVATIONS: dict[str, Callable[[Draw], Setup]] = {
    **dict.fromkeys(
        ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardsigmoid", "Hardswish"), bends(inplace=lambda r: False)
    ),
    **dict.fromkeys(("Sigmoid", "Tanh", "LogSigmoid", "Softsign", "Tanhshrink"), bends()),
    **dict.fromkeys(("Softshrink", "Hardshrink"), bends(lambd=Draw.real)),
    "ELU": bends(alpha=Draw.real),
    "CELU": bends(alpha=lambda r: r.any(0.5, 1.0, 2.0)),  # PyTorch's gradient takes 1 / alpha in float32
    **dict.fromkeys(("Softmax", "LogSoftmax", "Softmin"), probable),
    "LeakyReLU": bends(negative_slope=Draw.real),
    "GELU": bends(approximate=lambda r: r.any("none", "tanh")),
    "Softplus": bends(beta=Draw.real, threshold=lambda r: r.any(20.0, 2.0)),
    "Hardtanh": bends(min_val=lambda r: -r.real(), max_val=Draw.real),
    "Threshold": bends(threshold=Draw.real, value=Draw.real),
    "RReLU": lambda r: Setup((), {"lower": 0.1, "upper": r.real(0.1)}, (r.normal(*r.shape()),), modes=(False,)),
    "Softmax2d": lambda r: Setup((), {}, (r.normal(*r.any((2,), ()), 3, 2, 2),)),
    "GLU": halves,
    "PReLU": slopes,
}
