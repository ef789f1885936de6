"""The stub of Tensor's methods is current, and type checkers read it: what is there passes, a typo does not."""

import inspect
import subprocess
import sys

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


CONFIG = """
[mypy]
strict = true
follow_imports = silent
[mypy-numpy.*,tinygraph.*]
follow_imports = skip
[mypy-tinygraph.engine.*]
follow_imports = silent
"""  # what is about Tensor; all of it is for `mypy` itself


def test_mypy_reads_it(tmp_path):
    """In a process of its own: what mypy has read stays in memory."""
    pytest.importorskip("mypy")
    files = {name: tmp_path / f"{name}.py" for name in PROGRAMS}
    for name, (code, _) in PROGRAMS.items():
        files[name].write_text(code, encoding="utf-8")
    config = tmp_path / "mypy.ini"
    config.write_text(CONFIG, encoding="utf-8")
    options = [f"--config-file={config}", "--show-absolute-path", f"--cache-dir={tmp_path / 'mypy'}"]
    command = [sys.executable, "-m", "mypy", *options, *map(str, files.values())]
    run = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8")
    printed = run.stdout
    assert not run.stderr
    assert run.returncode == 1
    for name, (_, error) in PROGRAMS.items():
        said = [line for line in printed.splitlines() if line.startswith(f"{files[name]}:")]
        assert error in "\n".join(said), printed
        assert bool(said) == bool(error), printed
