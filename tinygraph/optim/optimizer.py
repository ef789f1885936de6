"""What all optimizers share. A step replaces arrays and never writes into one.

So a graph that is still alive keeps the values it was computed from, and a state_dict stays as it was when it was
taken. This costs nothing: the sum needs a new array anyway.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from tinygraph.engine.errors import clean
from tinygraph.engine.tensor import Parameter, Tensor
from tinygraph.engine.types import Array
from tinygraph.kernels.arrays import asarray, backend_of

__all__ = ["Optimizer", "decay_weights_only"]

Group = dict[str, Any]  # ``params`` and the options by name
State = dict[str, Any]  # what an optimizer remembers of one parameter: arrays and numbers by name
Params = Tensor | Iterable[Tensor] | Iterable[Group]

NOT_NEGATIVE = (
    "lr", "weight_decay", "eps", "momentum", "alpha", "lr_decay", "initial_accumulator_value", "momentum_decay",
    "lambd", "t0",
)  # fmt: skip
SWITCHES = ("nesterov", "centered", "amsgrad", "maximize", "decoupled_weight_decay")
WAYS = ("foreach", "fused", "capturable", "differentiable")  # PyTorch's ways to compute the same
OF_SCHEDULES = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr")  # kept in a group
YOUNGER = ("amsgrad", "maximize", "decoupled_weight_decay")  # options that older states lack, the oldest first
SQUARES = ("exp_avg_sq", "max_exp_avg_sq", "square_avg", "acc_delta", "sum")  # in a state: never negative
NUMBERS = ("step", "mu_product", "mu", "eta")  # in a state: one for a parameter, whatever its shape


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

    >>> from tinygraph import nn, optim
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    >>> optimizer = optim.SGD(decay_weights_only(net.named_parameters(), 0.01), lr=0.1)
    >>> [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups]
    [(1, 0.01), (3, 0.0)]
    """
    groups: dict[bool, list[Parameter]] = {True: [], False: []}
    for name, parameter in named_parameters:
        groups[bool(is_weight(name, parameter))].append(parameter)
    return [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}]


def without_ways(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options without PyTorch's ways to compute, of which there is one here; refuse those that promise more."""
    for way in ("capturable", "differentiable"):
        if options.get(way):
            raise ValueError(
                f"{name}: {way}={options[way]!r} asks for steps that are themselves recorded, and they are not here"
            )
    return {key: value for key, value in options.items() if key not in WAYS}


def only_ways(optimizer: object, how: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return further keywords of an optimizer; raise if one is none of PyTorch's ways to compute."""
    if unknown := how.keys() - set(WAYS):
        raise TypeError(f"{type(optimizer).__name__} got an unexpected keyword argument {min(unknown)!r}")
    return how


def is_number(value: Any) -> bool:
    """Return whether a value is a real number, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: Any, least: int) -> bool:
    """Return whether a value is a whole number of at least so much."""
    return isinstance(value, int) and is_number(value) and value >= least


def check_options(name: str, group: Group) -> None:
    """Raise if an option of a group is out of range."""
    for option in NOT_NEGATIVE:
        value = group.get(option, 0)
        if not (is_number(value) and value >= 0):
            raise ValueError(f"{name}: {option} is {value!r}, and must be a number that is not negative")
    for option, most in (("betas", 1.0), ("etas", math.inf), ("step_sizes", math.inf)):
        pair = group.get(option, (0.5, 0.5))
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(map(is_number, pair))):
            raise ValueError(f"{name}: {option} are {pair!r}, and must be two numbers")
        if not all(0 <= value < most for value in pair):
            raise ValueError(f"{name}: {option} are {pair!r}, and must be in 0 … {most:g}, without {most:g}")
    if "etas" in group and not 0 < group["etas"][0] < 1 < group["etas"][1]:
        raise ValueError(f"{name}: etas are {group['etas']!r}: the first must be in 0 … 1, the second above 1")
    if not (is_number(group.get("rho", 0)) and 0 <= group.get("rho", 0) <= 1):
        raise ValueError(f"{name}: rho is {group['rho']!r}, and must be in 0 … 1")
    for option in SWITCHES:
        if not isinstance(group.get(option, False), bool | np.bool_):
            raise ValueError(f"{name}: {option} is {group[option]!r}, and must be True or False")
    if group.get("nesterov") and (group.get("momentum", 0) <= 0 or group.get("dampening", 0) != 0):
        raise ValueError(f"{name}: nesterov takes a momentum, and no dampening")


class Optimizer:
    """Move parameters against their gradients: the part that all optimizers share. A subclass has `update`.

    PyTorch's options ``foreach`` and ``fused`` are accepted by every optimizer, and change nothing: there is one way
    to compute here. ``capturable`` and ``differentiable`` are refused, for a step is not recorded.

    Args:
        params: parameters; or groups, dicts with ``params`` and the options that differ in that group.
        defaults: the options by name, as a dict.
        options: the same as keywords.

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

    _remembers: ClassVar[tuple[str, ...] | None] = None  # keys of a state; None for a subclass that does not say

    def __init__(self, params: Params, defaults: Mapping[str, Any] | None = None, **options: Any) -> None:
        self.defaults = without_ways(type(self).__name__, {**(defaults or {}), **options})
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, State] = defaultdict(dict)
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
        name, params = type(self).__name__, param_group["params"]
        given = {key: plain(value) for key, value in {**self.defaults, **without_ways(name, param_group)}.items()}
        group = {
            **given,
            "params": [params] if isinstance(params, Tensor) else list(params),
        }
        if unknown := group.keys() - self.defaults.keys() - {"params", *OF_SCHEDULES}:
            raise ValueError(f"{name} has no option {', '.join(sorted(unknown))}; it has {', '.join(self.defaults)}")
        known = {p for g in self.param_groups for p in g["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor) or p.node.op is not None:
                raise TypeError(f"{name} moves parameters, leaves of the graph; this is {p!r}")
            if p in known:
                raise ValueError(f"{name}: {clean(p.name or 'a parameter')} is in two groups, or twice in one")
            known.add(p)
        check_options(name, group)
        self.param_groups.append(group)

    def update(self, p: Array, g: Array, state: State, group: Group) -> Array:
        """Return the new value of a parameter; every optimizer has its own.

        Args:
            p: the parameter's array, which is not changed.
            g: its gradient, of the same shape; with ``maximize`` its negative.
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
                    g = -p.grad if group.get("maximize") else p.grad
                    new = self.update(p.data, g, self.state.setdefault(p, {}), group)
                    p.data = new.astype(p.dtype, copy=False)  # also where a rate was set to a number of float64
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
        """Continue from what `state_dict` returned, here or in PyTorch. All of it is taken, or nothing.

        Args:
            state_dict: that of an optimizer of the same kind, for as many parameters of the same shapes.

        Raises:
            ValueError: it is no state, or one of another kind of optimizer or of other parameters; an option is out
                of range, or an array has another shape than its parameter or holds no real numbers.
        """
        groups = self._read_groups(state_dict)
        params = [p for group in self.param_groups for p in group["params"]]
        numbers = [i for group in state_dict["param_groups"] for i in group["params"]]
        place = {str(i): p for i, p in zip(numbers, params, strict=True)}
        name, state = type(self).__name__, defaultdict[Tensor, State](dict)
        for i, entries in state_dict["state"].items():
            if str(i) not in place:
                raise ValueError(f"{name}: the state has a parameter {clean(str(i))}; there are {len(params)}")
            state[place[str(i)]] = self._read_entries(place[str(i)], entries)
        self.state = state
        for own, other in zip(self.param_groups, groups, strict=True):
            own.update(other)

    def _read_groups(self, state_dict: Mapping[str, Any]) -> list[Group]:
        """Return this optimizer's groups with the options of a state, which are checked."""
        name = type(self).__name__
        try:
            groups = [{**group, "params": list(group["params"])} for group in state_dict["param_groups"]]
            if not isinstance(state_dict["state"], Mapping):
                raise TypeError
        except (KeyError, TypeError):
            wanted = "a dict with 'state' and 'param_groups', as state_dict() returns it"
            raise ValueError(f"{name}: a state is {wanted}") from None
        sizes = [[len(group["params"]) for group in side] for side in (self.param_groups, groups)]
        if sizes[0] != sizes[1]:
            raise ValueError(f"{name}: the state has groups of {sizes[1]} parameters; this optimizer has {sizes[0]}")
        merged = []
        for own, other in zip(self.param_groups, groups, strict=True):
            given = {key: plain(value) for key, value in without_ways(name, other).items()}
            if unknown := given.keys() - self.defaults.keys() - {"params", *OF_SCHEDULES}:
                found = clean(", ".join(sorted(map(str, unknown))))
                raise ValueError(f"{name}: the state is of another kind of optimizer: it has the option {found}")
            lacking = self.defaults.keys() - given.keys()
            younger = [option for option in YOUNGER if option in self.defaults]
            if lacking - set(younger[len(younger) - len(lacking) :]):
                found = ", ".join(sorted(lacking))
                raise ValueError(f"{name}: the state is of another kind of optimizer: it has no option {found}")
            merged.append({**own, **given, "params": own["params"]})
            check_options(name, merged[-1])
        return merged

    def _read_entries(self, p: Tensor, entries: Any) -> State:
        """Return what a state remembers of a parameter, converted to its dtype and backend."""
        name, known = type(self).__name__, self._remembers
        if not isinstance(entries, Mapping):
            raise ValueError(f"{name}: the state of {clean(p.name or 'a parameter')} is {type(entries).__name__}")
        entries = {key: value for key, value in entries.items() if value is not None}
        if known is not None and (unknown := entries.keys() - set(known)):
            found = clean(", ".join(sorted(map(str, unknown))))
            raise ValueError(f"{name}: the state is of another kind of optimizer: it remembers {found}")
        return {key: self._read_entry(p, key, value) for key, value in entries.items()}

    def _read_entry(self, p: Tensor, key: str, value: Any) -> Any:
        """Return one entry of a state, converted."""
        name, shape = type(self).__name__, tuple(getattr(value, "shape", ()))
        if not shape and (key in NUMBERS or p.shape != ()):
            number = plain(value)
            if not is_number(number) or not math.isfinite(number) or (key == "step" and number < 0):
                raise ValueError(f"{name}: {clean(key)} is {number!r}, and must be a number, of steps 0 or more")
            return int(number) if key == "step" else number
        if shape != p.shape:
            raise ValueError(
                f"{name}: {clean(key)} has shape {shape}, and its parameter {clean(p.name or '')} {p.shape}"
            )
        array = real_array(f"{name}: {clean(key)}", value, p)
        if key in SQUARES and (array < 0).any():
            raise ValueError(f"{name}: {clean(key)} is negative, and is made of squares")
        return array

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{key}={value}" for key, value in group.items() if key != "params")
            lines.append(f"  group {i}: {len(group['params'])} parameters, {options}")
        return "\n".join([f"{type(self).__name__} (", *lines, ")"])


def plain(value: Any) -> Any:
    """Return an array, a scalar of NumPy's or a tensor without axes as a number, and anything else as it is.

    A scalar of float64 beside an array of float32 would make float64 of it.
    """
    if isinstance(value, tuple | list) and all(isinstance(v, Real) for v in value):
        return tuple(plain(v) for v in value)
    return value.item() if getattr(value, "shape", None) == () else value


def real_array(what: str, value: Any, p: Tensor) -> Array:
    """Return a copy of an array with the dtype and the backend of a parameter; raise if it holds no real numbers."""
    array = asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} holds {array.dtype}, and must hold real numbers")
    copied: Array = asarray(array, backend_of(p.data), p.dtype).copy()
    return copied


def with_decay(p: Array, g: Array, group: Group) -> Array:
    """Return g plus weight_decay · p, the gradient of weight_decay · ‖p‖²/2."""
    return g + group["weight_decay"] * p if group["weight_decay"] else g


def decayed(p: Array, g: Array, group: Group) -> tuple[Array, Array]:
    """Return p and g after weight decay: of p itself where it is decoupled, else through g."""
    if group["decoupled_weight_decay"]:
        return p * (1 - group["lr"] * group["weight_decay"]), g
    return p, with_decay(p, g, group)
