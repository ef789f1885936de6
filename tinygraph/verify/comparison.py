"""Two functions are the same where all their derivatives are: a value agrees by luck, a third derivative does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.arrays import synchronize, to_numpy
from tinygraph.engine.context import no_grad
from tinygraph.engine.errors import describe
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.functions.checks import axes_of
from tinygraph.functions.transforms import pull
from tinygraph.graph.records import behind, differentiated_inputs, kept_arrays
from tinygraph.verify.certificate import DIFFERENCES, ORDERS, Certificate, Row, short
from tinygraph.verify.inputs import Function, argument_names, array_like, as_tuple, draw_normal, random_numbers

__all__ = ["compare"]

FLOOR = {"float64": 1e-9, "float32": 1e-5}  # relative error that is allowed anyway, to first order
SLACK, NUDGES = 20, 3  # times the greatest of three changes of the reference when its data change in their last digit
ILL_CONDITIONED = ("N = 2", "spread ÷ 10⁶")

Values = Mapping[tuple[int, str], np.ndarray]  # order and name of a quantity -> what it is


def compare(
    composed: Function,
    fused: Function,
    *inputs: Any,
    against: str | Function | None = None,
    seed: int = 0,
    sweep: bool = True,
    time: bool = True,
) -> Certificate:
    """Certify that two functions of the same signature agree in value and in derivatives up to the third.

    Both run in float64 and in float32 and are held against ``composed`` in float64, whose own derivatives are
    held against central differences. The cotangent of the outputs and the directions of the higher derivatives
    are random. An error is the greatest difference, divided by the greatest element of the reference.

    What is judged is ``fused``. A figure passes where its error, or its distance from ``composed`` in the same
    precision, is within tolerance: 1e-9 in float64 and 1e-5 in float32, ten times more for each order beyond
    the first; or twenty times what the reference itself moves when its data change in their last digit, where
    that is more. (In float32 the digits of the first input count from its mean, or from 0 if that is nearer,
    and without the offset that the sweep adds: an offset is no excuse.) What a fused op leaves to its
    definition (the jvp, the second and the third derivatives), and all of the last two cases of the sweep, which
    are ill-conditioned, also passes where it errs no more than twice as much as ``composed`` in the same precision.

    The sweep draws the first input anew, uniform between its extremes, since a few constant features are enough
    to drown all others in the derivatives of a normalization. It adds 100 and 10,000, sets the second input
    to 0, takes the first two rows only, and divides the first input's spread about its mean by a million.
    The input as given is run too, and with 10,000 added.

    Args:
        composed, fused: take Tensors; return a Tensor or a tuple of them. ``functools.partial`` gives both
            the same keywords.
        inputs: arrays of floating point, finite; for a normalization x, gamma and beta.
        against: a third function, of PyTorch tensors, to run on the same data; or "torch" for PyTorch's own
            ``batch_norm`` or ``layer_norm``, as ``composed`` is. It is shown and not judged.
        seed: of all that is random.
        sweep: run the sweep; otherwise the input as given is all.
        time: time both, forward and backward, in turns; under a second for small inputs.

    Returns:
        The certificate: print it, or ask for its ``ok``, ``rows`` or ``to_json()``.

    Raises:
        TypeError: an input is not of floating point.
        ValueError: an input is empty or not finite, there is none, ``composed`` fails on them, or PyTorch's twin of
            it is not known.
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
    functions = {"composed": (OURS, composed), "fused": (OURS, fused)}
    if against is not None:
        functions["torch"] = (torch_engine(), torch_twin(composed) if isinstance(against, str) else against)
    rows: list[Row] = []
    failed: dict[str, list[str]] = {}  # what a function said -> in which cases
    reference = dict.fromkeys(ORDERS[1:], 0.0)
    with np.errstate(all="ignore"):
        for case, inputs_there, plain in itertools.islice(cases(xs, names, seed), None if sweep else 1):
            log = Log(failed, case)
            who = f"{label(composed)} fails, the reference"
            data = log.attempt(who, drawn, composed, inputs_there, seed)
            exact = data and log.attempt(who, OURS.values, composed, data, names)
            if exact and any(not np.isfinite(a).all() for a in exact.values()):
                log.add("left out, since the values are not finite")
                exact = None
            if not exact and case == "as given":
                raise ValueError(f"compare: these inputs have no reference: {next(iter(failed))}")
            if not exact:
                continue
            if case in ("as given", "uniform"):
                off = log.attempt("central differences fail", differences, composed, data, names, exact) or reference
                reference = {order: max(reference[order], off[order]) for order in off}
            for dtype in FLOOR:
                rows += measured(functions, data, exact, plain, names, dtype, log)
        dtype = str(xs[0].dtype)
        log = Log(failed, dtype)
        sizes = {n: log.attempt(f"{n} fails", engine.kept, func, xs) for n, (engine, func) in functions.items()}
        kept = {n: size for n, size in sizes.items() if size}
        seconds: dict[str, float] = {}
        runs = 0
        if time and {"composed", "fused"} <= kept.keys():
            seconds, runs = timed({"composed": composed, "fused": fused}, drawn(composed, xs, seed).to(dtype))
    described = tuple(f"{n} {describe(x)}" for n, x in zip(names, xs, strict=True))
    said = (f"{what} ({', '.join(dict.fromkeys(where))})" for what, where in failed.items())
    notes, both = (*said, *remarks(rows)), (label(composed), label(fused))
    return Certificate(*both, described, seed, tuple(rows), reference, kept, seconds, runs, notes)


def finite_array(name: str, x: Any) -> Any:
    """Return an input as an array, checked."""
    array = array_of(x) if hasattr(x, "dtype") else np.asarray(x)
    if array.dtype.kind != "f":
        raise TypeError(f"compare: {name} is {describe(array)}: convert it with .astype(numpy.float32)")
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"compare: {name} {'has values that are not finite' if array.size else 'is empty'}")
    return array


def label(func: Function) -> str:
    """Name a function as its user knows it."""
    func = getattr(func, "func", func)  # of a functools.partial
    module, name = getattr(func, "__module__", None) or "", getattr(func, "__name__", type(func).__name__)
    return "fused." * (".fused" in module) + name


class Data(NamedTuple):
    """Where and along what to differentiate: inputs, a cotangent for each output, two directions in the inputs."""

    xs: tuple[Any, ...]
    w: tuple[Any, ...]
    v: tuple[Any, ...]
    u: tuple[Any, ...]

    def to(self, dtype: str) -> Data:
        """Round to a precision."""
        return Data(*(tuple(a.astype(dtype) for a in group) for group in self))

    def changed(self, change: Callable[[Any], Any]) -> Data:
        """Add to each array what ``change`` makes of it."""
        return Data(*(tuple(a + change(a) for a in group) for group in self))

    def along(self, directions: Sequence[Any], step: float) -> Data:
        """Move the inputs."""
        return self._replace(xs=tuple(x + step * d for x, d in zip(self.xs, directions, strict=True)))


def drawn(func: Function, xs: Sequence[Any], seed: int) -> Data:
    """Draw the cotangent and the directions; all of it in float64."""
    xs = tuple(x.astype("float64") for x in xs)
    rng = random_numbers(seed)
    with no_grad():
        ys = tuple(map(array_of, as_tuple(func(*map(Tensor, xs)))))
    return Data(xs, *(tuple(draw_normal(rng, a) for a in group) for group in (ys, xs, xs)))


def cases(xs: Sequence[Any], names: Sequence[str], seed: int) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """Yield the inputs of the sweep, and the first of them without the offset that the sweep adds."""
    given, *rest = (x.astype("float64") for x in xs)
    yield "as given", (given, *rest), given
    yield "as given + 10⁴", (given + 1e4, *rest), given
    x = array_like(random_numbers(seed + 1).uniform(float(given.min()), float(given.max()), given.shape), given)
    yield "uniform", (x, *rest), x
    yield "uniform + 100", (x + 1e2, *rest), x
    yield "uniform + 10⁴", (x + 1e4, *rest), x
    if rest:
        yield f"{names[1]} = 0", (x, 0 * rest[0], *rest[1:]), x
    if x.ndim and len(x) > 2:
        yield "N = 2", (x[:2], *(a[:2] if a.shape == x.shape else a for a in rest)), x[:2]
    near = x.mean() + 1e-6 * (x - x.mean())
    yield "spread ÷ 10⁶", (near, *rest), near


class Log(NamedTuple):
    """What functions said when they failed, and in which cases."""

    failed: dict[str, list[str]]
    case: str

    def add(self, said: str) -> None:
        """Note something of this case."""
        self.failed.setdefault(said, []).append(self.case)

    def attempt(self, who: str, func: Function, *args: Any) -> Any:
        """Call a function; where it fails, note what it said and return None."""
        try:
            return func(*args)
        except Exception as error:
            said = next(iter(str(error).splitlines()), "")
            self.add(f"{who}: {type(error).__name__}: {said}")
            return None


class Engine(NamedTuple):
    """How a library differentiates: a leaf of an array, a walk back, a value as NumPy has it, the bytes it keeps."""

    lift: Callable[[Any], Any]
    pull: Callable[..., tuple[Any, ...]]
    lower: Callable[[Any], np.ndarray]
    kept: Callable[..., tuple[int, int]]

    def values(self, func: Function, data: Data, names: Sequence[str]) -> Values:
        """Return the value of ``func`` and its derivatives to the third order."""
        xs, w, v, u = (tuple(map(self.lift, group)) for group in data)
        ys = as_tuple(func(*xs))
        first = self.pull(ys, xs, w)  # the plain walk, which runs a fused op's kernel
        recorded = self.pull(ys, xs, w, create_graph=True)
        along = self.pull(recorded, w, v)  # linear in w, so its derivative there is the jvp
        second = self.pull(recorded, xs, v, create_graph=True)
        third = self.pull(second, xs, u)
        number = [str(i) if len(ys) > 1 else "" for i in range(len(ys))]
        found = [(0, "y", number, ys), (1, "d", names, first), (1, "jvp", number, along)]
        found += [(2, "d²", names, second), (3, "d³", names, third)]
        return {(o, d + n): self.lower(a) for o, d, each, parts in found for n, a in zip(each, parts, strict=True)}


def in_form(values: Values, own: Values | None) -> Values:
    """Return values; raise where they have not the form of those of composed."""
    for key, a in (own or {}).items():
        b = values.get(key, np.empty(0))
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            raise TypeError(f"{key[1]} is {describe(b)}, and composed's is {describe(a)}")
    return values


def measured(
    functions: Mapping[str, tuple[Engine, Function]], data: Data, exact: Values, plain: Any, names: Sequence[str],
    dtype: str, log: Log,
) -> Iterator[Row]:  # fmt: skip
    """Yield the figures of every function in one case and precision."""
    engine, composed = functions["composed"]
    rounded, own = data, exact
    if dtype != "float64":
        rounded = data.to(dtype)
        data = rounded.to("float64")
        exact = engine.values(composed, data, names)
        own = log.attempt(f"composed fails in {dtype}", engine.values, composed, rounded, names)
    change = last_digit(plain, dtype, data.xs[0])
    moved = [engine.values(composed, data.changed(change), names) for _ in range(NUDGES)]
    top = {order: max(np.abs(b).max(initial=0) for (o, _), b in exact.items() if o == order) for order, _ in exact}
    for function, (engine, func) in functions.items():
        if function == "composed" and dtype == "float64":
            continue  # it is the reference
        found = own
        if function != "composed":
            checked = lambda e, f: in_form(e.values(f, rounded, names), own)
            found = log.attempt(f"{function} fails in {dtype}", checked, engine, func)
        for (order, quantity), b in exact.items():
            key, size = (order, quantity), top[order]
            a, c = ((values or {}).get(key) for values in (found, own))
            error, apart, loss = (relative(p, q, size) for p, q in ((a, b), (a, c), (c, b)))
            rounding = SLACK * max(relative(m[key], b, size) for m in moved)
            tolerance = max(FLOOR[dtype] * 10 ** max(order - 1, 0), rounding)
            ok = error <= tolerance
            if function != "composed":
                no_better = order > 1 or quantity.startswith("jvp") or log.case in ILL_CONDITIONED
                ok = ok or apart <= tolerance or (no_better and error <= 2 * loss < np.inf)
            yield Row(log.case, dtype, function, quantity, order, error, apart, tolerance, ok)


def last_digit(plain: Any, dtype: str, x: Any) -> Callable[[Any], Any]:
    """Return what changes data in their last digit, at random.

    For float32 the digits of ``x`` are those of ``plain``, counted from its mean or from 0. For float64 they are
    its own: there the reference rounds too, and cannot be known better.
    """
    rng, eps = random_numbers(0), float(np.finfo(dtype).eps)
    near = x if dtype == "float64" else np.minimum(abs(plain), abs(plain - plain.mean()))
    return lambda a: draw_normal(rng, a) * abs(near if a is x else a) * eps


def relative(a: np.ndarray | None, b: np.ndarray | None, otherwise: float) -> float:
    """Return the greatest difference over the greatest element of ``b``; where that is 0, over ``otherwise``."""
    if a is None or b is None or a.shape != b.shape:
        return float("inf")
    a, b = a.astype("float64"), b.astype("float64")
    gap = float(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b)).max(initial=0))
    top = np.abs(b[np.isfinite(b)]).max(initial=0) or otherwise or 1.0
    return gap / float(top) if np.isfinite(gap) else float("inf")


def differences(func: Function, data: Data, names: Sequence[str], exact: Values) -> dict[str, float]:
    """Return by how much each derivative differs from the central difference of the one below, at the best step.

    The gradient is held against the difference of y through its product with the direction; the others are
    differences as they are.
    """

    def part(values: Values, order: int) -> list[np.ndarray]:
        return [a for (o, name), a in values.items() if o == order and not name.startswith("jvp")]

    def products(arrays: Sequence[np.ndarray], others: Sequence[Any]) -> np.ndarray:
        return np.concatenate([(a * to_numpy(b)).reshape(-1) for a, b in zip(arrays, others, strict=True)])

    best = dict.fromkeys(ORDERS[1:], float("inf"))
    x = data.xs[0]
    spread = float(((x - x.mean()) ** 2).mean()) ** 0.5 or 1.0
    for h in (1e-6 * spread, 1e-5 * spread, 1e-7 * spread, 1e-4 * spread, 1e-8 * spread):
        v, u = ([OURS.values(func, data.along(d, s * h), names) for s in (1, -1)] for d in (data.v, data.u))
        for order, (high, low) in enumerate((v, v, u), 1):
            wanted = part(exact, order)
            found = [(a - b) / (2 * h) for a, b in zip(part(high, order - 1), part(low, order - 1), strict=True)]
            if order == 1:
                terms = products(found, data.w)
                error = float(abs(terms.sum() - products(wanted, data.v).sum()) / (np.abs(terms).sum() or 1.0))
            else:
                top = max(np.abs(b).max(initial=0) for b in wanted)
                error = max(relative(a, b, top) for a, b in zip(found, wanted, strict=True))
            best[ORDERS[order]] = min(best[ORDERS[order]], error)
        if max(best.values()) < DIFFERENCES / 10:
            break
    return best


def kept_for_backward(func: Function, xs: Sequence[Any]) -> tuple[int, int]:
    """Return how many bytes the graph of a call keeps for backward: beyond the inputs, and of the inputs."""
    ys = as_tuple(func(*map(Tensor, xs)))
    nodes = behind([y.node for y in ys if y.requires_grad], differentiated_inputs)
    buffers = {id(owner(array)): owner(array).nbytes for array in kept_arrays([node.saved for node in nodes])}
    given = {id(owner(x)): x.nbytes for x in xs}
    of_inputs = sum(size for i, size in given.items() if buffers.pop(i, None) is not None)
    return sum(buffers.values()), of_inputs


def owner(array: Any) -> Any:
    """Return the array whose memory a view looks into."""
    while hasattr(getattr(array, "base", None), "nbytes"):
        array = array.base
    return array


OURS = Engine(Tensor, pull, lambda t: to_numpy(array_of(t)), kept_for_backward)


def timed(functions: Mapping[str, Function], data: Data) -> tuple[dict[str, float], int]:
    """Return the median seconds of each function, forward and backward, run in turns; and how many runs."""

    def run(func: Function) -> float:
        start = perf_counter()
        leaves = tuple(map(Tensor, data.xs))
        gradients = pull(as_tuple(func(*leaves)), leaves, data.w)
        synchronize(gradients[0])
        return perf_counter() - start

    once = sum(min(run(func), run(func)) for func in functions.values())
    runs = int(np.clip(0.4 / once, 3, 51))
    seconds = [[run(func) for func in functions.values()] for _ in range(runs)]
    return dict(zip(functions, np.median(seconds, axis=0).tolist(), strict=True)), runs


def remarks(rows: Sequence[Row]) -> Iterator[str]:
    """Explain what is beyond tolerance in the functions that are not judged."""
    for function in ("composed", "torch"):
        wrong = [row for row in rows if row.function == function and not row.ok and np.isfinite(row.error)]
        orders = sorted({row.order for row in wrong if row.dtype == "float64"})
        for order in orders:
            double = [row for row in wrong if row.order == order and row.dtype == "float64"]
            row = next((row for row in double if row.case == "uniform"), double[0])
            what = "value" if order == 0 else f"{ORDERS[order]} derivative"
            yield (
                f"{function} is wrong in the {what}: rounding cannot explain that {row.quantity} is off by "
                f"{short(row.error)} in float64 ({row.case})"
            )
        worst: dict[str, Row] = {}
        for row in wrong:
            if row.order not in orders and (row.case not in worst or row.error > worst[row.case].error):
                worst[row.case] = row
        if worst:
            found = ", ".join(f"{row.quantity} by {short(row.error)} ({case})" for case, row in worst.items())
            yield (
                f"{function} loses digits in float32: {found}. Near 10,000 the numbers of float32 are 0.001 apart: "
                "what is rounded before the greater part of it cancels is lost"
            )


def torch_engine() -> Engine:
    """Return how PyTorch differentiates."""
    try:
        import torch
    except ModuleNotFoundError:
        raise ModuleNotFoundError("compare: against= needs PyTorch: pip install torch") from None

    def lift(array: Any) -> Any:
        return torch.tensor(to_numpy(array), requires_grad=True)

    def pull(outputs: Sequence[Any], inputs: Sequence[Any], v: Sequence[Any], create_graph: bool = False) -> Any:
        reached = [(y, g) for y, g in zip(outputs, v, strict=True) if y.requires_grad]
        if not reached:
            return tuple(map(torch.zeros_like, inputs))
        ys, gs = zip(*reached, strict=True)
        options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        return torch.autograd.grad(ys, inputs, gs, create_graph=create_graph, **options)

    def kept(func: Function, xs: Sequence[Any]) -> tuple[int, int]:
        leaves = [lift(x) for x in xs]
        buffers: dict[int, int] = {}

        def count(t: Any) -> Any:
            buffers[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            out = func(*leaves)
        of_inputs = sum(buffers.pop(x.untyped_storage().data_ptr(), 0) for x in leaves)
        del out  # only now, so that no buffer was freed and its address used again
        return sum(buffers.values()), of_inputs

    return Engine(lift, pull, lambda t: t.detach().numpy(), kept)


def torch_twin(composed: Function) -> Function:
    """Return PyTorch's own function for ours of the same name, with the same keywords."""
    from torch.nn import functional

    keywords = getattr(composed, "keywords", {})
    eps, name = keywords.get("eps", 1e-5), label(composed).removeprefix("fused.")

    def batch_norm(x: Any, gamma: Any = None, beta: Any = None) -> Any:
        axes = axes_of(keywords.get("axis", 0), x, name)
        order = [*axes, *(a for a in range(x.ndim) if a not in axes)]
        if order[-1] == 1 and len(axes) == x.ndim - 1:  # channels come second, as PyTorch has them
            return functional.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)
        rows = x.permute(order)
        table = rows.reshape(int(np.prod(rows.shape[: len(axes)])), -1)
        gamma, beta = (p if p is None else p.reshape(-1) for p in (gamma, beta))
        y = functional.batch_norm(table, None, None, gamma, beta, training=True, eps=eps)
        return y.reshape(rows.shape).permute([order.index(a) for a in range(x.ndim)])

    def layer_norm(x: Any, gamma: Any = None, beta: Any = None) -> Any:
        axes = axes_of(keywords.get("axis", -1), x, name)
        if axes != tuple(range(x.ndim - len(axes), x.ndim)):
            raise ValueError(f"PyTorch's layer_norm takes the last axes, and axis is {axes}")
        return functional.layer_norm(x, [x.shape[a] for a in axes], gamma, beta, eps)

    twins = {"batch_norm": batch_norm, "layer_norm": layer_norm}
    if name not in twins:
        raise ValueError(
            f"compare: PyTorch's twin of {name} is not known, but those of {' and '.join(twins)}; "
            "give a function of PyTorch tensors as against="
        )
    return twins[name]
