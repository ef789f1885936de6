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


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (RIGHT, ""),
        (RIGHT + "x.exq()\n", '"Tensor" has no attribute "exq"'),
        (RIGHT + "x.sum(axes=0)\n", 'Unexpected keyword argument "axes"'),
        (RIGHT + "x.exp().item().lo()\nx.unsqueeze()\n", 'Missing positional argument "dim"'),
    ],
    ids=["right", "a typo", "an argument", "too few"],
)
def test_mypy_reads_it(code, error, tmp_path_factory):
    api = pytest.importorskip("mypy.api")
    folder = tmp_path_factory.getbasetemp()  # one cache for all of these
    (folder / "program.py").write_text(code, encoding="utf-8")
    options = ["--strict", "--follow-imports=silent", f"--cache-dir={folder / 'mypy'}", str(folder / "program.py")]
    printed, problems, status = api.run(options)
    assert not problems
    assert (status == 0) == (not error), printed
    assert error in printed
