"""Write a kernel as CUDA C: a function for each sweep over memory, and one for the small values between two sweeps.

A launch ends when all its blocks have ended: nobody waits for another block. A block takes a part of the shared loop.
Its threads stand in rows and columns: a column has one place of the loops that a sum keeps, and its rows add up every
so many values along the others. What the rows found is joined in one order, and what the blocks found by the next
function: no atomics, so that equal inputs give equal bits.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tinygraph.compiler.algebra import Expression
from tinygraph.compiler.in_cuda_loop import BEGIN, OP, TYPES, Speller, Traversal, index, put, type_in_memory
from tinygraph.compiler.kernel import Kernel, Step
from tinygraph.compiler.loops import Loop, Order

__all__ = ["HEAD", "Function", "Writer"]

HEAD = """\
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
enum { SUM, MAX, MIN };

// One reduction of two numbers; what is NaN stays.
template <int OP> __device__ inline double keep(double a, double b) {
    return OP == SUM ? a + b : a != a || (OP == MAX ? a >= b : a <= b) ? a : b;
}

// How many threads stand side by side for n places: a power of 2, at most 32.
__device__ inline int columns_of(long long n) {
    int columns = 1;
    while (columns < n && columns < 32) columns *= 2;
    return columns;
}

// Joins the values of the threads of each column, always in the same order; all threads get the result.
template <int OP> __device__ inline double join(double v, int columns) {
    __shared__ double found[256];
    int t = threadIdx.x;
    for (int o = 16; o >= columns; o /= 2) v = keep<OP>(v, __shfl_xor_sync(0xffffffff, v, o));
    __syncthreads();
    if (t % 32 < columns) found[t / 32 * columns + t % 32] = v;
    __syncthreads();
    v = found[t % columns];
    for (int w = 1; w < blockDim.x / 32; ++w) v = keep<OP>(v, found[w * columns + t % columns]);
    return v;
}

// What float cannot hold of a number.
__device__ inline double rest(double x) {
    double d = x - double(float(x));
    return d - d == 0 ? d : 0;
}

__device__ inline double median(double x, double y, double z) {
    return fmax(fmin(x, y), fmin(fmax(x, y), z));
}

"""
LARGE = 1 << 30  # elements from which an index needs 64 bits


class Function(NamedTuple):
    """A function of a kernel, and how it is launched: `settles` has a thread or a column for each turn of ``loops``."""

    name: str
    args: list[str]
    settles: bool
    loops: Order
    has_sums: bool


class Writer:
    """Writes the source of one kernel.

    Attributes:
        functions: of the source, in the order in which they run.
        scratch: arrays of numbers of 8 bytes: their lengths, as names.
        front: the loops that a block is at one place of, at a time.
        kept: without those, the loops whose places are dealt out to the columns of all blocks.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.k, self.space = kernel, kernel.space
        shared = self.space.shared
        is_local = any(p for _, p in kernel.at.values())
        self.front = tuple(self.space.front or ([shared] if is_local else ()))
        self.others = tuple(a for a in self.front if a != shared)
        rest = tuple(a for a in self.space.order if a != shared)
        self.kept: Order = () if self.front else rest
        self.F = "double" if kernel.wide else "float"
        self.speller = Speller(kernel)
        self.functions, self.texts = list[Function](), list[str]()
        self.scratch: dict[str, tuple[str, ...]] = {}
        self.lines, self.indent = list[str](), 1
        self.sweep = -1  # whose function is written; -1 where small values are settled
        self.source = self.written()

    def w(self, line: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.indent + line)

    # Places in memory.

    def is_local(self, e: Expression) -> bool:
        """Whether a small value belongs to the block that is written."""
        sweep, p = self.k.at[e]
        return sweep == self.sweep and bool(self.front) and (p > 0 or e in self.k.early)

    def at(self, kind: str, e: Expression, afar: bool = False) -> str:
        """Return a small value (v), or its high (h) or low (l) part, as source; ``afar``, where later sweeps look."""
        kind = "v" if kind == "h" and self.k.wide else kind
        local = self.is_local(e) and not afar
        loops = tuple(a for a in self.k.in_order(e.axes) if not (local and a in self.front))
        name = self.k.name(e, kind) + "_all" * (self.k.at[e][1] > 0 and not local)
        if local and not loops:
            return name
        self.scratch[name] = (*["blocks"] * local, *(f"n{a}" for a in loops))
        return f"{name}[{index(loops, *[('blockIdx.x', 'blocks')] * local)}]"

    def part(self, r: Expression) -> str:
        """Return where a block puts what it found for a sum over the shared loop, as source."""
        shared = [a for a in self.others if a in r.over]
        before = [("part", "parts"), *((f"i{a}", f"n{a}") for a in shared)]
        if self.kept and self.k.in_order(r.axes) == ():
            before.append(("tile", "tiles"))
        name = self.k.name(r, "s")
        loops = self.k.in_order(r.axes)
        self.scratch[name] = (*(n for _, n in before), *(f"n{a}" for a in loops))
        return f"{name}[{index(loops, *before)}]"

    # Small values.

    def small(self, e: Expression, names: dict[Expression, str]) -> str:
        """Return a small operand of a small value, as source."""
        if e in names:
            return names[e]
        if e.op == "const":
            return self.speller.const(e, "double")
        if e.op == "in":
            return self.speller.leaf(e, "double")
        return f"i{e.info}" if e.op == "iota" else self.at("v", e)

    def pivot(self, e: Expression) -> str:
        """Return the median of the first, the middle and the last value, as source: one may be an outlier."""
        places = []
        for place in ("0", "(n{} / 2)", "(n{} - 1)"):
            text = index(e.info[1])
            for a in e.info[1]:
                if a not in e.axes:
                    text = re.sub(rf"\bi{a}\b", place.format(a), text)
            places.append(self.speller.leaf(e, "double", text))
        return f"median({', '.join(places)})"

    def settle_one(self, e: Expression, names: dict[Expression, str]) -> None:
        """Write what makes a small value of others, unless it is there; its name goes into ``names``."""
        if e in names:
            return
        name = self.at("v", e)
        name = name if "[" not in name else self.k.name(e, "w")
        args = [self.small(a, names) for a in e.args]
        if e.op == "pivot":
            text = self.pivot(e)
        elif e.op == "equal" and not self.k.wide and all(self.speller.type_of(a, "double") == "double" for a in e.args):
            text = f"float({args[0]}) == float({args[1]})"  # what was stored in float32 still equals itself
        else:
            text = self.speller.spelled(e, args, "double")
        self.w(f"const double {name} = {text};")
        names[e] = name

    def keep(self, e: Expression, value: str, group: Sequence[Expression]) -> list[str]:
        """Return lines that store a small value where others look for it; numbers of a block get names here."""
        k, lines = self.k, list[str]()
        met, low = k.high_and_low(e)
        places = [False] + [True] * (self.is_local(e) and k.is_carried(e))
        for afar in places:
            users = [u for u in k.users[e] if not k.is_full(u)]
            wanted = afar or any(u not in group or not k.is_computed(u) or u.over for u in users)
            spots = [(kind, self.at(kind, e, afar)) for kind in "vhl" if {"v": wanted, "h": met, "l": low}[kind]]
            for kind, spot in dict.fromkeys(("v", s) if k.wide else (kind, s) for kind, s in spots):
                part = {"v": value, "h": f"{self.F}({value})", "l": f"{self.F}(rest({value}))"}[kind]
                if "[" in spot:
                    lines.append(f"{spot} = {part};")
                elif spot != value:
                    self.w(f"const {self.F if kind != 'v' else 'double'} {spot} = {part};")
        return lines

    def targets(self, e: Expression, value: str, here: Iterable[Loop]) -> list[str]:
        """Return lines that store the outputs that are a small value; ``here`` are the loops that have a place."""
        lines = []
        for i, v in self.k.small_targets(e):
            layout = self.k.layouts[v]
            loops = "".join(self.loop(a) + " " for a in layout if a not in here)
            lines.append(f"{loops}y{i}[{index(layout)}] = {self.stored(i, value)};")
        return lines

    def stored(self, i: int, value: str) -> str:
        """Return a number as an output takes it, as source."""
        return f"__float2half({value})" if self.k.targets[i][0].dtype.char == "e" else value

    def loop(self, a: Loop) -> str:
        """Return the head of a loop, as source."""
        return f"for (Size i{a} = 0; i{a} < n{a}; ++i{a})"

    def open(self, line: str) -> None:
        """Begin a block of lines."""
        self.w(f"{line} {{".lstrip())
        self.indent += 1

    def close(self) -> None:
        """End a block of lines."""
        self.indent -= 1
        self.w("}")

    def places(self, loops: Order, number: str) -> None:
        """Write the places that a number has in some loops, the last of which runs fastest."""
        for i, a in enumerate(loops):
            below = " * ".join(f"n{b}" for b in loops[i + 1 :])
            text = number if not below else f"{number} / ({below})" if " " in below else f"{number} / {below}"
            self.w(f"const Size i{a} = {text if not i else f'{text} % n{a}'};")

    def count(self, loops: Iterable[Loop]) -> str:
        """Return how often loops run in all, as source."""
        return " * ".join(f"n{a}" for a in loops) or "1"

    def settle_all(self, step: Step) -> None:
        """Write functions that compute the small values that are known before a sweep, one for each set of loops."""
        groups = [g for early in (False, True)[: 1 + (not self.front)] for g in self.k.groups(step, early)]
        for number, (axes, group) in enumerate(groups):
            self.lines = []
            sums = [e for e in group if e.over]
            if sums:
                self.w(f"const int columns = columns_of({self.count(axes)});")
                self.w("const int row = threadIdx.x / columns, rows = blockDim.x / columns;")
                self.w("const Size place = blockIdx.x * columns + threadIdx.x % columns;")
            else:
                self.w("const Size place = blockIdx.x * blockDim.x + threadIdx.x;")
            self.places(axes, "place")
            self.join_parts(sums, axes)
            self.open(f"if ({'row == 0 && ' * bool(sums)}place < {self.count(axes)})")
            self.settle_group(group, {r: self.k.name(r, "w") for r in sums}, axes)
            self.close()
            name = f"settle{step[0]}" + f"_{number}" * (len(groups) > 1)
            self.end(Function(name, [], True, axes, bool(sums)))

    def join_parts(self, sums: Sequence[Expression], axes: Order) -> None:
        """Write sums of what blocks found, and of small values that are known as a whole."""
        loops: dict[tuple[str, Order], list[str]] = defaultdict(list)  # what is added up in each
        for r in sums:
            name = self.k.name(r, "w")
            self.w(f"double {name} = {BEGIN[r.op]};")
            if r in self.k.direct:
                over = self.k.in_order(r.over)
                loops[self.count(over), over].append(put(r, name, self.small(r.args[0], {})))
            else:
                self.part(r)
                part = self.k.name(r, "s")
                lengths = self.scratch[part]
                spot = f"r * {self.bracketed(axes)} + place" if axes else "r"
                loops[" * ".join(lengths[: len(lengths) - len(axes)]), ()].append(put(r, name, f"{part}[{spot}]"))
        for (count, over), lines in loops.items():
            guard = f" && place < {self.count(axes)}" * bool(axes)
            self.open(f"for (Size r = row; r < {count}{guard}; r += rows)")
            self.places(over, "r")
            for line in lines:
                self.w(line)
            self.close()
        for r in sums:
            name = self.k.name(r, "w")
            self.w(f"{name} = join<{OP[r.op]}>({name}, columns);")

    def bracketed(self, loops: Order) -> str:
        """Return how often loops run in all, as a factor."""
        return f"({self.count(loops)})" if len(loops) > 1 else self.count(loops)

    def settle_group(self, group: Sequence[Expression], names: dict[Expression, str], here: Iterable[Loop]) -> None:
        """Write what makes small values with the same loops, and stores them."""
        for e in group:
            self.settle_one(e, names)
            for line in [*self.keep(e, names[e], group), *self.targets(e, names[e], here)]:
                self.w(line)

    def settle_block(self, step: Step, early: bool) -> None:
        """Write what makes the small values of a block; numbers are made by all threads."""
        for axes, group in self.k.groups(step, early):
            loops = tuple(a for a in axes if a not in self.front)
            names = {e: self.at("v", e) for e in group if e.over and e not in self.k.direct}
            if loops:
                self.open(f"for (Size place = threadIdx.x; place < {self.count(loops)}; place += blockDim.x)")
                self.places(loops, "place")
            for r in (e for e in group if e in self.k.direct):
                names[r] = self.k.name(r, "v" if not loops else "w")
                self.w(f"double {names[r]} = {BEGIN[r.op]};")
                heads = " ".join(self.loop(a) for a in self.k.in_order(r.over))
                self.w(f"{heads} {names[r]} = keep<{OP[r.op]}>({names[r]}, {self.small(r.args[0], names)});")
            if loops:
                self.settle_group(group, names, (*self.front, *loops))
                self.close()
                self.w("__syncthreads();")
            else:
                self.settle_numbers(group, names)
        for e in self.k.settled(step):
            sums = [r for r in self.k.users[e] if r.over and r not in self.k.direct]
            loops = tuple(a for a in self.k.in_order(e.axes) if a not in self.front)
            if sums and loops:
                self.add_up(loops, sums, [])
            elif sums:
                self.open("if (threadIdx.x == 0)")
                for r in sums:
                    self.w(put(r, self.part(r), self.at("v", e)))
                self.close()

    def settle_numbers(self, group: Sequence[Expression], names: dict[Expression, str]) -> None:
        """Write what makes the numbers of a block, which all threads have; one of them stores what others look for."""
        lines = list[str]()
        for e in group:
            self.settle_one(e, names)
            lines += [*self.keep(e, names[e], group), *self.targets(e, names[e], self.front)]
        if lines:
            self.open("if (threadIdx.x == 0)")
            for line in lines:
                self.w(line)
            self.close()

    # Passes.

    def write_pass(self, step: Step) -> None:
        """Write one pass over memory: what is added up in it, and what is stored."""
        sums, stores = self.k.work(step)
        if sums or stores:
            self.add_up(tuple(a for a in self.space.order if a not in self.front), sums, stores)

    def kept_by(self, r: Expression) -> Order:
        """Return the loops of a pass that a sum keeps."""
        return tuple(a for a in self.k.in_order(r.axes) if a not in self.front)

    def add_up(self, loops: Order, sums: Sequence[Expression], stores: Sequence[tuple[int, Expression]]) -> None:
        """Write passes over some loops: as many as sums keep different ones of them."""
        kept = [self.kept_by(r) for r in sums]
        mixed = [x for x in dict.fromkeys(kept) if x not in ((), loops)]
        ways = mixed or [self.kept]
        if self.kept and mixed and self.kept in mixed:
            ways = [self.kept, *(x for x in mixed if x != self.kept)]
        for i, way in enumerate(ways):
            own = [r for r, x in zip(sums, kept, strict=True) if x == way or (not i and x in ((), loops))]
            for r in own:
                if self.is_number(r):
                    self.w(f"double {self.at('v', r)} = {BEGIN[r.op]};")
            self.open("")  # names may come again
            Traversal(self, loops, way).write(own, [] if i else stores)
            self.close()

    def is_number(self, r: Expression) -> bool:
        """Whether a sum is a number of the block, which all threads have."""
        return self.space.shared not in r.over and not self.kept_by(r)

    # The whole.

    def written(self) -> str:
        """Return the source."""
        k = self.k
        self.settle_all((0, 0))
        for s in range(k.sweeps):
            self.write_sweep(s)
            self.sweep = -1
            self.settle_all((s + 1, 0))
        dtypes = {v.dtype.char for v in (*(v for v, _ in k.leaves), *(v for v, _ in k.targets))}
        half = "#include <cuda_fp16.h>\n" * ("e" in dtypes)
        return f"{half}typedef {self.size_type} Size;\n\n" + "\n".join(self.texts)

    @property
    def size_type(self) -> str:
        """Return the type of indices: 32 bits, where they are enough, divide in half the time."""
        return "int" if math.prod(self.space.length[a] for a in self.space.order) < LARGE else "long long"

    def write_sweep(self, s: int) -> None:
        """Write the function of a sweep."""
        k, p = self.k, self.space.shared
        self.lines, self.sweep, self.indent = [], s, 1
        left = "blockIdx.x"
        for i, n in [*((f"i{a}", f"n{a}") for a in self.others), *[("tile", "tiles")] * bool(self.kept)]:
            self.w(f"const Size {i} = {left} % {n};")
            left = f"{left} / {n}"
        if self.space.order:
            self.w(f"const Size part = {left}, start = each * part, stop = min(start + each, n{p});")
        over = [r for r in k.order if r.over and k.at[r.args[0]][0] == s and r not in k.direct and p in r.over]
        if self.front:
            self.begin_parts(over)
            self.open(f"for (Size i{p} = start; i{p} < stop; ++i{p})")
        begun = len(self.lines)
        for passes in k.passes(s):
            if self.front and (passes or k.early):
                self.settle_block((s, passes), not passes)
            self.write_pass((s, passes))
        if len(self.lines) == begun:
            self.indent = 1
            return
        if self.front:
            if any(n[:1] == ("blocks",) for n in self.scratch.values()):
                self.w("__syncthreads();  // before the next turn writes there")
            self.close()
        self.end(Function(f"sweep{s}", [], False, tuple(a for a in self.space.order if a not in self.front), True))

    def begin_parts(self, sums: Sequence[Expression]) -> None:
        """Write where the sums of a block begin that it adds to in more than one turn."""
        for loops in dict.fromkeys(map(self.kept_by, sums)):
            if loops:
                self.open(f"for (Size place = threadIdx.x; place < {self.count(loops)}; place += blockDim.x)")
                self.places(loops, "place")
            else:
                self.open("if (threadIdx.x == 0)")
            for r in sums:
                if self.kept_by(r) == loops:
                    self.w(f"{self.part(r)} = {BEGIN[r.op]};")
            self.close()
        if sums:
            self.w("__syncthreads();")

    def end(self, function: Function) -> None:
        """Put a head above the lines of a function: the parameters that they use, and where scratch lies."""
        body = "\n".join(self.lines)
        words = set(re.findall(r"\w+", body))
        params: dict[str, str] = {}
        for i, (v, _) in enumerate(self.k.leaves):
            params[f"x{i}"] = f"const {type_in_memory(v.dtype.char, v.dtype.kind, v.dtype.itemsize)}* __restrict__ x{i}"
        for i, (v, _) in enumerate(self.k.targets):
            params[f"y{i}"] = f"{TYPES[v.dtype.char]}* __restrict__ y{i}"
        for name in self.scratch:
            kind = self.F if name[0] in "hl" else "double"
            params[name] = f"{kind}* {name}"
        names = [*(f"n{a}" for a in self.space.order), "each", "parts", "tiles", "blocks"]
        params |= {n: f"Size {n}" for n in names} | {f"k{i}": f"double k{i}" for i in range(len(self.k.consts))}
        args = [name for name in params if name in words]
        head = f'extern "C" __global__ void {function.name}({", ".join(params[a] for a in args)}) {{'
        self.functions.append(function._replace(args=args))
        self.texts.append("\n".join([head, body, "}"]) + "\n")
