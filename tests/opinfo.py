"""Run PyTorch's own samples of its operators in tinygraph, and compare: value, gradient and second derivative.

PyTorch comes with a table of its operators, with arguments that its authors test them on (OpInfo). Each operator that
tinygraph has under the same name, as a method, as ``tg.name`` or in ``tg.linalg``, ``tg.fft`` and ``tg.nn.functional``,
is called with those of its samples that are of float64. A sample is refused where our call raises an error of its own.

    python tests/opinfo.py [--only sin,nn.functional] [--verbose]

The exit status is 1 where one disagrees.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
import time
import traceback
import types
import unittest
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

import tinygraph as tg

try:
    import torch
except ModuleNotFoundError:  # pytest skips; the command says so
    torch = None  # type: ignore[assignment]

LIMIT = 1e-9  # greatest difference of values, gradients and second derivatives, relative
LARGEST = 20_000  # elements: a larger sample is left out

# What PyTorch computes by chance, or what has another meaning there by design.
LEFT_OUT = {
    "random": """bernoulli cauchy exponential geometric log_normal multinomial normal uniform randint randint_like
        randn_like rand_like randn nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d
        nn.functional.alpha_dropout nn.functional.feature_alpha_dropout nn.functional.rrelu
        nn.functional.scaled_dot_product_attention nn.functional.multi_head_attention_forward
        nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d""",
    "no values": """empty empty_like empty_permuted empty_strided new_empty new_empty_strided item to_sparse
        sparse.sampled_addmm sparse.mm""",
    "another meaning": "arange clone contiguous diff equal median nanmedian repeat scatter split transpose view where",
}
COMPLEX = "fft fft2 fftn ifft ifft2 ifftn irfft irfft2 irfftn"  # what takes complex numbers


def with_pairs(name: str) -> Any:
    """Return a Fourier transform of ours that takes real numbers as PyTorch does: as complex ones."""
    return lambda x, *args, **params: getattr(tg.fft, name)(tg.fft.make_pairs(x), *args, **params)


def spread(name: str) -> Any:
    """Return a function of ours that takes a list of arrays, or arrays one by one."""
    return lambda xs, *more, **params: getattr(tg, name)(*(xs if type(xs) in (list, tuple) else [xs]), *more, **params)


def solve(a: Any, b: Any, left: bool = True) -> Any:
    """Solve equations; a right side with one axis less than the matrices holds vectors, for which NumPy has no word."""
    is_batch = 1 < len(b.shape) == len(a.shape) - 1 and b.shape == a.shape[:-1]
    x = tg.linalg.solve(a, b[..., None] if is_batch else b) if left else tg.linalg.solve(a.mT, b.mT).mT
    return x[..., 0] if is_batch else x


def lstsq(a: Any, b: Any, driver: str) -> Any:
    """Find the least squares and what is left of them, which PyTorch does not give with one of its drivers."""
    solution, left, *_ = tg.linalg.lstsq(a, b, driver=driver)
    return solution, left[:0].reshape(-1) if driver == "gelsy" else left


COUNTED = {"linalg.lstsq": 2}  # so many results are compared: the others depend on the driver, and have no gradient


# Where the table's own arguments stand in another order than those of the function, or it calls more than one.
SWAPPED: dict[str, Any] = {
    **{f"fft.{name}": with_pairs(name) for name in COMPLEX.split()},
    "fft.fftshift": lambda x, **params: tg.fft.fftshift(tg.fft.make_pairs(x), **params)[..., 0],
    "fft.ifftshift": lambda x, **params: tg.fft.ifftshift(tg.fft.make_pairs(x), **params)[..., 0],
    **{f"atleast_{n}d": spread(f"atleast_{n}d") for n in (1, 2, 3)},
    "linalg.solve": solve,
    "linalg.lstsq": lstsq,
    "linalg.pinv (singular)": lambda a, b: tg.linalg.pinv(a @ b.mT),
    "einsum": lambda xs, text: tg.einsum(text, *xs),
    "nn.functional.embedding": lambda weight, places, **params: tg.nn.functional.embedding(places, weight, **params),
    "nn.functional.embedding_bag": lambda w, places, **params: tg.nn.functional.embedding_bag(places, w, **params),
    "meshgrid": spread("meshgrid"),
}


def places(op: Any) -> Iterator[Any]:
    """Yield our functions that have the name of an operator of PyTorch's."""
    name = op.name
    if swapped := SWAPPED.get(full_name(op)) or SWAPPED.get(name):
        yield swapped
        return
    module, _, short = name.rpartition(".")
    owner = {"": tg, "special": tg, "linalg": tg.linalg, "fft": tg.fft, "nn.functional": tg.nn.functional}.get(module)
    if module in ("", "special") and short in dir(tg.Tensor) and not short.startswith("_"):
        yield lambda x, *args, **params: method(x, short, *args, **params)
    if owner is not None and short in owner.__all__ + (["abs", "round", "max", "min", "sum"] if owner is tg else []):
        yield getattr(owner, short)


def wrapper(op: Any) -> Any:
    """Return what PyTorch's own test of a gradient calls an operator by: it makes a matrix symmetric or triangular."""
    found = op.gradcheck_wrapper
    is_torch_only = getattr(found, "__name__", "").endswith("real_positive_diagonal")
    return lower_part if is_torch_only else found


def lower_part(function: Any, x: Any, *args: Any, upper: bool = False, **params: Any) -> Any:
    """Call a function with a triangle of its matrix."""
    return function(x.triu() if upper else x.tril(), *args, upper, **params)


def full_name(op: Any) -> str:
    """Return the name of an operator with that of its variant."""
    return op.name + (f" ({op.variant_test_name})" if op.variant_test_name else "")


def method(x: Any, name: str, *args: Any, **params: Any) -> Any:
    """Call a method of Tensor; ``x.T`` is none."""
    found = getattr(tg.Tensor(x, requires_grad=False) if isinstance(x, np.ndarray) else x, name)
    return found(*args, **params) if callable(found) else found


def ours(x: Any) -> Any:
    """Return an argument of PyTorch's as ours; what can be differentiated is a Tensor."""
    if isinstance(x, torch.Tensor):
        array = x.detach().resolve_conj().numpy().copy()
        return tg.Tensor(array) if array.dtype.kind == "f" and x.requires_grad else array
    if isinstance(x, torch.dtype):
        return np.dtype(str(x).removeprefix("torch."))
    if isinstance(x, tuple | list):
        return type(x)(map(ours, x)) if type(x) in (tuple, list) else tuple(map(ours, x))
    return x


def tensors(x: Any, kind: type) -> list[Any]:
    """Return the tensors in nested arguments or results, in order."""
    if isinstance(x, kind):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for part in x for t in tensors(part, kind)] if isinstance(x, tuple | list) else []


def gap(found: Any, wanted: Any) -> float:
    """Return the greatest difference, relative to the greatest number, or to 1."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        return np.inf
    if not found.size:
        return 0.0
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    error = np.abs(np.where(same, 0, found) - np.where(same, 0, wanted))
    finite = np.abs(wanted[np.isfinite(wanted)])
    return float(np.nan_to_num(error, nan=np.inf).max() / max(1.0, finite.max() if finite.size else 1.0))


def weight(seed: int, k: int, shape: Any) -> np.ndarray:
    """Return the random weights of the gradient of input ``k``."""
    return np.asarray(np.random.default_rng([seed, k]).standard_normal(tuple(shape)))


def drawn_for(y: Any, rng: np.random.Generator) -> Any:
    """Return the random weights of an output of PyTorch's, in its dtype."""
    return torch.from_numpy(np.asarray(rng.standard_normal(y.shape))).to(y.dtype)


def pulled(outputs: list[Any], inputs: list[Any], seed: int) -> tuple[Any, Any]:
    """Return PyTorch's gradients of random sums of the outputs, and the gradients of random sums of those."""
    rng = np.random.default_rng(seed)
    kept = [y for y in outputs if y.requires_grad]
    weights = [drawn_for(y, rng) for y in kept]
    first = torch.autograd.grad(kept, inputs, weights, create_graph=True, allow_unused=True)
    deep = {k: g for k, g in enumerate(first) if g is not None and g.requires_grad}
    more = [torch.from_numpy(weight(seed, k, g.shape)) for k, g in deep.items()]
    try:
        second = torch.autograd.grad([*deep.values()], inputs, more, allow_unused=True) if deep else None
    except (RuntimeError, NotImplementedError):  # it has none
        second = None
    as_numpy = lambda g, x: np.zeros(x.shape) if g is None else (g + 0).detach().numpy()
    arrays = [as_numpy(g, x) for g, x in zip(first, inputs, strict=True)]
    return arrays, second and [as_numpy(g, x) for g, x in zip(second, inputs, strict=True)]


def pulled_by_us(outputs: list[Any], inputs: list[Any], their: list[Any], seed: int, deep: bool) -> tuple[Any, Any]:
    """Return the same of ours: the weights are those of the outputs that PyTorch differentiates."""
    rng = np.random.default_rng(seed)
    weights = {i: drawn_for(z, rng).numpy() for i, z in enumerate(their) if z.requires_grad}
    kept = {i: outputs[i] for i in weights if i < len(outputs) and getattr(outputs[i], "requires_grad", False)}
    if not kept:
        return [np.zeros(x.shape) for x in inputs], [np.zeros(x.shape) for x in inputs]
    seeds = [weights[i] for i in kept]
    first = tg.grad([*kept.values()], inputs, seeds, materialize_grads=True)
    if not deep:
        return first, None
    recorded = tg.grad([*kept.values()], inputs, seeds, create_graph=True, allow_unused=True)
    total = [(g, weight(seed, k, g.shape)) for k, g in enumerate(recorded) if getattr(g, "requires_grad", False)]
    if not total:
        return first, [np.zeros(x.shape) for x in inputs]
    return first, tg.grad([g for g, _ in total], inputs, [w for _, w in total], materialize_grads=True)


def is_complex(z: Any) -> bool:
    """Whether a result of PyTorch's is a tensor of complex numbers."""
    return isinstance(z, torch.Tensor) and z.is_complex()


class RefusedError(Exception):
    """Our call raised an error of its own."""


def call_ours(op: Any, sample: Any) -> tuple[list[Any], list[Any]]:
    """Call the first of our functions that takes a sample; return its results and the Tensors that it took."""
    errors = []
    for function in places(op):
        args = [ours(sample.input), *map(ours, sample.args)]
        params = {key: ours(value) for key, value in sample.kwargs.items() if key not in ("device", "layout")}
        if op.name in ("std", "var") and params.get("correction", params.get("unbiased")) is None and len(args) < 3:
            params["correction"] = 1  # PyTorch's default; here it is NumPy's
        try:
            out = sample.output_process_fn_grad(wrapper(op)(function, *args, **params))
        except (TypeError, ValueError, AttributeError, IndexError, np.linalg.LinAlgError) as error:
            errors.append(error)
            continue
        return results(out), [x for x in tensors([args, params], tg.Tensor) if x.requires_grad]
    raise RefusedError(one_line(errors[0])) from errors[0]


def results(out: Any) -> list[Any]:
    """Return what a call returned as a list."""
    return [y for part in out for y in results(part)] if isinstance(out, tuple | list) else [out]


def one_line(error: Exception) -> str:
    """Return the message of an error without shapes and places, so that equal reasons are counted together."""
    text = str(error).split(" | in ")[0].split("\n")[0]
    return re.sub(r" at [\w.]+:\d+$", "", re.sub(r"[\[(][-\d, ]*[\])]|\d+", "…", text))[:150]


def call_theirs(op: Any, sample: Any) -> list[Any]:
    """Call PyTorch's operator; complex results become pairs, as here."""
    their = wrapper(op)(op.op, sample.input, *sample.args, **sample.kwargs)
    their = results(sample.output_process_fn_grad(their))[: COUNTED.get(op.name)]
    return [torch.view_as_real(z.resolve_conj()) if is_complex(z) else z for z in their]


def leaves_of(sample: Any) -> list[Any]:
    """Return the tensors of a sample that can be differentiated."""
    given = tensors([sample.input, sample.args, sample.kwargs], torch.Tensor)
    return [t for t in given if t.requires_grad and t.dtype == torch.float64]


def compare(op: Any, sample: Any) -> str:
    """Return "" where a sample agrees, else how it differs; raise `RefusedError` where our call does."""
    their = call_theirs(op, sample)
    outputs, inputs = call_ours(op, sample)
    if len(outputs) not in (len(their), 1):
        return f"gives {len(outputs)} results, not {len(their)}"
    for k, (y, z) in enumerate(zip(outputs, their, strict=False)):
        wanted = z.detach().resolve_conj().resolve_neg().numpy() if isinstance(z, torch.Tensor) else np.asarray(z)
        value = y.data if isinstance(y, tg.Tensor) else np.asarray(y)
        if (error := gap(value, wanted)) > LIMIT:
            return f"value {k} differs by {error:.1e}: {list(np.shape(value))} for {list(np.shape(wanted))}"
    their = [z for z in their if isinstance(z, torch.Tensor)]
    leaves = leaves_of(sample)
    if not inputs or not any(z.requires_grad for z in their) or len(inputs) != len(leaves):
        return ""
    first, second = pulled(their, leaves, 0)
    found, deep = pulled_by_us(outputs, inputs, their, 0, second is not None)
    for what, ours_now, wanted_now in (("gradient", found, first), ("second", deep, second)):
        for k, (a, b) in enumerate(zip(ours_now or [], wanted_now or [], strict=False)):
            if (error := gap(a, b)) > LIMIT:
                return f"{what} {k} differs by {error:.1e}"
    return ""


# ------------------------------------------------------------------------------------- where PyTorch is the wrong one


def by_differences(op: Any, sample: Any) -> bool:
    """Whether differences of PyTorch's own values, which are made of lines, give our gradient and not PyTorch's."""
    leaves, rng = leaves_of(sample), np.random.default_rng(1)
    steps = [1e-3 * torch.from_numpy(rng.choice([-1.0, 1.0], tuple(x.shape))) for x in leaves]

    def moved(sign: float) -> float:
        with torch.no_grad():
            for x, step in zip(leaves, steps, strict=True):
                x.add_(sign * step)
            values = call_theirs(op, sample)
            for x, step in zip(leaves, steps, strict=True):
                x.sub_(sign * step)
        weights = np.random.default_rng(0)
        return sum(
            float((weights.standard_normal(y.shape) * y.numpy()).sum()) for y in values if y.dtype.is_floating_point
        )

    their = [z for z in call_theirs(op, sample) if z.dtype.is_floating_point]
    outputs, inputs = call_ours(op, sample)
    gradients = pulled_by_us(outputs, inputs, their, 0, False)[0], pulled(their, leaves, 0)[0]
    true = (moved(1) - moved(-1)) / 2
    ours_off, theirs_off = (
        abs(sum(float((g * step.numpy()).sum()) for g, step in zip(found, steps, strict=True)) - true)
        for found in gradients
    )
    return ours_off < 1e-13 + 0.01 * theirs_off


def has_no_second(op: Any, sample: Any) -> bool:
    """Whether PyTorch's second derivative is nan: it has none there, where we have 0."""
    _, second = pulled(call_theirs(op, sample), leaves_of(sample), 0)
    return any(np.isnan(g).any() for g in second)


# Of these PyTorch's own answer has few digits, is wrong, or there is none; each sample is looked into.
INEXACT = {
    "nn.functional.hardsigmoid": ("in its derivative 1/6 is a float32", by_differences),
    "linalg.norm (subgradients_at_zero)": ("its second derivative there is nan", has_no_second),
    **{
        f"nn.functional.max_unpool{rank}d": ("elements that were overwritten get a gradient", by_differences)
        for rank in (1, 2, 3)
    },
}


class Report:
    """How many samples agree, disagree and are refused, by operator."""

    def __init__(self) -> None:
        self.agree: collections.Counter[str] = collections.Counter()
        self.wrong: dict[str, list[str]] = collections.defaultdict(list)
        self.refused: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self.left: collections.Counter[str] = collections.Counter()

    def run(self, op: Any) -> None:
        """Compare all samples of an operator."""
        name = full_name(op)
        for sample in op.sample_inputs("cpu", torch.float64, requires_grad=op.supports_autograd):
            given = tensors([sample.input, sample.args, sample.kwargs], torch.Tensor)
            if sum(t.numel() for t in given) > LARGEST or any(map(is_complex, given)):
                self.left["large or complex"] += 1
                continue
            if any(map(callable, sample.kwargs.values())):
                self.left["with a function of PyTorch's"] += 1
                continue
            try:
                wrong = compare(op, sample)
            except RefusedError as error:
                self.refused[name][str(error)] += 1
                continue
            except Exception:
                wrong = "crash: " + traceback.format_exc(limit=-1).strip().replace("\n", " ")[-300:]
            if not wrong:
                self.agree[name] += 1
            elif name in INEXACT and INEXACT[name][1](op, sample):
                self.left[f"{name}: {INEXACT[name][0]}"] += 1
            else:
                self.wrong[name].append(f"{wrong} | {show(sample)}")

    def text(self) -> str:
        """Return the counts, and each operator with a sample that does not agree."""
        lines = []
        for name, found in sorted(self.wrong.items()):
            lines += [f"DISAGREE {name}: {len(found)}, {self.agree[name]} agree", *(f"    {w}" for w in found[:3])]
        for name, reasons in sorted(self.refused.items()):
            lines += [f"refused {name}: {n} × {reason}" for reason, n in reasons.most_common()]
        lines += [f"left out: {n} × {reason}" for reason, n in self.left.most_common()]
        refused = sum(sum(reasons.values()) for reasons in self.refused.values())
        wrong = sum(map(len, self.wrong.values()))
        names = len({*self.agree, *self.wrong, *self.refused})
        lines.append(f"{names} operators: {self.agree.total()} samples agree, {wrong} disagree, {refused} refused")
        return "\n".join(lines)


def show(sample: Any) -> str:
    """Return a sample in a line."""
    part = lambda x: f"[{', '.join(map(str, x.shape))}]" if isinstance(x, torch.Tensor) else repr(x)
    args = [part(x) for x in (sample.input, *sample.args)] + [f"{k}={part(v)}" for k, v in sample.kwargs.items()]
    return ", ".join(args)[:200]


def operators(only: str = "") -> Iterator[Any]:
    """Yield PyTorch's operators that we have by name; with ``only``, those whose name begins with one of its parts."""
    stand_in = types.ModuleType("expecttest")  # PyTorch's table is in a file with tests, whose base class is there
    stand_in.TestCase = unittest.TestCase  # type: ignore[attr-defined]
    sys.modules.setdefault("expecttest", stand_in)
    from torch.testing._internal.common_methods_invocations import op_db

    out = {name for names in LEFT_OUT.values() for name in names.split()}
    for op in op_db:
        wanted = not only or any(op.name == part or op.name.startswith(f"{part}.") for part in only.split(","))
        if wanted and op.name not in out and torch.float64 in op.dtypes and any(True for _ in places(op)):
            yield op


def run(only: str = "", verbose: bool = False) -> Report:
    """Compare all samples of all operators."""
    torch.set_num_threads(1)
    report = Report()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for op in operators(only):
            started = time.perf_counter()
            report.run(op)
            if verbose:
                print(f"{op.name} {op.variant_test_name}: {time.perf_counter() - started:.1f} s", flush=True)
    return report


def main() -> int:
    """Compare, print the report, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of operators or modules, separated by commas")
    parser.add_argument("--verbose", action="store_true", help="say how long each takes")
    options = parser.parse_args()
    if torch is None:
        print("PyTorch is not installed: pip install torch")
        return 2
    report = run(options.only, options.verbose)
    print(report.text())
    return int(bool(report.wrong))


if __name__ == "__main__":
    sys.exit(main())
