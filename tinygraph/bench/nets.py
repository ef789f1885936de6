"""A training step of a whole net, in each library: the loss, its gradients, and the optimizer's step.

tinygraph has PyTorch's names, so that one text builds the net of both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygraph.engine.types import Array, Shape

Step = Callable[[], tuple[Any, Any]]
CLASSES, HIDDEN = 10, 256


def mlp(nn: Any, shape: Shape) -> Any:
    """Return two hidden layers with batch norm."""
    blocks = [(nn.Linear(n, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU()) for n in (shape[1], HIDDEN)]
    return nn.Sequential(*blocks[0], *blocks[1], nn.Linear(HIDDEN, CLASSES))


def lenet(nn: Any, shape: Shape) -> Any:
    """Return LeNet with batch norm, as "Dive into Deep Learning" has it."""
    flat = 16 * (((shape[2] - 4) // 2 - 4) // 2) ** 2
    layers: list[Any] = []
    for a, b in ((shape[1], 6), (6, 16)):
        layers += [nn.Conv2d(a, b, 5), nn.BatchNorm2d(b), nn.Sigmoid(), nn.AvgPool2d(2)]
    layers.append(nn.Flatten())
    for a, b in ((flat, 120), (120, 84)):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(84, CLASSES))


NETS = {"mlp step": mlp, "lenet step": lenet}
RATES = {"mlp step": ("Adam", 1e-3), "lenet step": ("SGD", 0.1)}


def data(shape: Shape) -> tuple[Array, Array]:
    """Return a batch and its labels."""
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape, np.float32), rng.integers(0, CLASSES, shape[0])


def weights(named: Iterator[tuple[str, Any]]) -> Iterator[tuple[Any, Array]]:
    """Yield each parameter with its first value: weights of layers are random, biases 0; norms keep what they have."""
    rng = np.random.default_rng(1)
    for name, p in named:
        if len(p.shape) > 1:
            yield p, rng.standard_normal(tuple(p.shape), np.float32) / np.float32(np.prod(p.shape[1:]) ** 0.5)
        elif name.endswith("bias"):
            yield p, np.zeros(tuple(p.shape), np.float32)


def step_of(net: Any, opt: Any, loss_of: Callable[..., Any]) -> Callable[..., Any]:
    """Return a training step."""

    def step(x: Any, labels: Any) -> Any:
        opt.zero_grad()
        loss = loss_of(net(x), labels)
        loss.backward()
        opt.step()
        return loss

    return step


def tinygraph(work: str, shape: Shape) -> Step:
    """Return a step of ours, compiled whole."""
    import tinygraph as tg
    from tinygraph.compiler.compiled import compile as make_program

    net, (name, lr) = NETS[work](tg.nn, shape), RATES[work]
    for p, array in weights(net.named_parameters()):
        p.data = array
    step = step_of(net, getattr(tg.optim, name)(net.parameters(), lr), tg.cross_entropy)
    made, batch = make_program(step, whole=True, backend=os.environ.get("TINYGRAPH_FUSED") or None), data(shape)
    return lambda: (made(*batch), [p.grad for p in net.parameters()])


def torch(work: str, shape: Shape) -> Step:
    """Return a step in PyTorch eager."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    net, (name, lr) = NETS[work](torch.nn, shape), RATES[work]
    for p, array in weights(net.named_parameters()):
        p.data = torch.tensor(array)
    step = step_of(net, getattr(torch.optim, name)(net.parameters(), lr), torch.nn.functional.cross_entropy)
    batch = [torch.tensor(a) for a in data(shape)]
    return lambda: (step(*batch), [p.grad for p in net.parameters()])


def jax(work: str, shape: Shape) -> Step:
    """Return a step of the MLP under jax.jit: parameters, statistics and Adam's memory go in, and new ones come out."""
    if work != "mlp step":
        raise ImportError(f"jax for {work}")
    import jax
    import jax.numpy as jnp

    x, labels = map(jnp.asarray, data(shape))
    sizes, rng = (shape[1], HIDDEN, HIDDEN, CLASSES), np.random.default_rng(1)
    params: list[Any] = []
    for n, m in zip(sizes[:-1], sizes[1:], strict=True):
        params += [rng.standard_normal((m, n), np.float32) / np.float32(n**0.5), np.zeros(m, np.float32)]
        params += [np.ones(m, np.float32), np.zeros(m, np.float32)] if m == HIDDEN else []
    params = [jnp.asarray(p) for p in params]
    statistics = [jnp.zeros(HIDDEN), jnp.ones(HIDDEN)] * 2
    means, squares = ([jnp.zeros_like(p) for p in params] for _ in range(2))

    def loss_of(params: Any, statistics: Any) -> Any:
        h, now = x, []
        for i in range(2):
            w, b, gamma, beta = params[4 * i : 4 * i + 4]
            h = h @ w.T + b
            mu, var = h.mean(0), h.var(0)
            now += [mu, var * (len(h) / (len(h) - 1))]
            h = jnp.maximum((h - mu) / jnp.sqrt(var + 1e-5) * gamma + beta, 0)
        log_p = jax.nn.log_softmax(h @ params[8].T + params[9])
        after = [0.9 * old + 0.1 * new for old, new in zip(statistics, now, strict=True)]
        return -jnp.take_along_axis(log_p, labels[:, None], 1).mean(), after

    def step(params: Any, statistics: Any, means: Any, squares: Any, t: Any) -> Any:
        (loss, statistics), grads = jax.value_and_grad(loss_of, has_aux=True)(params, statistics)
        means = [0.9 * m + 0.1 * g for m, g in zip(means, grads, strict=True)]
        squares = [0.999 * v + 0.001 * g * g for v, g in zip(squares, grads, strict=True)]
        rate, root = 1e-3 / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        moved = [p - rate * m / (jnp.sqrt(v) / root + 1e-8) for p, m, v in zip(params, means, squares, strict=True)]
        return loss, grads, moved, statistics, means, squares

    state: list[Any] = [params, statistics, means, squares]
    compiled, count = jax.jit(step), 0

    def run() -> tuple[Any, Any]:
        nonlocal count
        count += 1
        loss, grads, *state[:] = compiled(*state, float(count))
        return loss.block_until_ready(), grads

    return run
