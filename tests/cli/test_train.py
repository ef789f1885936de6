"""``tinygraph train``: what it writes, how it stops and goes on, and what it says when it cannot."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.small_fashion import TRAIN
from tests.train.test_loop import run_of
from tinygraph import checkpoint, data
from tinygraph.cli import main, train
from tinygraph.compiler import compiled

FILES = {
    "history.json", "epochs.csv", "steps.csv", "layers.csv", "confusion.csv", "worst.csv", "best.npz", "checkpoint.npz",
}  # fmt: skip


def command(*arguments):
    return main(["train", *map(str, arguments)])


def test_train_on_digits(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert command("mlp", "--data", "digits", "--epochs", 2, "--out", tmp_path) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith(
        "six linear layers (5 × 100) with batch norm, Adam: 48,910 parameters, numpy on "
    )
    assert out.splitlines()[1] == "digits: 1,000 examples and 297 to test on, in batches of 50"
    assert out.splitlines()[2].startswith("epoch 1/2  loss ")
    assert not [
        line for line in err.splitlines() if "compiling fused kernels" not in line
    ]  # it is said once, if at all
    history = json.loads((tmp_path / "history.json").read_text())
    assert history[1]["test_accuracy"] > 0.7
    assert (tmp_path / "curves.svg").read_text().lstrip().startswith("<?xml")
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"curves.svg"}
    assert command("mlp", "--epochs", 3, "--out", tmp_path, "--resume") == 0
    assert len(json.loads((tmp_path / "history.json").read_text())) == 3


def test_compiled_steps(tmp_path, capsys, monkeypatch):
    """The same losses to rounding; a run stays what it was begun as."""
    monkeypatch.setattr(compiled, "load_numba", lambda: False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    run = ("mlp", "--data", "digits", "--examples", 100, "--epochs", 1)
    assert command(*run, "--out", tmp_path / "a") == command(*run, "--compile", "--out", tmp_path / "b") == 0
    assert "CPU cores, compiled\n" in capsys.readouterr().out
    losses = [[e["loss"] for e in json.loads((tmp_path / d / "history.json").read_text())] for d in "ab"]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert command("mlp", "--resume", "--epochs", 2, "--out", tmp_path / "b") == 0
    assert "compiled\n" in capsys.readouterr().out
    assert command("mlp", "--resume", "--compile", "--out", tmp_path / "a") == 2
    assert "was made with --compile False, not True" in capsys.readouterr().err
    assert command("mlp", "--compile", "--backend", "cupy", "--out", tmp_path / "c") == 2
    assert "--compile: there are no kernels for --backend cupy" in capsys.readouterr().err


def test_without_matplotlib_the_rest_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert command("mlp", "--data", "digits", "--examples", 100, "--epochs", 1, "--out", tmp_path) == 0
    assert "no picture: curves need Matplotlib: pip install matplotlib" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_train_on_a_folder(fashion, tmp_path, capsys):
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
        (["mlp", "--data", "digits", "--lr", "-1"], "lr is -1.0, and must be a number that is not negative"),
        (["mlp", "--data", "digits", "--batch", "1"], "one value per channel"),
        (["mlp", "--data", "digits", "--examples", "51"], "the last batch would be of one example"),
        (["mlp", "--data", "digits", "--lr-decay", "-1"], "--lr-decay -1.0: must be 0 or more"),
        (["mlp", "--data", "digits", "--weight-decay", "nan"], "--weight-decay nan: must be 0 or more"),
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
    assert error.count("\n") == 1
    assert f"kept in {tmp_path}: history.json, " in error
    assert json.loads((tmp_path / "history.json").read_text()) == []
    state = checkpoint.load(tmp_path / "checkpoint.npz")["training"]
    assert state["place"]["batch"] == 1  # the step that failed moved nothing
    assert len(state["losses"]) == 1


def test_a_loss_that_runs_away_is_exit_1(tmp_path, capsys):
    assert command("mlp", "--data", "digits", "--norm", "none", "--lr", "30", "--out", tmp_path) == 1
    error = capsys.readouterr().err
    assert "the loss runs away: 2.303 at first, " in error
    assert "a smaller --lr may help" in error


def test_a_net_that_gets_worse_keeps_its_best_state(tmp_path, capsys):
    options = ("mlp", "--data", "digits", "--examples", 300, "--lr", 0.02, "--lr-decay", 3, "--out", tmp_path)
    assert command(*options, "--epochs", 5) in (0, 1)
    history = json.loads((tmp_path / "history.json").read_text())
    accuracies = [epoch["test_accuracy"] for epoch in history]
    best = checkpoint.load(tmp_path / "best.npz")["training"]
    assert best["place"]["epoch"] == accuracies.index(max(accuracies)) + 1
    assert np.isclose(best["schedule"]["last_epoch"], best["place"]["epoch"])


def test_weights_alone_decay(tmp_path):
    options = ("mlp", "--data", "digits", "--examples", 100, "--epochs", 1, "--lr", 0)
    assert command(*options, "--weight-decay", 0.5, "--drop-last", "--out", tmp_path) == 0
    groups = checkpoint.load(tmp_path / "checkpoint.npz")["training"]["optimizer"]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]


def test_the_tables_are_those_of_the_run(tmp_path):
    assert command("mlp", "--data", "digits", "--examples", 130, "--epochs", 2, "--out", tmp_path) == 0
    tables = {
        name: list(csv.DictReader((tmp_path / name).read_text().splitlines()))
        for name in FILES
        if name.endswith(".csv")
    }
    history = json.loads((tmp_path / "history.json").read_text())
    assert [float(row["loss"]) for row in tables["epochs.csv"]] == [epoch["loss"] for epoch in history]
    steps = tables["steps.csv"]
    assert [(row["step"], row["epoch"], row["batch"]) for row in steps[2:4]] == [("3", "1", "3"), ("4", "2", "1")]
    sizes = np.array([50, 50, 30])
    assert np.isclose(sizes @ [float(row["loss"]) for row in steps[3:]] / 130, history[1]["loss"], rtol=1e-12)
    counts = np.array([[int(row[f"taken_for_{c}"]) for c in range(10)] for row in tables["confusion.csv"]])
    assert counts.sum() == 297
    assert np.isclose(counts.trace() / 297, history[1]["test_accuracy"])
    worst = [float(row["loss"]) for row in tables["worst.csv"]]
    assert worst == sorted(worst, reverse=True)
    layers = [row for row in tables["layers.csv"] if row["layer"] == "block3.norm"]
    assert [row["epoch"] for row in layers] == ["1", "2"]
    assert all(abs(float(row["std"]) - 1) < 0.05 for row in layers)  # after batch norm


WRONG = [
    (lambda s: s.pop("training"), "it has no training"),
    (lambda s: s.pop("options"), "it has no options"),
    (lambda s: s["training"].pop("place"), "the state has no place"),
    (lambda s: s["training"].pop("optimizer"), "the state has no optimizer"),
    (lambda s: s["training"].pop("model"), "the state has no model"),
    (lambda s: s["training"].pop("history"), "history is no list"),
    (lambda s: s["training"]["place"].update(epoch="2"), "epoch '2'"),
    (lambda s: s["training"]["place"].update(batch=1.5), "batch 1.5"),
    (lambda s: s["training"]["place"].update(batch=-1), "batch -1"),
    (lambda s: s["training"]["place"].update(totals=[1]), "totals of the state's epoch are [1]"),
    (lambda s: s["training"]["place"].update(epoch=99), "at epoch 99, and its history has 1"),
    (lambda s: s["training"].update(history=[]), "at epoch 1, and its history has 0"),
    (lambda s: s["training"].update(history=[["a"] * 5]), "history is no list of epochs"),
    (lambda s: s["training"].update(losses="many"), "losses are no list of numbers"),
    (lambda s: s["options"].update(lr="x"), "its lr is 'x'"),
    (lambda s: s["options"].update(norm="weird"), "its norm is 'weird'"),
    (lambda s: s["options"].update(data=5), "its data is 5"),
    (lambda s: s["options"].update(batch=True), "its batch is True"),
    (lambda s: s["options"].update(name=["mlp"]), "its name is ['mlp']"),
    (lambda s: s["training"]["optimizer"].pop("param_groups"), ""),
    (lambda s: s["training"]["model"].pop("out.weight"), "out.weight"),
    (lambda s: s.update(training={"model": 3}), "the state has no model"),
]


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert command("mlp", "--data", "digits", "--examples", 100, "--epochs", 1, "--out", folder) == 0
    return folder


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_checkpoint_is_one_line_and_stays(short_run, change, message, tmp_path, capsys):
    state = checkpoint.load(short_run / "checkpoint.npz")
    change(state)
    checkpoint.save(state, tmp_path / "checkpoint.npz")
    before = (tmp_path / "checkpoint.npz").read_bytes()
    capsys.readouterr()
    assert command("mlp", "--out", tmp_path, "--resume", "--epochs", 2) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("twice", [False, True])
def test_a_signal_while_it_loads_is_one_line(tmp_path, number, status, twice):
    """It comes when Python runs but nothing is trained: into the import of the data, or into the first steps."""
    line = f"""
import os, signal, sys
import tinygraph.train.datasets as datasets
load = datasets.dataset
def slow(where):
    for _ in range({1 + twice}):
        os.kill(os.getpid(), {int(number)})
    return load(where)
datasets.dataset = slow
from tinygraph.cli import main
sys.exit(main(["train", "mlp", "--data", "digits", "--out", {str(tmp_path / "run")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "interrupted" in lines[0]
    assert ("nothing was kept" in lines[0]) == twice
    assert (tmp_path / "run" / "checkpoint.npz").exists() != twice
    assert not (tmp_path / "run" / "curves.svg").exists()  # of no epoch there is nothing to draw


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_saves_and_resume_ends_at_the_same_numbers(tmp_path):
    """Interrupted as often as it takes, wherever that is; the end is that of a run that was left alone."""
    tinygraph = [sys.executable, "-m", "tinygraph", "train", "mlp"]
    options = ["--data", "digits", "--examples", "750", "--epochs", "5", "--batch", "25"]
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError")  # curves take as long as all steps
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": paths}
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
    assert codes[0] == 130 and codes[-1] == 0
    states = [checkpoint.load(tmp_path / d / "checkpoint.npz")["training"] for d in "ab"]
    assert [h[:-1] for h in states[0]["history"]] == [h[:-1] for h in states[1]["history"]]
    for key, value in states[0]["model"].items():
        np.testing.assert_array_equal(value, states[1]["model"][key], err_msg=key)


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
    assert "left" not in shown  # nothing is known of the speed: the first step may have compiled
    bar.clear()
    assert capsys.readouterr().err == "\r\x1b[K"


@pytest.mark.parametrize("width", [20, 30, 50, 80, 200])
def test_the_bar_fits_the_terminal(width, monkeypatch):
    run = run_of()
    steps = run.steps(3)
    next(steps), next(steps)
    line = train.Bar(run, 3).line(width)
    assert len(line) <= width
    assert line.startswith("epoch 1/3 ")
    assert ("examples/s" in line) == (width >= 80)
    assert (" left" in line) == (width >= 50), line


def test_a_dumb_terminal_gets_no_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    run = run_of()
    bar = train.Bar(run, 3)
    next(run.steps(1))
    bar.show()
    bar.clear()
    assert capsys.readouterr().err == ""
