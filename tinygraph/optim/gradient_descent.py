"""Gradient descent: with momentum, averaged, and by the sign alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.optim.optimizer import Group, Optimizer, Params, State, only_ways, with_decay

__all__ = ["ASGD", "SGD", "Lion", "Rprop"]


class SGD(Optimizer):
    r"""Stochastic gradient descent.

    .. math:: v ← \mu v + (1 - \tau) g, \quad p ← p - \eta v \quad (\text{nesterov: } p - \eta (g + \mu v))

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        momentum: μ, the weight of the last step in the next; 0 or more, and 0 keeps no v.
        dampening: τ, the share of g that is left out of v from the second step on.
        weight_decay: adds weight_decay · p to g; 0 or more.
        nesterov: whether to step along g + μ v; takes momentum and no dampening.
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Sutskever, Martens, Dahl and Hinton 2013, in PyTorch's form.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> SGD([p], lr=0.1).step(); p.data
    array([0.8])
    """

    _remembers = ("momentum_buffer",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {"weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize}
        super().__init__(params, lr=lr, momentum=momentum, dampening=dampening, **options, **only_ways(self, how))

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - η v."""
        g = with_decay(p, g, group)
        if group["momentum"]:
            v = state.get("momentum_buffer")
            v = g.copy() if v is None else group["momentum"] * v + (1 - group["dampening"]) * g
            state["momentum_buffer"] = v
            g = g + group["momentum"] * v if group["nesterov"] else v
        moved: Array = p - group["lr"] * g
        return moved


class ASGD(Optimizer):
    r"""Averaged gradient descent: the mean of the steps so far stands beside the parameter, in the state as ``ax``.

    .. math:: p ← (1 - \lambda \eta_t) p - \eta_t g, \quad \eta_{t+1} = \frac{\eta}{(1 + \lambda \eta t)^\alpha}, \quad
              a ← a + \mu_t (p - a)

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        lambd: λ, how fast the rate falls and p shrinks; 0 or more.
        alpha: α, the power of the fall; 0 or more.
        t0: the step from which on steps are averaged; 0 or more.
        weight_decay: adds weight_decay · p to g; 0 or more.
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Polyak and Juditsky 1992, in PyTorch's form.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> ASGD([p], lr=0.1, lambd=0.0).step(); p.data
    array([0.8])
    """

    _remembers = ("step", "eta", "mu", "ax")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {"t0": t0, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, lr=lr, lambd=lambd, alpha=alpha, **options, **only_ways(self, how))

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return (1 - λ η) p - η g."""
        g, lr, lambd = with_decay(p, g, group), group["lr"], group["lambd"]
        state["step"] = t = state.get("step", 0) + 1
        eta, mu = state.get("eta", lr), state.get("mu", 1.0)
        moved: Array = p * (1 - lambd * eta) - eta * g
        average = state.get("ax", 0.0)
        state["ax"] = moved.copy() if mu == 1 else average + mu * (moved - average)
        state["eta"] = lr / (1 + lambd * lr * t) ** group["alpha"]
        state["mu"] = 1 / max(1, t - group["t0"])
        return moved


class Rprop(Optimizer):
    r"""Step by the sign of the gradient alone; a step grows while the sign stays, and shrinks when it turns.

    .. math:: s ← s \cdot \begin{cases} \eta_+ & g g' > 0 \\ \eta_- & g g' < 0 \end{cases}, \quad
              p ← p - s \cdot \mathrm{sign}(g)

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: the first s; 0 or more.
        etas: η₋ in 0 … 1 and η₊ above 1.
        step_sizes: the smallest and the largest s.
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Riedmiller and Braun 1993: where the sign turns, p stays for a step.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> Rprop([p], lr=0.1).step(); p.data
    array([0.9])
    """

    _remembers = ("step", "prev", "step_size")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {"step_sizes": step_sizes, "maximize": maximize}
        super().__init__(params, lr=lr, etas=etas, **options, **only_ways(self, how))

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - s · sign(g)."""
        less, more = group["etas"]
        state["step"] = state.get("step", 0) + 1
        turn = g * state.get("prev", 0.0)
        size = state.get("step_size", group["lr"] + 0 * g) * np.where(turn > 0, more, np.where(turn < 0, less, 1.0))
        state["step_size"] = size = size.clip(*group["step_sizes"]).astype(p.dtype)
        state["prev"] = g = np.where(turn < 0, 0 * g, g)
        moved: Array = p - size * np.sign(g)
        return moved


class Lion(Optimizer):
    r"""Step by the sign of a mean of the gradient: one array remembered, where Adam remembers two.

    .. math:: p ← (1 - \eta \lambda) p - \eta \, \mathrm{sign}(\beta_1 m + (1 - \beta_1) g), \quad
              m ← \beta_2 m + (1 - \beta_2) g

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        betas: β₁ and β₂, the weights of the old mean in the step and in the next mean; 0 or more, and less than 1.
        weight_decay: λ, by which p itself shrinks; 0 or more.
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Chen et al. 2023, "Symbolic discovery of optimization algorithms", Algorithm 2.

    >>> p = Tensor([1.0, -2.0]); (p * p).sum().backward()
    >>> Lion([p], lr=0.1).step(); p.data
    array([ 0.9, -1.9])
    """

    _remembers = ("exp_avg",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {"weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, lr=lr, betas=betas, **options, **only_ways(self, how))

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return (1 - η λ) p - η sign(β₁ m + (1 - β₁) g)."""
        (first, second), lr, m = group["betas"], group["lr"], state.get("exp_avg", 0.0)
        state["exp_avg"] = second * m + (1 - second) * g
        moved: Array = p * (1 - lr * group["weight_decay"]) - lr * np.sign(first * m + (1 - first) * g)
        return moved
