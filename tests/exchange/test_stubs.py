"""The stub of Tensor's methods is current, and type checkers read it: what is there passes, a typo does not."""

import inspect

import pytest

import tinygraph as tg
from tinygraph.exchange.stubs import PATH, stub_text

RIGHT = """
import numpy as np
from tinygraph.engine.tensor import Tensor
x = Tensor(np.ones((2, 3)), name="x")
x.exp().sum(axis=0).backward()
y: Tensor = (2 * x - x / 3) @ x.T + x[0].softmax(dim=0).var(dim=0, unbiased=False)
z: Tensor = x.reshape(3, 2).transpose(1, 0).view(-1).unsqueeze(0).flatten(1).mT
n: int = x.numel() + x.dim()
rows: list[Tensor] = x.unbind()
for row in x:
    row.abs()
"""


def test_the_stub_is_current():
    assert PATH.read_text(encoding="utf-8") == stub_text(), "run python -m tinygraph.exchange.stubs"


def test_every_method_is_in_the_stub_or_in_the_class():
    text = stub_text() + inspect.getsource(inspect.getmodule(tg.Tensor.item))
    for name in dir(tg.Tensor):
        if not name.startswith("_"):
            assert f"def {name}(" in text or f"    {name} = " in text or f"    {name}: " in text, name


PROGRAMS = {  # and what is said of each
    "right": (RIGHT, ""),
    "a_typo": (RIGHT + "x.exq()\n", '"Tensor" has no attribute "exq"'),
    "an_argument": (RIGHT + "x.sum(axes=0)\n", 'Unexpected keyword argument "axes"'),
    "too_few": (RIGHT + "x.exp().item().lo()\nx.unsqueeze()\n", 'Missing positional argument "dim"'),
}


def test_mypy_reads_it(tmp_path):
    api = pytest.importorskip("mypy.api")
    files = {name: tmp_path / f"{name}.py" for name in PROGRAMS}
    for name, (code, _) in PROGRAMS.items():
        files[name].write_text(code, encoding="utf-8")
    options = ["--strict", "--follow-imports=silent", "--show-absolute-path", f"--cache-dir={tmp_path / 'mypy'}"]
    printed, problems, status = api.run([*options, *map(str, files.values())])
    assert not problems
    assert status == 1
    for name, (_, error) in PROGRAMS.items():
        said = [line for line in printed.splitlines() if line.startswith(f"{files[name]}:")]
        assert error in "\n".join(said), printed
        assert bool(said) == bool(error), printed
