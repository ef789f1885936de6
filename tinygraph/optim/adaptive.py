"""Gradients divided by a root of their squares: a running mean of them, or all of them so far."""

from __future__ import annotations

from typing import Any

from tinygraph.engine.types import Array
from tinygraph.optim.optimizer import Group, Optimizer, Params, State, only_ways, with_decay

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class RMSprop(Optimizer):
    r"""Divide the gradient by a running root mean square.

    .. math:: v ← \alpha v + (1 - \alpha) g^2, \quad p ← p - \eta \frac{g}{\sqrt{v} + \epsilon}

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        alpha: α, the weight of the old average, 0 … 1.
        eps: ε, in units of g; 0 or more.
        weight_decay: adds weight_decay · p to g; 0 or more.
        momentum: weight of the last step in the next; 0 or more.
        centered: whether to subtract the square of the mean gradient from v.
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Tieleman and Hinton 2012, lecture 6.5, in PyTorch's form; centered: Graves 2013.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> RMSprop([p], lr=0.01).step(); p.data.round(6)
    array([0.9])
    """

    _remembers = ("square_avg", "momentum_buffer", "grad_avg", "step")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, **options, **only_ways(self, how))

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - η g / (√v + ε)."""
        g, alpha = with_decay(p, g, group), group["alpha"]
        state["step"] = state.get("step", 0) + 1
        state["square_avg"] = v = alpha * state.get("square_avg", 0.0) + (1 - alpha) * (g * g)
        if group["centered"]:
            state["grad_avg"] = mean = alpha * state.get("grad_avg", 0.0) + (1 - alpha) * g
            v = v - mean * mean
        step = g / (v**0.5 + group["eps"])
        if group["momentum"]:
            state["momentum_buffer"] = step = group["momentum"] * state.get("momentum_buffer", 0.0) + step
        moved: Array = p - group["lr"] * step
        return moved


class Adagrad(Optimizer):
    r"""Divide the gradient by the root of the sum of all its squares so far.

    .. math:: s ← s + g^2, \quad p ← p - \frac{\eta}{1 + (t - 1) \lambda} \frac{g}{\sqrt{s} + \epsilon}

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate of the first step; 0 or more.
        lr_decay: λ, how fast the rate falls from step to step; 0 or more.
        weight_decay: adds weight_decay · p to g; 0 or more.
        initial_accumulator_value: s before the first step; 0 or more.
        eps: ε, in units of g; 0 or more.
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Duchi, Hazan and Singer 2011, Figure 1, in PyTorch's form.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> Adagrad([p], lr=0.1).step(); p.data.round(6)
    array([0.9])
    """

    _remembers = ("step", "sum")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
        }
        super().__init__(params, lr=lr, lr_decay=lr_decay, maximize=maximize, **options, **only_ways(self, how))

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - η g / (√s + ε)."""
        g = with_decay(p, g, group)
        state["step"] = t = state.get("step", 0) + 1
        state["sum"] = s = state.get("sum", group["initial_accumulator_value"]) + g * g
        moved: Array = p - group["lr"] / (1 + (t - 1) * group["lr_decay"]) * (g / (s**0.5 + group["eps"]))
        return moved


class Adadelta(Optimizer):
    r"""Divide the gradient by its running root mean square, and multiply it by that of the steps.

    .. math:: v ← \rho v + (1 - \rho) g^2, \quad \Delta = \sqrt{\frac{u + \epsilon}{v + \epsilon}} g, \quad
              u ← \rho u + (1 - \rho) \Delta^2, \quad p ← p - \eta \Delta

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        rho: ρ, the weight of the old averages, 0 … 1.
        eps: ε, in units of g²; 0 or more.
        weight_decay: adds weight_decay · p to g; 0 or more.
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Zeiler 2012, Algorithm 1.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> Adadelta([p]).step(); p.data.round(6)
    array([0.996838])
    """

    _remembers = ("step", "square_avg", "acc_delta")

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {"weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, lr=lr, rho=rho, eps=eps, **options, **only_ways(self, how))

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - η Δ."""
        g, rho, eps = with_decay(p, g, group), group["rho"], group["eps"]
        state["step"] = state.get("step", 0) + 1
        steps = state.get("acc_delta", 0 * g)
        state["square_avg"] = v = rho * state.get("square_avg", 0.0) + (1 - rho) * (g * g)
        delta = ((steps + eps) / (v + eps)) ** 0.5 * g
        state["acc_delta"] = rho * steps + (1 - rho) * (delta * delta)
        moved: Array = p - group["lr"] * delta
        return moved
