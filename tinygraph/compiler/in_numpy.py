"""Write a kernel as calls of NumPy with ``out=``, a block at a time that stays in the cache.

All arrays come with one axis for each loop of the space, of length 1 where they do not vary, so that they broadcast.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygraph.compiler.algebra import TRUTHS, Expression
from tinygraph.compiler.kernel import Kernel, Step
from tinygraph.compiler.loops import Loop
from tinygraph.engine.registry import OPS
from tinygraph.engine.types import Array

__all__ = ["NAMES", "write"]

ROWS = 64  # as many rows are added up in their own precision
LONG = 4096  # as many values of a row
SAMPLES = 8  # values along an axis, of which a pivot is made
CALLS = {  # ufuncs, which take out=
    "add": "np.add", "sub": "np.subtract", "mul": "np.multiply", "div": "np.divide", "neg": "np.negative",
    "abs": "np.absolute", "sqrt": "np.sqrt", "exp": "np.exp", "log": "np.log", "tanh": "np.tanh", "power": "np.power",
    "maximum": "np.maximum", "minimum": "np.minimum", "sign": "np.sign",
}  # fmt: skip
OTHERS = {
    "greater": "np.greater({0}, {1})", "equal": "np.equal({0}, {1})", "less": "np.less({0}, {1})",
    "finite": "np.isfinite({0})", "where": "np.where({0}, {1}, {2})", "erf": "erf({0})", "relu": "np.maximum({0}, 0.0)",
    "copy": "{0}", "high": "rounded({0})", "low": "rest({0})", "sigmoid": "0.5 * np.tanh(0.5 * {0}) + 0.5",
}  # fmt: skip
REDUCE = {"sum": "total", "max": "greatest", "min": "least"}
JOIN = {"sum": "np.add", "max": "np.maximum", "min": "np.minimum"}


def total(x: Array, axes: tuple[int, ...]) -> Array:
    """Add up in float64; float32 along the last axis, where NumPy adds pairs, or over `ROWS` rows."""
    if x.dtype != np.float32:
        return np.add.reduce(x, axis=axes, dtype=np.float64, keepdims=True)
    if x.ndim - 1 in axes:
        x = np.add.reduce(x, axis=-1, keepdims=True)
        return np.add.reduce(x, axis=axes, dtype=np.float64, keepdims=True)
    if max(axes) == x.ndim - 2:
        return total_strips([np.add.reduce(part, axis=-2) for part in strips(x)], axes)
    return np.add.reduce(x, axis=axes, dtype=np.float64, keepdims=True)


def strips(x: Array) -> list[Array]:
    """Return rows in strips of `ROWS`, (…, strips, rows, columns), and those that are left over as one more."""
    *lead, rows, columns = x.shape
    if not rows % ROWS:
        return [x.reshape(*lead, -1, ROWS, columns)]
    deep = rows // ROWS * ROWS
    parts = [x[..., :deep, :].reshape(*lead, -1, ROWS, columns), x[..., None, deep:, :]]
    return [part for part in parts if part.size]


def total_strips(parts: list[Array], axes: tuple[int, ...]) -> Array:
    """Add up in float64 what strips of rows came to."""
    x = np.concatenate(parts, axis=-2) if len(parts) > 1 else parts[0]
    return np.add.reduce(x, axis=axes, dtype=np.float64, keepdims=True)


def total_products(x: Array, y: Array, axes: tuple[int, ...]) -> Array:
    """Add up products as `total` does; where it can be done, without an array of them."""
    last = x.ndim - 1
    if x.dtype == y.dtype == np.float32 and x.shape == y.shape:
        if last in axes and x.shape[-1] <= LONG:
            return np.add.reduce(np.vecdot(x, y)[..., None], axis=axes, dtype=np.float64, keepdims=True)
        if last not in axes and max(axes) == last - 1:
            pairs = zip(strips(x), strips(y), strict=True)
            return total_strips([np.einsum("...ij,...ij->...j", *pair) for pair in pairs], axes)
    return total(x * y, axes)


def pivot(x: Array, axes: tuple[int, ...]) -> Array:
    """Return a number that lies among the values: the mean of some `SAMPLES` along each axis, as float32 has it."""
    places, count = [slice(None)] * x.ndim, 1
    for i in axes:
        step = -(-x.shape[i] // SAMPLES)
        places[i] = slice(step // 2, None, step)  # the first value is an outlier more often than others
        count *= len(range(step // 2, x.shape[i], step))
    near = rounded(np.add.reduce(x[tuple(places)], axis=axes, dtype=np.float64, keepdims=True) / count)
    return np.where(np.isfinite(near), near, 0.0)


def total_given(x: Array, axes: tuple[int, ...]) -> Array:
    """Add up an input in float64: it may lie far from 0, and its mean may be taken off it."""
    x = x if x.flags.c_contiguous or x.dtype == np.float64 else x.astype(np.float64)
    return np.add.reduce(x, axis=axes, dtype=np.float64, keepdims=True)


def greatest(x: Array, axes: tuple[int, ...]) -> Array:
    """Take the largest, in float64."""
    return np.maximum.reduce(x, axis=axes, keepdims=True).astype(np.float64)


def least(x: Array, axes: tuple[int, ...]) -> Array:
    """Take the smallest, in float64."""
    return np.minimum.reduce(x, axis=axes, keepdims=True).astype(np.float64)


def rounded(x: Array) -> Array:
    """Return numbers of float64 as float32 has them."""
    return np.asarray(np.asarray(x, np.float32), np.float64)


def rest(x: Array) -> Array:
    """Return what float32 cannot hold of numbers of float64."""
    left = x - rounded(x)
    return np.where(np.isfinite(left), left, 0.0)


def erf(x: Array) -> Array:
    """Take the error function."""
    found: Array = OPS["erf"].forward(x)
    return found


NAMES: dict[str, Any] = {
    "np": np,
    "pivot": pivot,
    "total": total,
    "total_given": total_given,
    "total_products": total_products,
    "greatest": greatest,
    "least": least,
    "erf": erf,
    "rest": rest,
    "rounded": rounded,
}


class Writer:
    """Writes the source of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.k, self.lines, self.indent = kernel, list[str](), 1
        self.rank = len(kernel.space.order)
        self.place = {a: i for i, a in enumerate(kernel.space.order)}
        self.sweep = 0
        self.stays = kernel.find_stays(self.is_kept)

    def w(self, line: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.indent + line)

    def axes(self, over: Iterable[Loop]) -> str:
        """Return the axes that a reduction takes, as source."""
        return repr(tuple(sorted(self.place[a] for a in over)))

    def is_cut(self, e: Expression) -> bool:
        """Whether an expression varies along the loop that is cut into blocks."""
        return self.k.space.shared in e.axes

    def block(self, name: str, cut: bool) -> str:
        """Return the part of an array that lies in a block, as source."""
        if not cut or not self.rank:
            return name
        return f"{name}[{':, ' * self.place[self.k.space.shared]}block]"

    def leaf(self, e: Expression) -> str:
        """Return an input, as source."""
        number = self.k.leaves.index(e.info[:2])
        return f"x{number}"

    # Small values.

    def settle(self, step: Step, inside: bool) -> None:
        """Compute the small values that are known after a pass: ``inside`` of a block, or when all are done."""
        for e in self.k.settled(step):
            name = self.k.name(e)
            if e.op == "high" and self.is_only_met(e):
                self.w(f"h{name} = np.asarray({self.small(e.args[0], inside)}, np.{self.k.float})")
                continue
            if e.over and e not in self.k.direct:
                if not inside:
                    self.w(f"{name} = {JOIN[e.op]}.reduce(s{name}) if count > 1 else s{name}[0]")
            elif e.over:
                self.w(f"{name} = {self.reduced(e, inside)}")
            elif e.op == "pivot":
                self.w(f"{name} = pivot({self.leaf(e)}, {self.axes(e.info[2])})")
            else:
                args = [self.small(a, inside) for a in e.args]
                if e.op == "equal" and not self.k.wide:  # what was stored in float32 still equals itself
                    args = [f"np.asarray({a}, np.float32)" for a in args]
                self.w(f"{name} = {self.call(e, args)}")
            self.keep_parts(e, name)
            for k, _ in self.k.small_targets(e):
                self.w(f"{self.block(f'y{k}', inside and self.is_cut(e))}[...] = {name}")
            if inside and self.k.is_carried(e):
                self.w(f"{self.block('g' + name, True)}[...] = {name}")

    def is_only_met(self, e: Expression) -> bool:
        """Whether nothing wants a small value but full values of the same sweep."""
        stored = any(x is e for _, x in self.k.targets)
        return not stored and not self.k.is_carried(e) and all(map(self.k.is_full, self.k.users[e]))

    def reduced(self, r: Expression, inside: bool) -> str:
        """Return the reduction of a small value, as source."""
        return f"{REDUCE[r.op]}(np.asarray({self.small(r.args[0], inside)}, np.float64), {self.axes(r.over)})"

    def keep_parts(self, e: Expression, name: str) -> None:
        """Split a small value into a high part and a low one, where full values meet it."""
        met, low = self.k.high_and_low(e)
        if met:
            self.w(f"h{name} = np.asarray({name}, np.{self.k.float})")
        if low:
            self.w(f"l{name} = np.asarray(np.where(np.isfinite(h{name}), {name} - h{name}, 0.0), np.{self.k.float})")

    def small(self, e: Expression, inside: bool) -> str:
        """Return a small operand of a small value, as source."""
        if e.op == "const":
            return number(e.info)
        if e.op == "iota":
            return self.iota(e, inside)
        cut = inside and self.is_cut(e)
        if e.op == "in":
            text = self.block(self.leaf(e), cut)
            return f"np.asarray({text}, np.float64)" if e.info[0].dtype.kind == "f" else text
        name = self.k.name(e)
        if self.k.at[e][1] and not (inside and self.k.at[e][0] == self.sweep):
            return self.block(f"g{name}", cut)
        return self.block(name, cut and not self.k.at[e][1])

    def iota(self, e: Expression, inside: bool) -> str:
        """Return the numbers that a loop counts, as source."""
        at = self.place[e.info]
        shape = ", ".join("-1" if i == at else "1" for i in range(self.rank))
        text = f"np.arange({self.k.space.length[e.info]}).reshape({shape})"
        return self.block(f"({text})", inside and e.info == self.k.space.shared)

    def call(self, e: Expression, args: list[str], out: str = "") -> str:
        """Return an op of arrays, as source."""
        if e.op in CALLS:
            return f"{CALLS[e.op]}({', '.join(args)}{f', out={out}' * bool(out)})"
        return OTHERS[e.op].format(*args)

    # Full values.

    def is_kept(self, e: Expression) -> bool:
        """Whether a full value may wait in the array of a result: a ufunc makes it."""
        return e.op in CALLS and self.is_float(e)

    def work(self, step: Step) -> None:
        """Write a pass over a block."""
        sums, stores = self.k.work(step)
        if not sums and not stores:
            return
        pool = Pool(self, step)
        left = pool.left
        for r in sums:
            product = self.is_product(r.args[0]) and r.op == "sum" and left[r.args[0]] == 1
            if product and r.args[0] not in pool.where and not pool.home(r.args[0]):
                factors = [self.full(a, pool) for a in r.args[0].args]
                self.w(f"{self.spot(r)} = total_products({', '.join(factors)}, {self.axes(r.over)})")
                for a in r.args[0].args:
                    pool.used(a)
                continue
            value = self.full(r.args[0], pool)
            given = "_given" if r.args[0].op == "in" and r.op == "sum" and not self.k.is_short(r) else ""
            self.w(f"{self.spot(r)} = {REDUCE[r.op]}{given}({value}, {self.axes(r.over)})")
            pool.used(r.args[0])
        for k, e in stores:
            out = self.block(f"y{k}", True)
            if (
                self.k.is_full(e)
                and e not in pool.where
                and e.op in CALLS
                and self.k.targets[k][0].dtype == self.k.float
                and left[e] == 1
            ):
                self.full(e, pool, out)
            else:
                value = self.full(e, pool) if self.k.is_full(e) else self.met(e)
                if value != out:
                    self.w(f"{out}[...] = {value}")
            pool.used(e)

    def met(self, e: Expression) -> str:
        """Return a small value that a full one meets, as source."""
        if e.op == "const":
            return number(e.info)
        if e.op == "iota":
            return self.iota(e, True)
        if e.op == "in":
            return self.typed(e, self.block(self.leaf(e), self.is_cut(e)))
        return self.block(f"h{self.k.name(e)}", self.is_cut(e) and self.k.at[e][1] == 0)

    def typed(self, e: Expression, text: str) -> str:
        """Return an input in the precision of full values, as source."""
        dtype = e.info[0].dtype
        return text if dtype.kind != "f" or dtype == self.k.float else f"np.asarray({text}, np.{self.k.float})"

    def full(self, root: Expression, pool: Pool, out: str = "") -> str:
        """Write what makes a full value; return where it is."""
        pending = [root]
        while pending:
            e = pending[-1]
            if e in pool.where:
                pending.pop()
                continue
            if e.op in ("in", "iota"):
                text = self.met(e)
                if e.op == "in" and text.startswith("np."):
                    text = self.assign(text, pool)
                pool.where[e] = text
                continue
            missing = [a for a in e.args if self.k.is_full(a) and a not in pool.where]
            if missing:
                pending += missing[::-1]
            else:
                pool.where[e] = self.computed(e, pool, out if out and e is root else pool.home(e))
        return pool.where[root]

    def assign(self, text: str, pool: Pool) -> str:
        """Give an array a name."""
        name = pool.new()
        self.w(f"{name} = {text}")
        return name

    def computed(self, e: Expression, pool: Pool, out: str) -> str:
        """Write one op on blocks; return where the result is."""
        args = [pool.where[a] if self.k.is_full(a) else self.met(a) for a in e.args]
        for a in e.args:
            if self.k.is_full(a):
                pool.used(a)
        spot = out or (pool.take() if self.rank else "")
        if not spot:
            spot = pool.new()
            if e.op in CALLS and self.is_float(e):
                self.w(f"{spot} = {self.call(e, args)}")
            else:
                self.w(f"{spot} = {self.call(e, args)}")
                pool.foreign.add(spot)
        elif e.op in CALLS and self.is_float(e):
            self.w(self.call(e, args, spot))
        elif out:
            self.w(f"{out}[...] = {self.call(e, args)}")
        else:
            pool.give(spot)
            spot = pool.new()
            pool.foreign.add(spot)
            self.w(f"{spot} = {self.call(e, args)}")
        if small := self.k.in_two_parts(e):
            part = self.block("l" + self.k.name(small), self.is_cut(small) and self.k.at[small][1] == 0)
            sign = "add" if e.op == "add" or small is e.args[0] else "subtract"
            self.w(f"np.{sign}({spot}, {part}, out={spot})" if self.rank else f"{spot} = np.{sign}({spot}, {part})")
        return spot

    def is_float(self, e: Expression) -> bool:
        """Whether an op of full values gives an array of their precision and shape."""
        return any(self.k.is_full(a) and a.op != "iota" and not self.is_bool(a) for a in e.args)

    def is_product(self, e: Expression) -> bool:
        """Whether an expression is a product of two full values that are stored in their precision."""
        return e.op == "mul" and all(self.k.is_full(a) and a.op != "iota" and not self.is_bool(a) for a in e.args)

    def is_bool(self, e: Expression) -> bool:
        """Whether an expression is true or false."""
        return e.op in TRUTHS or (e.op == "in" and e.info[0].dtype.kind == "b")

    def written(self) -> str:
        """Return the source."""
        k = self.k
        self.settle((0, 0), False)
        for self.sweep in range(k.sweeps):
            self.write_sweep()
            self.settle((self.sweep + 1, 0), False)
        names = [f"x{i}" for i in range(len(k.leaves))] + [f"y{i}" for i in range(len(k.targets))]
        return "\n".join([f"def kernel({', '.join([*names, 'each', 'count', 'share'])}):", *self.lines]) + "\n"

    def write_sweep(self) -> None:
        """Write a sweep over all blocks: a function of the number of the block."""
        k, s = self.k, self.sweep
        sums = [r for r in k.order if r.over and k.at[r.args[0]][0] == s and r not in k.direct]
        for r in sums:
            if k.space.shared in r.over or not self.rank:
                self.w(f"s{k.name(r)} = [None] * count")
        for e in k.order:
            if k.at[e][0] == s and k.is_carried(e):
                lengths = ", ".join(str(k.space.length[a]) if a in e.axes else "1" for a in k.space.order)
                self.w(f"g{k.name(e)} = np.empty(({lengths},))")
        start = len(self.lines)
        self.w(f"def sweep{s}(i):")
        self.indent += 1
        self.w("block = slice(i * each, i * each + each)")
        empty = len(self.lines)
        for e in k.order:
            if e in k.met(s) and k.at[e][1] and k.at[e][0] < s:
                self.keep_parts(e, self.again(e))
        for p in k.passes(s):
            if p:
                self.settle((s, p), True)
            self.work((s, p))
            for r in sums:
                if not k.is_full(r.args[0]) and k.at[r.args[0]] == (s, p):
                    self.w(f"{self.spot(r)} = {self.reduced(r, True)}")
        self.indent -= 1
        if len(self.lines) == empty:
            del self.lines[start:]
        else:
            self.w(f"share(sweep{s}, range(count))")

    def again(self, e: Expression) -> str:
        """Write a small value of an earlier sweep's blocks under its name; return that."""
        self.w(f"{self.k.name(e)} = {self.small(e, True)}")
        return self.k.name(e)

    def spot(self, r: Expression) -> str:
        """Return where a reduction goes in a block, as source."""
        return f"s{self.k.name(r)}[i]" if self.k.space.shared in r.over or not self.rank else self.k.name(r)


class Pool:
    """Scratch arrays of one pass: which full value is where, and which arrays are free again."""

    def __init__(self, writer: Writer, step: Step) -> None:
        stays = {e: stay for e, stay in writer.stays.items() if stay.first <= step <= stay.last}
        spots = {e: writer.block(f"y{stay.target}", True) for e, stay in stays.items()}
        self.homes = {e: spot for e, spot in spots.items() if stays[e].first == step}
        self.where = {e: spot for e, spot in spots.items() if stays[e].first < step}
        self.scratch = set[str]()
        if (last := writer.k.last_store(step)) is not None:  # its array holds nothing yet, or what is wanted till now
            self.scratch.add(writer.block(f"y{last}", True))
        self.left = writer.k.wanted(step, self.where)
        self.free, self.foreign, self.count = sorted(self.scratch.difference(self.where.values())), set[str](), 0

    def home(self, e: Expression) -> str:
        """Return where a value stays that is made in this pass; nothing if it stays nowhere."""
        return self.homes.get(e, "")

    def new(self) -> str:
        """Return a name that is not used."""
        self.count += 1
        return f"t{self.count}"

    def take(self) -> str:
        """Return an array that is free; nothing if there is none."""
        return self.free.pop() if self.free else ""

    def give(self, spot: str) -> None:
        """Take an array back."""
        self.free.append(spot)

    def used(self, e: Expression) -> None:
        """Count one use of a value; after the last, its array is free."""
        self.left[e] -= 1
        spot = self.where.get(e, "")
        is_scratch = (spot.startswith("t") and spot not in self.foreign) or spot in self.scratch
        if not self.left[e] and is_scratch and spot not in self.free:
            self.free.append(spot)


def number(value: float) -> str:
    """Return a number, as source."""
    return repr(value) if np.isfinite(value) else f"np.float64({str(value)!r})"


def write(kernel: Kernel) -> str:
    """Return the source of a kernel."""
    return Writer(kernel).written()
