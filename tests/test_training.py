"""Runs that stop and go on, runs that stop for good, and the command that makes them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinygraph as tg
from tests.test_data import TRAIN, fashion  # noqa: F401
from tinygraph import checkpoint, data, nets, nn, optim, training
from tinygraph.cli import main, train
from tinygraph.data import DataLoader, digits
from tinygraph.training import NotFinite, Training, evaluate, first_not_finite

ROOT = Path(__file__).parent.parent


def run_of(seed=0, drop_last=False, schedule=False, norm=nn.BatchNorm1d, examples=230):
    """A run on digits with everything that has a state: batch norm, dropout, Adam, noise in the batches, a schedule."""
    images, labels = digits()
    net = nets.fully_connected((64, 20, 10), norm, seed=seed)
    net.block1.drop = nn.Dropout(0.2)
    nn.init.manual_seed(net, seed)
    noisy = lambda x, labels, generator: (x + generator.standard_normal(x.shape).astype(np.float32), labels)
    loader = DataLoader(
        (images[:examples], labels[:examples]), 50, shuffle=True, seed=seed, drop_last=drop_last, transform=noisy
    )
    optimizer = optim.Adam(net.parameters(), 0.01)
    rates = optim.StepLR(optimizer, step_size=1, gamma=0.5) if schedule else None
    return Training(net, optimizer, loader, test=DataLoader((images[-200:], labels[-200:]), 80), schedule=rates)


def figures(run):
    """The history, without what depends on the clock."""
    return [epoch[:-1] for epoch in run.history]


def test_a_run_learns_and_says_how_far_it_is():
    run = run_of(examples=1500)
    losses = list(run.steps(5))
    assert len(losses) == 5 * 30
    assert (run.epoch, run.batch) == (5, 0)
    assert run.history[-1].test_accuracy > 0.85 > run.history[0].accuracy
    assert run.loss == run.history[-1].loss == pytest.approx(np.mean(losses[-30:]))
    assert run.net.training


def test_loss_and_accuracy_count_each_example_once():
    """Batches of 50, 50, 50, 50 and 30: a mean of the batches' means would be another."""
    run = run_of()
    sizes, losses = [50, 50, 50, 50, 30], list(run.steps(1))
    assert run.history[0].loss == pytest.approx(np.dot(sizes, losses) / 230, rel=1e-12)


def test_evaluate_is_by_hand(rng):
    net = nets.fully_connected((64, 20, 10), seed=0)
    images, labels = digits()
    loss, accuracy = evaluate(net, DataLoader((images[:130], labels[:130]), 50), nn.CrossEntropyLoss())
    assert net.training
    assert net.block1.norm.num_batches_tracked == 0
    with tg.no_grad():
        scores = net.eval()(images[:130]).data.astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    assert loss == pytest.approx(-log_p[np.arange(130), labels[:130]].mean(), rel=1e-5)
    assert accuracy == (scores.argmax(1) == labels[:130]).mean()


@pytest.mark.parametrize("stop", [1, 3, 5, 8])
def test_a_run_goes_on_to_the_same_bits(tmp_path, stop):
    whole = run_of(schedule=True)
    losses = list(whole.steps(2))
    first = run_of(schedule=True)
    steps = first.steps(2)
    begun = [next(steps) for _ in range(stop)]
    path = tmp_path / "run.npz"
    checkpoint.save(first.state_dict(), path)
    list(steps)  # what goes on after the save does not change what was saved
    second = run_of(seed=7, schedule=True)
    second.load_state_dict(checkpoint.load(path))
    assert begun + list(second.steps(2)) == losses
    assert figures(second) == figures(whole)
    state = second.net.state_dict()
    for key, value in whole.net.state_dict().items():
        np.testing.assert_array_equal(state[key], value, err_msg=key)
    assert second.optimizer.param_groups[0]["lr"] == whole.optimizer.param_groups[0]["lr"] == 0.01 / 4


def test_a_state_of_other_batches_is_refused():
    run = run_of()
    steps = run.steps(1)
    for _ in range(4):
        next(steps)
    with pytest.raises(ValueError, match="the state is at batch 4; an epoch has 2"):
        run_of(examples=100).load_state_dict(run.state_dict())


def test_no_batches_are_an_error():
    with pytest.raises(ValueError, match="the loader has no batches"):
        run_of(examples=40, drop_last=True)


# What is not finite ---------------------------------------------------------------------------------------------------


def test_a_loss_that_is_nan_stops_before_anything_moves():
    run = run_of()
    steps = run.steps(1)
    next(steps)
    weight = run.net.block1.linear.weight
    weight.data = np.where(np.arange(64) == 3, np.nan, weight.data)
    before = run.state_dict()
    first = "the first value that is not finite is weight in block1/linear: 20 nan of 1280"
    with pytest.raises(NotFinite, match=f"^epoch 1, batch 2: the loss is nan; {first}$"):
        next(steps)
    after = run.state_dict()
    assert after["place"] == before["place"]
    for key in ("out.weight", "block1.linear.bias"):
        np.testing.assert_array_equal(after["model"][key], before["model"][key])


def test_the_first_bad_value_is_named():
    x = tg.Tensor([4.0, -1.0], name="x")
    with np.errstate(invalid="ignore"), tg.scope("net", "bn"):
        loss = (tg.exp(tg.sqrt(x).named("σ")) + 1).sum()
    assert first_not_finite(loss).endswith("is σ = sqrt(x) in net/bn: 1 nan of 2, made of x up to 4")


def test_the_first_bad_gradient_is_named():
    x = tg.Tensor([4.0, 0.0], name="x")
    loss = (tg.sqrt((x * 2).named("double")) * 3).sum()
    with np.errstate(divide="ignore"):
        loss.backward()
    assert (
        "the first gradient that is not finite is that of double = mul(x, constant): 1 infinite of 2"
        in first_not_finite(loss)
    )


def test_a_gradient_that_is_not_finite_stops_too():
    class Rooted(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.zeros((64, 10), np.float32))

        def forward(self, x):
            return x @ tg.sqrt(self.weight)

    net = Rooted()
    run = Training(net, optim.SGD(net.parameters(), 0.1), DataLoader(digits(), 100))
    with (
        np.errstate(all="ignore"),
        pytest.raises(NotFinite, match=r"the loss is 2.303, and a gradient is not: .* that of weight"),
    ):
        next(run.steps(1))
    assert not net.weight.data.any()


def test_all_finite_is_said():
    assert first_not_finite(tg.Tensor([1.0]).sum()) == "every value of its graph is finite"


# The nets -----------------------------------------------------------------------------------------------------


def test_lenet_has_the_sizes_of_the_text():
    shapes = {key: value.shape for key, value in nets.lenet().state_dict().items() if key.endswith("weight")}
    weights = [shape for key, shape in shapes.items() if "norm" not in key]
    assert weights == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 256), (84, 120), (10, 84)]
    assert [shape for key, shape in shapes.items() if "norm" in key] == [(6,), (16,), (120,), (84,)]
    assert nets.lenet((3, 32, 32)).block3.linear.in_features == 400


def test_weights_are_drawn_as_asked():
    net = nets.fully_connected((400, 300, 10), weight_scale=2e-2, seed=0)
    assert net.block1.linear.weight.data.std() == pytest.approx(2e-2, rel=0.02)
    assert not net.block1.linear.bias.data.any()
    bound = np.sqrt(6 / (256 + 120))
    assert abs(nets.lenet(seed=0).block3.linear.weight.data).max() == pytest.approx(bound, rel=1e-3)
    first, second = (nets.lenet(seed=3).state_dict() for _ in range(2))
    assert all((first[key] == second[key]).all() for key in first)


def test_every_recipe_builds_every_kind():
    x = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    for name, recipe in nets.RECIPES.items():
        for norm in ("batch", "layer", "none"):
            if (name, norm) == ("lenet", "layer"):
                with pytest.raises(ValueError, match="lenet has batch norm or none"):
                    recipe.build((1, 28, 28), 10, norm, True, 0)
                continue
            made = [recipe.build((1, 28, 28), 10, norm, fused, 0) for fused in (False, True)]
            np.testing.assert_allclose(made[0](x).data, made[1](x).data, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", nets.RECIPES)
def test_a_net_is_blocks_in_a_drawing(name):
    net = nets.RECIPES[name].build((1, 28, 28), 10, "batch", False, 0)
    loss = nn.CrossEntropyLoss()(net(np.ones((4, 1, 28, 28), np.float32)), np.arange(4))
    graph = tg.snapshot(loss)
    outer = {node.scope[0] for node in graph.nodes if node.op}
    blocks = {name for name, _ in net.named_children()} - {"flatten"}
    assert blocks <= outer <= blocks | {"flatten", "cross_entropy"}
    means = [node.scope for node in graph.nodes if node.name == "μ"]
    assert means == [(block, "norm", "batch_norm") for block in sorted(blocks - {"out"})]
    assert all(node.name for node in graph.nodes if node.kind == "parameter")


# The command --------------------------------------------------------------------------------------------------


def test_names_are_those_of_the_recipes():
    assert set(train.NAMES) == set(nets.RECIPES)


def command(*arguments):
    return main(["train", *map(str, arguments)])


def test_train_on_digits(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert command("mlp", "--data", "digits", "--epochs", 2, "--out", tmp_path) == 0
    out, err = capsys.readouterr()
    assert out.startswith("epoch 1/2  loss ")
    assert err == ""
    history = json.loads((tmp_path / "history.json").read_text())
    assert history[1]["test_accuracy"] > 0.7
    assert (tmp_path / "curves.svg").read_text().lstrip().startswith("<?xml")
    assert {path.name for path in tmp_path.iterdir()} == {"history.json", "curves.svg", "checkpoint.npz"}
    assert command("mlp", "--epochs", 3, "--out", tmp_path, "--resume") == 0
    assert len(json.loads((tmp_path / "history.json").read_text())) == 3


def test_without_matplotlib_the_rest_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert command("mlp", "--data", "digits", "--examples", 100, "--epochs", 1, "--out", tmp_path) == 0
    assert "no picture: curves need Matplotlib: pip install matplotlib" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"history.json", "checkpoint.npz"}


def test_train_on_a_folder(fashion, tmp_path, capsys):  # noqa: F811
    folder, _ = fashion
    options = ["--epochs", 2, "--batch", TRAIN, "--primitives", "--out", tmp_path / "run"]
    assert command("lenet", "--data", folder, *options) == 0
    assert capsys.readouterr().out.count("test accuracy") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet", "--data", "digits"], "lenet takes images of 16 × 16 pixels or more, not 8 × 8"),
        (["lenet", "--norm", "layer"], "lenet has batch norm or none"),
        (["mlp", "--data", "nowhere"], "neither 'digits' nor a folder"),
        (["mlp", "--data", "."], "neither this file nor"),
        (["mlp", "--epochs", "0"], "--epochs 0: must be 1 or more"),
        (["mlp", "--batch", "0"], "--batch 0: must be 1 or more"),
        (["mlp", "--seed", "-1"], "--seed -1: must be 0 or more"),
        (["mlp", "--data", "digits", "--lr", "-1"], "lr is -1.0, and must not be negative"),
        (["mlp", "--data", "digits", "--batch", "1"], "one value per channel"),
        (["mlp", "--data", "digits", "--backend", "cupy"], "cupy backend"),
        (["mlp", "--resume"], "there is no"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if message == "lenet has batch norm or none":
        monkeypatch.setattr(data, "dataset", lambda where: ((np.zeros((4, 1, 28, 28)), np.arange(4)),) * 2)
    if "must be 1" in message:
        arguments = [*arguments, "--data", "digits"]
    assert command(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_run_is_not_overwritten_nor_mixed(tmp_path, capsys):
    base = ["--data", "digits", "--examples", 100, "--out", tmp_path]
    assert command("mlp", *base, "--epochs", 1) == 0
    assert command("mlp", *base, "--epochs", 1) == 2
    assert "holds a run; --resume goes on with it" in capsys.readouterr().err
    assert command("deep", "--out", tmp_path, "--resume") == 2
    assert "is of mlp, not of deep" in capsys.readouterr().err
    assert command("mlp", "--out", tmp_path, "--resume", "--lr", 3) == 2
    assert "was made with --lr 0.001, not 3.0" in capsys.readouterr().err
    (tmp_path / "checkpoint.npz").write_bytes(b"rubbish")
    assert command("mlp", "--out", tmp_path, "--resume") == 2
    assert "is no checkpoint of this command" in capsys.readouterr().err


def test_a_loss_that_is_nan_is_exit_1(tmp_path, capsys):
    assert command("mlp", "--data", "digits", "--lr", "1e30", "--out", tmp_path) == 1
    error = capsys.readouterr().err
    assert "epoch 1, batch 2: the loss is nan; the first value that is not finite is matmul(" in error
    assert ") in block" in error
    assert not (tmp_path / "checkpoint.npz").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_saves_and_resume_ends_at_the_same_numbers(tmp_path):
    """Interrupted as often as it takes, wherever that is; the end is that of a run that was left alone."""
    tinygraph = [sys.executable, "-m", "tinygraph", "train", "mlp"]
    options = ["--data", "digits", "--examples", "1500", "--epochs", "6", "--batch", "25"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([*tinygraph, *options, "--out", tmp_path / "a"], check=True, capture_output=True, env=environment)
    again, codes = options, []
    for _ in range(40):
        process = subprocess.Popen(
            [*tinygraph, *again, "--out", tmp_path / "b"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        process.stdout.readline() if len(codes) < 2 else None
        time.sleep(0.02)
        process.send_signal(signal.SIGINT) if len(codes) < 2 else None
        err = process.communicate()[1]
        codes.append(process.returncode)
        assert process.returncode in (0, 130), err
        again = ["--resume"]
        if process.returncode == 0:
            break
        assert "and saved; to go on: tinygraph train mlp --out" in err
    assert codes == [130, 130, 0]
    states = [checkpoint.load(tmp_path / d / "checkpoint.npz")["training"] for d in "ab"]
    assert [h[:-1] for h in states[0]["history"]] == [h[:-1] for h in states[1]["history"]]
    for key, value in states[0]["model"].items():
        np.testing.assert_array_equal(value, states[1]["model"][key], err_msg=key)


def test_a_second_ctrl_c_breaks_in():
    with pytest.raises(KeyboardInterrupt), training.interruptible() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_bar_is_for_terminals(capsys, monkeypatch):
    run = run_of()
    train.Bar(run, 3).show()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = train.Bar(run, 3)
    next(run.steps(1))
    bar.show()
    shown = capsys.readouterr().err
    assert shown.startswith("\r\x1b[Kepoch 1/3 ━━━━━╌")
    assert "1/5  loss " in shown
    bar.clear()
    assert capsys.readouterr().err == "\r\x1b[K"


def test_the_blocks_of_the_docs_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "nets.md").read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 4
    names = {"__name__": "docs"}
    for block in blocks:
        exec(compile(block, "docs/nets.md", "exec"), names)
    assert (tmp_path / "net.npz").exists()
    assert names["run"].epoch == 2
    assert capsys.readouterr().out.startswith("Epoch(loss=")
