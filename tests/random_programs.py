"""Run random programs in tinygraph and in PyTorch, and compare all that both can be asked for.

A program is a few leaves and some steps, each a line of text for either library. Compared are values, gradients of
leaves and of intermediates, ``backward()`` twice, recorded gradients, and second derivatives, also towards the
upstream gradients. A number that differs counts if it differs by more than rounding explains.

    python tests/random_programs.py --count 20000 --seed 0 [--large]

Program number ``n`` is ``--seed n --count 1``. The exit status is 1 where one disagrees. Arrays have up to 200
elements, with ``--large`` 70,000 and more: there the engine multiplies and adds in other ways.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import tinygraph as tg
from tinygraph.engine.tensor import array_of
from tinygraph.functions.differences import diff as difference

try:
    import torch
    from torch.nn import functional
except ModuleNotFoundError:  # pytest skips; the command says so
    torch = functional = None  # type: ignore[assignment]
try:
    from scipy import special
except ModuleNotFoundError:  # an extra
    special = None

Results = dict[str, np.ndarray | None]
FIRST, SECOND = 1e-9, 1e-7  # greatest relative difference of values and gradients, and of second derivatives
GREATEST = 1e3  # no value may be above it: its square would drown the others
NEAR = 1e-9  # how near to a kink rounding might take one library to the other side of it


@dataclasses.dataclass(frozen=True)
class Step:
    """One line of a program: what it is called, and how each library writes it."""

    name: str
    ours: str
    theirs: str
    exact: bool  # whether it has no rounding, so that equal numbers are equal in both libraries

    def uses(self, name: str) -> bool:
        """Whether ``name`` stands in this line."""
        return name in self.ours.translate(PUNCTUATION).split()


PUNCTUATION = str.maketrans(dict.fromkeys("()[]{},.+-*/@:=\"'", " "))


@dataclasses.dataclass(frozen=True)
class Program:
    """Leaves, constants and steps."""

    seed: int
    leaves: Mapping[str, np.ndarray]
    constants: Mapping[str, np.ndarray]
    steps: Sequence[Step]

    def until(self, last: int) -> Program:
        """Return the smallest program that has step ``last`` as its result."""
        wanted, steps = {self.steps[last].name}, []
        for step in reversed(self.steps[: last + 1]):
            if step.name in wanted:
                steps.insert(0, step)
                wanted |= {name for name in self.names() if step.uses(name)}
        leaves = {name: array for name, array in self.leaves.items() if name in wanted}
        return dataclasses.replace(self, leaves=leaves, steps=steps)

    def names(self) -> list[str]:
        """Return the names of leaves and of steps."""
        return [*self.leaves, *(step.name for step in self.steps)]

    def outputs(self) -> list[str]:
        """Return the names of the steps that no other step uses."""
        return [s.name for s in self.steps if not any(other.uses(s.name) for other in self.steps)]

    def upstream(self, name: str, shape: Sequence[int]) -> np.ndarray:
        """Return random numbers of a shape: the same ones whenever the name is the same."""
        return np.asarray(np.random.default_rng([self.seed, *name.encode()]).standard_normal(shape))

    def __str__(self) -> str:
        lines = ["import numpy as np", "import tinygraph as tg", ""]
        for name, array in (self.leaves | self.constants).items():  # type: ignore[operator]
            if name in self.constants and not any(step.uses(name) for step in self.steps):
                continue
            text = (
                f"np.array({array.tolist()})"
                if array.size <= 60
                else f"program({self.seed})[{name!r}]  # {array.shape}"
            )
            lines.append(f"{name} = tg.Tensor({text})" if name in self.leaves else f"{name} = {text}")
        for step in self.steps:
            lines.append(f"{step.name} = {step.ours}".ljust(60) + f"  # {step.theirs}")
        return "\n    ".join(lines)


# ------------------------------------------------------------------------------------------------ writing a program


class UnfitError(Exception):
    """The step that was drawn cannot be taken: it is not defined there, or too near to a kink."""


Line = tuple[str, str, bool]  # for tinygraph, for PyTorch, and whether it is exact
FORMS: list[Callable[[Draft], Line]] = []


def form(times: int) -> Callable[[Callable[[Draft], Line]], Callable[[Draft], Line]]:
    """Register a form of step, to be drawn ``times`` as often as one of weight 1."""

    def register(function: Callable[[Draft], Line]) -> Callable[[Draft], Line]:
        FORMS.extend([function] * times)
        return function

    return register


class Draft:
    """A program that is being written; each new step is computed at once, so that the next one fits its values."""

    def __init__(self, seed: int, large: bool) -> None:
        self.rng = np.random.default_rng([seed, large])
        self.largest = 400_000 if large else 200
        self.arrays: dict[str, np.ndarray] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.steps: list[Step] = []
        self.exact: set[str] = set()
        self.draw_leaves(large)
        self.leaves = dict(self.arrays)
        count = int(self.rng.integers(2, 7) if large else self.rng.integers(2, 13))
        for _ in range(20 * count):
            if len(self.steps) < count:
                self.try_step()
        self.program = Program(seed, self.leaves, self.constants, self.steps)

    def draw_leaves(self, large: bool) -> None:
        """Draw two to four leaves, of shapes that broadcast against each other."""
        rng = self.rng
        ndim = int(rng.integers(1 if large else 0, 5))
        shape = tuple(int(n) for n in rng.integers(1, 5, ndim))
        if large:  # the axes' lengths multiply to 70,000 … 100,000
            shape = {1: (70001,), 2: (512, 160), 3: (30, 64, 40), 4: (16, 8, 24, 24)}[ndim]
            shape = tuple(shape[i] for i in rng.permutation(ndim))
        integers = rng.random() < 0.3
        for i in range(int(rng.integers(2, 5))):
            part = shape if i == 0 else tuple(n if rng.random() < 0.7 else 1 for n in shape)
            part = part[int(rng.integers(0, ndim + 1)) if i and rng.random() < 0.3 else 0 :]
            array = rng.integers(-2, 3, part).astype(float) if integers else rng.standard_normal(part)
            self.arrays[f"x{i}"] = self.laid_out(np.asarray(array))
            if integers:
                self.exact.add(f"x{i}")

    def laid_out(self, array: np.ndarray) -> np.ndarray:
        """Return an array of the same numbers in one of four layouts in memory."""
        kind = self.rng.integers(0, 8)
        if kind == 0:
            return np.asfortranarray(array)
        if kind == 1 and array.ndim:
            return np.repeat(array, 2, axis=-1)[..., ::2]
        if kind == 2 and array.ndim:
            return array[::-1].copy()[::-1]
        return array

    def try_step(self) -> None:
        """Draw a step, and take it if it is defined and its value is neither large nor empty."""
        line = self.rng.choice(len(FORMS))
        name = f"x{len(self.arrays)}"
        before = dict(self.constants)
        try:
            ours, theirs, exact = FORMS[line](self)
            value = evaluate(theirs, {name: as_torch(a) for name, a in (self.arrays | self.constants).items()})
        except UnfitError:
            self.constants = before
            return
        array = value.numpy()
        if not 0 < array.size <= self.largest or array.ndim > 8 or not np.abs(array).max() < GREATEST:
            self.constants = before
            return
        step = Step(name, ours, theirs, False)
        exact = exact and all(used in self.exact for used in self.arrays if step.uses(used))
        exact = exact and all((self.constants[c] % 1 == 0).all() for c in self.constants if step.uses(c))
        self.steps.append(dataclasses.replace(step, exact=exact))
        self.arrays[name] = array
        if exact:
            self.exact.add(name)

    # What forms ask for

    def flip(self, chance: float = 0.5) -> bool:
        """Return True with this chance."""
        return bool(self.rng.random() < chance)

    def choice(self, options: Sequence[Any]) -> Any:
        """Return one of the options."""
        return options[int(self.rng.integers(0, len(options)))]

    def pick(self, fits: Callable[[np.ndarray], bool] = lambda _: True) -> str:
        """Return the name of a value that fits; later ones are likelier, so that programs are deep."""
        names = [name for name, array in self.arrays.items() if fits(array)]
        if not names:
            raise UnfitError
        return names[-1 - min(int(self.rng.geometric(0.4)) - 1, len(names) - 1)]

    def constant(self, array: np.ndarray) -> str:
        """Return the name of a new array that both libraries take as it is."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def check_kink(self, gaps: np.ndarray, *names: str) -> None:
        """Raise where rounding might decide on which side of a kink a number is; exact ties are the same for both."""
        near = np.abs(gaps) < NEAR
        if all(name in self.exact for name in names):
            near &= gaps != 0
        if near.any():
            raise UnfitError

    def axes(self, ndim: int) -> tuple[int, ...]:
        """Return some of the axes, at least one; some are counted from the end."""
        some = self.rng.permutation(ndim)[: int(self.rng.integers(1, ndim + 1))]
        return tuple(int(a) - (ndim if self.flip(0.3) else 0) for a in some)

    def parameter(self, shape: tuple[int, ...]) -> tuple[str, str]:
        """Return how either library writes a parameter of this shape: part of a value, or a constant."""
        if self.flip(0.3):
            name = self.constant(self.rng.standard_normal(shape))
            return name, name
        length = math.prod(shape)
        x = self.pick(lambda a: a.size >= length)
        return f"tg.reshape(tg.flatten({x})[:{length}], {shape})", f"{x}.flatten()[:{length}].reshape({shape})"


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    """Compute a line of a program."""
    names = {"tg": tg, "np": np, "torch": torch, "F": functional, "scatter": scatter, "batch_norm": batch_norm}
    names |= {"difference": difference, "edge": edge}
    return eval(text, names | values)  # type: ignore[operator]


def as_torch(array: np.ndarray, requires_grad: bool = False) -> Any:
    """Return an array as PyTorch's tensor; it takes no negative strides."""
    return torch.from_numpy(array.copy()).requires_grad_(requires_grad)


def as_numpy(tensor: Any) -> np.ndarray | None:
    """Return a tensor of PyTorch as an array. Its tensors of nothing but zeros may have no memory to read."""
    if tensor is None or tensor._is_zerotensor():
        return None if tensor is None else np.zeros(tensor.shape)
    return tensor.detach().numpy()


def scatter(x: Any, key: Any, shape: Sequence[int]) -> Any:
    """Add ``x`` into zeros of ``shape`` at the places ``key``, in PyTorch."""
    return torch.zeros(shape, dtype=x.dtype).index_put((key,), x, accumulate=True)


def edge(x: Any) -> Any:
    """Repeat the edge of every axis, in PyTorch."""
    for axis in range(x.ndim):
        x = torch.cat([x.narrow(axis, 0, 1), x, x.narrow(axis, x.shape[axis] - 1, 1)], axis)
    return x


def batch_norm(x: Any, scale: Any, shift: Any) -> Any:
    """Compose batch norm in PyTorch, whose own has a wrong gradient for one image and an upstream in another order."""
    axes = (0, *range(2, x.ndim))
    x_hat = (x - x.mean(axes, True)) / torch.sqrt(x.var(axes, correction=0, keepdim=True) + 1e-5)
    column = (-1, *(1 for _ in axes[1:]))
    return x_hat if scale is None else x_hat * scale.reshape(column) + shift.reshape(column)


def positive(x: str, library: str) -> str:
    """Write a number that is not near 0, where ``x`` may be."""
    return f"({library}.square({x}) + 0.5)"


# ------------------------------------------------------------------------------------------------ forms of steps

SMOOTH = (
    "exp", "tanh", "sigmoid", "erf", "square", "neg", "sin", "cos", "arctan", "arcsinh", "sinh", "cosh", "expm1",
    "exp2", "erfc", "clone", "nan_to_num",
)  # fmt: skip
BENT = ("softplus", "silu", "mish", "logsigmoid")
KINKED = ("abs", "relu", "elu", "leaky_relu")


@form(6)
def apply_smooth(d: Draft) -> Line:
    name, x = d.choice(SMOOTH), d.pick()
    return f"tg.{name}({x})", f"torch.{name}({x})", name in ("square", "neg", "clone", "nan_to_num")


@form(2)
def bend(d: Draft) -> Line:
    name, x = d.choice(BENT), d.pick()
    if d.arrays[x].max() > 19:
        raise UnfitError  # from 20 on PyTorch takes x for its softplus
    return f"tg.{name}({x})", f"F.{name}({x})", False


@form(2)
def apply_kinked(d: Draft) -> Line:
    name, x = d.choice(KINKED), d.pick()
    d.check_kink(d.arrays[x], x)
    return f"tg.{name}({x})", f"{'torch' if name in ('abs', 'relu') else 'F'}.{name}({x})", name in ("abs", "relu")


@form(1)
def limit(d: Draft) -> Line:
    x = d.pick()
    for bound in (-3.0, -1.0, 0.5, 3.0):
        d.check_kink(d.arrays[x] - bound, x)
    if d.flip(0.3):
        return f"tg.hardsigmoid({x})", f"F.relu6({x} + 3) / 6", False  # in PyTorch's own 1/6 is a float32
    return f"tg.hardtanh({x}, -1.0, 0.5)", f"F.hardtanh({x}, -1.0, 0.5)", False


@form(1)
def squash_first(d: Draft) -> Line:
    """Inverse functions, of what lies within -1 and 1, not near either end."""
    name, x = d.choice(("arcsin", "arccos", "arctanh", "log1p", "erfinv", "tan")), d.pick()
    return f"tg.{name}(0.9 * tg.sin({x}))", f"torch.{name}(0.9 * torch.sin({x}))", False


@form(1)
def round_off(d: Draft) -> Line:
    name, x = d.choice(("floor", "ceil", "trunc", "round")), d.pick()
    d.check_kink((2 * d.arrays[x]) - np.round(2 * d.arrays[x]), x)
    return f"tg.{name}({x})", f"torch.{name}({x}).detach()", True


@form(1)
def take_step(d: Draft) -> Line:
    """Functions that move in steps: their derivative is 0, and in tinygraph there is none."""
    x, y = pair(d)
    d.check_kink(array_named(d, x), x)
    if d.flip():
        return f"tg.heaviside({x}, 0.5)", f"torch.heaviside({x}, torch.tensor(0.5).double()).detach()", True
    a, b = array_named(d, x), array_named(d, y)
    if np.abs(b).min() < 0.05:
        raise UnfitError
    d.check_kink(a / b - np.round(a / b), x, y)
    return f"tg.floor_divide({x}, {y})", f"torch.floor_divide({x}, {y}).detach()", False


@form(1)
def take_sign_of_other(d: Draft) -> Line:
    x, y = pair(d)
    a, b = array_named(d, x), array_named(d, y)
    if y in d.constants or min(np.abs(a + b).min(), np.abs(b).min()) < NEAR:
        raise UnfitError
    return f"tg.copysign({x} + {y}, {y})", f"torch.copysign({x} + {y}, {y})", True


@form(2)
def combine_in_other_words(d: Draft) -> Line:
    """Functions of two and three, each of which is a line of others."""
    x, y = pair(d)
    shape = np.broadcast_shapes(array_named(d, x).shape, array_named(d, y).shape)
    z = d.pick(lambda a: broadcasts(a.shape, shape, d.largest))
    name = d.choice(("lerp", "addcmul", "addcdiv"))
    if name == "addcdiv":
        return f"tg.addcdiv({x}, {y}, {positive(z, 'tg')})", f"torch.addcdiv({x}, {y}, {positive(z, 'torch')})", False
    return f"tg.{name}({x}, {y}, {z})", f"torch.{name}({x}, {y}, {z})", False


@form(1)
def take_entropy(d: Draft) -> Line:
    (x, y), name = pair(d), d.choice(("xlogy", "xlog1py", "entr"))
    if name == "entr":
        return f"tg.entr({positive(x, 'tg')})", f"torch.special.entr({positive(x, 'torch')})", False
    ours, theirs = (f"{positive(x, of)}, {positive(y, of)}" for of in ("tg", "torch"))
    return f"tg.{name}({ours})", f"torch.special.{name}({theirs})", False


@form(1)
def apply_far_from_0(d: Draft) -> Line:
    x = d.pick()
    ours, theirs = positive(x, "tg"), positive(x, "torch")
    return d.choice((
        (f"tg.arccosh({ours} + 1)", f"torch.arccosh({theirs} + 1)", False),
        (f"tg.cbrt({ours})", f"{theirs} ** (1 / 3)", False),
        (f"tg.sinc({ours})", f"torch.sinc({theirs})", False),
    ))  # fmt: skip


@form(1)
def apply_of_scipy(d: Draft) -> Line:
    """Functions of Gamma, Bessel's, and the normal distribution's."""
    x = d.pick()
    if special is None or np.abs(d.arrays[x]).max() > 20:
        raise UnfitError
    ours, theirs = positive(x, "tg"), positive(x, "torch")
    name = d.choice(("gammaln", "i0", "i1", "ndtr"))  # PyTorch's derivative of digamma has 9 digits
    return f"tg.{name}(tg.sqrt({ours}))", f"torch.special.{name}(torch.sqrt({theirs}))", False


@form(1)
def take_remainder(d: Draft) -> Line:
    x, y = pair(d)
    a, b = array_named(d, x), array_named(d, y)
    if np.abs(b).min() < 0.05:
        raise UnfitError
    d.check_kink(a / b - np.round(a / b), x, y)
    name = d.choice(("remainder", "fmod"))
    return f"tg.{name}({x}, {y})", f"torch.{name}({x}, {y})", False


@form(2)
def combine_smoothly(d: Draft) -> Line:
    (x, y), name = pair(d), d.choice(("hypot", "arctan2", "logaddexp2"))
    a, b = array_named(d, x), array_named(d, y)
    if max(np.abs(a).max(), np.abs(b).max()) > 100:
        raise UnfitError  # as in add_in_logarithms
    if name != "logaddexp2" and (a * a + b * b).min() < 0.01:
        raise UnfitError
    return f"tg.{name}({x}, {y})", f"torch.{name}({x}, {y})", False


@form(1)
def take_sign(d: Draft) -> Line:
    x = d.pick()
    d.check_kink(d.arrays[x], x)
    return f"tg.sign({x})", f"torch.sign({x}).detach()", True  # its derivative is 0: in tinygraph there is none


@form(2)
def apply_to_positive(d: Draft) -> Line:
    name, x = d.choice(("sqrt", "log", "log2", "log10", "rsqrt", "reciprocal")), d.pick()
    if d.arrays[x].min() < 0.05:
        return f"tg.{name}({positive(x, 'tg')})", f"torch.{name}({positive(x, 'torch')})", False
    return f"tg.{name}({x})", f"torch.{name}({x})", False


@form(2)
def raise_to_number(d: Draft) -> Line:
    x, n = d.pick(), d.choice((0, 1, 2, 3, -1, -2, 0.5, 1.7))
    if (n < 0 or n % 1) and d.arrays[x].min() < 0.05:
        return f"tg.power({positive(x, 'tg')}, {n})", f"{positive(x, 'torch')} ** {n}", False
    return f"tg.power({x}, {n})", f"{x} ** {n}", False


@form(2)
def clip(d: Draft) -> Line:
    x = d.pick()
    low, high = d.choice(((-1.0, 1.0), (None, 0.5), (-0.5, None), (0.0, 2.0), (-1.0, 0.25)))
    for bound in (low, high):
        if bound is not None:
            d.check_kink(d.arrays[x] - bound, x)
    if d.flip(0.3):  # a bound may be a value
        y = d.pick(lambda a: broadcasts(a.shape, d.arrays[x].shape, 1 + d.arrays[x].size))
        if np.broadcast_shapes(d.arrays[y].shape, d.arrays[x].shape) != d.arrays[x].shape or low is None:
            raise UnfitError
        d.check_kink(d.arrays[x] - d.arrays[y], x, y)
        theirs = f"torch.clamp({x}, torch.full_like({y}, {low}), {y})"
        d.check_kink(d.arrays[y] - low, y)
        return f"tg.clip({x}, {low}, {y})", theirs, False
    return f"tg.clip({x}, {low}, {high})", f"torch.clamp({x}, {low}, {high})", False


def pair(d: Draft) -> tuple[str, str]:
    """Return the names of two values that broadcast against each other; one may be a constant."""
    x = d.pick()
    if d.flip(0.15):
        shape = tuple(n if d.flip(0.7) else 1 for n in d.arrays[x].shape)
        y = d.constant(d.rng.standard_normal(shape))
    else:
        y = d.pick(lambda a: broadcasts(a.shape, d.arrays[x].shape, d.largest))
    return (x, y) if d.flip() else (y, x)


def broadcasts(a: Sequence[int], b: Sequence[int], largest: int) -> bool:
    """Whether two shapes broadcast, to no more elements than ``largest``."""
    try:
        return math.prod(np.broadcast_shapes(tuple(a), tuple(b))) <= largest
    except ValueError:
        return False


def array_named(d: Draft, name: str) -> np.ndarray:
    """Return a value or a constant."""
    return d.arrays[name] if name in d.arrays else d.constants[name]


@form(10)
def combine(d: Draft) -> Line:
    x, y = pair(d)
    symbol = d.choice("+-*")
    return f"{x} {symbol} {y}", f"{x} {symbol} {y}", True


@form(3)
def divide(d: Draft) -> Line:
    x, y = pair(d)
    if np.abs(array_named(d, y)).min() < 0.05:
        if y in d.constants:
            raise UnfitError
        return f"{x} / {positive(y, 'tg')}", f"{x} / {positive(y, 'torch')}", False
    return f"{x} / {y}", f"{x} / {y}", False


@form(3)
def combine_with_number(d: Draft) -> Line:
    x = d.pick()
    text = d.choice(("{} + 2.0", "1 - {}", "{} * 3", "-0.5 * {}", "{} / 4.0", "3.0 - {}", "{} - 1", "-{}"))
    return text.format(x), text.format(x), False


@form(1)
def raise_to_power(d: Draft) -> Line:
    x, y = ("2.0", d.pick()) if d.flip(0.2) else pair(d)
    exponents = array_named(d, y)
    if x in d.constants or np.abs(exponents).max() > 4 or np.abs(exponents).min() < 0.01:
        raise UnfitError  # at an exponent of 0 PyTorch's mixed second derivative is 0, which is wrong
    if x == "2.0":
        return f"tg.power({x}, {y})", f"{x} ** {y}", False
    return f"tg.power({positive(x, 'tg')}, {y})", f"torch.pow({positive(x, 'torch')}, {y})", False


@form(3)
def take_extreme_of_two(d: Draft) -> Line:
    (x, y), name = pair(d), d.choice(("maximum", "minimum", "fmax", "fmin"))
    d.check_kink(array_named(d, x) - array_named(d, y), x, y)
    return f"tg.{name}({x}, {y})", f"torch.{name}({x}, {y})", True


@form(1)
def add_in_logarithms(d: Draft) -> Line:
    x, y = pair(d)
    if max(np.abs(array_named(d, name)).max() for name in (x, y)) > 100:
        raise UnfitError  # PyTorch's second derivative overflows to NaN where the two are far apart
    return f"tg.logaddexp({x}, {y})", f"torch.logaddexp({x}, {y})", False


@form(2)
def choose(d: Draft) -> Line:
    x, y = pair(d)
    shape = np.broadcast_shapes(array_named(d, x).shape, array_named(d, y).shape)
    z = d.pick(lambda a: broadcasts(a.shape, shape, d.largest))
    d.check_kink(array_named(d, x) - array_named(d, y), x, y)
    return f"tg.where(tg.greater({x}, {y}), {z}, {x})", f"torch.where({x} > {y}, {z}, {x})", True


@form(6)
def add_up(d: Draft) -> Line:
    x, name = d.pick(), d.choice(("sum", "sum", "mean", "mean", "logsumexp", "var", "std"))
    ndim, keep = d.arrays[x].ndim, d.flip()
    if not ndim and name not in ("sum", "mean"):
        raise UnfitError
    axes = d.axes(ndim) if ndim and d.flip(0.8) else tuple(range(ndim))
    ours: Any = None if len(axes) == ndim and d.flip() else axes[0] if len(axes) == 1 else axes
    more = ""
    if name in ("var", "std"):
        one = math.prod(d.arrays[x].shape[a] for a in axes) == 1
        more = f", correction={0 if one or d.flip() else 1}"
        if name == "std" and d.arrays[x].var(axes).min() < 1e-2:
            raise UnfitError
    theirs = f"torch.{name}({x}, dim={axes}, keepdim={keep}{more})"
    return f"tg.{name}({x}, axis={ours}, keepdims={keep}{more})", theirs, name == "sum"


@form(2)
def take_extreme(d: Draft) -> Line:
    x, name, keep = d.pick(), d.choice(("max", "min")), d.flip()
    array = d.arrays[x]
    axes = d.axes(array.ndim) if array.ndim else ()
    most = array.max(axes, keepdims=True) if name == "max" else array.min(axes, keepdims=True)
    if x not in d.exact and (np.abs(array - most) < NEAR).sum() > most.size:
        raise UnfitError
    return f"tg.{name}({x}, axis={axes}, keepdims={keep})", f"torch.a{name}({x}, dim={axes}, keepdim={keep})", True


@form(4)
def reorder_axes(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 1)
    ndim = d.arrays[x].ndim
    a, b = (int(i) - (ndim if d.flip(0.3) else 0) for i in d.rng.permutation(ndim)[:2])
    order = tuple(int(i) for i in d.rng.permutation(ndim))
    return d.choice((
        (f"tg.swapaxes({x}, {a}, {b})", f"torch.swapaxes({x}, {a}, {b})", True),
        (f"tg.moveaxis({x}, {a}, {b})", f"torch.moveaxis({x}, {a}, {b})", True),
        (f"tg.transpose({x}, {order})", f"{x}.permute({order})", True),
        (f"{x}.T", f"{x}.permute({tuple(range(ndim))[::-1]})", True),
    ))  # fmt: skip


@form(3)
def reshape(d: Draft) -> Line:
    x = d.pick()
    shape = d.arrays[x].shape
    i = int(d.rng.integers(0, len(shape) + 1))
    options = [(-1,), (*shape[:i], 1, *shape[i:])]
    if i + 1 < len(shape):
        options.append((*shape[:i], shape[i] * shape[i + 1], *shape[i + 2 :]))
    if i < len(shape) and shape[i] % 2 == 0:
        options.append((*shape[:i], 2, shape[i] // 2, *shape[i + 1 :]))
    wanted = d.choice(options)
    return f"tg.reshape({x}, {wanted})", f"{x}.reshape({wanted})", True


@form(2)
def change_ones(d: Draft) -> Line:
    x = d.pick()
    shape = d.arrays[x].shape
    if d.flip() or 1 not in shape:
        i = int(d.rng.integers(0, len(shape) + 1))
        return f"tg.expand_dims({x}, {i})", f"{x}.unsqueeze({i})", True
    i = shape.index(1)
    return f"tg.squeeze({x}, {i})", f"{x}.squeeze({i})", True


@form(2)
def copy_or_add_copies(d: Draft) -> Line:
    x = d.pick()
    shape = d.arrays[x].shape
    longer = tuple(int(d.rng.integers(2, 4)) if n == 1 else n for n in shape)
    longer = (2, *longer) if d.flip() else longer
    if d.flip() and math.prod(longer) <= d.largest:
        return f"tg.broadcast_to({x}, {longer})", f"{x}.expand({longer})", True
    shorter = tuple(1 if d.flip(0.4) else n for n in shape)
    if shorter == shape:
        raise UnfitError  # PyTorch gives back the tensor itself
    return f"tg.sum_to({x}, {shorter})", f"{x}.sum_to_size({shorter})", True


@form(3)
def join(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    shape = d.arrays[x].shape
    same = [d.pick(lambda a: a.shape == shape) for _ in range(int(d.rng.integers(1, 3)))]
    axis = int(d.rng.integers(0, len(shape)))
    if d.flip():
        names = ", ".join([x, *same])
        return f"tg.stack([{names}], axis={axis})", f"torch.stack([{names}], {axis})", True
    other = d.pick(
        lambda a: (
            a.ndim == len(shape)
            and all(m == n or i == axis for i, (m, n) in enumerate(zip(a.shape, shape, strict=True)))
        )
    )
    names = ", ".join([other, x, *same[1:]])
    return f"tg.concatenate([{names}], axis={axis})", f"torch.cat([{names}], {axis})", True


@form(2)
def cut(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0 and max(a.shape) > 1)
    shape = d.arrays[x].shape
    axis = d.choice([a for a, n in enumerate(shape) if n > 1])
    places = sorted({int(n) for n in d.rng.integers(1, shape[axis], 2)})
    j = int(d.rng.integers(0, len(places) + 1))
    return f"tg.split({x}, {places}, {axis})[{j}]", f"torch.tensor_split({x}, {places}, {axis})[{j}]", True


@form(1)
def take_apart(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0 and max(a.shape) <= 40)
    shape = d.arrays[x].shape
    axis = int(d.rng.integers(0, len(shape)))
    ours, theirs = f"[*tg.unbind({x}, {axis})]", f"[*torch.unbind({x}, {axis})]"
    part = d.choice(("[0]", "[-1]"))
    return d.choice((
        (f"tg.stack({ours}[::-1], axis={axis})", f"torch.stack({theirs}[::-1], {axis})", True),
        (f"{ours}{part} * {ours}[0]", f"{theirs}{part} * {theirs}[0]", True),
    ))  # fmt: skip


@form(1)
def fill_where_masked(d: Draft) -> Line:
    x = d.pick()
    mask = d.constant(d.rng.random(d.arrays[x].shape) < 0.4)
    return f"tg.masked_fill({x}, {mask}, -1.0)", f"{x}.masked_fill({mask}, -1.0)", True


@form(1)
def pad(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    widths = [(int(a), int(b)) for a, b in d.rng.integers(0, 3, (d.arrays[x].ndim, 2))]
    flat = [n for pair in widths[::-1] for n in pair]
    return f"tg.pad({x}, {widths}, constant_values=2)", f"F.pad({x}, {flat}, value=2)", True


@form(4)
def index(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    shape = d.arrays[x].shape
    if d.flip(0.1):
        return f"{x}[::-1]", f"torch.flip({x}, (0,))", True
    fancy, length, parts = d.flip(0.6), int(d.rng.integers(1, min(shape) + 2)), []
    # Integers beside arrays are left out: NumPy broadcasts them with the arrays, PyTorch takes them first.
    kinds = ("slice", "array", "new", "mask") if fancy else ("slice", "integer", "new")
    for n in shape[: int(d.rng.integers(1, len(shape) + 1))]:
        start, kind = int(d.rng.integers(0, n)), d.choice(kinds)
        if kind == "array":
            parts.append(d.constant(d.rng.integers(-n, n, length)))
        elif kind == "mask" and not any(part.startswith("c") for part in parts):
            mask = d.rng.random(n) < 0.7
            parts.append(d.constant(mask))
            length = int(mask.sum())
        elif kind == "integer":
            parts.append(str(start - n if d.flip(0.3) else start))
        else:
            parts.append("None, :" if kind == "new" else f"{start}::{d.choice((1, 2))}")
    key = ", ".join(parts) + (", ..." if d.flip(0.2) else "")
    return f"{x}[{key}]", f"{x}[{key}]", True


@form(1)
def put(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    count, *rest = d.arrays[x].shape
    shape = (count + 1, *rest)
    key = d.constant(d.rng.integers(0, count + 1, count))
    return f"tg.scatter({x}, {key}, {shape})", f"scatter({x}, {key}, {shape})", True


@form(4)
def multiply_matrices(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    shape = d.arrays[x].shape
    if len(shape) > 1 and d.flip(0.3) and math.prod(shape) * shape[-2] < 5e7:
        return f"tg.matmul({x}, tg.swapaxes({x}, -1, -2))", f"{x} @ {x}.swapaxes(-1, -2)", True
    if d.flip(0.3):
        y = d.constant(d.rng.standard_normal((shape[-1], 3)) / math.sqrt(shape[-1]))
        return f"tg.matmul({x}, {y})", f"{x} @ {y}", True

    def fits(a: np.ndarray) -> bool:
        rows = a.shape[-2] if a.ndim > 1 else a.size
        result = math.prod(shape[:-1]) * (a.size // max(rows, 1))
        return a.ndim > 0 and rows == shape[-1] and result <= d.largest and broadcasts(a.shape[:-2], shape[:-2], 10**9)

    y = d.pick(fits)
    return f"tg.matmul({x}, {y})", f"{x} @ {y}", True


@form(3)
def contract(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    y = d.pick(lambda a: a.ndim > 0)
    lengths = dict(zip("abcdefgh"[: d.arrays[x].ndim], d.arrays[x].shape, strict=True))
    first, second = "".join(lengths), ""
    for i, n in enumerate(d.arrays[y].shape):
        known = [a for a in first if lengths[a] == n and a not in second]
        second += d.choice(known) if known and d.flip(0.8) else "ijklmnop"[i]
        lengths[second[-1]] = n
    letters = "".join(lengths)
    order = "".join(letters[i] for i in d.rng.permutation(len(letters)))
    result = order[: int(d.rng.integers(0, len(order) + 1))]
    if math.prod(lengths.values()) > 10 * d.largest or math.prod(lengths[a] for a in result) > d.largest:
        raise UnfitError
    text = f"einsum('{first},{second}->{result}', {x}, {y})"
    return f"tg.{text}", f"torch.{text}", True


def square_matrix(d: Draft, n: int) -> tuple[str, str]:
    """Return how to write a matrix of n rows, in either library: far from singular, its eigenvalues far apart."""
    ours, theirs = d.parameter((n, n))
    diagonal = d.constant(np.diag(3.0 + 2 * np.arange(n)))
    return f"(tg.tanh({ours}) / 2 + {diagonal})", f"(torch.tanh({theirs}) / 2 + {diagonal})"


@form(2)
def do_linear_algebra(d: Draft) -> Line:
    n = d.choice((1, 2, 3))
    ours, theirs = square_matrix(d, n)
    symmetric = f"({ours} + ({ours}).mT)", f"({theirs} + ({theirs}).mT)"
    name = d.choice(
        ("solve", "inv", "det", "slogdet", "pinv", "cholesky", "eigvalsh", "svdvals", "norm", "qr", "power")
    )
    if name == "solve":
        right = d.parameter(d.choice(((n,), (n, 2), (2, n, 1))))
        return f"tg.linalg.solve({ours}, {right[0]})", f"torch.linalg.solve({theirs}, {right[1]})", False
    if name in ("cholesky", "eigvalsh"):
        return f"tg.linalg.{name}({symmetric[0]})", f"torch.linalg.{name}({symmetric[1]})", False
    if name == "norm":
        order = d.choice(("'fro'", "'nuc'", "2", "-2"))
        return f"tg.linalg.norm({ours}, {order})", f"torch.linalg.norm({theirs}, {order})", False
    if name == "power":
        order = d.choice((-1, 2, 3))
        return f"tg.linalg.matrix_power({ours}, {order})", f"torch.linalg.matrix_power({theirs}, {order})", False
    part = {"slogdet": "[1]", "qr": "[1]"}.get(name, "")
    return f"tg.linalg.{name}({ours}){part}", f"torch.linalg.{name}({theirs}){part}", False


@form(1)
def multiply_vectors(d: Draft) -> Line:
    name, n, m = (
        d.choice(("outer", "kron", "inner", "dot", "vdot", "tensordot", "cross")),
        d.choice((1, 2, 3)),
        d.choice((2, 3)),
    )
    shapes = {"outer": ((n,), (m,)), "kron": ((n, 2), (2, m)), "inner": ((n, m), (m,)), "cross": ((n, 3), (n, 3)),
              "tensordot": ((n, m, 2), (m, 2, 3))}.get(name, ((m,), (m,)))  # fmt: skip
    x, y = map(d.parameter, shapes)
    theirs = "torch.linalg.cross" if name == "cross" else f"torch.{name}"
    return f"tg.{name}({x[0]}, {y[0]})", f"{theirs}({x[1]}, {y[1]})", True


@form(1)
def transform_or_convolve(d: Draft) -> Line:
    n, m = d.choice((1, 2, 3, 5, 6)), d.choice((1, 2, 3))
    name, norm = d.choice(("fft", "ifft", "rfft", "irfft", "convolve")), d.choice(("backward", "ortho", "forward"))
    if name == "convolve":
        x, y = d.parameter((n,)), d.parameter((m,))
        theirs = f"F.conv1d({x[1]}[None, None], {y[1]}.flip(0)[None, None], padding={m - 1})[0, 0]"
        return f"tg.convolve({x[0]}, {y[0]})", theirs, False
    x = d.parameter((m, n) if name == "rfft" else (m, n, 2))
    options = f"n={d.choice((n, n + 1, 1 + n // 2))}, norm={norm!r}"
    inside = x[1] if name == "rfft" else f"torch.view_as_complex({x[1]}.contiguous())"
    theirs = f"torch.fft.{name}({inside}, {options})"
    return f"tg.fft.{name}({x[0]}, {options})", theirs if name == "irfft" else f"torch.view_as_real({theirs})", False


def images(d: Draft) -> tuple[str, str, tuple[int, ...]]:
    """Return how to write a value as images, in either library, and their shape (N, C, H, W)."""
    x = d.pick(lambda a: a.size >= 8)
    shape = d.arrays[x].shape
    if len(shape) == 4 and min(shape[2:]) > 1:
        return x, x, shape
    size = d.arrays[x].size
    n, c = d.choice([(n, c) for n in (1, 2, 3) for c in (1, 2, 4) if size % (n * c) == 0])
    rest = size // (n * c)
    height = next((h for h in range(math.isqrt(rest), 0, -1) if rest % h == 0), 1)
    wanted = n, c, height, rest // height
    return f"tg.reshape({x}, {wanted})", f"{x}.reshape({wanted})", wanted


def over_axes(d: Draft) -> tuple[str, str, tuple[int, ...]]:
    """Return how to write a value as signals, images or volumes, in either library, and their shape."""
    ours, theirs, (n, c, h, w) = images(d)
    rank = d.choice((1, 2, 2, 3))
    shape = {1: (n, c, h * w), 2: (n, c, h, w), 3: (n, 1, c, h, w)}[rank]
    return (ours, theirs, shape) if rank == 2 else (f"tg.reshape({ours}, {shape})", f"{theirs}.reshape({shape})", shape)


@form(1)
def lay_out_windows(d: Draft) -> Line:
    ours, theirs, (_, _, h, w) = images(d)
    size = min(d.choice((1, 2, 3)), h), min(d.choice((1, 2)), w)
    unfold = f"F.unfold({ours}, {size})", f"F.unfold({theirs}, {size})"
    if d.flip():
        return unfold[0].replace("F.", "tg.nn.functional.", 1), unfold[1], True
    ours, theirs = f"tg.nn.functional.unfold({ours}, {size})", unfold[1]
    return f"tg.nn.functional.fold({ours}, {(h, w)}, {size})", f"F.fold({theirs}, {(h, w)}, {size})", True


@form(1)
def convolve(d: Draft) -> Line:
    ours, theirs, (_, c, *lengths) = over_axes(d)
    kernel = tuple(d.choice((1, 2, 3)) for _ in lengths)
    if any(k > n for k, n in zip(kernel, lengths, strict=True)):
        raise UnfitError
    stride, padding, out = d.choice((1, 2)), d.choice((0, 1)), d.choice((1, 2, 3))
    backwards = d.flip(0.3)
    shape = (c, out, *kernel) if backwards else (out, c, *kernel)
    our_filter, their_filter = d.parameter(shape)
    name, options = "conv_transpose" if backwards else "conv", f"stride={stride}, padding={padding}"
    name += f"{len(kernel)}d"
    if backwards and padding:
        raise UnfitError  # the result may be empty
    return f"tg.{name}({ours}, {our_filter}, {options})", f"F.{name}({theirs}, {their_filter}, {options})", True


@form(1)
def pool(d: Draft) -> Line:
    ours, theirs, (_, _, *lengths) = over_axes(d)
    kernel, stride, rank = min(d.choice((1, 2, 3)), *lengths), d.choice((1, 2, 3)), len(lengths)
    name = d.choice((f"avg_pool{rank}d", f"max_pool{rank}d", f"adaptive_avg_pool{rank}d"))
    if name.startswith("adaptive"):
        size = tuple(min(i + 2, n) for i, n in enumerate(lengths))
        return f"tg.{name}({ours}, {size})", f"F.{name}({theirs}, {size})", False
    if name.startswith("max"):
        x = next(x for x in d.arrays if Step("", ours, "", True).uses(x))
        d.check_kink(np.diff(np.sort(d.arrays[x], axis=None)), x)
    options = f"{kernel}, {stride}, {kernel // 2 if d.flip(0.3) else 0}"
    return f"tg.{name}({ours}, {options})", f"F.{name}({theirs}, {options})", name.startswith("max")


def axis_of(d: Draft, x: str) -> int:
    """Return an axis of a value, counted from either end."""
    return int(d.rng.integers(-d.arrays[x].ndim, d.arrays[x].ndim))


@form(3)
def scan(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    axis, name = axis_of(d, x), d.choice(("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"))
    if name in ("cummax", "cummin"):
        d.check_kink(np.diff(np.sort(d.arrays[x], axis=axis), axis=axis), x)
        return f"tg.{name}({x}, {axis}).values", f"torch.{name}({x}, {axis}).values", True
    if name == "logcumsumexp":  # theirs has NaN at second order where its upstream is 0
        if np.abs(d.arrays[x]).max() > 30:
            raise UnfitError
        return f"tg.{name}({x}, {axis})", f"torch.log(torch.cumsum(torch.exp({x}), {axis}))", False
    if name == "cumprod" and d.arrays[x].size * d.arrays[x].shape[axis] > 100 * d.largest:
        raise UnfitError  # a second derivative has each factor twice
    return f"tg.{name}({x}, {axis})", f"torch.{name}({x}, {axis})", name == "cumsum"


@form(2)
def multiply_up(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    axis, keep = axis_of(d, x), d.flip()
    is_all = d.flip(0.3)
    if d.arrays[x].size * (d.arrays[x].size if is_all else d.arrays[x].shape[axis]) > 100 * d.largest:
        raise UnfitError  # a second derivative has each factor twice
    if is_all:
        return f"tg.prod({x})", f"torch.prod({x})", False
    return f"tg.prod({x}, {axis}, {keep})", f"torch.prod({x}, {axis}, {keep})", False


@form(3)
def put_in_order(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    axis = axis_of(d, x)
    n = d.arrays[x].shape[axis]
    d.check_kink(np.diff(np.sort(d.arrays[x], axis=axis), axis=axis), x)
    k = int(d.rng.integers(1, n + 1))
    name = d.choice(("sort", "topk", "kthvalue", "median", "quantile"))
    if name == "sort":
        return f"tg.sort({x}, {axis})", f"torch.sort({x}, dim={axis}, stable=True).values", True
    if len(np.unique(d.arrays[x])) < d.arrays[x].size:
        raise UnfitError  # theirs takes any of equal ones
    if name in ("topk", "kthvalue"):
        return f"tg.{name}({x}, {k}, {axis}).values", f"torch.{name}({x}, {k}, {axis}).values", True
    if name == "median":
        return f"tg.median({x}, {axis})", f"torch.quantile({x}, 0.5, {axis}, interpolation='midpoint')", False
    return f"tg.quantile({x}, 0.3, {axis})", f"torch.quantile({x}, 0.3, {axis})", False


@form(3)
def rearrange(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    axis, n = axis_of(d, x), int(d.rng.integers(1, 4))
    at, before = f"{x}, {n}, {axis}", f"{x}.narrow({axis}, 0, 1) * 0 + 0.5"
    ours, theirs = d.choice((
        (f"tg.flip({x}, {axis})", f"torch.flip({x}, ({axis},))"),
        (f"tg.roll({x}, {n - 2}, {axis})", f"torch.roll({x}, {n - 2}, {axis})"),
        (f"tg.tile({x}, {n})", f"torch.tile({x}, ({n},))"),
        (f"tg.repeat({at})", f"torch.repeat_interleave({at})"),
        (f"tg.concatenate(tg.chunk({at})[::-1], {axis})", f"torch.cat({x}.chunk({n}, {axis})[::-1], {axis})"),
        (f"difference({x}, axis={axis}, prepend=0.5)", f"torch.diff({x}, dim={axis}, prepend={before})"),
        (f"tg.trapezoid({x}, axis={axis})", f"torch.trapezoid({x}, dim={axis})"),
        (f"tg.pad({x}, 1, 'edge')[..., :{n}]", f"edge({x})[..., :{n}]"),
    ))  # fmt: skip
    return ours, theirs, True


@form(2)
def take_by_places(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    axis, shape = axis_of(d, x), d.arrays[x].shape
    lengths = [int(d.rng.integers(1, 5)) if i == axis % len(shape) else n for i, n in enumerate(shape)]
    places = d.constant(d.rng.integers(0, shape[axis], lengths))
    if d.flip(0.4):
        return add_by_places(d, x, axis)
    return f"tg.take_along_axis({x}, {places}, {axis})", f"torch.take_along_dim({x}, {places}, {axis})", True


def add_by_places(d: Draft, x: str, axis: int) -> Line:
    """Add a value, or put it, at places of another of its shape."""
    shape = d.arrays[x].shape
    y = d.pick(lambda a: a.shape == shape)
    n = shape[axis]
    name = d.choice(("scatter_add", "index_add", "index_copy", "gather"))
    if name == "scatter_add":
        places = d.constant(d.rng.integers(0, n, shape))
        return f"tg.scatter_add({x}, {axis}, {places}, {y})", f"torch.scatter_add({x}, {axis}, {places}, {y})", True
    if name == "gather":
        places = d.constant(d.rng.integers(0, n, [max(1, m - d.choice((0, 1))) for m in shape]))
        return f"tg.gather({x}, {axis}, {places})", f"torch.gather({x}, {axis}, {places})", True
    places = d.constant(d.rng.permutation(n) if name == "index_copy" else d.rng.integers(0, n, n))
    return f"tg.{name}({x}, {axis}, {places}, {y})", f"torch.{name}({x}, {axis}, {places}, {y})", True


@form(2)
def look_at_matrices(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 1)
    k = int(d.rng.integers(-1, 2))
    name = d.choice(("tril", "triu", "diagonal", "diag_embed"))
    if name == "diagonal":
        if min(d.arrays[x].shape[-2:]) < 2:
            raise UnfitError
        return f"tg.diagonal({x}, {k}, -2, -1)", f"torch.diagonal({x}, {k}, -2, -1)", True
    if name == "diag_embed" and d.arrays[x].size * (d.arrays[x].shape[-1] + 1) > d.largest:
        raise UnfitError  # a matrix for each row
    return f"tg.{name}({x}, {k})", f"torch.{name}({x}, {k})", True


@form(2)
def take_length(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    axis, p = axis_of(d, x), d.choice((2, 2, 1, 3))
    if np.abs(d.arrays[x]).min() < 0.05:
        raise UnfitError
    return f"tg.norm({x}, {p}, {axis})", f"torch.linalg.vector_norm({x}, {p}, {axis})", False


@form(3)
def normalize(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 1)
    array = d.arrays[x]
    name = d.choice(("batch_norm", "layer_norm", "group_norm", "instance_norm"))
    over = {
        "batch_norm": (0, *range(2, array.ndim)),
        "layer_norm": tuple(range(-int(d.rng.integers(1, array.ndim)), 0)),
        "group_norm": tuple(range(1, array.ndim)),
        "instance_norm": tuple(range(2, array.ndim)),
    }[name]
    if not over or array.var(over).min() < 1e-2:
        raise UnfitError
    shape = tuple(array.shape[a] for a in over) if name == "layer_norm" else (array.shape[1],)
    nothing = ((None, None), (None, None))
    ours, theirs = zip(d.parameter(shape), d.parameter(shape), strict=True) if d.flip(0.8) else nothing
    place = "tg.fused" if name in ("batch_norm", "layer_norm") and d.flip() else "tg"
    our_options = {"group_norm": ", groups=1", "instance_norm": ""}.get(name, f", axis={over}")
    begin = {
        "batch_norm": f"batch_norm({x}",
        "layer_norm": f"F.layer_norm({x}, {shape}",
        "group_norm": f"F.group_norm({x}, 1",
        "instance_norm": f"F.group_norm({x}, {array.shape[1]}",  # theirs errs as their batch_norm does
    }[name]
    return f"{place}.{name}({x}, {ours[0]}, {ours[1]}{our_options})", f"{begin}, {theirs[0]}, {theirs[1]})", False


@form(2)
def turn_into_probabilities(d: Draft) -> Line:
    x, name = d.pick(lambda a: a.ndim > 0), d.choice(("softmax", "log_softmax"))
    axis = int(d.rng.integers(-d.arrays[x].ndim, d.arrays[x].ndim))
    return f"tg.{name}({x}, {axis})", f"torch.{name}({x}, {axis})", False


@form(1)
def take_cross_entropy(d: Draft) -> Line:
    x = d.pick(lambda a: a.ndim > 0)
    shape = d.arrays[x].shape
    axis = min(1, len(shape) - 1)
    target = d.constant(d.rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :]))
    options = f"label_smoothing={d.choice((0.0, 0.0, 0.1))}, reduction={d.choice(('mean', 'sum', 'none'))!r}"
    return f"tg.cross_entropy({x}, {target}, {options})", f"F.cross_entropy({x}, {target}, {options})", False


# ------------------------------------------------------------------------------------------------ comparing


def run_ours(program: Program) -> Results:
    """Return all that is compared, as tinygraph computes it."""
    leaves = {name: tg.Tensor(array, name=name) for name, array in program.leaves.items()}
    before = {name: array.copy() for name, array in program.leaves.items()}
    tensors: dict[str, Any] = {**leaves, **program.constants}
    arrays: dict[str, Any] = {**program.leaves, **program.constants}
    found: Results = {}
    for step in program.steps:
        tensors[step.name], arrays[step.name] = evaluate(step.ours, tensors), evaluate(step.ours, arrays)
        found[f"value of {step.name}"] = value = np.asarray(array_of(tensors[step.name]))
        if not np.array_equal(value, arrays[step.name]):
            raise AssertionError(f"{step.name} has other bits on arrays than on Tensors")
    outputs = {n: y for n in program.outputs() if isinstance(y := tensors[n], tg.Tensor) and y.requires_grad}
    if not outputs:
        return found
    upstream = {name: program.upstream(name, y.shape) for name, y in outputs.items()}
    inner = [n for n in program.names() if isinstance(tensors[n], tg.Tensor) and tensors[n].requires_grad]
    grads = tg.grad([*outputs.values()], [tensors[n] for n in inner], [*upstream.values()], allow_unused=True)
    found |= {f"gradient of {name}": g for name, g in zip(inner, grads, strict=True)}
    for turn in ("backward", "backward, twice"):
        for name, y in outputs.items():
            y.backward(upstream[name])
        found |= {f"{turn}: gradient of {n}": x.grad if x.grad is None else x.grad.copy() for n, x in leaves.items()}
    check_apart([x.grad for x in leaves.values()] + [*upstream.values(), *program.leaves.values()])
    seeds = {name: tg.Tensor(w) for name, w in upstream.items()}
    recorded = tg.grad([*outputs.values()], [*leaves.values()], [*seeds.values()], True, allow_unused=True)
    found |= {f"recorded gradient of {n}": None if g is None else g.data for n, g in zip(leaves, recorded, strict=True)}
    deep = {n: g for n, g in zip(leaves, recorded, strict=True) if g is not None and g.requires_grad}
    if deep:
        wanted = {**leaves, **{f"upstream of {name}": w for name, w in seeds.items()}}
        weights = [program.upstream(f"second {n}", g.shape) for n, g in deep.items()]
        second = tg.grad([*deep.values()], [*wanted.values()], weights, allow_unused=True)
        found |= {f"second derivative to {n}": g for n, g in zip(wanted, second, strict=True)}
    for name, array in program.leaves.items():
        if not np.array_equal(array, before[name]):
            raise AssertionError(f"the leaf {name} was written into")
    return found


def check_apart(arrays: Sequence[np.ndarray | None]) -> None:
    """Raise where two of the arrays share memory: writing into one would change the other."""
    some = [array for array in arrays if array is not None]
    for i, one in enumerate(some):
        if any(np.may_share_memory(one, other) for other in some[:i]):
            raise AssertionError("a gradient shares memory with another, with a leaf, or with an upstream gradient")


def run_theirs(program: Program, noise: np.random.Generator | None = None) -> Results:
    """Return all that is compared, as PyTorch computes it; with ``noise``, each rounded value moves by 1e-15."""
    leaves = {name: as_torch(array, True) for name, array in program.leaves.items()}
    values = {**leaves, **{name: as_torch(array) for name, array in program.constants.items()}}
    for step in program.steps:
        value = evaluate(step.theirs, values)
        if noise is not None and not step.exact:
            value = value * as_torch(np.asarray(1 + 1e-15 * noise.standard_normal(value.shape)))
        values[step.name] = value
    found: Results = {f"value of {step.name}": as_numpy(values[step.name]) for step in program.steps}
    outputs = {name: y for name in program.outputs() if (y := values[name]).requires_grad}
    if not outputs:
        return found
    seeds = {n: as_torch(program.upstream(n, y.shape), True) for n, y in outputs.items()}
    inner = [name for name in program.names() if values[name].requires_grad]
    grads = pull(outputs, seeds, {name: values[name] for name in inner})
    arrays = {name: as_numpy(g) for name, g in grads.items()}
    found |= {f"gradient of {name}": g for name, g in arrays.items()}
    for name in leaves:
        g = arrays[name]
        found[f"recorded gradient of {name}"] = found[f"backward: gradient of {name}"] = g
        found[f"backward, twice: gradient of {name}"] = None if g is None else 2 * g
    deep = {n: g for n in leaves if (g := grads[n]) is not None and g.requires_grad}
    if deep:
        weights = {n: as_torch(program.upstream(f"second {n}", g.shape)) for n, g in deep.items()}
        wanted = {**leaves, **{f"upstream of {name}": w for name, w in seeds.items()}}
        second = pull(deep, weights, wanted)
        found |= {f"second derivative to {n}": as_numpy(g) for n, g in second.items()}
    return found


def pull(outputs: Mapping[str, Any], seeds: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return PyTorch's gradients of the outputs, weighted by the seeds, with respect to each input, by its name."""
    grads = torch.autograd.grad(
        [*outputs.values()], [*inputs.values()], [*seeds.values()], create_graph=True, allow_unused=True
    )
    return dict(zip(inputs, grads, strict=True))


def differences(ours: Results, theirs: Results) -> dict[str, float]:
    """Return by how much each pair of results differs, in units of the greatest number of PyTorch's, or of 1."""
    found = {}
    for label in [*theirs, *(label for label in ours if label not in theirs)]:
        a, b = (results.get(label) for results in (ours, theirs))  # None is a gradient of zeros
        a, b = (np.zeros(np.shape(other)) if one is None else one for one, other in ((a, b), (b, a)))
        if a.shape != b.shape and a.any() + b.any():
            found[label] = math.inf
        elif a.size and b.size:
            gap = float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))
            found[label] = math.inf if math.isnan(gap) else gap
    return found


def disagreements(program: Program) -> list[str]:
    """Return where tinygraph and PyTorch differ by more than rounding; an error of ours is one too."""
    theirs = run_theirs(program)
    try:
        found = differences(run_ours(program), theirs)
    except Exception:
        return [traceback.format_exc(limit=-2).strip()]
    limits = {label: SECOND if label.startswith("second") else FIRST for label in found}
    wrong = [label for label, gap in found.items() if gap > limits[label]]
    if wrong:  # unless PyTorch's own result moves as far when its values are rounded otherwise
        moves = [differences(run_theirs(program, np.random.default_rng(i)), theirs) for i in range(3)]
        wrong = [label for label in wrong if not found[label] < 100 * max(move[label] for move in moves)]
    return [f"{label} differs by {found[label]:.1e}" for label in wrong]


def smallest(program: Program) -> Program:
    """Return the shortest part of a program that disagrees as well: one step and what it is made of."""
    parts = sorted((program.until(i) for i in range(len(program.steps))), key=lambda part: len(part.steps))
    return next((part for part in parts if disagreements(part)), program)


def program(seed: int, large: bool = False) -> Program:
    """Return the random program of this number."""
    return Draft(seed, large).program


def failures(seeds: Sequence[int], large: bool = False) -> Iterator[tuple[Program, list[str]]]:
    """Yield each program that disagrees, as short as it can be, and how."""
    for seed in seeds:
        whole = program(seed, large)
        if disagreements(whole):
            part = smallest(whole)
            yield part, disagreements(part)


def main() -> int:
    """Compare as many programs as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="how many programs")
    parser.add_argument("--seed", type=int, default=0, help="number of the first one")
    parser.add_argument("--large", action="store_true", help="arrays of 70,000 elements and more")
    options = parser.parse_args()
    if torch is None:
        print("PyTorch is not installed: pip install torch")
        return 2
    torch.set_num_threads(1)
    started, count = time.perf_counter(), 0
    for part, wrong in failures(range(options.seed, options.seed + options.count), options.large):
        count += 1
        lines = "\n    ".join(wrong)
        print(f"program {part.seed}:\n    {part}\n\n    {lines}\n", flush=True)
    seconds = time.perf_counter() - started
    print(f"{options.count} programs, {count} disagree; {seconds:.0f} s")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
