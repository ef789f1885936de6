"""``tinygraph train``: what it writes, how it stops and goes on, and what it says when it cannot."""

from __future__ import annotations

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


def command(*arguments):
    return main(["train", *map(str, arguments)])


def test_train_on_digits(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert command("mlp", "--data", "digits", "--epochs", 2, "--out", tmp_path) == 0
    out, err = capsys.readouterr()
    assert out.startswith("epoch 1/2  loss ")
    assert not [
        line for line in err.splitlines() if "compiling fused kernels" not in line
    ]  # it is said once, if at all
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
