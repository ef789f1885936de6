"""`compile`: a function whose kernels are written when it is first called with arguments of a kind."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygraph.compiler.keys import Slot, Surroundings, describe, differences, flatten, frozen, is_plain, named
from tinygraph.compiler.standin import CompileError
from tinygraph.compiler.state import State
from tinygraph.compiler.version import Version
from tinygraph.compiler.whole import FirstStep, WholeState, WholeVersion
from tinygraph.engine.context import CONTEXT
from tinygraph.engine.errors import library_of
from tinygraph.engine.lazy_import import install_hint
from tinygraph.engine.tensor import Tensor
from tinygraph.kernels.jit import load_numba

if TYPE_CHECKING:
    from tinygraph.compiler.plan import ProgramPlan

__all__ = ["Compiled", "compile"]

SMALL = 1 << 12  # elements below which the function itself is faster
BACKENDS = ("numpy", "numba")
FORMS = {n: (tuple(map(Slot, range(n))), dict[str, Any]()) for n in range(1, 9)}  # of n arrays, and nothing else


class Compiled:
    """A function and its kernels; `compile` makes it. It is called as the function is.

    Kernels are made for each key: shapes, dtypes, which gradients are wanted, and the values of what is no array. A
    call whose arrays all have fewer than 4096 elements goes to the function itself. Arrays of CuPy get CUDA C, whatever
    the backend is.

    Args:
        function: the function.
        backend: "numba" or "numpy", for arrays of NumPy.
        whole: whether it is a training step, of which all is compiled, however small.

    Attributes:
        function: the function itself.
        backend: "numba" or "numpy".
        whole: whether it is a training step.

    >>> import tinygraph as tg
    >>> double = Compiled(lambda x: x + x, "numpy")
    >>> double(np.ones((64, 64))).sum()
    np.float64(8192.0)
    """

    def __init__(self, function: Callable[..., Any], backend: str, whole: bool = False) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function, self.backend, self.whole = function, backend, whole
        self.surroundings = Surroundings(function)
        self.versions: dict[Any, list[Version]] = {}
        self.every: list[Version] = []  # in the order in which they were made
        self.unprinted: set[Any] = set()  # keys for which the function itself is called
        self.lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, by its kernels where its arrays are large enough."""
        arrays: list[Any] = list(args)
        form = FORMS.get(len(args))
        if kwargs:
            form = (form[0], kwargs) if form and all(map(is_plain, kwargs.values())) else None
        if form is None or self.whole or not all(isinstance(x, Tensor) or type(x) is np.ndarray for x in args):
            arrays = []
            form = flatten((args, kwargs), arrays, self.whole)
        size, kinds = 0, set[type]()
        for x in arrays:
            data = x._data if isinstance(x, Tensor) else x
            if type(data) is float:  # a number of a whole step
                continue
            if type(data) is not np.ndarray and library_of(data) != "cupy":
                return self.function(*args, **kwargs)  # another library's, or a stand-in
            if not data.size or not data.dtype.isnative or data.dtype.char in "gFDG":
                return self.function(*args, **kwargs)  # what has no kernels
            kinds.add(type(data))
            size = max(size, data.size)
        if self.whole and not kinds:  # all its arrays are around it
            kinds = {type(x) for x in WholeState(self.surroundings.objects(form)).get() if getattr(x, "shape", ())}
        if len(kinds) > 1 or (size < SMALL and not self.whole):
            return self.function(*args, **kwargs)
        found = self.version(form, arrays, self.backend if kinds <= {np.ndarray} else "cuda")
        if found is None:
            return self.function(*args, **kwargs)
        version, operands = found
        return version(operands)

    def version(self, form: Any, arrays: Sequence[Any], backend: str) -> tuple[Version, list[Any]] | None:
        """Return the version for arguments of such a form, made when it is first needed, and all that it reads.

        Where there is none, None: a first step, or what CUDA C has no words for.
        """
        recording = CONTEXT.get().recording
        kinds = [
            (x.shape, x.dtype.char, isinstance(x, Tensor), recording and isinstance(x, Tensor) and x.node.needs)
            if type(x) is not float
            else x.__class__
            for x in arrays
        ]
        what = None if form is FORMS.get(len(arrays)) else frozen(form)
        key = tuple(kinds), what, recording, backend, self.surroundings.key()
        found = self.known(key, arrays)
        if found or key in self.unprinted:
            return found
        with self.lock:
            if (found := self.known(key, arrays)) is None and self.make(key, form, arrays, backend):
                found = self.known(key, arrays)
            return found  # of this thread, or of one that was first

    def known(self, key: Any, arrays: Sequence[Any]) -> tuple[Version, list[Any]] | None:
        """Return the version for a key that fits what is around now, and all that it reads."""
        for version in self.versions.get(key, ()):
            if (operands := version.operands(arrays)) is not None:
                return version, operands
        return None

    def make(self, key: Any, form: Any, arrays: Sequence[Any], backend: str) -> bool:
        """Make a version for a key; return whether there is one."""
        make, state = (WholeVersion, WholeState) if self.whole else (Version, State)
        try:
            version = make(self.function, form, arrays, backend, state(self.surroundings.objects(form)))
        except FirstStep:
            return False
        except Exception as error:
            if backend != "cuda" or isinstance(error, CompileError):
                raise
            self.unprinted.add(key)  # CuPy's arrays among stand-ins, or a type that CUDA C has not
            return False
        recording = CONTEXT.get().recording
        version.facts = {name: describe(x, arrays, recording) for name, x in named(self.function, form)}
        version.facts |= {"recording": str(recording)} | {n: str(what[-1]) for n, *what in self.surroundings.key()}
        version.reason = self.reason(version)
        self.every.append(version)
        self.versions.setdefault(key, []).append(version)
        return True

    def reason(self, version: Version) -> str:
        """Say why a version was needed: what differs from the one that it is most like."""
        if not self.every:
            return f"the first call: {version.about()}"
        found = min((differences(version.facts, other.facts) for other in self.every), key=len)
        return "; ".join(found) or (
            "another is found around it: a tensor's shape, dtype or requires_grad, an option of a module"
            + ", what an optimizer remembers, or a condition on its options" * self.whole
        )

    def explain(self) -> str:
        """Say for each version why it was made: which argument was of a new kind, and what it was before.

        Returns:
            A line for each version, in the order in which they were made.

        >>> add = Compiled(lambda x, y: x + y, "numpy")
        >>> z = add(np.ones((64, 64)), 1.0), add(np.ones((64, 64)), 2.0)
        >>> print(add.explain())
        1. the first call: x float64[64,64], y 1.0, recording True
        2. y: 1.0 -> 2.0
        """
        return "\n".join(f"{i}. {version.reason}" for i, version in enumerate(self.every, 1))

    def plan(self) -> list[ProgramPlan]:
        """Return, for each version, its kernels and calls: sweeps, and bytes that are read and written.

        Returns:
            A `tinygraph.compiler.plan.ProgramPlan` for each version, in the order in which they were made.
        """
        from tinygraph.compiler.plan import ProgramPlan

        name = getattr(self.function, "__name__", "function")
        return [ProgramPlan(f"{name}: {v.about()}", v.program) for v in self.every]

    def draw(self, path: str | os.PathLike[str], *, theme: str = "light") -> Path:
        """Draw the plan: a box for each kernel, in it a band for each sweep over memory, a picture for each version.

        Args:
            path: where to; its ending is .svg, .png or .pdf, and the last two need the package typst.
            theme: "light", "dark", "auto", "print" or "transparent".

        Returns:
            The path.

        Raises:
            EngineMissing: what prints the picture is not installed; the message says how to get it.
            ValueError: there is no version yet, or the ending or the theme is not known.

        >>> import tempfile, tinygraph as tg
        >>> c = Compiled(tg.softmax, "numpy")
        >>> y = c(np.zeros((64, 64)))
        >>> c.draw(Path(tempfile.mkdtemp()) / "plan.svg").name
        'plan.svg'
        """
        from tinygraph.compiler.picture import svg  # needs the drawings, which take long to load
        from tinygraph.drawing.api import PICTURES, print_picture, write

        path = Path(path)
        if path.suffix not in (".svg", *PICTURES):
            raise ValueError(f"draw: the ending is {path.suffix!r}; it must be one of .svg {' '.join(PICTURES)}")
        if not (plans := self.plan()):
            raise ValueError("draw: no kernels are made before the first call")
        found = svg(plans, theme)
        write(path, found.encode() if path.suffix == ".svg" else print_picture(found, path.suffix[1:]))
        return path

    def clear(self) -> None:
        """Forget all versions; the next call traces again."""
        with self.lock:
            for known in (self.versions, self.every, self.unprinted):
                known.clear()

    @property
    def source(self) -> str:
        """The source of all kernels; for each version, a comment says what it is for."""
        return "\n\n".join(f"# {i}. {v.about()}\n\n{v.program.source}" for i, v in enumerate(self.every, 1))

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.plan())) or repr(self)

    def __reduce__(self) -> Any:
        return Compiled, (self.function, self.backend, self.whole)  # a copy makes kernels of its own

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", self.function)
        return f"<compiled {name}, {self.backend}, versions: {len(self.every)}>"


def compile(  # noqa: A001 - PyTorch's name
    function: Callable[..., Any] | None = None, *, backend: str | None = None, whole: bool = False
) -> Any:
    """Make kernels of a function that is made of ops: as few sweeps over memory as rules about sums allow.

    The result is called like the function and gives the same, to rounding, on arrays and on Tensors; it may be used as
    a decorator. It is traced at the first call with arguments of a kind, and again at the next kind; also when a number
    that the function closes over, or an option of a layer such as the ``p`` of a dropout, is another. Tensors and
    parameters that it closes over are read anew at each call. Its derivatives of every order are those of the function.
    What would look at an element, or has a shape that depends on elements, is a `CompileError`.

    With ``whole`` the function is a training step: it calls ``backward()`` or `grad`, and an optimizer's ``step()``.
    All of it becomes one program, which moves the parameters, and sets their gradients, what optimizers remember and
    running statistics, to what the step itself would have come to. What it returns has no graph. The learning rate, all
    other numbers among the options of optimizers, and floats that the step is given may change without a new program;
    a schedule is called outside of the step. The first call, in which an optimizer begins to remember, runs as it is.
    ``zero_grad()`` at the end of the step lets the gradients go, which saves their memory.

    Args:
        function: takes arrays, Tensors, numbers, and tuples, lists and dicts of them; returns a Tensor or an array, or
            a tuple, list or dict of them. It must not change anything outside, but for what ``whole`` names.
        backend: for arrays of NumPy, "numba" (compiled loops) or "numpy" (calls of NumPy on blocks that stay in the
            cache); None takes Numba where it is installed. Arrays of CuPy get kernels of CUDA C in any case.
        whole: whether the function is a training step. It may use any optimizer but LBFGS, which looks at values.

    Returns:
        A `Compiled`; without a function, a decorator.

    Raises:
        ModuleNotFoundError: Numba is asked for, and not installed.
        TypeError: the function cannot be called.
        ValueError: there is no such backend.

    >>> import tinygraph as tg
    >>> @compile
    ... def rms_norm(x):
    ...     return x / tg.sqrt(tg.mean(x * x, axis=-1, keepdims=True) + 1e-6)
    >>> x = tg.Tensor(np.random.default_rng(0).standard_normal((64, 64)))
    >>> y = rms_norm(x)
    >>> y.sum().backward()
    >>> bool(abs((y * y).mean() - 1) < 1e-5)
    True

    A training step:

    >>> net = tg.nn.Linear(64, 10)
    >>> optimizer = tg.optim.Adam(net.parameters())
    >>> @compile(whole=True)
    ... def step(x, labels):
    ...     optimizer.zero_grad()
    ...     loss = tg.cross_entropy(net(x), labels)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> losses = [step(x.data, np.arange(64) % 10).item() for _ in range(3)]
    >>> losses[2] < losses[0]
    True
    """
    if function is None:
        return functools.partial(compile, backend=backend, whole=whole)
    if not callable(function):
        raise TypeError(f"compile: {function!r} cannot be called: give a function, or a module of a net")
    if backend not in (None, *BACKENDS):
        raise ValueError(f"compile: backend={backend!r} is none of {', '.join(BACKENDS)}")
    if backend == "numba" and not load_numba():
        raise ModuleNotFoundError(f"compile: Numba is not there: {install_hint('jit')}")
    return Compiled(function, backend or ("numba" if load_numba() else "numpy"), whole)
