"""docs/from_pytorch.md: its program runs, each row of code is right, and it shows every pair of the table."""

import re
from pathlib import Path

import numpy as np
import pytest

import tinygraph as tg
from tests.exchange.test_missing import ARRAYS, plain
from tinygraph.exchange.torch_names import PAIRS

PAGE = Path(__file__).parents[2] / "docs" / "from_pytorch.md"
TEXT = PAGE.read_text(encoding="utf-8")


def rows(heading, columns):
    """The cells of the table under a heading, without the backticks of code."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = [
        [cell.strip().strip("`") for cell in line.strip("| ").split(" | ")]
        for line in section.splitlines()
        if line.startswith("| ")
    ]
    assert all(len(row) == columns for row in found), found
    return [row for row in found if row[0] not in ("you write", "PyTorch")]


DIFFERENT = rows("What differs in meaning", 4)


def described(value):
    """The kind of a value and what is in it."""
    value = value() if callable(value) and not isinstance(value, tg.Tensor) else value
    if isinstance(value, str | bool) or "dtype" in type(value).__name__.lower():
        return str(value).removeprefix("torch.")
    if isinstance(value, tuple | list):
        return [described(part) for part in value]
    array = plain(value)
    kind = "array" if type(value) is np.ndarray else "tensor or number"
    return kind, array.shape, (array.round(9) if array.dtype.kind == "f" else array).tolist()


def names_of(module, make, float_number):
    return {"tg": module, "np": np, "f": float_number, **{name: make(ARRAYS[name]) for name in "xy"}}


@pytest.mark.parametrize("row", DIFFERENT, ids=lambda row: row[0])
def test_a_row_of_what_differs(row):
    torch = pytest.importorskip("torch")
    code, _, _, substitute = row
    theirs = names_of(torch, torch.tensor, torch.tensor([2.0]))
    ours = names_of(tg, tg.Tensor, tg.Tensor(np.float32([2.0])))
    expected = described(eval(code, theirs))
    assert described(eval(code, ours)) != expected, "this does not differ"
    assert described(eval(substitute, ours)) == expected


def test_the_page_shows_every_pair():
    shown = rows("What to write for what is not here", 2)
    assert dict(shown) == PAIRS
    assert len(shown) == len(PAIRS)


def test_its_program_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    names = {"__name__": "docs"}
    exec(compile(block, PAGE.name, "exec"), names)
    assert re.fullmatch(r"\d\.\d{3}\n", capsys.readouterr().out)
    assert (tmp_path / "net.npz").exists()
    assert 0 <= names["accuracy"] <= 1


def test_what_has_no_row_is_so():
    x = tg.Tensor([1.0, 2.0])
    with pytest.raises(TypeError):
        x[0] = 1.0
    loss = (x * x).sum()
    loss.backward()
    loss.backward()
    np.testing.assert_array_equal(x.grad, [4.0, 8.0])
    assert type(x.grad) is np.ndarray
    assert tg.tensor([1, 2]).mean().dtype == np.float64
    assert tg.nn.Linear(2, 1)(tg.randn(3, 2)).dtype == np.float64
