"""Ask every function of NumPy's that gives a floating result for a Tensor: it works, refuses by name, or differs.

Gone through are numpy, numpy.linalg, numpy.fft, and the methods and operators of arrays. A name counts if one of the
calls in `CALLS`, or else a call with one, two or three arrays, gives floating numbers that move with an operand, by
finite differences. Then the same call is made with Tensors: the value must be NumPy's, and the gradient that of the
differences.

    python tests/numpy_names.py [--all]

It prints how many work, which refuse and with which words, and what differs; the exit status is 1 if anything does.
"""

# ruff: noqa: E501 - the table of calls

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygraph import Tensor, grad

rng = np.random.default_rng(0)
V, W = rng.uniform(0.2, 0.8, 6), rng.uniform(0.2, 0.8, 6)
M, N = rng.uniform(0.2, 0.8, (3, 4)), rng.uniform(0.2, 0.8, (3, 4))
S = rng.uniform(0.2, 0.8, (3, 3))
S = S @ S.T + np.eye(3)
C = rng.uniform(0.2, 0.8, (2, 3, 4))
PLACES = np.array([2, 0, 1])

# name -> arguments that the general ones below would not find; a dict at the end holds keywords
CALLS: dict[str, tuple[Any, ...]] = {
    "arccosh": (V + 1,), "append": (V, W), "apply_along_axis": (np.sum, 0, M), "apply_over_axes": (np.sum, M, [0]),
    "array_split": (V, 2), "average": (M, 0, N[:, 0]), "block": ([[M, N]],), "choose": (PLACES % 2, [V[:3], W[:3]]),
    "broadcast_arrays": (M, N[0]), "broadcast_to": (V, (2, 6)), "clip": (V, 0.3, 0.7),
    "column_stack": ([V, W],), "compress": ([True, False, True], M, 0), "concatenate": ([V, W],), "concat": ([V, W],),
    "convolve": (V, W[:3]), "correlate": (V, W[:3]), "cross": (M[:, :3], N[:, :3]), "delete": (V, 1), "det": (S,),
    "divmod": (V, W), "dsplit": (C, 2), "dstack": ([M, N],), "einsum": ("ij,ij->i", M, N), "einsum_path": (),
    "expand_dims": (M, 0), "extract": (M > 0.5, M), "gradient": (V,), "hsplit": (M, 2), "hstack": ([M, N],),
    "full_like": (M, 1.0), "insert": (V, 1, 0.5), "interp": (V, np.array([0.0, 0.5, 1.0]), W[:3]), "ldexp": (V, np.array(2)),
    "kron": (V, W), "linalg.cholesky": (S,), "linalg.cond": (S,), "linalg.det": (S,), "linalg.eig": (S,),
    "linalg.eigh": (S,), "linalg.eigvals": (S,), "linalg.eigvalsh": (S,), "linalg.inv": (S,), "linalg.matrix_power": (S, 2),
    "linalg.cross": (M[:, :3], N[:, :3]), "linalg.diagonal": (M,), "linalg.matmul": (S, M), "linalg.multi_dot": ([S, S, M],),
    "linalg.lstsq": (M, N[:, 0]), "linalg.slogdet": (S,), "linalg.solve": (S, M), "linalg.svd": (S, False), "linalg.tensorinv": (S.reshape(3, 1, 3), 2), "acosh": (V + 1,),
    "linalg.tensordot": (M, N, 2), "linalg.tensorsolve": (S, V[:3]), "linalg.trace": (S,), "linalg.vecdot": (M, N),
    "linalg.outer": (V, W), "matmul": (S, M), "matvec": (S, M[:, 0]), "vecmat": (M[:, 0], S), "meshgrid": (V, W[:3]),
    "moveaxis": (C, 0, 1), "nanpercentile": (V, 30), "nanquantile": (V, 0.3), "pad": (V, 1, "edge"),
    "partition": (V, 2), "percentile": (V, 30), "piecewise": (V, [V > 0.5], [1.0, lambda v: v * v]), "polyval": (V, 0.4),
    "polyadd": (V, W), "polysub": (V, W), "polymul": (V, W), "polyder": (V,), "polyint": (V,), "polydiv": (V, W[:3]),
    "polyfit": (V, W, 1), "quantile": (V, 0.3), "repeat": (V, 2), "reshape": (M, (4, 3)), "resize": (M, (2, 2)),
    "roll": (V, 1), "rollaxis": (C, 2), "rot90": (M,), "select": ([V > 0.5], [V], 0.0), "split": (V, 2), "stack": ([V, W],),
    "swapaxes": (M, 0, 1), "take": (V, PLACES), "take_along_axis": (M, PLACES[None], 0), "tensordot": (M, N, 2), "tile": (V, 2),
    "trapezoid": (V,), "tril": (M,), "triu": (M,), "unstack": (M,), "unwrap": (V * 9,), "vander": (V,), "vsplit": (M, 3),
    "vstack": ([V, W],), "where": (M > 0.5, M, N), "cov": (M,), "corrcoef": (M,), "poly": (V,), "linspace": (V, W, 3),
    "geomspace": (V, W, 3), "logspace": (V, W, 3), "heaviside": (V, W), "nan_to_num": (V,), "astype": (V, float),
    "float_power": (V, W), "put_along_axis": (), "bincount": (PLACES, V[:3]), "histogram": (V, 3), "fix": (V,),
    "triu_indices_from": (M,), "fft.fftfreq": (), "fft.rfftfreq": (), "ndarray.repeat": (V, 2), "ndarray.reshape": (M, 4, 3),
    "ndarray.take": (V, PLACES), "ndarray.swapaxes": (M, 0, 1), "ndarray.clip": (V, 0.3, 0.7), "ndarray.astype": (V, np.float64),
    "ndarray.compress": (M, [True, False, True], 0), "ndarray.choose": (), "ndarray.dot": (M, N.T), "ndarray.resize": (),
    "ndarray.diagonal": (M,), "ndarray.trace": (M,), "ndarray.view": (V,), "ndarray.__getitem__": (V, 2),
    "ndarray.__matmul__": (S, M), "ndarray.__rmatmul__": (S, S), "ndarray.__pow__": (V, 2.0), "ndarray.__rpow__": (V, 2.0),
    "ndarray.item": (V[:1],), "ndarray.sort": (), "ndarray.partition": (), "ndarray.setfield": (), "ndarray.fill": (),
    "ndarray.put": (), "ndarray.__deepcopy__": (), "ndarray.__reduce__": (), "ndarray.__setstate__": (),
}  # fmt: skip
GENERAL = [(V,), (M,), (S,), (V, W), (M, N), (S, V[:3]), (V, W, V), (C,)]
FIRST = {"linalg.lstsq"}  # the other results are plain, and said to be so
PLAIN = ("item", "tolist", "__copy__", "byteswap")  # methods that give plain values, or memory
IN_PLACE = ("__i", "__set", "__del")  # operators that change their array
PRINTING = {
    "array2string",
    "array_repr",
    "array_str",
    "savetxt",
    "save",
    "savez",
    "savez_compressed",
    "info",
    "printoptions",
}
NO_CALL = {"from_dlpack", "fromfunction", "frompyfunc", "vectorize", "nditer", "nested_iters", "ndenumerate", "ndindex",
           "seterrcall", "set_printoptions", "show_config", "show_runtime", "test", "busday_count", "loadtxt", "genfromtxt",
           "fromfile", "fromregex", "bmat", "empty_like", "mintypecode", "memmap", "getbufsize", "setbufsize", "frombuffer", "load", "typename"}  # fmt: skip


def names() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every callable, with its path."""
    for space in ("", "linalg", "fft"):
        module = getattr(np, space) if space else np
        for name in sorted(dir(module)):
            thing = getattr(module, name)
            if name[0] != "_" and callable(thing) and not isinstance(thing, type) and name not in PRINTING | NO_CALL:
                path = f"{space}.{name}".lstrip(".")
                yield path, (lambda *args, thing=thing: thing(*args)[0]) if path in FIRST else thing
    for name in sorted(dir(np.ndarray)):
        thing = getattr(np.ndarray, name)
        if (
            callable(thing)
            and name not in PLAIN
            and not name.startswith(IN_PLACE)
            and not name.startswith(("__array", "__class", "__init"))
        ):
            yield f"ndarray.{name}", lambda x, *rest, name=name: getattr(x, name)(*rest)


def floats(value: Any) -> list[np.ndarray]:
    """Return the floating arrays in a result; they are what may carry a gradient."""
    if isinstance(value, tuple | list):
        return [array for part in value for array in floats(part)]
    value = getattr(value, "data", value) if isinstance(value, Tensor) else value
    if isinstance(value, float | np.ndarray | np.generic) and np.asarray(value).dtype.kind == "f":
        return [np.asarray(value)]
    return []


def moved(args: Any, step: float, direction: np.random.Generator) -> Any:
    """Return the arguments with their floating arrays moved a little."""
    if isinstance(args, tuple | list):
        return type(args)(moved(a, step, direction) for a in args)
    if isinstance(args, np.ndarray) and args.dtype.kind == "f":
        return args + step * symmetric(direction.standard_normal(args.shape), args)
    return args


def symmetric(d: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return a direction in which a symmetric matrix stays one."""
    square = like.ndim == 2 and like.shape[0] == like.shape[1] and np.array_equal(like, like.T)
    return (d + d.T) / 2 if square else d


def lifted(args: Any, leaves: list[tuple[Tensor, np.ndarray]], direction: np.random.Generator) -> Any:
    """Return the arguments with Tensors in place of floating arrays, and note these with their directions."""
    if isinstance(args, tuple | list):
        return type(args)(lifted(a, leaves, direction) for a in args)
    if isinstance(args, np.ndarray) and args.dtype.kind == "f":
        leaves.append((Tensor(args), symmetric(direction.standard_normal(args.shape), args)))
        return leaves[-1][0]
    return args


def slopes(function: Callable[..., Any], args: Any) -> list[np.ndarray]:
    """Return the directional derivatives of all floating results, by central differences."""
    above, below = (floats(function(*moved(args, s, np.random.default_rng(7)))) for s in (1e-6, -1e-6))
    return [(a - b) / 2e-6 for a, b in zip(above, below, strict=True)]


def tensors(value: Any) -> list[Any]:
    """Return what stands in a result where a floating array may be."""
    if isinstance(value, tuple | list):
        return [t for part in value for t in tensors(part)]
    is_float = isinstance(value, Tensor | np.ndarray | np.generic | float)
    return [value] if is_float and (not isinstance(value, Tensor) or value.dtype.kind == "f") else []


def differentiable_call(name: str, function: Callable[..., Any]) -> tuple[Any, list[np.ndarray]] | None:
    """Return arguments with which a function gives what moves with them, and the slopes; None if there are none."""
    for args in [CALLS[name]] if name in CALLS else GENERAL:
        if not args:
            return None
        try:
            found = slopes(function, args)
        except Exception:  # the function does not take these
            continue
        if found and any(np.abs(s[np.isfinite(s)]).max(initial=0) > 1e-7 for s in found):
            return args, found
    return None


def verdict(function: Callable[..., Any], args: Any, wanted: list[np.ndarray]) -> tuple[str, str]:
    """Return "works", "refuses" or "differs" for a call, and what there is to say."""
    leaves: list[tuple[Tensor, np.ndarray]] = []
    given = lifted(args, leaves, np.random.default_rng(7))
    try:
        result = function(*given)
    except Exception as error:
        return "refuses", f"{type(error).__name__}: {error}".partition(" at numpy_names.py")[0]
    ours, theirs = tensors(result), floats(function(*args))
    if len(ours) != len(theirs):
        return "differs", f"{len(ours)} results instead of {len(theirs)}"
    for y, value, slope in zip(ours, theirs, wanted, strict=True):
        if not np.allclose(getattr(y, "data", y), value, rtol=1e-9, atol=1e-12, equal_nan=True):
            return "differs", "another value"
        if np.shape(getattr(y, "data", y)) != value.shape:
            return "differs", f"shape {np.shape(y)} instead of {value.shape}"
        if np.abs(slope).max(initial=0) < 1e-7:
            continue
        if not isinstance(y, Tensor) or not y.requires_grad:
            return "differs", "the gradient is lost"
        weight = np.random.default_rng(3).standard_normal(y.shape)
        found = grad(y, [x for x, _ in leaves], weight, materialize_grads=True)
        total = sum(float(np.vdot(g, d)) for g, (_, d) in zip(found, leaves, strict=True))
        if not abs(total - float(np.vdot(weight, slope))) < 1e-5 * (1 + abs(total)):
            return "differs", f"gradient {total} instead of {np.vdot(weight, slope)}"
    return "works", ""


def survey() -> dict[str, tuple[str, str]]:
    """Return the verdict on each differentiable name."""
    found = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, function in names():
            if call := differentiable_call(name, function):
                found[name] = verdict(function, *call)
    return found


def main() -> int:
    """Print the survey; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="list what works, too")
    options = parser.parse_args()
    found = survey()
    for kind in ("works", "refuses", "differs"):
        those = {name: text for name, (verdict, text) in found.items() if verdict == kind}
        print(f"{len(those)} of {len(found)} {kind}")
        if kind != "works" or options.all:
            for name, text in those.items():
                print(f"    {name}: {text}"[:200])
    return int(any(kind == "differs" for kind, _ in found.values()))


if __name__ == "__main__":
    sys.exit(main())
