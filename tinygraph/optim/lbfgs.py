"""L-BFGS: steps by an approximate inverse of the second derivatives, from the last few gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array
from tinygraph.functions.recording import enable_grad
from tinygraph.optim.optimizer import Group, Optimizer, Params, State, is_number, plain, real_array

__all__ = ["LBFGS"]

DECREASE, CURVATURE = 1e-4, 0.9  # c₁ and c₂ of the strong Wolfe conditions
NUMBERS = ("func_evals", "n_iter", "t", "H_diag", "prev_loss")
VECTORS = ("d", "prev_flat_grad")
LISTS = ("old_dirs", "old_stps", "ro")


class Point(NamedTuple):
    """A place on the line of a search: how far, the loss, the gradient, and the slope along the line."""

    t: float
    loss: float
    gradient: Array
    slope: float


class LBFGS(Optimizer):
    r"""Step along -H g, where H approximates the inverse of the second derivatives from the last steps.

    A call of ``step`` makes up to ``max_iter`` steps, and computes the loss anew for each: it needs a closure.

    .. math:: p ← p - t H g, \quad s = p' - p, \quad y = g' - g, \quad H y = s

    Args:
        params: parameters, in one group.
        lr: the first t that is tried, or with no line search t itself; 0 or more.
        max_iter: steps in a call, 1 or more.
        max_eval: evaluations of the closure in a call; unless given, 1.25 · max_iter.
        tolerance_grad: stop when no element of g is larger.
        tolerance_change: stop when p or the loss changes by less.
        history_size: how many pairs s, y are remembered, 1 or more.
        line_search_fn: "strong_wolfe" searches t; None takes lr.

    Raises:
        TypeError: there is something else than parameters; in ``step``, there is no closure.
        ValueError: there are no parameters, several groups, or an option is out of range.

    Source: Nocedal and Wright 2006, Algorithms 7.4 and 3.5, in PyTorch's form.

    >>> p = Tensor([3.0, -4.0])
    >>> optimizer = LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((p - 1) ** 4).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> p.data.round(1)
    array([1., 1.])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: line_search_fn is {line_search_fn!r}; there are 'strong_wolfe' and None")
        for name, value in (("max_iter", max_iter), ("history_size", history_size)):
            if not value >= 1:
                raise ValueError(f"LBFGS: {name} is {value}, and must be 1 or more")
        options: Group = {"max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval}
        options |= {"history_size": history_size}
        tolerances: Group = {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}
        super().__init__(params, lr=lr, line_search_fn=line_search_fn, **options, **tolerances)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS: there is one group of parameters, for all have the same options")

    @property
    def _params(self) -> list[Tensor]:
        params: list[Tensor] = self.param_groups[0]["params"]
        return params

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter, several times.

        Args:
            closure: computes the gradients and returns the loss; it is called once or more for each step.

        Returns:
            What the first call of the closure returns.

        Raises:
            TypeError: there is no closure.
        """
        if closure is None:
            raise TypeError("LBFGS.step takes a closure: it zeroes the gradients, calls backward and returns the loss")
        group, state = self.param_groups[0], self.state[self._params[0]]
        first, loss, g = self._evaluate(closure)
        state["func_evals"] = state.get("func_evals", 0) + 1
        evaluations = 1
        for i in range(group["max_iter"]):
            if abs(g).max(initial=0.0) <= group["tolerance_grad"]:
                break
            state["n_iter"] = state.get("n_iter", 0) + 1
            d = self._direction(g, state, group["history_size"])
            before, slope = loss, float(g @ d)
            t = group["lr"] * (min(1.0, 1.0 / float(abs(g).sum())) if state["n_iter"] == 1 else 1.0)
            state.update(d=d, t=t, prev_flat_grad=g, prev_loss=loss)
            if slope > -group["tolerance_change"]:
                break
            here = [p.data for p in self._params]
            if group["line_search_fn"] is not None:
                found, more = search(
                    lambda t: self._try(closure, here, t, d),  # noqa: B023 - called before the loop goes on
                    t, Point(0.0, loss, g, slope), float(abs(d).max()), group["max_eval"] - evaluations,
                )  # fmt: skip
                t, loss, g = found.t, found.loss, found.gradient
                self._move(here, t, d)
            else:
                self._move(here, t, d)
                more = int(i + 1 != group["max_iter"])  # the last step's loss would be computed for nothing
                if more:
                    _, loss, g = self._evaluate(closure)
            evaluations += more
            state["func_evals"] += more
            state["t"] = t
            small = abs(t * d).max() <= group["tolerance_change"] or abs(loss - before) < group["tolerance_change"]
            if evaluations >= group["max_eval"] or small:
                break
        return first

    def _direction(self, g: Array, state: State, size: int) -> Array:
        """Return -H g, by the two loops over the remembered pairs, and remember the last pair."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -g
        y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
        product = float(y @ s)
        if product > 1e-10:
            for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1 / product)):
                state[name] = [*state[name], value][-size:]
            state["H_diag"] = product / float(y @ y)
        pairs = [*zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True)]
        q: Array = -g
        weights: list[float] = []
        for y, s, ro in reversed(pairs):
            weights.append(float(ro * (s @ q)))
            q = q - weights[-1] * y
        r: Array = state["H_diag"] * q
        for (y, s, ro), weight in zip(pairs, reversed(weights), strict=True):
            r = r + (weight - ro * (y @ r)) * s
        return r

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, float, Array]:
        """Return what the closure returns, the loss, and all gradients as one vector."""
        with enable_grad():
            returned = closure()
        parts = [(np.zeros_like(p.data) if p.grad is None else p.grad).reshape(-1) for p in self._params]
        return returned, float(array_of(returned)), np.concatenate(parts)

    def _move(self, here: list[Array], t: float, d: Array) -> None:
        """Set the parameters to ``here`` + t d."""
        offset = 0
        for p, start in zip(self._params, here, strict=True):
            p.data = start + t * d[offset : offset + start.size].reshape(start.shape)
            offset += start.size

    def _try(self, closure: Callable[[], Any], here: list[Array], t: float, d: Array) -> Point:
        """Return the point at distance t along d, and leave the parameters where they were."""
        self._move(here, t, d)
        _, loss, g = self._evaluate(closure)
        for p, start in zip(self._params, here, strict=True):
            p.data = start
        return Point(t, loss, g, float(g @ d))

    def _read_entries(self, p: Tensor, entries: Any) -> State:
        """Return a state with its lists and vectors, which are those of all parameters."""
        size = sum(q.size for q in self._params)

        def vector(key: str, value: Any) -> Array:
            if tuple(getattr(value, "shape", ())) != (size,):
                raise ValueError(f"LBFGS: {key} must be a vector of {size} numbers, one for each of the parameters")
            return real_array(f"LBFGS: {key}", value, p)

        if not isinstance(entries, Mapping) or entries.keys() - {*NUMBERS, *VECTORS, *LISTS, "al"}:
            raise ValueError("LBFGS: the state is of another kind of optimizer")
        state: State = {}
        for key, value in entries.items():
            if value is None or key == "al":
                continue
            if key in VECTORS:
                state[key] = vector(key, value)
            elif key in LISTS:
                state[key] = [number(key, v) if key == "ro" else vector(key, v) for v in value]
            else:
                state[key] = number(key, value)
        return state


def number(key: str, value: Any) -> Any:
    """Return a number of a state; raise if it is none."""
    if not is_number(plain(value)):
        raise ValueError(f"LBFGS: {key} is {value!r}, and must be a number")
    return plain(value)


def lowest(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Return where the cubic through two points with their slopes is lowest, within the bounds."""
    a, b = (a, b) if a.t <= b.t else (b, a)
    low, high = bounds or (a.t, b.t)
    if a.t == b.t:
        return (low + high) / 2
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    bottom: float = b.slope - a.slope + 2 * square**0.5 if square >= 0 else 0.0
    if bottom == 0:
        return (low + high) / 2
    place: float = b.t - (b.t - a.t) * ((b.slope + square**0.5 - d1) / bottom)
    return min(max(place, low), high)


def search(evaluate: Callable[[float], Point], t: float, start: Point, length: float, limit: int) -> tuple[Point, int]:
    """Search a point that meets the strong Wolfe conditions; return it and the number of evaluations."""
    before, here, count = start, evaluate(t), 0
    while count < limit:
        high = too_high(here, start) or (count > 1 and here.loss >= before.loss)
        if not high and flat(here, start):
            return here, count + 1
        if high or here.slope >= 0:
            return zoom(evaluate, [before, here], start, length, count, limit)
        t = lowest(before, here, (here.t + 0.01 * (here.t - before.t), 10 * here.t))
        before, here, count = here, evaluate(t), count + 1
    return (start if start.loss <= here.loss else here), count + 1


def too_high(here: Point, start: Point) -> bool:
    """Return whether the loss falls less than a small part of what the slope at the start promises."""
    return here.loss > start.loss + DECREASE * here.t * start.slope


def flat(here: Point, start: Point) -> bool:
    """Return whether the slope is less steep than a part of that at the start."""
    return abs(here.slope) <= -CURVATURE * start.slope


def zoom(
    evaluate: Callable[[float], Point], ends: list[Point], start: Point, length: float, count: int, limit: int
) -> tuple[Point, int]:
    """Narrow an interval that has such a point, until it is found; the better end comes first."""
    best, other = sorted(ends, key=lambda point: point.loss)
    stalled = False
    while count < limit and abs(best.t - other.t) * length >= 1e-9:
        low, high = sorted((best.t, other.t))
        t, margin = lowest(best, other), 0.1 * (high - low)
        near = min(high - t, t - low) < margin
        if near and (stalled or t >= high or t <= low):
            t, near = (high - margin if high - t < t - low else low + margin), False
        stalled = near
        new, count = evaluate(t), count + 1
        if too_high(new, start) or new.loss >= best.loss:
            best, other = sorted((best, new), key=lambda point: point.loss)
            continue
        if flat(new, start):
            return new, count + 1
        if new.slope * (other.t - best.t) >= 0:
            other = best
        best = new
    return best, count + 1
