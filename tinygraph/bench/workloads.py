"""What is timed: the same work, written for each library in its own idiom, as a step to be repeated.

A worker process (``python -m tinygraph.bench.workloads LIBRARY``) reads a request a line, as JSON, and answers
each with a line. It has one library loaded and nothing else: two in one process slow each other down.
"""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

Shape = tuple[int, ...]
Step = Callable[[], Any]


def arrays(shape: Shape) -> tuple[np.ndarray, ...]:
    """Return x, γ, β and the weights w of the loss Σ w⊙y, in float32."""
    rng = np.random.default_rng(0)
    channels = shape[1]
    x, w = (rng.standard_normal(shape, np.float32) for _ in range(2))
    return x, 1 + 0.1 * rng.standard_normal(channels, np.float32), rng.standard_normal(channels, np.float32), w


def axes_of(shape: Shape) -> tuple[int, ...]:
    """Return the axes that batch norm averages over."""
    return (0, *range(2, len(shape)))


def chain_arrays(shape: Shape) -> tuple[np.ndarray, ...]:
    """Return the operands of the chain: x, p, s of one shape and a matrix W near 1."""
    rng = np.random.default_rng(0)
    n = shape[-1]
    x = 0.1 * rng.standard_normal(shape, np.float32)
    return x, np.abs(x) + 1, 0.1 * np.abs(x) + 0.1, (np.eye(n) + 0.01 * rng.standard_normal((n, n))).astype(np.float32)


def chain(x: Any, p: Any, s: Any, W: Any, relu: Any, exp: Any, mean: Any) -> Any:
    """Run 201 ops: 25 times add, mul, sub, div, relu, exp, mean (and its sub), matmul; then a mean."""
    h = x
    for _ in range(25):
        h = relu(((h + p) * s - x) / p)
        h = exp(h)
        h = (h - mean(h)) @ W
    return mean(h)


def composed(x: Any, gamma: Any, beta: Any, mean: Any, sqrt: Any, column: Callable[[Any], Any]) -> Any:
    """Compose batch norm from primitives."""
    x_c = x - mean(x)
    v = mean(x_c * x_c)
    return column(gamma) * (x_c / sqrt(v + 1e-5)) + column(beta)


def column_of(shape: Shape) -> Shape:
    """Return the shape in which a parameter of the channels broadcasts."""
    return tuple(n if a == 1 else 1 for a, n in enumerate(shape))


# ------------------------------------------------------------------------------------------------ tinygraph


def tinygraph(work: str, shape: Shape) -> Step:
    """Return a step in tinygraph."""
    import tinygraph as tg

    if work == "chain":
        leaves = [tg.Tensor(a) for a in chain_arrays(shape)]
        return stepped(lambda: chain(*leaves, tg.relu, tg.exp, lambda h: h.mean()), leaves)
    x, gamma, beta, w = arrays(shape)
    leaves = [tg.Tensor(a) for a in (x, gamma, beta)]
    if work == "layer_norm":
        leaves = [tg.Tensor(a) for a in layer_arrays(x)]
        return stepped(lambda: tg.fused.layer_norm(*leaves), leaves, w)
    if work == "training":
        return stepped(lambda: (tg.batch_norm(*leaves, axis=axes_of(shape)) * w).sum(), leaves)
    function = tg.batch_norm if work == "composed" else tg.fused.batch_norm
    return stepped(lambda: function(*leaves, axis=axes_of(shape)), leaves, w)


def stepped(forward: Callable[[], Any], leaves: Any, w: Any = None) -> Step:
    """Return a step forward and backward, with the gradient w of y where y is no loss."""

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        y = forward()
        y.backward(w) if w is not None else y.backward()

    return step


def layer_arrays(x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return x, γ, β of layer norm over the last axis."""
    rng = np.random.default_rng(0)
    return x, rng.standard_normal(x.shape[-1], np.float32), rng.standard_normal(x.shape[-1], np.float32)


# ------------------------------------------------------------------------------------------------ peers


def torch(work: str, shape: Shape) -> Step:
    """Return a step in PyTorch eager."""
    import os

    import torch
    from torch.nn import functional

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    tensor = lambda a: torch.tensor(a, requires_grad=True)
    if work == "chain":
        leaves = [tensor(a) for a in chain_arrays(shape)]
        return stepped(lambda: chain(*leaves, torch.relu, torch.exp, torch.mean), leaves)
    x, gamma, beta, w = arrays(shape)
    leaves = [tensor(a) for a in (layer_arrays(x) if work == "layer_norm" else (x, gamma, beta))]
    upstream = torch.tensor(w)
    axes = axes_of(shape)
    if work == "composed":
        column = column_of(shape)

        mean = lambda a: a.mean(axes, keepdim=True)
        return stepped(lambda: composed(*leaves, mean, torch.sqrt, lambda p: p.view(column)), leaves, upstream)
    if work == "layer_norm":
        return stepped(lambda: functional.layer_norm(leaves[0], shape[-1:], *leaves[1:]), leaves, upstream)
    return stepped(lambda: functional.batch_norm(leaves[0], None, None, *leaves[1:], training=True), leaves, upstream)


def mygrad(work: str, shape: Shape) -> Step:
    """Return a step in MyGrad."""
    import mygrad as mg

    if work == "chain":
        leaves = [mg.tensor(a) for a in chain_arrays(shape)]
        return stepped(lambda: chain(*leaves, lambda h: mg.maximum(h, 0), mg.exp, mg.mean), NoGrad)
    axes, column = axes_of(shape), column_of(shape)
    *operands, w = arrays(shape)
    leaves = [mg.tensor(a) for a in operands]
    mean = lambda a: mg.mean(a, axis=axes, keepdims=True)
    return stepped(lambda: composed(*leaves, mean, mg.sqrt, lambda p: p.reshape(column)), NoGrad, w)


NoGrad: tuple[Any, ...] = ()  # a library that clears its gradients by itself


def autograd(work: str, shape: Shape) -> Step:
    """Return a step in autograd."""
    import autograd.numpy as anp
    from autograd import make_vjp

    if work == "chain":
        operands, upstream = chain_arrays(shape), np.float32(1)
        function = lambda a: chain(*a, lambda h: anp.maximum(h, 0), anp.exp, anp.mean)
    else:
        axes, column = axes_of(shape), column_of(shape)
        *operands, upstream = arrays(shape)  # type: ignore[assignment]
        mean = lambda a: anp.mean(a, axis=axes, keepdims=True)
        function = lambda a: composed(*a, mean, anp.sqrt, lambda p: anp.reshape(p, column))
    both_ways = make_vjp(function)
    return lambda: both_ways(tuple(operands))[0](upstream)


def dezero(work: str, shape: Shape) -> Step:
    """Return a step in DeZero, whose matmul takes matrices alone: vectors go in as rows."""
    np.int = int  # type: ignore[attr-defined] # a name that NumPy dropped, and DeZero 0.0.13 still uses
    import dezero.functions as F  # noqa: N812 - as its book does
    from dezero import Variable

    if work == "chain":
        mean, upstream = lambda h: F.sum(h) / h.size, np.float32(1)
        leaves = [Variable(np.atleast_2d(a)) for a in chain_arrays(shape)]
        Variable.__matmul__ = F.matmul
        forward = lambda: chain(*leaves, F.relu, F.exp, mean)
    else:
        axes, column = axes_of(shape), column_of(shape)
        *operands, upstream = arrays(shape)
        leaves, number = [Variable(a) for a in operands], int(np.prod([shape[a] for a in axes]))
        mean = lambda a: F.sum(a, axis=axes, keepdims=True) / number
        forward = lambda: composed(*leaves, mean, lambda v: v**0.5, lambda p: F.reshape(p, column))

    def step() -> None:
        for leaf in leaves:
            leaf.cleargrad()
        y = forward()
        y.grad = Variable(np.asarray(upstream))
        y.backward()

    return step


def micrograd(work: str, shape: Shape) -> Step:
    """Return a step in micrograd, whose values are scalars: composed batch norm on lists."""
    from micrograd.engine import Value

    x, gamma, beta, w = (a.tolist() for a in arrays(shape))
    rows, columns = shape

    def step() -> None:
        xs = [[Value(v) for v in row] for row in x]
        gs, bs = [Value(v) for v in gamma], [Value(v) for v in beta]
        loss = Value(0.0)
        for c in range(columns):
            mu = sum(row[c] for row in xs) * (1 / rows)
            centred = [row[c] - mu for row in xs]
            v = sum(d * d for d in centred) * (1 / rows)
            inverse = (v + 1e-5) ** -0.5
            for r, d in enumerate(centred):
                loss = loss + (d * inverse * gs[c] + bs[c]) * w[r][c]
        loss.backward()

    return step


# ------------------------------------------------------------------------------------------------ the worker


def peak(library: str, work: str, shape: Shape) -> float:
    """Return how much memory a step has in use at most, beyond its inputs, in units of the bytes of x."""
    LIBRARIES[library](work, (2, *shape[1:]))()  # what is allocated once, at the first use
    tracemalloc.start()
    step = LIBRARIES[library](work, shape)
    before = tracemalloc.get_traced_memory()[0]
    step()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (most - before) / (4 * int(np.prod(shape)))


def accuracy(work: str, shape: Shape, mean: float = 1e4) -> float:
    """Return the greatest relative error of y, dx, dγ, dβ of a fused op in float32, against float64."""
    import tinygraph as tg

    x, gamma, beta, w = arrays(shape)
    if work == "layer_norm":
        x, gamma, beta = layer_arrays(x)
    fused, composite = getattr(tg.fused, work), getattr(tg, work)
    axis = -1 if work == "layer_norm" else axes_of(shape)
    found = []
    for function, dtype in ((fused, np.float32), (composite, np.float64)):
        leaves = [tg.Tensor(a.astype(dtype)) for a in (x + np.float32(mean), gamma, beta)]
        y = function(*leaves, axis=axis)
        found.append([y.data, *tg.grad(y, leaves, w.astype(dtype))])
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(*found))


LIBRARIES = {f.__name__: f for f in (tinygraph, torch, mygrad, autograd, dezero, micrograd)}


def serve(library: str) -> None:
    """Answer requests, a line each.

    {"work", "shape"} sets a step up and {"repeat": n} times n of them; {"peak": work, "shape"} and
    {"accuracy": work, "shape"} measure those.
    """
    step: Step = lambda: None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "work" in request:
                if library not in LIBRARIES:
                    raise ImportError(library)
                step = LIBRARIES[library](request["work"], tuple(request["shape"]))
                started = time.perf_counter()
                step()
                step()
                answer: Any = time.perf_counter() - started
            elif "peak" in request:
                answer = peak(library, request["peak"], tuple(request["shape"]))
            elif "accuracy" in request:
                answer = accuracy(request["accuracy"], tuple(request["shape"]))
            else:
                started = time.perf_counter()
                for _ in range(request["repeat"]):
                    step()
                answer = (time.perf_counter() - started) / request["repeat"]
        except ImportError as error:
            answer = {"absent": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    serve(sys.argv[1])
