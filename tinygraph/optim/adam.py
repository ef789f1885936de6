"""Adam and its kin: the mean gradient over the root of the mean square."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.optim.optimizer import Group, Optimizer, Params, State, decayed, only_ways, with_decay

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


def moments(g: Array, state: State, group: Group) -> tuple[int, Array, Array, float, float]:
    """Update the running means of g and of its square; return the step, both, β₁ and β₂."""
    first, second = group["betas"]
    state["step"] = t = state.get("step", 0) + 1
    state["exp_avg"] = m = first * state.get("exp_avg", 0.0) + (1 - first) * g
    state["exp_avg_sq"] = v = second * state.get("exp_avg_sq", 0.0) + (1 - second) * (g * g)
    return t, m, v, first, second


class Adam(Optimizer):
    r"""Divide a running mean of the gradient by the root of a running mean of its square.

    .. math:: m ← \beta_1 m + (1 - \beta_1) g, \quad v ← \beta_2 v + (1 - \beta_2) g^2, \quad
              p ← p - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        betas: β₁ and β₂, the weights of the old means; 0 or more, and less than 1.
        eps: ε, in units of g; 0 or more.
        weight_decay: adds weight_decay · p to g; 0 or more.
        amsgrad: whether to divide by the largest v so far (Reddi, Kale and Kumar 2018).
        maximize: whether to climb instead, along -g.
        decoupled_weight_decay: whether p itself shrinks, by η λ p, instead (as AdamW).
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Kingma and Ba 2015, Algorithm 1.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> Adam([p], lr=0.1).step(); p.data.round(6)
    array([0.9])
    """

    _remembers = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {"amsgrad": amsgrad, "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}
        options |= only_ways(self, how)
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, **options)

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - η m̂ / (√v̂ + ε)."""
        p, g = decayed(p, g, group)
        t, m, v, first, second = moments(g, state, group)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = v = np.maximum(state.get("max_exp_avg_sq", v), v)
        moved: Array = p - group["lr"] / (1 - first**t) * (m / (v**0.5 / (1 - second**t) ** 0.5 + group["eps"]))
        return moved


class AdamW(Adam):
    r"""Adam that shrinks parameters directly, not through the gradient.

    .. math:: p ← (1 - \eta \lambda) p - \eta \frac{\hat m}{\sqrt{\hat v} + \epsilon}

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        betas: β₁ and β₂, the weights of the old means; 0 or more, and less than 1.
        eps: ε, in units of g; 0 or more.
        weight_decay: λ; 0 or more.
        amsgrad: whether to divide by the largest v so far (Reddi, Kale and Kumar 2018).
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Loshchilov and Hutter 2019, Algorithm 2.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> AdamW([p], lr=0.1, weight_decay=0.5).step(); p.data.round(6)
    array([0.85])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True, **how
        )


class Adamax(Optimizer):
    r"""Adam with a decaying maximum in place of the root of the mean square.

    .. math:: m ← \beta_1 m + (1 - \beta_1) g, \quad u ← \max(\beta_2 u, |g| + \epsilon), \quad
              p ← p - \frac{\eta}{1 - \beta_1^t} \frac{m}{u}

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        betas: β₁ and β₂, the weights of the old means; 0 or more, and less than 1.
        eps: ε, in units of g; 0 or more.
        weight_decay: adds weight_decay · p to g; 0 or more.
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Kingma and Ba 2015, Algorithm 2.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> Adamax([p], lr=0.1).step(); p.data.round(6)
    array([0.9])
    """

    _remembers = ("step", "exp_avg", "exp_inf")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {"weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, lr=lr, betas=betas, eps=eps, **options, **only_ways(self, how))

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - η / (1 - β₁ᵗ) · m / u."""
        g, (first, second) = with_decay(p, g, group), group["betas"]
        state["step"] = t = state.get("step", 0) + 1
        state["exp_avg"] = m = first * state.get("exp_avg", 0.0) + (1 - first) * g
        state["exp_inf"] = u = np.maximum(second * state.get("exp_inf", 0.0), abs(g) + group["eps"])
        moved: Array = p - group["lr"] / (1 - first**t) * (m / u)
        return moved


class NAdam(Optimizer):
    r"""Adam with Nesterov's momentum: the step looks ahead along the mean gradient.

    .. math:: \mu_t = \beta_1 (1 - \tfrac{1}{2} 0.96^{t \psi}), \quad
              p ← p - \eta \left( \frac{(1 - \mu_t) g}{1 - \prod_{i \le t} \mu_i}
              + \frac{\mu_{t+1} m}{1 - \prod_{i \le t+1} \mu_i} \right) / (\sqrt{\hat v} + \epsilon)

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        betas: β₁ and β₂, the weights of the old means; 0 or more, and less than 1.
        eps: ε, in units of g; 0 or more.
        weight_decay: adds weight_decay · p to g; 0 or more.
        momentum_decay: ψ, how fast the weight of the momentum nears β₁; 0 or more.
        decoupled_weight_decay: whether p itself shrinks, by η λ p, instead (as AdamW).
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam".

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> NAdam([p], lr=0.1).step(); p.data.round(4)
    array([0.8944])
    """

    _remembers = ("step", "mu_product", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {"momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        options |= {"weight_decay": weight_decay, "maximize": maximize, **only_ways(self, how)}
        super().__init__(params, lr=lr, betas=betas, eps=eps, **options)

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p after a step along g and the mean gradient."""
        p, g = decayed(p, g, group)
        t, m, v, first, second = moments(g, state, group)
        now, following = (first * (1 - 0.5 * 0.96 ** (i * group["momentum_decay"])) for i in (t, t + 1))
        state["mu_product"] = product = state.get("mu_product", 1.0) * now
        ahead = g * ((1 - now) / (1 - product)) + m * (following / (1 - product * following))
        moved: Array = p - group["lr"] * (ahead / ((v / (1 - second**t)) ** 0.5 + group["eps"]))
        return moved


class RAdam(Optimizer):
    r"""Adam that steps along the mean gradient alone while the mean square is known too badly to divide by.

    .. math:: \rho_\infty = \frac{2}{1 - \beta_2} - 1, \quad
              \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \quad
              r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}}

    .. math:: p ← p - \eta \hat m \cdot \begin{cases} r_t / (\sqrt{\hat v} + \epsilon) & \rho_t > 5 \\ 1 \end{cases}

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        lr: η, the learning rate; 0 or more.
        betas: β₁ and β₂, the weights of the old means; 0 or more, and less than 1.
        eps: ε, in units of g; 0 or more.
        weight_decay: adds weight_decay · p to g; 0 or more.
        decoupled_weight_decay: whether p itself shrinks, by η λ p, instead (as AdamW).
        maximize: whether to climb instead, along -g.
        how: PyTorch's ``foreach`` and ``fused``, which change nothing; `Optimizer` says more.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Liu et al. 2020, Algorithm 2, in PyTorch's form (5 in place of 4).

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> RAdam([p], lr=0.1).step(); p.data
    array([0.8])
    """

    _remembers = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **how: Any,
    ) -> None:
        options: Group = {"decoupled_weight_decay": decoupled_weight_decay, "weight_decay": weight_decay}
        options |= {"maximize": maximize, **only_ways(self, how)}
        super().__init__(params, lr=lr, betas=betas, eps=eps, **options)

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p after a step that is rectified, or along the mean gradient."""
        p, g = decayed(p, g, group)
        t, m, v, first, second = moments(g, state, group)
        shrink = 1 - second**t
        most = 2 / (1 - second) - 1
        rho = most - 2 * t * second**t / shrink
        step = m / (1 - first**t)
        if rho > 5:
            rectified = ((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)) ** 0.5
            step = step * (rectified * shrink**0.5 / (v**0.5 + group["eps"]))
        moved: Array = p - group["lr"] * step
        return moved
