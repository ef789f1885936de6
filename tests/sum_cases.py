"""Computations whose closed forms are known, with their gradients recorded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygraph as tg
from tinygraph.sums.asking import Verdict, judge
from tinygraph.sums.deriving import Maker, graph_of
from tinygraph.sums.evaluate import Layout, evaluate, leaves_of
from tinygraph.sums.lift import lift

LABELS = np.array([2, 0, 1, 2])


def weight_standardize(w: Any) -> Any:
    """Give each row of weights mean 0 and variance 1."""
    centred = w - w.mean(1, keepdims=True)
    return centred / tg.sqrt(tg.square(centred).mean(1, keepdims=True) + 1e-5)


def rms_norm(x: Any, gamma: Any) -> Any:
    """Divide each row by its root mean square."""
    r = tg.sqrt((x * x).mean(1, keepdims=True) + 1e-5).named("r")
    return gamma * (x / r)


def gelu_tanh(x: Any) -> Any:
    """The gate of the normal distribution, by its approximation with tanh."""
    return 0.5 * x * (1 + tg.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))


CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "batch_norm": (tg.batch_norm, ((4, 3), (3,), (3,))),
    "batch_norm_images": (functools.partial(tg.batch_norm, axis=(0, 2, 3)), ((2, 3, 2, 2), (3,), (3,))),
    "batch_norm_spatial": (tg.batch_norm_spatial, ((2, 3, 2, 2), (3,), (3,))),
    "batch_norm_total": (lambda x, gamma, beta: tg.batch_norm(x, gamma, beta).sum(), ((4, 3), (3,), (3,))),
    "layer_norm": (tg.layer_norm, ((3, 4), (4,), (4,))),
    "group_norm": (functools.partial(tg.group_norm, groups=2), ((2, 4, 2, 3), (4,), (4,))),
    "instance_norm": (tg.instance_norm, ((2, 3, 2, 2), (3,), (3,))),
    "rms_norm": (rms_norm, ((3, 4), (4,))),
    "softmax": (tg.softmax, ((4, 3),)),
    "log_softmax": (tg.log_softmax, ((4, 3),)),
    "cross_entropy": (lambda x: tg.cross_entropy(x, LABELS), ((4, 3),)),
    "sigmoid": (tg.sigmoid, ((4, 3),)),
    "sigmoid_by_exp": (lambda x: 1 / (1 + tg.exp(-x)), ((4, 3),)),
    "tanh": (tg.tanh, ((4, 3),)),
    "silu": (lambda x: x * tg.sigmoid(x), ((4, 3),)),
    "gelu": (lambda x: 0.5 * x * (1 + tg.erf(x / 2**0.5)), ((4, 3),)),
    "gelu_tanh": (gelu_tanh, ((4, 3),)),
    "l2_normalize": (lambda x: x / tg.sqrt((x * x).sum(1, keepdims=True)), ((4, 3),)),
    "weight_standardize": (weight_standardize, ((3, 4),)),
}


def inputs_of(name: str, seed: int = 0) -> list[Any]:
    """Return the leaves of a case, x first."""
    rng = np.random.default_rng(seed)
    shapes = CASES[name][1]
    names = ("x", "γ", "β")
    return [tg.Tensor(rng.standard_normal(s), name=n) for s, n in zip(shapes, names, strict=False)]


def gradients(name: str, xs: Sequence[Any] | None = None) -> list[Any]:
    """Return the recorded gradients of a case; where it is no loss, for the upstream gradient dy."""
    xs = inputs_of(name) if xs is None else xs
    y = CASES[name][0](*xs)
    rng = np.random.default_rng(9)
    dy = [tg.Tensor(rng.standard_normal(y.shape), name="dy", requires_grad=False)] if y.shape else None
    return list(tg.grad(y, xs, dy, create_graph=True))


@functools.cache
def maker_of(name: str) -> Maker:
    """Return what writes the derivation of a case."""
    return Maker(graph_of(gradients(name), None))


def verdict_of(name: str, code: str) -> Verdict:
    """Return what `tg.derive` says of a closed form, without the steps of its derivation."""
    return judge(maker_of(name), code)


def array_of(graph: Any, i: int) -> Any:
    """Return the value of a node."""
    node = graph.nodes[i]
    return np.array(node.value.values, node.dtype).reshape(node.shape)


def worst(graph: Any, rules: str) -> float:
    """Return the greatest difference between a graph's values and those of its forms."""
    lifted = lift(graph, rules)
    layout = Layout.of(lifted)
    found = evaluate(lifted.forms, leaves_of(lifted, lambda i: array_of(graph, i), layout), layout)
    put_back = (layout.put_back(a, axes, n.shape) for a, axes, n in zip(found, lifted.axes, graph.nodes, strict=True))
    return max(abs(a - array_of(graph, i)).max() for i, a in enumerate(put_back))
