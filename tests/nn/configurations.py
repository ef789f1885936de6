"""Random configurations of each layer and loss against PyTorch: value, gradients, and state, in float64.

``python -m tests.nn.configurations --count 100`` runs a hundred of each; with names, those alone.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.layer_pairs import random_state
from tests.nn.layer_setups import LAYERS
from tests.nn.setups import ACTIVATIONS, LOSSES, Draw, Fixed, Setup
from tests.nn.window_setups import WINDOWS
from tinygraph import Tensor, grad, nn

TOLERANCE = 1e-9
ROUGH = {"Hardsigmoid": 1e-7}  # PyTorch's gradient takes 1/6 in float32

TABLE = {**LOSSES, **ACTIVATIONS, **LAYERS, **WINDOWS}


def flat(value: Any) -> Iterator[Any]:
    """Yield the tensors of a result, which may be nested tuples; None is none."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from flat(part)
    elif value is not None:
        yield value


def agree(found: Any, wanted: Any, what: str, tolerance: float = TOLERANCE) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape, f"{what}: {found.shape} in place of {wanted.shape}"
    scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=1.0) if wanted.dtype.kind == "f" else 1
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale, err_msg=what)


class Pair:
    """A layer in both libraries, with the same state and the same inputs."""

    def __init__(self, torch: Any, name: str, setup: Setup, rng: np.random.Generator) -> None:
        self.torch, self.setup, self.rng = torch, setup, rng
        self.tolerance = ROUGH.get(name, TOLERANCE)
        theirs = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in setup.options.items()}
        self.ours = getattr(nn, name)(*setup.args, **setup.options)
        self.theirs = getattr(torch.nn, name)(*setup.args, **theirs).double()
        self.ours.to(np.float64)
        assert [*self.ours.state_dict()] == [*self.theirs.state_dict()], "the keys of the state"
        random_state(self.ours, rng)
        self.theirs.load_state_dict({k: torch.tensor(v) for k, v in self.ours.state_dict().items()})

    def check(self) -> None:
        """Compare values, gradients and state, in each mode."""
        for mode in self.setup.modes:
            self.ours.train(mode), self.theirs.train(mode)
            self.check_call()
            self.check_state()

    def inputs(self) -> tuple[list[Any], dict[str, Any], list[Any], dict[str, Any], list[tuple[Any, Any]]]:
        """Return what both are called with, and the pairs of inputs that are differentiated."""
        pairs: list[tuple[Any, Any]] = []

        def of(value: Any) -> tuple[Any, Any]:
            if isinstance(value, tuple) and not isinstance(value, Fixed):
                both = [of(part) for part in value]
                return tuple(a for a, _ in both), tuple(b for _, b in both)
            if isinstance(value, Fixed):
                array = value.array
                return array, self.torch.tensor(array) if isinstance(array, np.ndarray) else array
            if not isinstance(value, np.ndarray):
                return value, value
            pairs.append((Tensor(value), self.torch.tensor(value, requires_grad=True)))
            return pairs[-1]

        args = [of(value) for value in self.setup.inputs]
        named = {key: of(value) for key, value in self.setup.named.items()}
        ours = [a for a, _ in args], {k: a for k, (a, _) in named.items()}
        theirs = [b for _, b in args], {k: b for k, (_, b) in named.items()}
        return (*ours, *theirs, pairs)

    def check_call(self) -> None:
        args, named, their_args, their_named, pairs = self.inputs()
        call = self.setup.call or (lambda layer, *xs, **options: layer(*xs, **options))
        try:
            wanted = [*flat(call(self.theirs, *their_args, **their_named))]
        except RuntimeError:  # no window fits, or the like
            self.check_refusal(lambda: call(self.ours, *args, **named))
            return
        found = [*flat(call(self.ours, *args, **named))]
        assert len(found) == len(wanted)
        total, other = 0.0, 0.0
        for k, (y, z) in enumerate(zip(found, wanted, strict=True)):
            agree(y.data if isinstance(y, Tensor) else y, z.detach().numpy(), f"value {k}")
            g = self.rng.standard_normal(z.shape)
            total, other = total + (y * g).sum(), other + (z * self.torch.tensor(g)).sum()
        named_parameters = [*zip(self.ours.named_parameters(), self.theirs.named_parameters(), strict=True)]
        pairs += [(p, q) for (_, p), (_, q) in named_parameters]
        pairs = [(p, q) for p, q in pairs if q.requires_grad]
        if not other.requires_grad or not pairs:
            return
        gradients = self.torch.autograd.grad(other, [q for _, q in pairs], allow_unused=True)
        used = [(p, q) for (p, _), q in zip(pairs, gradients, strict=True) if q is not None]
        for k, (dx, (p, dq)) in enumerate(zip(grad(total, [p for p, _ in used]), used, strict=True)):
            agree(dx, dq.numpy(), f"gradient {k} {p.name or ''}", self.tolerance)

    def check_refusal(self, call: Callable[[], Any]) -> None:
        """Compare with a refusal of PyTorch's: ours is a ValueError."""
        try:
            call()
        except ValueError:
            return
        raise AssertionError("PyTorch refuses it")

    def check_state(self) -> None:
        state = self.ours.state_dict()
        for key, value in self.theirs.state_dict().items():
            agree(state[key], value.numpy(), key)


def run(torch: Any, name: str, number: int) -> None:
    """Draw the configuration with this number, and compare."""
    draw = Draw(zlib.crc32(f"{name} {number}".encode()))
    setup = TABLE[name](draw)
    try:
        Pair(torch, name, setup, draw.rng).check()
    except Exception as error:
        shapes = [np.shape(getattr(x, "array", x)) if not isinstance(x, tuple) else "…" for x in setup.inputs]
        error.add_note(f"{name} {number}: {setup.args} {setup.options}, called with {shapes} {[*setup.named]}")
        raise


def main(argv: list[str] | None = None) -> int:
    """Run configurations; return how many disagree."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args(argv)
    wrong = 0
    for name in options.names or TABLE:
        bad = 0
        for number in range(options.count):
            try:
                run(torch, name, number)
            except Exception as error:
                bad += 1
                if bad <= 3:
                    print(f"  {type(error).__name__}: {error}", *getattr(error, "__notes__", []), sep="\n    ")
        print(f"{name}: {options.count - bad} of {options.count}")
        wrong += bad
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
