"""Two functions are the same if all their derivatives are: values may agree by luck, third derivatives do not.

The reference is the composed function in float64. Its own derivatives are compared with differences of its values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tinygraph.engine.errors import describe
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array, ArrayLike
from tinygraph.functions.recording import no_grad
from tinygraph.functions.transforms import pull
from tinygraph.kernels.arrays import synchronize, to_numpy
from tinygraph.verify.certificate import DIFFERENCES, ORDERS, Certificate, Figure, write_error
from tinygraph.verify.engines import TINYGRAPH, Engine, Values, find_torch_twin, make_torch_engine, name_function
from tinygraph.verify.inputs import Function, argument_names, array_like, as_tuple, draw_normal, random_numbers

__all__ = ["compare"]

T = TypeVar("T")

FLOOR = {"float64": 1e-9, "float32": 1e-5}  # relative error that is always allowed, to first order
SLACK, NUDGES = 20, 3  # a tolerance is this many times the greatest of three changes of the reference
ILL_CONDITIONED = ("N = 2", "spread ÷ 10⁶")


def compare(
    composed: Function,
    fused: Function,
    *inputs: ArrayLike | Tensor,
    against: str | Function | None = None,
    seed: int = 0,
    sweep: bool = True,
    time: bool = True,
) -> Certificate:
    """Certify that two functions of the same signature agree in value and in derivatives up to the third.

    Both run in float64 and in float32, and are compared with ``composed`` in float64. The derivatives of that
    reference are compared with central differences. The upstream gradients of the outputs and the directions of the
    higher derivatives are random. An error is the greatest difference, divided by the greatest element of the
    reference.

    Only ``fused`` is judged. A figure passes if its error, or its distance from ``composed`` in the same precision, is
    within tolerance: 1e-9 in float64 and 1e-5 in float32, ten times more for each order beyond the first. The
    tolerance is larger where the reference itself is sensitive: twenty times the change of the reference when its data
    change in their last digit. (In float32 the digits of the first input count from its mean, or from 0 if that is
    nearer, and without the offset that the sweep adds: an offset is no excuse.) Two kinds of figures also pass if
    their error is at most twice that of ``composed`` in the same precision: those that a fused op leaves to its
    definition (the jvp, the second and the third derivatives), and all of the last two cases of the sweep, which are
    ill-conditioned.

    The sweep draws the first input again, uniform between its extremes, because a few constant features are enough
    to hide all others in the derivatives of a normalization. It adds 100 and 10,000, sets the second input to 0,
    takes the first two rows only, and divides the first input's spread about its mean by a million. The input as
    given is run too, and the same with 10,000 added.

    Args:
        composed: the reference; takes Tensors, and returns a Tensor or a tuple of them. ``functools.partial`` binds
            keywords.
        fused: the function that is judged; takes and returns the same as ``composed``.
        inputs: arrays of floating point, finite and not empty, of any shape that ``composed`` takes; for a
            normalization x, gamma and beta.
        against: a third function, of PyTorch tensors, to run on the same data; or "torch" for PyTorch's own
            ``batch_norm`` or ``layer_norm``, as ``composed`` is. It is shown and not judged.
        seed: seed of all random numbers, an integer of at least 0.
        sweep: run the sweep; otherwise only the input as given.
        time: time both, forward and backward, in turns; under a second for small inputs.

    Returns:
        The certificate: print it, or read its ``ok``, ``rows`` or ``to_json()``.

    Raises:
        TypeError: an input is not of floating point.
        ValueError: there is no input, one is empty or not finite, ``composed`` fails on them, or PyTorch's function
            for ``against="torch"`` is not known.
        ModuleNotFoundError: ``against`` is given and PyTorch is not installed.

    >>> from tinygraph.functions import log_softmax, softmax
    >>> certificate = compare(softmax, lambda x: np.exp(log_softmax(x)), np.array([[1.0, 2.0, 4.0]]), time=False)
    >>> certificate.ok
    True
    """
    names = argument_names(composed, len(inputs))
    xs = tuple(finite_array(n, x) for n, x in zip(names, inputs, strict=True))
    if not xs:
        raise ValueError("compare: it needs at least one input")
    functions = {"composed": (TINYGRAPH, composed), "fused": (TINYGRAPH, fused)}
    if against is not None:
        functions["torch"] = (make_torch_engine(), find_torch_twin(composed) if isinstance(against, str) else against)
    messages: dict[str, list[str]] = {}  # what a function said when it failed -> in which cases
    figures: list[Figure] = []
    reference = dict.fromkeys(ORDERS[1:], 0.0)
    with np.errstate(all="ignore"):
        for case in itertools.islice(make_cases(xs, names, seed), None if sweep else 1):
            log = Log(messages, case.name)
            data, exact = find_reference(composed, case, names, seed, log)
            if data is None or exact is None:
                continue
            if case.name in ("as given", "uniform"):
                off = log.attempt("central differences fail", derivative_errors, composed, data, names, exact)
                reference = {order: max(error, (off or reference)[order]) for order, error in reference.items()}
            for dtype in FLOOR:
                figures += measure(functions, data, exact, case.without_offset, names, dtype, log)
        dtype = str(xs[0].dtype)
        log = Log(messages, dtype)
        sizes = {n: log.attempt(f"{n} fails", engine.count_bytes, f, xs) for n, (engine, f) in functions.items()}
        kept = {n: size for n, size in sizes.items() if size}
        seconds: dict[str, float] = {}
        runs = 0
        if time and {"composed", "fused"} <= kept.keys():
            seconds, runs = time_functions(composed, fused, draw_data(composed, xs, seed).convert(dtype))
    described = tuple(f"{n} {describe(x)}" for n, x in zip(names, xs, strict=True))
    failed = (f"{message} ({', '.join(dict.fromkeys(where))})" for message, where in messages.items())
    notes, both = (*failed, *explain_failures(figures)), (name_function(composed), name_function(fused))
    return Certificate(*both, described, seed, tuple(figures), reference, kept, seconds, runs, notes)


def find_reference(
    composed: Function, case: Case, names: Sequence[str], seed: int, log: Log
) -> tuple[Data, Values] | tuple[None, None]:
    """Draw the data of a case, and compute the derivatives of the reference; None and None if it has none there.

    Raises:
        ValueError: the case is the input as given, and there is no reference.
    """
    who = f"{name_function(composed)} fails, the reference"
    data: Data | None = log.attempt(who, draw_data, composed, case.inputs, seed)
    exact: Values | None = data and log.attempt(who, TINYGRAPH.values, composed, data, names)
    if exact and any(not np.isfinite(a).all() for a in exact.values()):
        log.add("left out, since the values are not finite")
        exact = None
    if data is not None and exact:
        return data, exact
    if case.name == "as given":
        raise ValueError(f"compare: these inputs have no reference: {next(iter(log.messages))}")
    return None, None


def finite_array(name: str, x: ArrayLike | Tensor) -> Array:
    """Return an input as an array; raise if it is not of floating point, not finite, or empty."""
    array: Array = array_of(x) if hasattr(x, "dtype") else np.asarray(x)
    if array.dtype.kind != "f":
        raise TypeError(f"compare: {name} is {describe(array)}: convert it with .astype(numpy.float32)")
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"compare: {name} {'has values that are not finite' if array.size else 'is empty'}")
    return array


class Case(NamedTuple):
    """One case of the sweep: its name, the inputs, and the first of them without the offset that the sweep adds."""

    name: str
    inputs: tuple[Array, ...]
    without_offset: Array


class Data(NamedTuple):
    """The inputs ``xs``, upstream gradients ``w`` of the outputs, and two directions ``v`` and ``u`` in the inputs."""

    xs: tuple[Array, ...]
    w: tuple[Array, ...]
    v: tuple[Array, ...]
    u: tuple[Array, ...]

    def convert(self, dtype: str) -> Data:
        """Return all arrays in another precision."""
        return Data(*(tuple(a.astype(dtype) for a in group) for group in self))

    def add(self, change: Callable[[Array], Array]) -> Data:
        """Return all arrays with a change added, which is a function of the array."""
        return Data(*(tuple(a + change(a) for a in group) for group in self))

    def move(self, directions: Sequence[Array], step: float) -> Data:
        """Return the data with the inputs moved along directions."""
        return self._replace(xs=tuple(x + step * d for x, d in zip(self.xs, directions, strict=True)))


def draw_data(func: Function, xs: Sequence[Array], seed: int) -> Data:
    """Draw upstream gradients and directions for a function at ``xs``; all arrays are float64."""
    xs = tuple(x.astype("float64") for x in xs)
    rng = random_numbers(seed)
    with no_grad():
        ys = tuple(map(array_of, as_tuple(func(*map(Tensor, xs)))))
    return Data(xs, *(tuple(draw_normal(rng, a) for a in group) for group in (ys, xs, xs)))


def make_cases(xs: Sequence[Array], names: Sequence[str], seed: int) -> Iterator[Case]:
    """Yield the cases of the sweep."""
    given, *rest = (x.astype("float64") for x in xs)
    yield Case("as given", (given, *rest), given)
    yield Case("as given + 10⁴", (given + 1e4, *rest), given)
    x = array_like(random_numbers(seed + 1).uniform(float(given.min()), float(given.max()), given.shape), given)
    yield Case("uniform", (x, *rest), x)
    yield Case("uniform + 100", (x + 1e2, *rest), x)
    yield Case("uniform + 10⁴", (x + 1e4, *rest), x)
    if rest:
        yield Case(f"{names[1]} = 0", (x, 0 * rest[0], *rest[1:]), x)
    if x.ndim and len(x) > 2:
        yield Case("N = 2", (x[:2], *(a[:2] if a.shape == x.shape else a for a in rest)), x[:2])
    near = x.mean() + 1e-6 * (x - x.mean())
    yield Case("spread ÷ 10⁶", (near, *rest), near)


class Log(NamedTuple):
    """The messages of functions that failed, each with the cases in which it came; ``case`` is the present one."""

    messages: dict[str, list[str]]
    case: str

    def add(self, message: str) -> None:
        """Note a message in this case."""
        self.messages.setdefault(message, []).append(self.case)

    def attempt(self, who: str, func: Callable[..., T], *args: Any) -> T | None:
        """Call a function; if it fails, note its message and return None."""
        try:
            return func(*args)
        except Exception as error:
            first_line = next(iter(str(error).splitlines()), "")
            self.add(f"{who}: {type(error).__name__}: {first_line}")
            return None


def check_form(values: Values, model: Values | None) -> Values:
    """Return values; raise if one has another shape or dtype than the same quantity of ``composed``."""
    for key, a in (model or {}).items():
        b = values.get(key, np.empty(0))
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            raise TypeError(f"{key[1]} is {describe(b)}, and composed's is {describe(a)}")
    return values


def measure(
    functions: Mapping[str, tuple[Engine, Function]],
    data: Data,
    exact: Values,
    without_offset: Array,
    names: Sequence[str],
    dtype: str,
    log: Log,
) -> Iterator[Figure]:
    """Yield the figures of every function in one case and precision."""
    engine, composed = functions["composed"]
    rounded = data
    composed_values: Values | None = exact
    if dtype != "float64":
        rounded = data.convert(dtype)
        data = rounded.convert("float64")
        exact = engine.values(composed, data, names)
        composed_values = log.attempt(f"composed fails in {dtype}", engine.values, composed, rounded, names)
    tolerances = find_tolerances(composed, data, exact, without_offset, names, dtype)
    greatest = greatest_elements(exact)
    for function, (engine, func) in functions.items():
        if (function, dtype) == ("composed", "float64"):
            continue  # it is the reference
        values = composed_values
        if function != "composed":
            values = log.attempt(f"{function} fails in {dtype}", engine.values, func, rounded, names)
            values = values and log.attempt(f"{function} fails in {dtype}", check_form, values, composed_values)
        for key, right in exact.items():
            order, quantity = key
            found, other = ((v or {}).get(key) for v in (values, composed_values))
            error, apart, composed_error = (
                relative_error(a, b, greatest[order]) for a, b in ((found, right), (found, other), (other, right))
            )
            ok = error <= tolerances[key]
            if function != "composed":
                is_left_to_definition = order > 1 or quantity.startswith("jvp")
                lenient = is_left_to_definition or log.case in ILL_CONDITIONED
                ok = ok or apart <= tolerances[key] or (lenient and error <= 2 * composed_error < np.inf)
            yield Figure(log.case, dtype, function, quantity, order, error, apart, tolerances[key], ok)


def greatest_elements(values: Values) -> dict[int, float]:
    """Return the greatest element of all quantities of each order."""
    orders = {order for order, _ in values}
    return {n: max(float(np.abs(a).max(initial=0)) for (order, _), a in values.items() if order == n) for n in orders}


def find_tolerances(
    composed: Function, data: Data, exact: Values, without_offset: Array, names: Sequence[str], dtype: str
) -> dict[tuple[int, str], float]:
    """Return the allowed error of each quantity: more, if the reference moves with the last digit of its data."""
    change, greatest = last_digit_change(without_offset, dtype, data.xs[0]), greatest_elements(exact)
    moved = [TINYGRAPH.values(composed, data.add(change), names) for _ in range(NUDGES)]
    return {
        (order, quantity): max(
            FLOOR[dtype] * 10 ** max(order - 1, 0),
            SLACK * max(relative_error(m[order, quantity], right, greatest[order]) for m in moved),
        )
        for (order, quantity), right in exact.items()
    }


def last_digit_change(without_offset: Array, dtype: str, x: Array) -> Callable[[Array], Array]:
    """Return a function that gives, for an array, a random change of its last digits.

    For float32 the last digit of ``x`` is that of ``without_offset``, whose digits count from its mean or from 0. For
    float64 it is the digit of ``x`` itself, because the reference is computed in float64 and rounds there.
    """
    rng, eps = random_numbers(0), float(np.finfo(dtype).eps)
    size = x if dtype == "float64" else np.minimum(abs(without_offset), abs(without_offset - without_offset.mean()))

    def change(a: Array) -> Array:
        changed: Array = draw_normal(rng, a) * abs(size if a is x else a) * eps
        return changed

    return change


def relative_error(a: Array | None, b: Array | None, otherwise: float) -> float:
    """Return the greatest difference divided by the greatest element of ``b``, or by ``otherwise`` if that is 0."""
    if a is None or b is None or a.shape != b.shape:
        return float("inf")
    a, b = a.astype("float64"), b.astype("float64")
    gap = float(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b)).max(initial=0))
    top = np.abs(b[np.isfinite(b)]).max(initial=0) or otherwise or 1.0
    return gap / float(top) if np.isfinite(gap) else float("inf")


def derivative_errors(func: Function, data: Data, names: Sequence[str], exact: Values) -> dict[str, float]:
    """Return how far each derivative is from the central difference of the one below it, at the best of several steps.

    The gradient is compared as a product with the direction; the second and third derivatives are compared element by
    element.
    """

    def part(values: Values, order: int) -> list[Array]:
        return [a for (o, name), a in values.items() if o == order and not name.startswith("jvp")]

    def products(arrays: Sequence[Array], others: Sequence[Array]) -> Array:
        return np.concatenate([(a * to_numpy(b)).reshape(-1) for a, b in zip(arrays, others, strict=True)])

    best = dict.fromkeys(ORDERS[1:], float("inf"))
    x = data.xs[0]
    spread = float(((x - x.mean()) ** 2).mean()) ** 0.5 or 1.0
    for h in (1e-6 * spread, 1e-5 * spread, 1e-7 * spread, 1e-4 * spread, 1e-8 * spread):
        v, u = ([TINYGRAPH.values(func, data.move(d, s * h), names) for s in (1, -1)] for d in (data.v, data.u))
        for order, (high, low) in enumerate((v, v, u), 1):
            wanted = part(exact, order)
            found = [(a - b) / (2 * h) for a, b in zip(part(high, order - 1), part(low, order - 1), strict=True)]
            if order == 1:
                terms = products(found, data.w)
                error = float(abs(terms.sum() - products(wanted, data.v).sum()) / (np.abs(terms).sum() or 1.0))
            else:
                top = max(np.abs(b).max(initial=0) for b in wanted)
                error = max(relative_error(a, b, top) for a, b in zip(found, wanted, strict=True))
            best[ORDERS[order]] = min(best[ORDERS[order]], error)
        if max(best.values()) < DIFFERENCES / 10:
            break
    return best


def time_functions(composed: Function, fused: Function, data: Data) -> tuple[dict[str, float], int]:
    """Return the median seconds of both functions, forward and backward, in turns; and the number of runs."""

    def run(func: Function) -> float:
        start = perf_counter()
        leaves = tuple(map(Tensor, data.xs))
        gradients = pull(as_tuple(func(*leaves)), leaves, data.w)
        synchronize(gradients[0])
        return perf_counter() - start

    functions = composed, fused
    once = sum(min(run(func), run(func)) for func in functions)
    runs = int(np.clip(0.4 / once, 3, 51))
    seconds = np.median([[run(func) for func in functions] for _ in range(runs)], axis=0)
    return {"composed": float(seconds[0]), "fused": float(seconds[1])}, runs


def explain_failures(figures: Sequence[Figure]) -> Iterator[str]:
    """Explain the errors beyond tolerance of the functions that are not judged."""
    for function in ("composed", "torch"):
        wrong = [f for f in figures if f.function == function and not f.ok and np.isfinite(f.error)]
        orders = sorted({f.order for f in wrong if f.dtype == "float64"})
        for order in orders:
            double = [f for f in wrong if f.order == order and f.dtype == "float64"]
            shown = next((f for f in double if f.case == "uniform"), double[0])
            what = "value" if order == 0 else f"{ORDERS[order]} derivative"
            yield (
                f"{function} is wrong in the {what}: rounding cannot explain that {shown.quantity} is off by "
                f"{write_error(shown.error)} in float64 ({shown.case})"
            )
        worst: dict[str, Figure] = {}
        for f in wrong:
            if f.order not in orders and (f.case not in worst or f.error > worst[f.case].error):
                worst[f.case] = f
        if worst:
            found = ", ".join(f"{f.quantity} by {write_error(f.error)} ({case})" for case, f in worst.items())
            yield (
                f"{function} loses digits in float32: {found}. Near 10,000 the numbers of float32 are 0.001 apart: "
                "what is rounded before the greater part of it cancels is lost"
            )
