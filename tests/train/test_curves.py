"""A picture of a training has a panel for the loss and one for the accuracy."""

import pytest

from tinygraph.training import Epoch, curves


@pytest.mark.parametrize("tested", [True, False])
def test_curves_of_loss_and_accuracy(tmp_path, tested):
    pytest.importorskip("matplotlib")
    test = (0.4, 0.8) if tested else (None, None)
    curves([Epoch(0.5, 0.7, *test, 100.0), Epoch(0.3, 0.9, *test, 100.0)], tmp_path / "curves.svg", "digits")
    picture = (tmp_path / "curves.svg").read_text()
    has = lambda word: f"<!-- {word} -->" in picture or f">{word}</text>" in picture  # as outlines, or as text
    assert all(map(has, ("loss", "accuracy", "epoch", "training", "digits")))
    assert has("test") == tested
