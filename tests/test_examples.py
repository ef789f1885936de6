"""What the README and the examples show is what runs."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from tinygraph import OPS

ROOT = Path(__file__).parent.parent


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here():
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert names == {"compose_batchnorm", "draw_batchnorm", "check_batchnorm", "backprop_by_hand", *NETS}


# Nets from primitives: arguments for a short run, what it must reach there, and what its picture must name.
NETS = {
    "character_lstm": ({"steps": 40, "window": 16}, 2.9, "gate f"),  # nats a letter; it begins at 3.7
    "small_transformer": ({"steps": 60}, 2.8, "attention"),  # it begins at 4.1
    "variational_autoencoder": ({"steps": 150}, 28.0, "encoder"),  # nats an image; it begins at 47
    "physics_informed": ({"steps": 200}, 0.2, "net"),  # error against sin; u = x would be 4.8 off
    "whitening": ({"steps": 120}, 0.2, "whiten"),  # of the loss with batch norm in its place
    "wgan_gradient_penalty": ({"steps": 120}, 0.35, "penalty"),  # of the mean radius
}


@pytest.mark.parametrize("name", NETS)
def test_a_net_from_primitives_learns_and_is_drawn(name, tmp_path, capsys):
    options, bound, named = NETS[name]
    reached, files = example(name).main(**options, folder=tmp_path)
    assert reached < bound, capsys.readouterr().out
    pictures = [files] if isinstance(files, Path) else files
    assert all(path.stat().st_size > 3000 for path in pictures)
    assert named in pictures[0].read_text(encoding="utf-8")


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
    assert {"∂x", "∂γ", "∂β"} <= gradients.keys() - loss.keys()  # of ∂L/∂x and so on


def test_check():
    assert example("check_batchnorm").main() is True


def test_by_hand_every_gradient_agrees():
    errors = example("backprop_by_hand").main()
    assert len(errors) == 10
    assert max(errors.values()) < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("dbeta = dy.sum(0)", "dbeta = dy", "dβ    ✗  its shape is (32, 20), and should be (20,)"),
        ("dgamma = (ds * x_hat).sum(0)", "dgamma = (ds * x_hat).sum(1)", "dγ    ✗  its shape is (32,)"),
        ("/ sigma**2).sum(0)", "/ sigma**2).sum(1)", "Begin with dσ"),
        ("dv = dsigma / (2 * sigma)", "dv = dsigma / sigma", "Begin with dv"),
    ],
)
def test_by_hand_tells_a_wrong_line_and_does_not_crash(right, wrong, said, tmp_path, capsys):
    text = (ROOT / "examples" / "backprop_by_hand.py").read_text(encoding="utf-8")
    assert text.count(right) == 1
    space = {"__name__": "edited"}
    exec(compile(text.replace(right, wrong), "edited.py", "exec"), space)
    space["main"]()
    assert said in capsys.readouterr().out


def test_readme_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 6
    names = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    del OPS["log_cosh"]
    assert names["certificate"].ok
    assert (tmp_path / "graph.svg").read_text().lstrip().startswith("<")
    np.testing.assert_allclose(names["log_cosh"](np.ones(2)), np.log(np.cosh(1)))


def test_the_profile_of_the_docs_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "benchmarks.md").read_text(), re.S)
    exec(compile(block, "benchmarks.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "in array functions" in printed
    assert "x̂ = x_c ÷ σ↑" in printed
