"""``tinygraph eval`` and ``tinygraph predict``: what a trained net says of images."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest

from tinygraph import checkpoint, nets
from tinygraph.cli import main
from tinygraph.data import dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    assert main(["train", "mlp", "--data", "digits", "--epochs", "3", "--out", str(out)]) == 0
    return out


def scores_of(folder, images):
    """The scores by hand: the mean image off, then the net in evaluation mode."""
    (train, _), _ = dataset("digits")
    net = nets.fully_connected((64, 100, 100, 100, 100, 100, 10))
    net.load_state_dict(checkpoint.load(folder / "checkpoint.npz")["training"]["model"])
    return net.eval()((images - train[:1000].mean(0)).astype(np.float32)).data.astype(np.float64)


def test_eval_prints_accuracy_and_confusion(folder, tmp_path, capsys):
    assert main(["eval", str(folder), "-o", str(tmp_path / "wrong")]) == 0
    out = capsys.readouterr().out
    _, (images, labels) = dataset("digits")
    found = scores_of(folder, images).argmax(1)
    assert "297 examples  loss " in out
    assert f"accuracy {np.mean(found == labels):.4f}" in out
    zero = [str(n or ".") for n in np.bincount(found[labels == 0], minlength=10)]
    assert re.search(r"^ +0  +" + r" +".join(map(re.escape, zero)) + "$", out, re.M)
    worst = list(csv.DictReader((tmp_path / "wrong" / "worst.csv").read_text().splitlines()))
    first = int(worst[0]["example"])
    assert int(worst[0]["label"]) == labels[first]
    scores = scores_of(folder, images)
    losses = np.log(np.exp(scores).sum(1)) - scores[np.arange(297), labels]
    assert first == losses.argmax()
    assert float(worst[0]["loss"]) == pytest.approx(losses.max(), rel=1e-4)


def test_eval_of_the_training_set_and_of_the_best(folder, capsys):
    assert main(["eval", str(folder / "best.npz"), "--set", "train"]) == 0
    assert capsys.readouterr().out.startswith("1,000 examples ")


@pytest.mark.parametrize("kind", ["npy", "csv", "one"])
def test_predict_gives_a_class_an_image(folder, kind, tmp_path, capsys):
    _, (images, _) = dataset("digits")
    path = tmp_path / ("x.csv" if kind == "csv" else "x.npy")
    if kind == "csv":
        np.savetxt(path, images[:5].reshape(5, 64), delimiter=",", fmt="%d")
    else:
        np.save(path, images[0, 0] if kind == "one" else images[:5, 0])
    assert main(["predict", str(folder), str(path)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    scores = scores_of(folder, images[: len(rows)])
    assert len(rows) == (1 if kind == "one" else 5)
    assert [int(row["class"]) for row in rows] == scores.argmax(1).tolist()
    p = np.exp(scores - scores.max(1, keepdims=True))
    wanted = (p / p.sum(1, keepdims=True)).max(1)
    np.testing.assert_allclose([float(row["probability"]) for row in rows], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "nowhere"], "there is no such checkpoint"),
        (["eval", "{run}", "--data", "nowhere"], "neither 'digits' nor a folder"),
        (["predict", "{run}", "nowhere.npy"], "there is no such file"),
        (["predict", "{run}", "{small}"], "each has the shape (3,); the net takes (1, 8, 8), 64 numbers each"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(folder, arguments, message, tmp_path, capsys):
    np.save(tmp_path / "small.npy", np.zeros((2, 3)))
    assert main([a.format(run=folder, small=tmp_path / "small.npy") for a in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_checkpoint_of_something_else_is_refused(tmp_path, capsys):
    checkpoint.save({"weight": np.ones(3)}, tmp_path / "checkpoint.npz")
    assert main(["eval", str(tmp_path)]) == 2
    assert "is no checkpoint of `tinygraph train`" in capsys.readouterr().err
