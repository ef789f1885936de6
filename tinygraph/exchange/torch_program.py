"""A model of PyTorch as a list of calls: by ``torch.export``; where that cannot, by recording one run of the model."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import inspect
import io
import logging
import operator
import re
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tinygraph.exchange.torch_definitions import DEFINITIONS
from tinygraph.exchange.torch_steps import STEPS

__all__ = ["Call", "Leaf", "Program", "Ref", "base_name", "copy_of", "program_of"]


class Ref(NamedTuple):
    """The value of a leaf or of a call, by its key; of a call that returns several, which one."""

    key: Any
    item: int | None = None


@dataclasses.dataclass
class Leaf:
    """What no call made: kind and name as in a `Node`, and the tensor."""

    kind: str
    name: str | None
    value: Any


@dataclasses.dataclass
class Call:
    """One call of an op of PyTorch, in which modules and where in a file; tensors among its arguments are `Ref`."""

    key: Any
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    scope: tuple[str, ...] = ()
    at: str = ""


@dataclasses.dataclass
class Program:
    """A model as calls.

    Attributes:
        leaves: by key.
        calls: in an order in which they can run.
        outputs: `Ref` or constant, each with its name.
        notes: what was not exported as it is.
        error: what stopped the recording, if something did.
    """

    leaves: dict[Any, Leaf]
    calls: list[Call]
    outputs: list[tuple[str | None, Any]]
    notes: list[str]
    error: Exception | None = None


def base_name(target: Any) -> str:
    """Return the name of an op without library and overload: ``add`` of ``aten.add.Tensor``."""
    packet = getattr(target, "overloadpacket", target)
    return str(getattr(packet, "__name__", packet))


def copy_of(module: Any) -> Any:
    """Return a module whose parameters share memory with those of ``module`` and nothing else does.

    So what a run changes (running statistics, counters, ``.grad``) is changed in the copy.

    Raises:
        TypeError: it cannot be copied.
    """
    import torch

    memo: dict[int, Any] = {}
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, torch.Tensor):
                memo[id(value)] = value.detach().clone()
    for p in module.parameters():
        memo[id(p)] = torch.nn.Parameter(p.clone() if p.is_inference() else p.detach(), p.requires_grad)
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        raise TypeError(f"from_torch: this {type(module).__name__} cannot be copied: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}"[:200] if lines else type(error).__name__


def program_of(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], decompose: bool, prefix: str) -> Program:
    """Return a model as calls.

    Args:
        module: the model; the run changes its buffers.
        args: what it is called with.
        kwargs: likewise, by name.
        decompose: open what is neither an op of ours nor made of them, where PyTorch can.
        prefix: what to leave out at the front of module paths.
    """
    names = names_of_inputs(module, args, kwargs)
    try:
        with quiet():
            exported = export(module, args, kwargs, decompose)
    except Exception as error:
        found = record(module, args, kwargs, names, prefix)
        found.notes.append(f"torch.export could not export it ({one_line(error)}): this is what one run did")
        return found
    return read_exported(exported, module, args, kwargs, names, prefix)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what ``torch.export`` logs and warns to itself: whoever reads a drawing can do nothing about it."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                yield
        finally:
            logger.setLevel(level)


def export(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], decompose: bool) -> Any:
    """Export a module, with no op in it that changes a tensor in place."""
    import torch

    exported = torch.export.export(module, args, kwargs or None)
    known = torch.export.default_decompositions() if decompose else {}
    table: dict[Any, Any] = {}
    for _ in range(4):  # what an op opens into may be opened again
        exported = exported.run_decompositions(table)
        unknown = {n.target for n in exported.graph.nodes if n.op == "call_function" and not is_ours(n.target)}
        if not (new := {t: known[t] for t in unknown if t in known and t not in table}):
            break
        table |= new
    return exported


def is_ours(target: Any) -> bool:
    """Whether an op is, or may be made of, ops of ours; or is about no numbers at all."""
    name = base_name(target)
    return name in STEPS or name in DEFINITIONS or target is operator.getitem or name in ("native_dropout", "detach")


def names_of_inputs(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """Return a name for each tensor or constant among the inputs: that of the argument, and the way into it."""
    from torch.utils import _pytree

    forward = getattr(module, "forward_signature", None) or inspect.signature(module.forward)
    parameters = [p for p in forward.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    named = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    named += [f"{parameters[-1].name if parameters else 'input'}.{i}" for i in range(len(args) - len(named))]
    found = []
    for name, value in [*zip(named, args, strict=False), *kwargs.items()]:
        for path, _ in _pytree.tree_flatten_with_path(value)[0]:
            found.append(".".join([name, *(str(getattr(k, "key", getattr(k, "idx", k))) for k in path)]))
    return found


def place_of(trace: str) -> str:
    """Return the innermost line of a stack that is not PyTorch's own, as ``model.py:12``."""
    import torch

    lines = re.findall(r'File "([^"]+)", line (\d+)', trace or "")
    others = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
    own = [(file, line) for file, line in lines if not file.startswith(others)]
    return f"{Path(own[-1][0]).name}:{own[-1][1]}" if own else ""


def path_of(stack: dict[str, Any] | None, prefix: str) -> tuple[str, ...]:
    """Return the modules that a call was made in, outer before inner."""
    paths = [value[0] for value in (stack or {}).values()]
    return scope_of(re.sub(r"@\d+", "", paths[-1]), prefix) if paths else ()


def scope_of(path: str, prefix: str) -> tuple[str, ...]:
    """Return the path of a module as a scope."""
    return tuple(filter(None, strip(path, prefix).split(".")))


def strip(path: str, prefix: str) -> str:
    """Leave out the module that holds a model and its loss."""
    return "" if path == prefix else path.removeprefix(f"{prefix}.") if prefix else path


def read_exported(
    exported: Any, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], names: list[str], prefix: str
) -> Program:
    """Return an exported program as calls."""
    from torch.fx import Node
    from torch.utils import _pytree

    signature = exported.graph_signature
    parameters, buffers = signature.inputs_to_parameters, signature.inputs_to_buffers
    state = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    given = iter(zip(names, _pytree.tree_leaves((args, kwargs)), strict=False))
    leaves: dict[Any, Leaf] = {}
    calls = []
    owners: dict[int, Any] = {}
    notes = []
    refs: dict[str, Ref] = {}

    def lower(x: Any) -> Any:
        if isinstance(x, Node):
            return refs[x.name]
        if isinstance(x, list | tuple):
            return [lower(v) for v in x]
        return {k: lower(v) for k, v in x.items()} if isinstance(x, dict) else x

    for node in exported.graph.nodes:
        if node.op == "placeholder":
            refs[node.name] = Ref(node.name)
            if node.name in parameters:
                name = parameters[node.name]
                first = owners.setdefault(id(state[name]), node.name)
                if first != node.name:
                    notes.append(f"{strip(name, prefix)} is {leaves[first].name}: one parameter with two names")
                    refs[node.name] = Ref(first)
                else:
                    leaves[node.name] = Leaf("parameter", strip(name, prefix), state[name])
            elif node.name in buffers:
                value = state.get(buffers[node.name], exported.constants.get(buffers[node.name]))
                leaves[node.name] = Leaf("constant", strip(buffers[node.name], prefix), value)
            elif node.name in signature.inputs_to_lifted_tensor_constants:
                held = exported.constants[signature.inputs_to_lifted_tensor_constants[node.name]]
                leaves[node.name] = Leaf("constant", None, held)
            else:
                name, value = next(given)
                leaves[node.name] = Leaf("input", name, value)
        elif node.op == "call_function" and node.target is operator.getitem:
            refs[node.name] = Ref(refs[node.args[0].name].key, node.args[1])
        elif node.op == "call_function":
            refs[node.name] = Ref(node.name)
            meta = node.meta
            at = place_of(meta.get("stack_trace", ""))
            path = path_of(meta.get("nn_module_stack"), prefix)
            calls.append(Call(node.name, node.target, tuple(lower(node.args)), lower(node.kwargs), path, at))
    ends = next(n for n in exported.graph.nodes if n.op == "output").args[0]
    users = [lower(n) for n, s in zip(ends, signature.output_specs, strict=True) if s.kind.name == "USER_OUTPUT"]
    return Program(leaves, calls, list(zip(output_names(exported.call_spec.out_spec), users, strict=False)), notes)


def output_names(spec: Any) -> list[str | None]:
    """Return a name for each output: the keys that lead to it, if there are any."""
    from torch.utils import _pytree

    count = spec.num_leaves
    tree = _pytree.tree_unflatten(list(range(count)), spec)
    return [name_of_path(path) for path, _ in _pytree.tree_flatten_with_path(tree)[0]]


def name_of_path(path: Sequence[Any]) -> str | None:
    """Return the text keys of a way into nested outputs."""
    keys = [str(getattr(k, "key", "")) or str(getattr(k, "name", "")) for k in path]
    return ".".join(filter(None, keys)) or None


# Where export cannot ----------------------------------------------------------------------------------------------


def record(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], names: list[str], prefix: str) -> Program:
    """Run a model once, and return the calls that it made; ``error`` says what stopped it."""
    from torch.utils import _pytree

    recorder = recorder_class()()
    for path, p in module.named_parameters():
        recorder.know(p, "parameter", strip(path, prefix))
    for path, b in module.named_buffers():
        recorder.know(b, "constant", strip(path, prefix))
    for name, value in zip(names, _pytree.tree_leaves((args, kwargs)), strict=False):
        recorder.know(value, "input", name)
    program: Program = recorder.program
    inside, hooks = recorder.inside, []
    for path, part in module.named_modules():
        hooks.append(part.register_forward_pre_hook(enter(inside, strip(path, prefix))))
        hooks.append(part.register_forward_hook(leave(inside)))
    out: Any = ()
    try:
        with recorder:
            out = module(*args, **kwargs)
    except Exception as error:
        last = next((call for call in reversed(program.calls) if base_name(call.target) != "detach"), None)
        after = f", after {base_name(last.target)} at {last.at or 'its start'}" if last else ""
        where = next(filter(None, reversed(inside)), "its forward")
        program.error = RuntimeError(f"the model failed in {where}{after}: {one_line(error)}")
    finally:
        for hook in hooks:
            hook.remove()
    for path, value in _pytree.tree_flatten_with_path(out)[0]:
        program.outputs.append((name_of_path(path), recorder.lower(value)))
    return program


def enter(inside: list[str], path: str) -> Any:
    """Return a hook that notes that a module was entered."""
    return lambda *_: inside.append(path)


def leave(inside: list[str]) -> Any:
    """Return a hook that notes that a module was left; what it returned would be the output of the module."""

    def hook(*_: Any) -> None:
        inside.pop()

    return hook


class Recording:
    """The calls that were seen so far, and the tensors in them."""

    def __init__(self) -> None:
        self.program = Program({}, [], [], [])
        self.refs: dict[int, Ref] = {}  # of a tensor by its id
        self.alive: list[Any] = []  # tensors that were met, so that no two have one id
        self.inside: list[str] = []  # modules that are running

    def know(self, x: Any, kind: str, name: str | None = None) -> None:
        """Note a tensor that no call made."""
        if hasattr(x, "requires_grad") and id(x) not in self.refs:
            self.keep(x, Ref(f"leaf {len(self.alive)}"))
            copied = x.detach().clone().requires_grad_(x.requires_grad)
            self.program.leaves[self.refs[id(x)].key] = Leaf(kind, name, copied)

    def keep(self, tensor: Any, ref: Ref) -> None:
        """Note what a tensor is."""
        self.refs[id(tensor)] = ref
        self.alive.append(tensor)

    def lower(self, x: Any) -> Any:
        """Return arguments with references in place of tensors."""
        from torch.utils import _pytree

        def one(v: Any) -> Any:
            self.know(v, "constant")
            return self.refs.get(id(v), v) if hasattr(v, "requires_grad") else v

        return _pytree.tree_map(one, x)

    def see(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an op, and note it."""
        at = place_of("".join(traceback.format_list(traceback.extract_stack()[:-2])))
        path = scope_of(next(iter(self.inside[-1:]), ""), "")
        key = len(self.program.calls)
        call = Call(key, target, tuple(self.lower(list(args))), self.lower(kwargs), path, at)
        writes = any(a.alias_info is not None and a.alias_info.is_write for a in target._schema.arguments)
        if writes:
            self.check_alone(target, args[0])
            call.target = OnACopy(target)
        out = target(*args, **kwargs)
        self.program.calls.append(call)
        several = isinstance(out, tuple | list)
        for i, part in enumerate(out if several else [out]):
            if hasattr(part, "requires_grad"):
                self.keep(part, Ref(key, i) if several else Ref(key))
        if writes:
            self.keep(args[0], Ref(key))
        return out

    def check_alone(self, target: Any, base: Any) -> None:
        """Raise if another tensor would change too."""
        place = base.untyped_storage().data_ptr()
        if any(t is not base and t.untyped_storage().data_ptr() == place for t in self.alive):
            raise NotImplementedError(f"{base_name(target)} changes a tensor in place, and another shares its memory")


@functools.cache
def recorder_class() -> Any:
    """Return the class that notes each op of PyTorch while it runs; it is made where PyTorch is there."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode, Recording):  # type: ignore[misc]  # PyTorch is an extra: Any here
        def __init__(self) -> None:
            TorchDispatchMode.__init__(self)
            Recording.__init__(self)

        def __torch_dispatch__(self, target: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return self.see(target, args, kwargs or {})

    return Recorder


class OnACopy:
    """An op that writes into its first operand, made to write into a copy of it."""

    def __init__(self, target: Any) -> None:
        self.target, self.__name__, self._schema = target, base_name(target).rstrip("_"), target._schema
        self.tags, self.namespace = target.tags, target.namespace

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return self.target(x.clone(), *args, **kwargs)
