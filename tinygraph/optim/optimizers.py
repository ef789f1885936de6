"""Optimizers with PyTorch's names, arguments and arithmetic. A step replaces arrays and never writes into one.

So a graph that is still alive keeps the values it was computed from, and a state_dict stays as it was when it was
taken. This costs nothing: the sum needs a new array anyway.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Parameter, Tensor
from tinygraph.engine.types import Array
from tinygraph.kernels.arrays import asarray, backend_of

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm_", "decay_weights_only"]

Group = dict[str, Any]  # ``params`` and the options by name
State = dict[str, Any]  # what an optimizer remembers of one parameter: arrays and numbers by name
Params = Tensor | Iterable[Tensor] | Iterable[Group]


def decay_weights_only(
    named_parameters: Iterable[tuple[str, Parameter]],
    weight_decay: float,
    is_weight: Callable[[str, Parameter], bool] = lambda name, p: p.ndim > 1,
) -> list[Group]:
    """Return parameter groups that decay weights and leave γ, β and biases alone.

    Args:
        named_parameters: ``module.named_parameters()``.
        weight_decay: of the weights; 0 or more.
        is_weight: called with name and parameter, says whether it is a weight. Unless given, all that have two axes
            or more are.

    Returns:
        Two groups for an optimizer: the weights, and the others with a weight_decay of 0.

    >>> from tinygraph import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    >>> optimizer = SGD(decay_weights_only(net.named_parameters(), 0.01), lr=0.1)
    >>> [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups]
    [(1, 0.01), (3, 0.0)]
    """
    groups: dict[bool, list[Parameter]] = {True: [], False: []}
    for name, parameter in named_parameters:
        groups[bool(is_weight(name, parameter))].append(parameter)
    return [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """Scale all gradients so that, taken as one vector, their norm is at most ``max_norm``.

    Args:
        parameters: a parameter or several, of any shape; those without a gradient are passed over.
        max_norm: the largest norm that is left alone, in units of the gradients.
        norm_type: p of the p-norm, above 0; math.inf takes the largest element.
        error_if_nonfinite: raise instead of scaling by nan or by 0.

    Returns:
        The norm before.

    Raises:
        RuntimeError: the norm is nan or infinite, and ``error_if_nonfinite``.

    >>> import numpy as np
    >>> p = Tensor([0.0, 0.0]); p.grad = np.array([3.0, 4.0])
    >>> clip_grad_norm_(p, 1.0), p.grad.round(5)
    (5.0, array([0.6, 0.8]))
    """
    several: Iterable[Tensor] = [parameters] if isinstance(parameters, Tensor) else parameters
    found = [p for p in several if p.grad is not None]
    if norm_type == math.inf:
        total = max((float(abs(p.grad).max()) for p in found), default=0.0)
    else:
        total = sum(float((abs(p.grad) ** norm_type).sum()) for p in found) ** (1 / norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {total}")
    if not total + 1e-6 <= max_norm:
        for p in found:
            p.grad = p.grad * (max_norm / (total + 1e-6))
    return total


class Optimizer:
    """Move parameters against their gradients: the part that all optimizers share. A subclass has `update`.

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        defaults: the options by name.

    Attributes:
        param_groups: a list of dicts. Options may be changed between steps.
        state: what is remembered of each parameter.

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    >>> class SignSGD(Optimizer):
    ...     def __init__(self, params, lr):
    ...         super().__init__(params, lr=lr)
    ...     def update(self, p, g, state, group):
    ...         return p - group["lr"] * (2 * (g > 0) - 1)
    >>> p = Tensor([1.0, -2.0]); (p * p).sum().backward()
    >>> SignSGD([p], lr=0.5).step(); p.data
    array([ 0.5, -1.5])
    """

    def __init__(self, params: Params, **defaults: Any) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, State] = {}
        if not isinstance(params, Tensor | Iterable):
            found = type(params).__name__
            raise TypeError(f"{type(self).__name__} takes parameters, as net.parameters() gives them, not {found}")
        given: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        if not given:
            raise ValueError(f"{type(self).__name__}: there are no parameters; a generator gives them only once")
        groups: list[Group] = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Add more parameters to move.

        Args:
            param_group: ``params`` and the options that differ from the defaults.

        Raises:
            TypeError: there is something else than parameters.
            ValueError: a parameter is there already, or an option is unknown or out of range.
        """
        name = type(self).__name__
        params = param_group["params"]
        group = {**self.defaults, **param_group, "params": [params] if isinstance(params, Tensor) else list(params)}
        if unknown := group.keys() - self.defaults.keys() - {"params", "initial_lr"}:
            raise ValueError(f"{name} has no option {', '.join(sorted(unknown))}; it has {', '.join(self.defaults)}")
        known = {p for g in self.param_groups for p in g["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor) or p.node.op is not None:
                raise TypeError(f"{name} moves parameters, leaves of the graph; this is {p!r}")
            if p in known:
                raise ValueError(f"{name}: {p.name or 'a parameter'} is in two groups, or twice in one")
            known.add(p)
        for option in ("lr", "weight_decay", "eps", "momentum", "alpha", "lr_decay", "initial_accumulator_value"):
            if not group.get(option, 0) >= 0:
                raise ValueError(f"{name}: {option} is {group[option]}, and must not be negative")
        for beta in group.get("betas", ()):
            if not 0 <= beta < 1:
                raise ValueError(f"{name}: betas are {group['betas']}, and must be in 0 … 1, without 1")
        self.param_groups.append(group)

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return the new value of a parameter; every optimizer has its own.

        Args:
            p: the parameter's array, which is not changed.
            g: its gradient, of the same shape.
            state: what was remembered of this parameter, empty at first; changed in place.
            group: the options, by name.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient.

        Args:
            closure: called first, if given: it computes the gradients and returns the loss, as in PyTorch.

        Returns:
            What the closure returns, or None.
        """
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.data = self.update(p.data, p.grad, self.state.setdefault(p, {}), group)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient of every parameter.

        Args:
            set_to_none: whether a gradient becomes None; if not, one that is there becomes zeros.
        """
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None if set_to_none or p.grad is None else np.zeros_like(p.grad)

    def state_dict(self) -> dict[str, Any]:
        """Return the options and what is remembered, in PyTorch's layout: a number stands for each parameter."""
        number = {p: i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [{**group, "params": [number[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": {number[p]: dict(state) for p, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Args:
            state_dict: that of an optimizer of the same kind, for as many parameters of the same shapes.

        Raises:
            ValueError: groups or their parameters are not as many, or an array has another shape than its parameter.
        """
        groups, name = state_dict["param_groups"], type(self).__name__
        sizes = [[len(group["params"]) for group in side] for side in (self.param_groups, groups)]
        if sizes[0] != sizes[1]:
            raise ValueError(f"{name}: the state has groups of {sizes[1]} parameters; this optimizer has {sizes[0]}")
        params = [p for group in self.param_groups for p in group["params"]]
        place = {int(i): p for i, p in zip((i for group in groups for i in group["params"]), params, strict=True)}
        state = {place[int(i)]: dict(entries) for i, entries in state_dict["state"].items()}
        for p, entries in state.items():
            for key, value in entries.items():
                shape = tuple(getattr(value, "shape", ()))
                if shape and shape != p.shape:
                    raise ValueError(f"{name}: {key} has shape {shape}, and its parameter {p.name or ''} {p.shape}")
                entries[key] = asarray(value, backend_of(p.data), p.dtype).copy() if shape else float(value)
        self.state = state
        for group, other in zip(self.param_groups, groups, strict=True):
            group.update({key: value for key, value in other.items() if key != "params"})

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{key}={value}" for key, value in group.items() if key != "params")
            lines.append(f"  group {i}: {len(group['params'])} parameters, {options}")
        return "\n".join([f"{type(self).__name__} (", *lines, ")"])


def with_decay(p: Array, g: Array, group: Group) -> Array:
    """Return g plus weight_decay · p, the gradient of weight_decay · ‖p‖²/2."""
    return g + group["weight_decay"] * p if group["weight_decay"] else g


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

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Sutskever, Martens, Dahl and Hinton 2013, in PyTorch's form.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> SGD([p], lr=0.1).step(); p.data
    array([0.8])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: nesterov takes a momentum, and no dampening")
        super().__init__(
            params, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov
        )

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

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Kingma and Ba 2015, Algorithm 1.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> Adam([p], lr=0.1).step(); p.data.round(6)
    array([0.9])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - η m̂ / (√v̂ + ε)."""
        return self.adapt(p, with_decay(p, g, group), state, group)

    def adapt(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p after a step along g."""
        first, second = group["betas"]
        state["step"] = t = state.get("step", 0) + 1
        state["exp_avg"] = m = first * state.get("exp_avg", 0.0) + (1 - first) * g
        state["exp_avg_sq"] = v = second * state.get("exp_avg_sq", 0.0) + (1 - second) * (g * g)
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
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return (1 - η λ) p - η m̂ / (√v̂ + ε)."""
        return self.adapt(p * (1 - group["lr"] * group["weight_decay"]), g, state, group)


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

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Tieleman and Hinton 2012, lecture 6.5, in PyTorch's form; centered: Graves 2013.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> RMSprop([p], lr=0.01).step(); p.data.round(6)
    array([0.9])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        options = {"weight_decay": weight_decay, "momentum": momentum, "centered": centered}
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, **options)

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - η g / (√v + ε)."""
        g, alpha = with_decay(p, g, group), group["alpha"]
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

    Raises:
        TypeError: there is something else than parameters.
        ValueError: there are no parameters, one is in two groups, or an option is out of range.

    Source: Duchi, Hazan and Singer 2011, Figure 1, in PyTorch's form.

    >>> p = Tensor([1.0]); (p * p).sum().backward()
    >>> Adagrad([p], lr=0.1).step(); p.data.round(6)
    array([0.9])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        options = {"weight_decay": weight_decay, "initial_accumulator_value": initial_accumulator_value, "eps": eps}
        super().__init__(params, lr=lr, lr_decay=lr_decay, **options)

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return p - η g / (√s + ε)."""
        g = with_decay(p, g, group)
        state["step"] = t = state.get("step", 0) + 1
        state["sum"] = s = state.get("sum", group["initial_accumulator_value"]) + g * g
        moved: Array = p - group["lr"] / (1 + (t - 1) * group["lr_decay"]) * (g / (s**0.5 + group["eps"]))
        return moved
