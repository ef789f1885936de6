"""The work that is timed, written for each library in its own idiom, as a step that can be repeated.

A worker process (``python -m tinygraph.bench.workloads LIBRARY``) reads one request a line, as JSON, and answers
each with one line. It imports one library only, because two in one process slow each other down.
"""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygraph.bench import nets
from tinygraph.engine.types import Array, Shape

Step = Callable[[], tuple[Any, Any]]  # runs forward and backward; returns the value and the gradients of the leaves


def arrays(shape: Shape) -> tuple[Array, ...]:
    """Return x, γ, β and the weights w of the loss Σ w⊙y, in float32."""
    rng = np.random.default_rng(0)
    channels = shape[1]
    x, w = (rng.standard_normal(shape, np.float32) for _ in range(2))
    return x, 1 + 0.1 * rng.standard_normal(channels, np.float32), rng.standard_normal(channels, np.float32), w


def layer_arrays(x: Array) -> tuple[Array, ...]:
    """Return x, γ, β of layer norm over the last axis."""
    rng = np.random.default_rng(0)
    return x, rng.standard_normal(x.shape[-1], np.float32), rng.standard_normal(x.shape[-1], np.float32)


def axes_of(shape: Shape) -> tuple[int, ...]:
    """Return the axes that batch norm averages over."""
    return (0, *range(2, len(shape)))


def column_of(shape: Shape) -> Shape:
    """Return the shape in which a parameter of the channels broadcasts."""
    return tuple(n if a == 1 else 1 for a, n in enumerate(shape))


def chain_arrays(shape: Shape) -> tuple[Array, ...]:
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


def step_of(forward: Callable[[], Any], leaves: Sequence[Any], upstream: Any = None) -> Step:
    """Return a step for a library whose tensors have ``backward`` and ``grad``.

    Args:
        forward: returns y, or the loss.
        leaves: the tensors whose gradients are cleared, and then computed.
        upstream: the gradient of y; None where y is a loss.
    """

    def step() -> tuple[Any, Any]:
        for leaf in leaves:
            leaf.grad = None
        y = forward()
        y.backward(upstream) if upstream is not None else y.backward()
        return y, [leaf.grad for leaf in leaves]

    return step


# ------------------------------------------------------------------------------------------------ tinygraph


def tinygraph(work: str, shape: Shape) -> Step:
    """Return a step in tinygraph."""
    import tinygraph as tg

    if work in nets.NETS:
        return nets.tinygraph(work, shape)
    if work == "chain":
        leaves = [tg.Tensor(a) for a in chain_arrays(shape)]
        return step_of(lambda: chain(*leaves, tg.relu, tg.exp, lambda h: h.mean()), leaves)
    x, gamma, beta, w = arrays(shape)
    if work in ALONE:
        upstream = None if work.endswith("entropy") else w
        function, leaf = compiled(functions_of_one(tg, labels(shape), gelu)[work]), tg.Tensor(x)
        return step_of(lambda: function(leaf), [leaf], upstream)
    leaves = [tg.Tensor(a) for a in (layer_arrays(x) if work.endswith("layer_norm") else (x, gamma, beta))]
    axes = axes_of(shape)
    if work in FOLLOWED:
        function = compiled(FOLLOWED[work](tg, tg.batch_norm))
        return step_of(lambda: function(*leaves, axis=axes), leaves, w)
    loss = lambda: (tg.batch_norm(*leaves, axis=axes) * w).sum()
    if work == "training":
        return step_of(loss, leaves)
    if work == "training by grad":
        return lambda: ((y := loss()), tg.grad(y, leaves))
    if work.endswith("layer_norm"):
        function = tg.fused.layer_norm if work == "layer_norm" else compiled(tg.layer_norm)
        return step_of(lambda: function(*leaves), leaves, w)
    function = tg.batch_norm if work == "composed" else tg.fused.batch_norm
    function = compiled(tg.batch_norm) if work.startswith("compiled") else function
    return step_of(lambda: function(*leaves, axis=axes), leaves, w)


def fused(work: str, shape: Shape) -> Step:
    """Return a step in tinygraph, of the fused norm, and then of the op that a compiled kernel has in it."""
    import tinygraph as tg

    x, gamma, beta, w = arrays(shape)
    if work.endswith("layer_norm"):
        leaves = [tg.Tensor(a) for a in layer_arrays(x)]
        return step_of(lambda: tg.fused.layer_norm(*leaves), leaves, w)
    leaves, axes = [tg.Tensor(a) for a in (x, gamma, beta)], axes_of(shape)
    function = FOLLOWED[work](tg, tg.fused.batch_norm) if work in FOLLOWED else tg.fused.batch_norm
    return step_of(lambda: function(*leaves, axis=axes), leaves, w)


FOLLOWED: dict[str, Callable[[Any, Any], Callable[..., Any]]] = {  # of tinygraph and a norm: what comes after it
    "compiled batch_norm, relu": lambda tg, norm: lambda *args, axis: tg.relu(norm(*args, axis=axis)),
    "compiled batch_norm, sigmoid, residual": lambda tg, norm: (
        lambda *args, axis: tg.sigmoid(norm(*args, axis=axis)) + args[0]
    ),
}
ALONE = ("compiled softmax", "compiled cross_entropy", "compiled gelu")


def functions_of_one(library: Any, targets: Any, gelu: Any) -> dict[str, Callable[..., Any]]:
    """Return what is done with x alone, by tinygraph or by PyTorch's functions; GELU is our own, of primitives."""
    return dict(
        zip(ALONE, (lambda x: library.softmax(x, -1), lambda x: library.cross_entropy(x, targets), gelu), strict=True)
    )


def gelu(x: Any) -> Any:
    """Return x Φ(x), of primitives."""
    import tinygraph as tg

    return 0.5 * x * (1 + tg.erf(x * 0.5**0.5))


def labels(shape: Shape) -> Array:
    """Return a class for each row."""
    found: Array = np.random.default_rng(1).integers(0, shape[1], shape[0])
    return found


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function for the route of this process."""
    import os

    import tinygraph as tg

    made: Callable[..., Any] = tg.compile(function, backend=os.environ.get("TINYGRAPH_FUSED") or None)
    return made


# ------------------------------------------------------------------------------------------------ peers


def torch_compile(work: str, shape: Shape) -> Step:
    """Return a step of the composition under torch.compile, whose kernels are made by a compiler of C++."""
    import torch as library

    return torch(work, shape, library.compile)


def jax(work: str, shape: Shape) -> Step:
    """Return a step under jax.jit: forward, and the gradients for the upstream gradient."""
    if work in nets.NETS:
        return nets.jax(work, shape)
    import jax
    import jax.numpy as jnp

    axes, column = axes_of(shape), column_of(shape)
    *operands, upstream = map(jnp.asarray, arrays(shape))
    mean = lambda a: a.mean(axes, keepdims=True)
    forward = lambda *xs: composed(*xs, mean, jnp.sqrt, lambda p: p.reshape(column))

    @jax.jit
    def both_ways(operands: Any, upstream: Any) -> Any:
        y, pull = jax.vjp(forward, *operands)
        return y, pull(upstream)

    return lambda: jax.block_until_ready(both_ways(operands, upstream))


def torch(work: str, shape: Shape, made_by: Callable[..., Any] | None = None) -> Step:
    """Return a step in PyTorch eager, or of what ``made_by`` makes of the composition."""
    import os

    import torch
    from torch.nn import functional

    if work in nets.NETS:
        return nets.torch(work, shape)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    tensor = lambda a: torch.tensor(a, requires_grad=True)
    if work == "chain":
        leaves = [tensor(a) for a in chain_arrays(shape)]
        return step_of(lambda: chain(*leaves, torch.relu, torch.exp, torch.mean), leaves)
    x, gamma, beta, w = arrays(shape)
    if work in ALONE:
        leaf, targets = tensor(x), torch.tensor(labels(shape))
        function = functions_of_one(functional, targets, functional.gelu)[work]
        return step_of(lambda: function(leaf), [leaf], None if work.endswith("entropy") else torch.tensor(w))
    leaves = [tensor(a) for a in (layer_arrays(x) if work.endswith("layer_norm") else (x, gamma, beta))]
    upstream = torch.tensor(w)
    axes, column = axes_of(shape), column_of(shape)
    mean = lambda a: a.mean(axes, keepdim=True)
    forward = lambda *operands: composed(*operands, mean, torch.sqrt, lambda p: p.view(column))
    if made_by is not None:
        forward = made_by(forward)
    if work == "composed":
        return step_of(lambda: forward(*leaves), leaves, upstream)
    if work.endswith("layer_norm"):
        return step_of(lambda: functional.layer_norm(leaves[0], shape[-1:], *leaves[1:]), leaves, upstream)
    return step_of(lambda: functional.batch_norm(leaves[0], None, None, *leaves[1:], training=True), leaves, upstream)


def mygrad(work: str, shape: Shape) -> Step:
    """Return a step in MyGrad, which clears gradients by itself when a tensor is used again."""
    import mygrad as mg

    if work == "chain":
        leaves, upstream = [mg.tensor(a) for a in chain_arrays(shape)], None
        forward = lambda: chain(*leaves, lambda h: mg.maximum(h, 0), mg.exp, mg.mean)
    else:
        axes, column = axes_of(shape), column_of(shape)
        *operands, upstream = arrays(shape)
        leaves = [mg.tensor(a) for a in operands]
        mean = lambda a: mg.mean(a, axis=axes, keepdims=True)
        forward = lambda: composed(*leaves, mean, mg.sqrt, lambda p: p.reshape(column))

    def step() -> tuple[Any, Any]:
        y = forward()
        y.backward(upstream)
        return y, [leaf.grad for leaf in leaves]

    return step


def autograd(work: str, shape: Shape) -> Step:
    """Return a step in autograd."""
    import autograd.numpy as anp
    from autograd import make_vjp

    if work == "chain":
        operands, upstream = chain_arrays(shape), np.float32(1)
        function = lambda a: chain(*a, lambda h: anp.maximum(h, 0), anp.exp, anp.mean)
    else:
        axes, column = axes_of(shape), column_of(shape)
        *operands, upstream = arrays(shape)
        mean = lambda a: anp.mean(a, axis=axes, keepdims=True)
        function = lambda a: composed(*a, mean, anp.sqrt, lambda p: anp.reshape(p, column))
    both_ways = make_vjp(function)

    def step() -> tuple[Any, Any]:
        pull, y = both_ways(tuple(operands))
        return y, pull(upstream)

    return step


def dezero(work: str, shape: Shape) -> Step:
    """Return a step in DeZero, whose matmul takes matrices alone: vectors go in as rows."""
    np.int = int  # a name that NumPy dropped, and DeZero 0.0.13 still uses
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

    def step() -> tuple[Any, Any]:
        for leaf in leaves:
            leaf.cleargrad()
        y = forward()
        y.grad = Variable(np.asarray(upstream))
        y.backward()
        return y, [leaf.grad for leaf in leaves]

    return step


def micrograd(work: str, shape: Shape) -> Step:
    """Return a step in micrograd, whose values are scalars: composed batch norm on lists."""
    from micrograd.engine import Value

    x, gamma, beta, w = (a.tolist() for a in arrays(shape))
    rows, columns = shape

    def step() -> tuple[Any, Any]:
        xs = [[Value(v) for v in row] for row in x]
        gs, bs = [Value(v) for v in gamma], [Value(v) for v in beta]
        y = [[None] * columns for _ in range(rows)]
        loss = Value(0.0)
        for c in range(columns):
            mu = sum(row[c] for row in xs) * (1 / rows)
            centred = [row[c] - mu for row in xs]
            v = sum(d * d for d in centred) * (1 / rows)
            inverse = (v + 1e-5) ** -0.5
            for r, d in enumerate(centred):
                y[r][c] = d * inverse * gs[c] + bs[c]
                loss = loss + y[r][c] * w[r][c]
        loss.backward()
        gradients = [[v.grad for v in row] for row in xs], [v.grad for v in gs], [v.grad for v in bs]
        return [[v.data for v in row] for row in y], gradients

    return step


LIBRARIES = {f.__name__: f for f in (tinygraph, fused, torch, torch_compile, jax, mygrad, autograd, dezero, micrograd)}


# ------------------------------------------------------------------------------------------------ what is measured


def results(library: str, work: str, shape: Shape) -> list[Any]:
    """Return the value and then the gradients that a step computes, as nested lists."""
    value, gradients = LIBRARIES[library](work, shape)()
    return [numbers(x) for x in (value, *gradients)]


def numbers(x: Any) -> Any:
    """Return an array, a tensor of any library, or nested lists, as nested lists."""
    x = x.detach() if hasattr(x, "detach") else x
    x = x.data if type(x).__module__.split(".")[0] in ("tinygraph", "mygrad", "dezero") else x
    return np.asarray(x).tolist()


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
    """Return the greatest relative error of y, dx, dγ, dβ of a fused or compiled op in float32, against float64."""
    import tinygraph as tg

    x, gamma, beta, w = arrays(shape)
    name = work.removeprefix("compiled ")
    if name == "layer_norm":
        x, gamma, beta = layer_arrays(x)
    composite = getattr(tg, name)
    quick = compiled(composite) if work.startswith("compiled") else getattr(tg.fused, name)
    axis = -1 if name == "layer_norm" else axes_of(shape)
    found = []
    for function, dtype in ((quick, np.float32), (composite, np.float64)):
        leaves = [tg.Tensor(a.astype(dtype)) for a in (x + np.float32(mean), gamma, beta)]
        y = function(*leaves, axis=axis)
        found.append([y.data, *tg.grad(y, leaves, w.astype(dtype))])
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(*found, strict=True))


# ------------------------------------------------------------------------------------------------ the worker


class Server:
    """What a worker process does with a request: a JSON object whose first key says which of the methods is meant."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.step: Step = lambda: (None, None)

    def answer(self, request: dict[str, Any]) -> Any:
        """Return the answer to a request; what is not installed is an answer too."""
        action = next(iter(request))
        try:
            if self.library not in LIBRARIES:
                raise ImportError(self.library)
            if action == "repeat":
                return self.repeat(request["repeat"])
            return getattr(self, action)(request[action], tuple(request["shape"]))
        except ImportError as error:
            return {"absent": str(error)}

    def work(self, name: str, shape: Shape) -> float:
        """Set a step up, run it twice, and return how many seconds that took."""
        self.step = LIBRARIES[self.library](name, shape)
        return 2 * self.repeat(2)

    def repeat(self, count: int) -> float:
        """Run the step so many times, and return the seconds of one."""
        step, started = self.step, time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - started) / count

    def results(self, name: str, shape: Shape) -> list[Any]:
        """Return the value and the gradients of a work."""
        return results(self.library, name, shape)

    def peak(self, name: str, shape: Shape) -> float:
        """Return the greatest memory of a work."""
        return peak(self.library, name, shape)

    def accuracy(self, name: str, shape: Shape) -> float:
        """Return the greatest error of a fused op."""
        return accuracy(name, shape)


def serve(library: str) -> None:
    """Answer requests on standard input, a line each."""
    server = Server(library)
    for line in sys.stdin:
        print(json.dumps(server.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    serve(sys.argv[1])
