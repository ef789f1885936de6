"""Run the calls of a model on tensors of PyTorch, an op of ours at a time, and keep all that they compute."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.context import within
from tinygraph.engine.tensor import Leaf as Constant
from tinygraph.engine.tensor import Record, Tensor
from tinygraph.exchange.torch_calls import theirs
from tinygraph.exchange.torch_definitions import DEFINITIONS
from tinygraph.exchange.torch_program import Call, Program, Ref, base_name, one_line
from tinygraph.exchange.torch_steps import CLOSED, STEPS, NotOursError, Step
from tinygraph.graph.data import Edge, Graph, Node, Summary
from tinygraph.graph.records import behind
from tinygraph.graph.values import encode, summarize
from tinygraph.ops.later import find_op

__all__ = ["Live", "Run"]


@dataclasses.dataclass(eq=False, repr=False)
class Live:
    """One value that was computed: a node before it is frozen.

    Attributes:
        place: id of the node.
        tensor: the value; a Python number where an op was given one.
        about: the fields of the node that are known.
        edges: for each operand its source, its name, its local derivative, how often it was copied, and the view that
            this use had, whose gradient is the contribution.
    """

    place: int
    tensor: Any
    about: dict[str, Any]
    edges: list[tuple[Live, str, str, int, Any]] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> Any:
        """The name of the node."""
        return self.about.get("name")

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(getattr(self.tensor, "shape", ()))

    @property
    def dtype(self) -> str:
        """Name of the type of an element, without PyTorch's own name before it."""
        return str(self.tensor.dtype).removeprefix("torch.") if hasattr(self.tensor, "dtype") else ""


class Run:
    """One run of a program."""

    def __init__(self, program: Program, decompose: bool) -> None:
        self.program, self.decompose = program, decompose
        self.nodes: list[Live] = []
        self.leaves: dict[Any, Live] = {}  # by the key of the program's leaf
        self.found: dict[Any, Any] = {}  # what a call returned, by its key
        self.used: dict[Any, set[int]] = {}  # which outputs of a call are used

    # What is run ------------------------------------------------------------------------------------------------

    def forward(self) -> Exception | None:
        """Run all calls that an output needs; return the error that stopped it."""
        for key, leaf in self.program.leaves.items():
            if leaf.kind == "input":
                self.leaf(key)
        for call in self.needed():
            try:
                self.found[call.key] = self.run(call)
            except Exception as error:
                where = ".".join(call.scope) or "the model"
                at = f" at {call.at}" if call.at else ""
                return RuntimeError(f"{base_name(call.target)} in {where}{at} failed: {one_line(error)}")
        return None

    def input_names(self) -> list[str]:
        """Return the names of the inputs that are tensors."""
        inputs = [x for x in self.program.leaves.values() if x.kind == "input" and hasattr(x.value, "detach")]
        return [str(x.name) for x in inputs]

    def needed(self) -> list[Call]:
        """Return the calls that an output needs; all of them where an error left none."""
        goals = [x for _, x in self.program.outputs] if self.program.error is None else []
        keys = {ref.key for ref in refs_in(goals)}
        kept = []
        for call in reversed(self.program.calls):
            stopped = self.program.error is not None and base_name(call.target) != "detach"  # PyTorch makes those
            if call.key in keys or stopped:
                kept.append(call)
                keys |= {ref.key for ref in refs_in([call.args, call.kwargs])}
        for ref in refs_in([goals, *([call.args, call.kwargs] for call in kept)]):
            self.used.setdefault(ref.key, set()).add(ref.item or 0)
        return kept[::-1]

    def outputs(self) -> list[tuple[str | None, Any]]:
        """Return what the program returns, flat, with names."""
        return [(name, self.value(x)) for name, x in self.program.outputs]

    def value(self, x: Any) -> Any:
        """Return an argument with values in place of references."""
        if isinstance(x, Ref):
            if x.key in self.program.leaves:
                return self.leaf(x.key)
            found = self.found[x.key]
            return found[x.item or 0] if isinstance(found, list | dict) else found
        if isinstance(x, list | tuple):
            return [self.value(v) for v in x]
        return {k: self.value(v) for k, v in x.items()} if isinstance(x, dict) else x

    def leaf(self, key: Any) -> Any:
        """Return a leaf of the program; one that is no tensor as it is."""
        leaf = self.program.leaves[key]
        if not hasattr(leaf.value, "requires_grad"):
            return leaf.value
        if key not in self.leaves:
            scope = tuple(leaf.name.split(".")[:-1]) if leaf.name and leaf.kind == "constant" else ()
            about = {"kind": leaf.kind, "family": leaf.kind, "name": leaf.name, "scope": scope}
            self.leaves[key] = self.add(leaf.value, about)
        return self.leaves[key]

    def add(self, tensor: Any, about: dict[str, Any]) -> Live:
        """Add a node."""
        live = Live(len(self.nodes), tensor, about)
        self.nodes.append(live)
        return live

    def constant(self, value: Any) -> Live:
        """Add a constant without a name."""
        return self.add(value, {"kind": "constant", "family": "constant"})

    # One call: as ours, or as a card ------------------------------------------------------------------------------

    def run(self, call: Call) -> Any:
        """Run a call; return its value, or all of them by their place."""
        name = base_name(call.target)
        args, kwargs = self.value(call.args), self.value(call.kwargs)
        items = self.used.get(call.key, {0})
        if name == "native_dropout":
            return {0: self.drop(call, *args)}
        try:
            steps = self.steps(name, args, kwargs)
        except (NotOursError, TypeError, ValueError):  # arguments that ours has not
            pass
        else:
            if max(items) < (len(steps) if isinstance(steps, list) else 1):
                return self.take(steps, call)
        if self.decompose and name in DEFINITIONS:
            found = self.open(DEFINITIONS[name], call, args, kwargs)
            if found is not None and max(items) < len(found):
                return found
        return self.card(name, call, args, kwargs, items)

    def steps(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Return a call as one op of ours, or a list of them."""
        table = STEPS if self.decompose or name not in CLOSED else CLOSED
        if name not in table:
            raise NotOursError
        return table[name](*map(plain, args), **{k: plain(v) for k, v in kwargs.items() if k not in IGNORED})

    def take(self, steps: Any, call: Call) -> Any:
        """Run one step or several."""
        if isinstance(steps, list):
            return [self.take(s, call) for s in steps]
        if not isinstance(steps, Step):
            return steps
        operands = [self.take(x, call) if isinstance(x, Step) else x for x in steps.operands]
        return self.step(steps.op, operands, steps.params, call.scope, call.at)

    def step(
        self, op: str, operands: Sequence[Any], params: dict[str, Any], scope: tuple[str, ...], at: str,
        name: str | None = None,
    ) -> Live:  # fmt: skip
        """Run an op of ours in PyTorch."""
        ours = find_op(op)
        sources = [x if isinstance(x, Live) else self.constant(x) for x in operands]
        names = [*ours.operands, *ours.params]
        names = [ours.operands[0]] * len(sources) if ours.variadic else names[: len(sources)]
        partials = [ours.partials[0 if ours.variadic else i] if i < len(ours.operands) or ours.variadic else ""
                    for i in range(len(sources))]  # fmt: skip
        views = [view_of(x.tensor) for x in sources]
        with Saved() as saved:
            result = theirs()[op](*views, **params)
        about = {
            "op": op, "kind": "op", "family": ours.family, "scope": scope, "at": at, "tex": ours.tex, "name": name,
            "says": ours.says, "params": tuple((k, encode(v)) for k, v in params.items()), "saved": saved.bytes,
        }  # fmt: skip
        return self.join(result, about, sources, names, partials, views, ours.elementwise)

    def join(
        self, result: Any, about: dict[str, Any], sources: list[Live], names: list[str], partials: list[str],
        views: list[Any], elementwise: bool,
    ) -> Live:  # fmt: skip
        """Add the node of a result, with its edges."""
        if result.requires_grad:
            result.retain_grad()
        live = self.add(result, about)
        for source, name, partial, view in zip(sources, names, partials, views, strict=True):
            size = math.prod(source.shape)
            copies = math.prod(live.shape) // size if elementwise and size else 1
            live.edges.append((source, name, partial, copies, view))
        return live

    def drop(self, call: Call, x: Live, p: float, train: bool) -> Live:
        """Drop elements of x, as the next call of PyTorch would."""
        import torch

        if not train:
            return x
        mask = torch.nn.functional.dropout(torch.ones_like(x.tensor), p)
        return self.step("mul", [x, self.constant(mask)], {}, call.scope, call.at)

    def open(self, definition: Callable[..., Any], call: Call, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Run a call as the ops that our definition makes it of; None if that is not the same."""
        trial = Trial()
        try:
            with np.errstate(all="ignore"), within(scope=(), recording=True):
                found = definition(*map(trial.tensor, args),
                                   **{k: trial.tensor(v) for k, v in kwargs.items() if k not in IGNORED})  # fmt: skip
            outs = list(found) if isinstance(found, tuple | list) else [found]
            if not all(isinstance(out, Tensor) for out in outs):
                return None
            start = len(self.nodes)
            lives = self.replay([out.node for out in outs], trial, call)
        except Exception:
            return None
        expected = reference(call.target, args, kwargs)
        if all(same(live.tensor, e) for live, e in zip(lives, expected, strict=False)):
            return lives
        del self.nodes[start:]
        return None

    def replay(self, roots: list[Record], trial: Trial, call: Call) -> list[Live]:
        """Run in PyTorch what a definition recorded."""
        lives: dict[Any, Live] = dict(trial.lives)
        like = next((x.tensor for x in trial.lives.values() if x.tensor.is_floating_point()), None)
        for record in behind(roots):
            if record in lives:
                continue
            if isinstance(record, Constant):
                lives[record] = self.constant(tensor_like(record.data, like))
                continue
            operands = [lives[x] if isinstance(x, Record) else tensor_like(x, like) for x in record.inputs]
            op: Any = record.op
            scope = call.scope + record.scope
            lives[record] = self.step(op.name, operands, dict(record.params), scope, call.at, record.name)
        return [lives[root] for root in roots]

    def card(self, name: str, call: Call, args: list[Any], kwargs: dict[str, Any], items: set[int]) -> Any:
        """Run a call as PyTorch has it, a node for each of its outputs that is used."""
        import torch

        sources: list[Live] = []
        views: list[Any] = []

        def used(x: Any) -> Any:
            if isinstance(x, Live):
                sources.append(x)
                views.append(view_of(x.tensor))
                return views[-1]
            if isinstance(x, list):
                return [used(v) for v in x]
            return {k: used(v) for k, v in x.items()} if isinstance(x, dict) else x

        found: dict[int, Live] = {}
        state = torch.get_rng_state()
        for item in sorted(items):
            sources, views = [], []
            if found:
                torch.set_rng_state(state)
            with Saved() as saved:
                out = call.target(*used(args), **used(kwargs))
            several = isinstance(out, tuple | list)
            result = out[item] if several else out
            if not isinstance(result, torch.Tensor):
                return out
            if not sources:
                if "empty" in name:  # whatever lies in memory there
                    result.zero_()
                found[item] = self.constant(result)
            else:
                about = about_card(name, call, args, kwargs, len(sources), item if len(items) > 1 else None)
                about["saved"] = saved.bytes
                about["family"] = family = family_of(call.target)
                names = letters(len(sources))
                found[item] = self.join(
                    result, about, sources, names, [""] * len(names), views, family == "elementwise"
                )
            if not several:
                return found[item]
        return found

    # What is kept -------------------------------------------------------------------------------------------------

    def graph(
        self, values: int, outputs: list[tuple[str | None, Live]], notes: list[str], scalar: bool = False
    ) -> Graph:
        """Return what was run as data."""
        for name, live in outputs:
            if not live.name:
                live.about["name"] = name or ("L" if scalar and live.shape == () and len(outputs) == 1 else None)
        ran = any(getattr(x.tensor, "grad", None) is not None for x in self.nodes if retains(x.tensor))
        kept = self.needed_for([x for _, x in outputs]) if outputs else self.nodes
        for place, live in enumerate(kept):
            live.place = place
        places = [x.place for _, x in outputs] or [len(kept) - 1] * bool(kept)
        return Graph(tuple(self.node(x, values, ran) for x in kept), tuple(dict.fromkeys(places)), tuple(notes))

    def needed_for(self, outputs: list[Live]) -> list[Live]:
        """Return the values behind some outputs, in the order in which they were made."""
        seen = set(outputs)
        stack = list(seen)
        while stack:
            new = {source for source, *_ in stack.pop().edges} - seen
            seen |= new
            stack += new
        return sorted(seen, key=lambda live: live.place)

    def node(self, x: Live, values: int, ran: bool) -> Node:
        """Freeze one value."""
        value = summary(x.tensor, values)
        needs = retains(x.tensor)
        g = x.tensor.grad if needs else None
        state = "none" if not needs else "pending" if not ran else "unused" if g is None else "computed"
        edges = []
        for source, name, partial, copies, view in x.edges:
            part = view.grad if retains(view) else None
            edges.append(Edge(source.place, name, partial, copies, None if part is None else summary(part, values)))
        about = {"op": None, **x.about}
        grad = None if g is None else summary(g, values)
        return Node(
            x.place, shape=value.shape, dtype=value.dtype, inputs=tuple(edges), requires_grad=needs, value=value,
            grad=grad, grad_state=state, **about,
        )  # fmt: skip


class Trial:
    """The arguments of a definition as Tensors, and which value each is."""

    def __init__(self) -> None:
        self.lives: dict[Record, Live] = {}
        self.made: dict[int, Tensor] = {}

    def tensor(self, x: Any) -> Any:
        """Return an argument as the definition wants it."""
        if isinstance(x, list | tuple):
            return [self.tensor(v) for v in x]
        if not isinstance(x, Live):
            return plain(x)
        if not hasattr(x.tensor, "detach"):
            return x.tensor
        if x.place not in self.made:
            array = array_of_torch(x.tensor)
            made = Tensor(array, name=x.name, requires_grad=array.dtype.kind == "f")
            self.made[x.place], self.lives[made.node] = made, x
        return self.made[x.place]


IGNORED = ("device", "layout", "pin_memory", "memory_format", "non_blocking", "copy", "out_dtype", "cudnn_enabled")


class Saved:
    """Counts the bytes that PyTorch keeps for the way back inside a ``with`` block, each array once."""

    def __enter__(self) -> Saved:
        import torch

        self.kept: dict[int, int] = {}
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self.pack, lambda x: x)
        self.hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.hooks.__exit__(*error)

    def pack(self, x: Any) -> Any:
        """Note a tensor that is kept."""
        self.kept[x.data_ptr()] = x.nbytes
        return x

    @property
    def bytes(self) -> int:
        """How many there are."""
        return sum(self.kept.values())


def refs_in(x: Any) -> list[Ref]:
    """Return the references in nested arguments."""
    if isinstance(x, Ref):
        return [x]
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else ()
    return [ref for part in parts for ref in refs_in(part)]


def plain(x: Any) -> Any:
    """Return an argument with names in place of PyTorch's dtypes."""
    if isinstance(x, list):
        return [plain(v) for v in x]
    return str(x).removeprefix("torch.") if type(x).__name__ == "dtype" else x


def retains(x: Any) -> bool:
    """Whether a value is differentiated."""
    return bool(getattr(x, "requires_grad", False))


def view_of(x: Any) -> Any:
    """Return a view of a tensor for one use, whose gradient is the contribution of that use; a number as it is."""
    if not retains(x):
        return x
    view = x.view_as(x)
    view.retain_grad()
    return view


def array_of_torch(x: Any) -> np.ndarray:
    """Return a tensor as an array; a type that NumPy has not becomes float32."""
    x = x.detach().cpu()
    x = x if str(x.layout) == "torch.strided" else x.to_dense()
    if str(x.dtype) == "torch.bfloat16" or "float8" in str(x.dtype):
        x = x.float()
    array: np.ndarray = x.resolve_conj().resolve_neg().numpy()
    return array


def tensor_like(x: Any, like: Any) -> Any:
    """Return an array of a definition as a tensor on the device and of the precision of another; a number as it is."""
    import torch

    if not isinstance(x, np.ndarray):
        return x
    made = torch.as_tensor(x, device=getattr(like, "device", None))
    return made.to(like.dtype) if like is not None and made.is_floating_point() else made


def summary(x: Any, values: int) -> Summary:
    """Return the statistics of a tensor, or of a Python number."""
    if not hasattr(x, "detach"):
        return summarize(x, values)
    found = summarize(array_of_torch(x), values)
    dtype = str(x.dtype).removeprefix("torch.")
    return (
        found if found.dtype == dtype else dataclasses.replace(found, dtype=dtype, nbytes=x.numel() * x.element_size())
    )


def reference(target: Any, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
    """Return what an op of PyTorch gives, without gradients."""
    import torch

    def bare(x: Any) -> Any:
        if isinstance(x, Live):
            return x.tensor.detach().clone() if "batch_norm" in base_name(target) else x.tensor.detach()
        if isinstance(x, list):
            return [bare(v) for v in x]
        return {k: bare(v) for k, v in x.items()} if isinstance(x, dict) else x

    with torch.no_grad():
        out = target(*bare(args), **bare(kwargs))
    return list(out) if isinstance(out, tuple | list) else [out]


def same(x: Any, y: Any) -> bool:
    """Whether two tensors are equal but for rounding."""
    import torch

    if x.shape != y.shape or x.dtype != y.dtype:
        return False
    if not x.is_floating_point():
        return bool(torch.equal(x, y))
    eps = torch.finfo(x.dtype).eps ** 0.5
    size = float(y.detach().nan_to_num(posinf=0, neginf=0).abs().max()) if y.numel() else 0.0
    return bool(torch.allclose(x.detach(), y, rtol=eps, atol=max(eps * size, 1e-30), equal_nan=True))


def letters(n: int) -> list[str]:
    """Return names for operands: a, b, …, z, aa, ab, …"""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return [alphabet[i] if i < 26 else alphabet[i // 26 - 1] + alphabet[i % 26] for i in range(n)]


def family_of(target: Any) -> str:
    """Return the family of an op of PyTorch."""
    import torch

    name = base_name(target)
    if torch.Tag.pointwise in getattr(target, "tags", ()):
        return "elementwise"
    if getattr(target, "is_view", False):
        return "shape"
    return "linear" if name in ("linear", "addmm", "einsum", "baddbmm") else "fused"


def about_card(
    name: str, call: Call, args: list[Any], kwargs: dict[str, Any], count: int, item: int | None
) -> dict[str, Any]:
    """Return what is known of a call that is no op of ours."""
    arguments = getattr(getattr(call.target, "_schema", None), "arguments", ())
    params = [(a.name, value) for a, value in zip(arguments, args, strict=False)] + list(kwargs.items())
    params = [(k, as_data(v)) for k, v in params if not holds_values(v) and v is not None and k not in IGNORED]
    params += [("output", item)] * (item is not None)
    said = name.strip("_").replace("_", r"\_")
    tex = rf"\operatorname{{{said}}}({', '.join('$' + a for a in letters(count))})"
    op = f"{getattr(call.target, 'namespace', 'torch')}.{name}"  # so that it is none of our names
    return {"op": op, "kind": "op", "scope": call.scope, "at": call.at, "tex": tex, "params": tuple(params),
            "says": f"Is {name} of PyTorch."}  # fmt: skip


def holds_values(x: Any) -> bool:
    """Whether an argument is a value of the graph, or a list with one in it."""
    return isinstance(x, Live) or (isinstance(x, list) and any(map(holds_values, x)))


def as_data(x: Any) -> Any:
    """Return an argument as a parameter of a node."""
    if isinstance(x, list):
        return [as_data(v) for v in x]
    return encode(x) if isinstance(x, bool | int | float | str) else str(x)
