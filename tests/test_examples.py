"""What the README and the examples show is what runs."""

import importlib.util
import re
from pathlib import Path

import numpy as np

from tinygraph import OPS

ROOT = Path(__file__).parent.parent


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here():
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert names == {"compose_batchnorm", "draw_batchnorm", "check_batchnorm", "backprop_by_hand"}


def test_compose_learns():
    assert example("compose_batchnorm").main(steps=60) < 0.02


def test_draw(tmp_path):
    """One picture has the values with the gradients that reach them; the other one, the ops of the backward pass."""
    files = example("draw_batchnorm").main(folder=tmp_path)
    loss, gradients = (
        {
            title.splitlines()[0].split("/")[-1]: title
            for title in re.findall("<title>(.*?)</title>", path.read_text(), re.S)
        }
        for path in files
    )
    assert {"x", "γ", "β", "μ", "x_c", "q", "v", "σ", "x̂", "s", "y", "L"} == {n for n in loss if "gradient" in loss[n]}
    assert "constant" in loss["w"]
    assert {"dx", "dγ", "dβ"} <= gradients.keys() - loss.keys()
    assert not any("\ngradient" in title for title in gradients.values())


def test_check():
    assert example("check_batchnorm").main() is True


def test_by_hand_every_gradient_agrees():
    errors = example("backprop_by_hand").main()
    assert len(errors) == 10
    assert max(errors.values()) < 1e-12


def test_readme_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 6
    names = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    del OPS["softplus"]
    assert names["certificate"].ok
    assert (tmp_path / "graph.svg").read_text().lstrip().startswith("<")
    np.testing.assert_allclose(names["softplus"](np.zeros(2)), np.log(2))


def test_the_profile_of_the_docs_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "benchmarks.md").read_text(), re.S)
    exec(compile(block, "benchmarks.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "in array functions" in printed
    assert "x̂ = x_c ÷ σ↑" in printed
