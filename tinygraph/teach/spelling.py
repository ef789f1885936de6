"""Each op as a person writes it in NumPy and in PyTorch: an expression, with brackets only where they are needed."""

from __future__ import annotations

import ast
import functools
import importlib.resources
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinygraph.engine.registry import OPS
from tinygraph.engine.types import Shape

__all__ = ["Call", "Piece", "Spelling", "atom", "numpy_spelling", "torch_spelling"]

# Ops that NumPy and PyTorch call as we do, or that a helper stands for.
PLAIN = {
    "sqrt", "exp", "log", "abs", "sign", "maximum", "minimum", "where", "tanh", "logaddexp", "erf", "erfc", "erfinv",
    "exp2", "expm1", "log1p", "log2", "log10", "logaddexp2", "cbrt", "reciprocal", "hypot", "floor", "ceil", "trunc",
    "fmod", "fmax", "fmin", "copysign", "heaviside", "nan_to_num", "xlogy", "rsqrt",
    "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "arcsinh", "arccosh", "arctanh",
}  # fmt: skip
# PyTorch's functions of two that take no plain number.
NUMBERLESS = (
    "maximum", "minimum", "logaddexp", "logaddexp2", "arctan2", "hypot", "fmax", "fmin", "copysign", "heaviside",
    "xlogy",
)  # fmt: skip
RANKS = (1, 2, 3)  # over how many axes windows lie
WINDOWS = [  # which are written as helpers
    *(f"{name}{rank}d" for name in ("conv", "conv_transpose", "avg_pool", "avg_unpool", "max_pool") for rank in RANKS),
    *(f"conv{rank}d_weight" for rank in RANKS), "to_largest", "at_largest",
    "resample", "resample_back", "unfold", "fold",
]  # fmt: skip
LONG = 60  # letters: a longer array has a line for each row
NUMBER = re.compile(r"-?[\d.]+(e-?\d+)?$|True$|False$|float\('")
LANGUAGES = {"np": "NumPy", "torch": "PyTorch"}
SUM, PRODUCT, SIGN, POWER, ATOM = range(5)  # how tightly the parts of an expression hold together


class Piece(NamedTuple):
    """An expression, how tightly its parts hold together, and the shape of its value.

    ``bare`` is the same before it was copied to this shape; it serves where NumPy copies by itself.
    """

    text: str
    level: int
    shape: Shape
    bare: Any = None

    def within(self, level: int) -> str:
        """Return the text as a part of an expression of that level: in brackets where it would fall apart."""
        return self.text if self.level >= level else f"({self.text})"


class Call(NamedTuple):
    """One op of a program: its operands as expressions, its parameters, and the shape and dtype of the result."""

    op: str
    operands: Sequence[Piece]
    params: Mapping[str, Any]
    shape: Shape
    dtype: str


Spell = Callable[[Call], "tuple[str, int]"]


def atom(text: str, shape: Shape = ()) -> Piece:
    """Return a name or a number as an expression."""
    return Piece(text, SIGN if text.startswith("-") else ATOM, shape)


def infix(sign: str, level: int, right: int) -> Spell:
    """Return how to write an operator between two operands."""
    return lambda c: (f"{c.operands[0].within(level)} {sign} {c.operands[1].within(right)}", level)


def raised(c: Call) -> tuple[str, int]:
    """Write a power; the first is the base itself."""
    x, y = c.operands
    return (x.text, x.level) if y.text == "1" else (f"{x.within(ATOM)} ** {y.within(SIGN)}", POWER)


def repr_of(value: Any, lang: str = "np") -> str:
    """Write a parameter: numbers, tuples, slices, arrays and dtypes as source."""
    if isinstance(value, slice):
        parts = [value.start, value.stop, value.step]
        return f"slice({', '.join(repr_of(v, lang) for v in parts)})"
    if isinstance(value, list | tuple):
        inside = ", ".join(repr_of(v, lang) for v in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "i":
        return str(value.tolist())  # an index
    if isinstance(value, np.ndarray):
        return f"{lang}.{'array' if lang == 'np' else 'tensor'}({value.tolist()})"
    if isinstance(value, np.dtype | type) and not isinstance(value, bool):
        return f"{lang}.{np.dtype(value).name}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return "..." if value is Ellipsis else repr(value)


def key_text(key: Any, lang: str) -> str:
    """Write an index as it stands in square brackets: ``0, :, None``."""

    def part(k: Any) -> str:
        if isinstance(k, slice):
            ends = ["" if v is None else str(v) for v in (k.start, k.stop, k.step)]
            return ":".join(ends if ends[2] else ends[:2])
        return repr_of(k, lang)

    keys = key if isinstance(key, tuple) else (key,)
    return ", ".join(map(part, keys)) + ("," if isinstance(key, tuple) and len(keys) == 1 else "")


def lengths(shape: Shape) -> str:
    """Write a shape as the arguments of ``reshape``."""
    return ", ".join(map(str, shape)) or "()"


def axis_text(axis: Any) -> str:
    """Write an axis, or several; one in a tuple stands alone."""
    return repr_of(axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis)


def call(name: str, *texts: str, **params: Any) -> tuple[str, int]:
    """Write a call."""
    return f"{name}({', '.join([*texts, *(f'{k}={v}' for k, v in params.items())])})", ATOM


def copied_axes(small: Shape, large: Shape) -> tuple[tuple[int, ...], int]:
    """Return along which axes of ``large`` an array of shape ``small`` was copied, and how many are new in front."""
    lead = len(large) - len(small)
    return (*range(lead), *(i + lead for i, n in enumerate(small) if n == 1 != large[i + lead])), lead


def without_copies(c: Call) -> list[Piece]:
    """Return the operands of a call without the copies that broadcasting makes by itself."""
    operands = list(c.operands)
    for k, x in enumerate(operands):
        others = [y.shape for j, y in enumerate(operands) if j != k] or [c.shape]
        while x.bare and np.broadcast_shapes(x.bare.shape, *others) == c.shape:
            x = operands[k] = x.bare
    return operands


def is_led_by_ones(shape: Shape, before: Shape) -> bool:
    """Whether a reshape only puts axes of length 1 in front."""
    lead = len(shape) - len(before)
    return lead > 0 and shape[lead:] == before and set(shape[:lead]) == {1}


class Speller(Protocol):
    """What writes the ops of a program: `Spelling` in a language, `tinygraph.teach.latex` as formulas."""

    def spell(self, c: Call) -> Piece:
        """Write one op."""

    def number(self, text: str) -> Piece:
        """Write a number."""

    def literal(self, array: Any) -> str:
        """Write an array."""

    def filled(self, function: str, shape: Shape, dtype: str) -> str:
        """Write an array of one number, ones or zeros."""

    def random(self, shape: Shape, dtype: str, seed: int) -> str:
        """Write the numbers that stand for those of a leaf that are not known."""

    def preamble(self, lines: str) -> list[str]:
        """Return what stands before the lines of a program."""


class Spelling:
    """How one language writes the ops.

    Args:
        lang: "np" or "torch", the name of the module in a program.
        helpers: name of the module beside this one that has what the language has no function for.
        own: how it writes an op, where that differs from the other language.
    """

    def __init__(self, lang: str, helpers: str, own: Mapping[str, Spell]) -> None:
        self.lang, self.helpers = lang, read_helpers(helpers)
        self.axis, self.keepdims = ("axis", "keepdims") if lang == "np" else ("dim", "keepdim")
        self.table: dict[str, Spell] = {
            "add": infix("+", SUM, PRODUCT), "sub": infix("-", SUM, PRODUCT),
            **dict.fromkeys(("mul", "dropout"), infix("*", PRODUCT, SIGN)),
            "div": infix("/", PRODUCT, SIGN), "remainder": infix("%", PRODUCT, SIGN),
            "floor_divide": infix("//", PRODUCT, SIGN), "round": self.round, "matmul": infix("@", PRODUCT, SIGN),
            "greater": lambda c: (f"({c.operands[0].within(SUM)} > {c.operands[1].within(SUM)})", ATOM),
            "equal": lambda c: (f"({c.operands[0].within(SUM)} == {c.operands[1].within(SUM)})", ATOM),
            "neg": lambda c: (f"-{c.operands[0].within(PRODUCT)}", min(c.operands[0].level or SIGN, SIGN)),
            "square": lambda c: (f"{c.operands[0].within(ATOM)} ** 2", POWER),
            "power": raised,
            "index": lambda c: (f"{c.operands[0].within(ATOM)}[{key_text(c.params['key'], lang)}]", ATOM),
            "whole": lambda c: (c.operands[0].text, c.operands[0].level),
            "reshape": lambda c: (f"{c.operands[0].within(ATOM)}.reshape({lengths(c.shape)})", ATOM),
            "transpose": self.transpose, "sum_to": self.sum_to, "broadcast_to": self.broadcast_to,
            "contract": lambda c: call(f"{lang}.einsum", repr(c.params["subscripts"]), *(x.text for x in c.operands)),
            **dict.fromkeys(("sum", "mean", "max", "min", "argmax", "argmin"), self.reduction),
            "take_along_axis": lambda c: call(
                f"{lang}.take_along_{self.axis}", *(x.text for x in c.operands), **{self.axis: c.params["axis"]}),
            "argsort": self.argsort, **dict.fromkeys(("cumsum", "cumprod", "logcumsumexp"), self.scan),
            "l2_norm": lambda c: call(f"{lang}.linalg.vector_norm", c.operands[0].text, **self.over_axes(c)),
            **dict.fromkeys(("solve", "inv", "det", "cholesky", "pinv"), lambda c: call(
                f"{lang}.linalg.{c.op}", *(x.text for x in c.operands), **tolerance(c, lang))),
            "sign_of_det": lambda c: (f"{lang}.linalg.slogdet({c.operands[0].text})[0]", ATOM),
            **own,
        }  # fmt: skip

    def spell(self, c: Call) -> Piece:
        """Write one op as an expression: as the table says, as a helper, else as a function of the op's name.

        Raises:
            ValueError: nobody has said how this op is written.
        """
        if c.op == "broadcast_to" or (OPS[c.op].elementwise and len(c.operands) > 1):
            c = c._replace(operands=without_copies(c))
        if (write := self.table.get(c.op)) is not None:
            only_copies = c.op == "broadcast_to" or (c.op == "reshape" and is_led_by_ones(c.shape, c.operands[0].shape))
            return Piece(*write(c), c.shape, c.operands[0] if only_copies else None)
        if c.op not in self.helpers and c.op not in PLAIN:
            raise ValueError(f"source: nobody has said how the op {c.op!r} is written in {LANGUAGES[self.lang]}")
        name = c.op if c.op in self.helpers else f"{self.lang}.{c.op}"
        return Piece(*call(name, *(x.text for x in c.operands), **self.options(c)), c.shape)

    def options(self, c: Call) -> dict[str, str]:
        """Return the parameters of a call that differ from the op's defaults, as source."""
        usual = {k: repr_of(v, self.lang) for k, v in (OPS[c.op].params if c.op in OPS else {}).items()}
        given = {k: repr_of(v, self.lang) for k, v in c.params.items()}
        return {k: v for k, v in given.items() if usual.get(k) != v}

    def round(self, c: Call) -> tuple[str, int]:
        """Write ``round``, with the decimals where there are any."""
        options = {"decimals": c.params["decimals"]} if c.params["decimals"] else {}
        return call(f"{self.lang}.round", c.operands[0].text, **options)

    def reduction(self, c: Call) -> tuple[str, int]:
        """Write ``x.sum(axis=0)``."""
        options = []
        if (axis := c.params.get("axis")) is not None:
            options.append(f"{self.axis}={axis_text(axis)}")
        elif c.params.get("keepdims") and self.lang != "np":  # PyTorch keeps only axes that are named
            options.append(f"dim={repr_of(tuple(range(len(c.operands[0].shape))))}")
        if c.params.get("keepdims"):
            options.append(f"{self.keepdims}=True")
        name = c.op if self.lang == "np" or c.op not in ("max", "min") else f"a{c.op}"
        return f"{c.operands[0].within(ATOM)}.{name}({', '.join(options)})", ATOM

    def scan(self, c: Call) -> tuple[str, int]:
        """Write a running sum, product or log-sum; along no axis, all elements are laid out in one."""
        x, axis = c.operands[0], c.params["axis"]
        if self.lang == "np" and c.op != "logcumsumexp":
            return call(f"np.{c.op}", x.text, **({} if axis is None else {"axis": axis}))
        text, axis = (f"{x.within(ATOM)}.reshape(-1)", 0) if axis is None else (x.text, axis)
        return call(f"torch.{c.op}" if self.lang != "np" else "np.logaddexp.accumulate", text, **{self.axis: axis})

    def argsort(self, c: Call) -> tuple[str, int]:
        """Write the places of the sorted elements."""
        x, axis, n = c.operands[0], c.params["axis"], c.params.get("descending")
        text, axis = (f"{x.within(ATOM)}.reshape(-1)", 0) if axis is None else (x.text, axis)
        if self.lang != "np":
            return call("torch.argsort", text, dim=axis, stable=True, **({"descending": True} if n else {}))
        return call("descending_places", text, str(axis)) if n else call("np.argsort", text, axis=axis, kind="'stable'")

    def over_axes(self, c: Call) -> dict[str, str]:
        """Return the options of a reduction that is written as a function."""
        axis, keepdims = c.params.get("axis"), c.params.get("keepdims")
        options = {} if axis is None else {self.axis: axis_text(axis)}
        return options | ({self.keepdims: "True"} if keepdims else {})

    def transpose(self, c: Call) -> tuple[str, int]:
        """Write ``x.T`` of a matrix, else the order of its axes."""
        x, rank = c.operands[0], len(c.shape)
        axes = c.params.get("axes")
        axes = tuple(range(rank))[::-1] if axes is None else tuple(a % rank for a in axes)
        if rank == 2 and axes == (1, 0):
            return f"{x.within(ATOM)}.T", ATOM
        return f"{x.within(ATOM)}.{'transpose' if self.lang == 'np' else 'permute'}({repr_of(axes)})", ATOM

    def sum_to(self, c: Call) -> tuple[str, int]:
        """Write the sum over the copies that a broadcast made."""
        x = c.operands[0]
        axes, lead = copied_axes(c.shape, x.shape)
        if not axes:
            return x.text, x.level
        everything = lead == len(axes) == len(x.shape)
        over = "" if everything else f"{self.axis}={axis_text(axes)}"
        if lead == len(axes):
            return f"{x.within(ATOM)}.sum({over})", ATOM
        text = f"{x.within(ATOM)}.sum({over}, {self.keepdims}=True)"
        return (f"{text}.reshape({lengths(c.shape)})" if lead else text), ATOM

    def broadcast_to(self, c: Call) -> tuple[str, int]:
        """Write a copy to a larger shape."""
        x = c.operands[0]
        return (x.text, x.level) if x.shape == c.shape else call(f"{self.lang}.broadcast_to", x.text, repr_of(c.shape))

    def number(self, text: str) -> Piece:
        """Write a number."""
        return atom(f"float('{text}')" if text.strip("-") in ("inf", "nan") else text)

    def literal(self, array: Any) -> str:
        """Write an array; one row a line where it is long."""
        array = np.asarray(array)
        rows = repr_of(array.tolist())
        if len(rows) > LONG and array.ndim > 1:
            rows = "[\n" + "".join(f"    {repr_of(row)},\n" for row in array.tolist()) + "]"
        usual = "float64" if self.lang == "np" else "float32"
        kind = array.dtype.name in (usual, "int64", "bool") and array.size
        made = "array" if self.lang == "np" else "tensor"
        if not array.size:
            return self.filled("zeros", array.shape, array.dtype.name)
        return f"{self.lang}.{made}({rows}{'' if kind else f', dtype={self.lang}.{array.dtype.name}'})"

    def filled(self, function: str, shape: Shape, dtype: str) -> str:
        """Write an array of one number: ``np.ones(())``."""
        usual = dtype == ("float64" if self.lang == "np" else "float32")
        return f"{self.lang}.{function}({repr_of(shape)}{'' if usual else f', dtype={self.lang}.{dtype}'})"

    def random(self, shape: Shape, dtype: str, seed: int) -> str:
        """Write the numbers that `tinygraph.teach.program.make_up` has for a leaf."""
        if not dtype.startswith("float"):
            return self.filled("zeros", shape, dtype)
        text = f"np.random.default_rng({seed}).uniform(0.5, 1.5, {repr_of(shape)})"
        text += "" if dtype == "float64" else f".astype(np.{dtype})"
        return text if self.lang == "np" else f"torch.from_numpy({text})"

    def preamble(self, lines: str) -> list[str]:
        """Return the imports of a program and the helpers that its lines use, with those that these use."""
        wanted, stack = set[str](), [name for name in re.findall(r"\w+(?=\()", lines) if name in self.helpers]
        while stack:
            if (name := stack.pop()) not in wanted:
                wanted.add(name)
                stack += self.helpers[name][1]
        sources = [text for name, (text, _) in self.helpers.items() if name in wanted]
        imports = ["import numpy as np"] if self.lang == "np" else ["import torch"]
        if self.lang != "np" and any("np." in text for text in [lines, *sources]):
            imports.insert(0, "import numpy as np")
        if any("math." in text for text in sources):
            imports.insert(0, "import math\n")
        return [*imports, *(f"\n\n{text}" for text in sources), *([""] if sources else [])]


@functools.cache
def read_helpers(module: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the functions of a module of helpers, not imported: the source of each, and which others it uses."""
    text = importlib.resources.files(__package__).joinpath(f"{module}.py").read_text(encoding="utf-8")
    functions = [f for f in ast.parse(text).body if isinstance(f, ast.FunctionDef)]
    known = {f.name for f in functions}
    calls = {f.name: [n.func for n in ast.walk(f) if isinstance(n, ast.Call)] for f in functions}
    uses = {name: {f.id for f in found if isinstance(f, ast.Name) and f.id in known} for name, found in calls.items()}
    lines = text.splitlines()
    return {f.name: ("\n".join(lines[f.lineno - 1 : f.end_lineno]), tuple(sorted(uses[f.name]))) for f in functions}


def numpy_spelling() -> Spelling:
    """Return how ops are written in NumPy."""
    own: dict[str, Spell] = {
        "prod": lambda c: Spelling.reduction(spelling, c),
        "relu": lambda c: call("np.maximum", c.operands[0].text, "0"),
        "sigmoid": lambda c: (f"1 / (1 + np.exp(-{c.operands[0].within(SIGN)}))", PRODUCT),
        "softplus": lambda c: sharpened(c, lambda z: f"np.logaddexp(0, {z})"),
        "logsigmoid": lambda c: (f"-np.logaddexp(0, -{c.operands[0].within(SIGN)})", SIGN),
        "silu": lambda c: (f"{c.operands[0].within(POWER)} / (1 + np.exp(-{c.operands[0].within(SIGN)}))", PRODUCT),
        "leaky_relu": lambda c: call(
            "np.where",
            f"{c.operands[0].within(SUM)} > 0",
            c.operands[0].text,
            f"{repr_of(c.params['slope'])} * {c.operands[0].within(SIGN)}",
        ),
        "hardtanh": lambda c: call("np.clip", c.operands[0].text, repr_of(c.params["low"]), repr_of(c.params["high"])),
        "hardsigmoid": lambda c: call("np.clip", f"{c.operands[0].within(POWER)} / 6 + 0.5", "0", "1"),
        "i0": lambda c: call("np.i0", c.operands[0].text),
        "rsqrt": lambda c: (f"1 / np.sqrt({c.operands[0].text})", PRODUCT),
        "clip_between": lambda c: call("np.clip", *(x.text for x in c.operands)),
        "clip": lambda c: call(
            "np.clip", *(x.text for x in c.operands), *map(repr_of, (c.params["min"], c.params["max"]))
        ),
        "astype": lambda c: (f"{c.operands[0].within(ATOM)}.astype({repr_of(np.dtype(c.dtype))})", ATOM),
        "clone": lambda c: (f"{c.operands[0].within(ATOM)}.copy()", ATOM),
        "running_max": lambda c: call("np.maximum.accumulate", c.operands[0].text, axis=c.params["axis"]),
        **dict.fromkeys(
            ("convolve", "cross"),
            lambda c: call(
                f"np.{c.op}", *(x.text for x in c.operands), *(["'valid'"] if c.params.get("valid") else [])
            ),
        ),
        "join": lambda c: call("np.concatenate", f"[{', '.join(x.text for x in c.operands)}]", axis=c.params["axis"]),
        "pad": lambda c: call("np.pad", c.operands[0].text, repr_of(c.params["pad_width"]), **pad_options(c.params)),
        **dict.fromkeys(WINDOWS, window),
    }
    spelling = Spelling("np", "in_numpy", own)
    return spelling


def torch_spelling() -> Spelling:
    """Return how ops are written in PyTorch."""

    def tensors(c: Call) -> list[str]:
        """Return the operands, numbers as tensors."""
        return [f"torch.tensor({x.text})" if NUMBER.match(x.text) else x.text for x in c.operands]

    def functional(c: Call) -> tuple[str, int]:
        options = {k: repr_of(v) for k, v in c.params.items() if v is not None}
        return call(f"torch.nn.functional.{c.op}", *(x.text for x in c.operands), **options)

    def transposed(c: Call) -> tuple[str, int]:
        if not isinstance(c.params["padding"], str):
            return functional(c)
        options = {k: repr_of(c.params[k]) for k in ("groups", "dilation")}
        return call("same_transpose", *(x.text for x in c.operands), **options)

    def activation(c: Call) -> tuple[str, int]:
        """Write an activation: its parameters stand in the order of PyTorch's."""
        return call(f"torch.nn.functional.{c.op}", c.operands[0].text, *(repr_of(v) for v in c.params.values()))

    def choose(c: Call) -> tuple[str, int]:
        return call("torch.where", f"{c.operands[0].within(ATOM)}.bool()", *tensors(c)[1:])

    def index(c: Call) -> tuple[str, int]:
        x, key = c.operands[0], c.params["key"]
        turned, key = without_turns(key, x.shape)
        text = f"{x.within(ATOM)}.flip({', '.join(map(str, turned))})" if turned else x.within(ATOM)
        is_whole = isinstance(key, tuple) and all(isinstance(k, slice) and k == slice(None) for k in key)
        return (text if is_whole and turned else f"{text}[{key_text(key, 'torch')}]"), ATOM

    own: dict[str, Spell] = {
        "index": index,
        "where": choose,
        "relu": lambda c: call("torch.relu", c.operands[0].text),
        "sigmoid": lambda c: call("torch.sigmoid", c.operands[0].text),
        **dict.fromkeys(("softplus", "silu", "elu", "leaky_relu", "mish", "logsigmoid", "hardtanh"), activation),
        "hardsigmoid": activation,
        "gammaln": lambda c: call("torch.lgamma", c.operands[0].text),
        **{name: lambda c: call(f"torch.special.{c.op}", *tensors(c)) for name in ("i0", "i1", "entr", "xlog1py")},
        "clip_between": lambda c: call("torch.clamp", *tensors(c)),
        "clip": lambda c: call("torch.clamp", c.operands[0].text, *bounds(c)),
        "astype": lambda c: (f"{c.operands[0].within(ATOM)}.to(torch.{c.dtype})", ATOM),
        "clone": lambda c: (f"{c.operands[0].within(ATOM)}.clone()", ATOM),
        "running_max": lambda c: (call("torch.cummax", c.operands[0].text, dim=c.params["axis"])[0] + ".values", ATOM),
        "join": lambda c: call("torch.cat", f"[{', '.join(x.text for x in c.operands)}]", dim=c.params["axis"]),
        **dict.fromkeys(
            NUMBERLESS, lambda c: call(f"torch.{c.op}", *tensors(c))
        ),
        **dict.fromkeys(WINDOWS, window),
        **{f"{name}{rank}d": functional for name in ("conv", "avg_pool", "max_pool") for rank in RANKS},
        **{f"conv_transpose{rank}d": transposed for rank in RANKS},
    }  # fmt: skip
    return Spelling("torch", "in_torch", own)


def without_turns(key: Any, shape: Shape) -> tuple[list[int], Any]:
    """Return which axes to flip first, and a key whose slices then run forward: PyTorch's do not run backward."""
    keys, turned, axis = (key if isinstance(key, tuple) else (key,)), [], 0
    given = sum(k is not None and k is not Ellipsis for k in keys)
    parts: list[Any] = []
    for k in keys:
        if isinstance(k, slice) and (k.step or 1) < 0:
            places, n = range(*k.indices(shape[axis])), shape[axis]
            first = n - 1 - places.start
            whole = len(places) == n and places.step == -1
            k = slice(None) if whole else slice(first, first - places.step * len(places), -places.step)
            turned.append(axis)
        parts.append(k)
        axis += 0 if k is None else len(shape) - given if k is Ellipsis else 1
    return (turned, tuple(parts)) if turned else ([], key)


def window(c: Call) -> tuple[str, int]:
    """Write a window op as a helper for any number of axes: ``conv(x, w, 1, (0, 1))``, the last defaults left out."""
    rank = next((int(a) for a in c.op if a.isdigit()), 2)
    given, usual = dict(c.params), OPS[c.op].params
    if isinstance(given.get("kernel_size"), int):
        given["kernel_size"] = (given["kernel_size"],) * rank
    size = {k: repr_of(given.pop(k)) for k in ("size",) if k in given and "unpool" in c.op}
    if rank == 1 and given.get("divisor_override", 0) is None:
        given.pop("divisor_override")  # PyTorch has none over one axis
    while given and (last := [*given][-1]) not in ("kernel", "kernel_size", "size") and given[last] == usual[last]:
        given.pop(last)
    texts = [*(x.text for x in c.operands), *map(repr_of, given.values())]
    return call(c.op.replace(f"{rank}d", ""), *texts, **size)


def sharpened(c: Call, write: Callable[[str], str]) -> tuple[str, int]:
    """Write a function of βx, divided by β."""
    x, beta = c.operands[0], repr_of(c.params["beta"])
    return (
        (write(x.text), ATOM) if c.params["beta"] == 1 else (f"{write(f'{beta} * {x.within(SIGN)}')} / {beta}", PRODUCT)
    )


def bounds(c: Call) -> tuple[str, str]:
    """Return the two bounds of a clip."""
    return repr_of(c.params["min"]), repr_of(c.params["max"])


def tolerance(c: Call, lang: str) -> dict[str, str]:
    """Return the option of a pseudoinverse, where it has one."""
    rcond = c.params.get("rcond")
    return {} if rcond is None else {"rcond" if lang == "np" else "rtol": repr_of(rcond)}


def pad_options(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of ``np.pad``: the value only where there is one."""
    mode = params.get("mode", "constant")
    if mode != "constant":
        return {"mode": repr(mode)}
    value = params.get("constant_values", 0.0)
    return {"constant_values": repr_of(value)} if value else {}
