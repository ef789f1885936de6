"""Every experiment runs in its short form, and finds what mathematics says; docs/experiments.md has the full ones."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygraph as tg
from tests.small_fashion import packed
from tinygraph import nn

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples" / "experiments"
NAMES = {
    1: "lenet",
    2: "six_layers",
    3: "weight_scale",
    4: "batch_size",
    5: "by_hand",
    6: "gradient_check",
    7: "shift_first",
    8: "depth",
    9: "learning_rates",
    10: "regularisation",
    11: "preprocessing",
    12: "parts",
    13: "statistics_anew",
    14: "whitening",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images that can be learnt from, in Fashion-MNIST's format: each class has a bright bar at a place of its own."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    for part, n in (("train", 2100), ("t10k", 1000)):
        labels = rng.integers(0, 10, n).astype(np.uint8)
        images = rng.integers(0, 100, (n, 28, 28))
        images[np.arange(n), 2 * labels + 2] += 120
        images[np.arange(n), :, 2 * labels + 3] += 30
        for kind, array in (("images-idx3", images.astype(np.uint8)), ("labels-idx1", labels)):
            (folder / f"{part}-{kind}-ubyte").write_bytes(packed(array))
    return folder


@pytest.fixture
def experiment(monkeypatch):
    """Import an experiment as its script is run: with its folder on the path."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


def test_every_experiment_is_run_here_and_is_in_the_docs():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*NAMES.values(), "report", "nets"}
    page = (ROOT / "docs" / "experiments.md").read_text()
    for number, name in NAMES.items():
        block = re.search(f"<!-- experiment {number} -->\n(.*?)<!-- /experiment {number} -->", page, re.S)[1]
        assert f"python examples/experiments/{name}.py --docs`" in block
        assert re.search(r"\d+ s on 20\d\d-\d\d-\d\d, .* with \d+ cores, Python 3", block)


def test_lenet(experiment, data):
    found = experiment("lenet").run(short=True, data=data).found
    composed, fused = found["from primitives"], found["fused"]
    losses = [[e.loss for e in run["history"]] for run in (composed, fused)]
    assert losses[0][1] < 0.8 * losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)  # the same function: rounding alone sets them apart
    np.testing.assert_allclose(composed["gamma"], fused["gamma"], atol=1e-3)
    assert abs(composed["gamma"] - 1).max() > 0.01


def test_six_layers(experiment, data):
    found = experiment("six_layers").run(short=True, data=data).found
    (with_norm,), (without,) = found["with batch norm"], found["without"]
    assert with_norm.train[-1] > 0.5
    assert np.mean(with_norm.loss[:10]) < np.mean(without.loss[:10])


def test_weight_scale(experiment, data):
    found = experiment("weight_scale").run(short=True, data=data).found
    assert len(found["scales"]) == 3
    assert found["without"][0, 2] == pytest.approx(np.log(10), rel=0.01)  # nothing is learnt at 1e-4 without
    assert found["with"][0, 2] < found["without"][0, 2]
    assert found["with"][2, 2] < found["without"][2, 2] / 100  # nor at 1, where scores are huge


def test_batch_size(experiment, data):
    found = experiment("batch_size").run(short=True, data=data).found
    assert len(found) == 7
    assert [len(found["batch norm", size][0].loss) for size in (5, 10, 50)] == [80, 40, 8]


def test_by_hand(experiment, data):
    found = experiment("by_hand").run(short=True, data=data).found
    assert len(found) == 4
    for name, errors in found.items():
        assert errors["numeric"] < 1e-8, name
        assert errors["other"] < 1e-10, name


def test_gradient_check(experiment, data):
    found = experiment("gradient_check").run(short=True, data=data).found
    plain, regularized = found[2, 0.0], found[2, 3.14]
    for name, (relative, absolute, size) in (plain | regularized).items():
        assert relative < 1e-3 or size < 1e-9, name
        assert absolute < 1e-6, name
    for name in plain:
        same = plain[name][2] == pytest.approx(regularized[name][2], rel=1e-9, abs=1e-12)
        assert same is not name.endswith(("linear.weight", "out.weight")), name  # γ, β and biases are not regularized
    assert plain["block1.linear.bias"][2] < 1e-12  # a shift before a batch norm does nothing


def test_shift_first(experiment, data):
    found = experiment("shift_first").run(short=True, data=data).found
    assert found["value"] < 1e-10
    assert max(found["errors"].values()) < 1e-10
    assert not found["stuck"].any()
    assert found["apart"][0] < 1e-6
    assert found["apart"][-1] > 1e-6


def test_depth(experiment, data):
    found = experiment("depth").run(short=True, data=data).found
    vanishing, steady = found["sigmoid, without"]["before"], found["sigmoid, with batch norm"]["before"]
    assert len(vanishing) == 11
    slopes = vanishing[1:-1] / vanishing[:-2]  # sigmoid' is at most 1/4, and Xavier keeps the rest
    assert (slopes > 2).all()
    assert vanishing[0] < 1e-4 * vanishing[-1]
    assert steady[0] > 0.1 * steady[-1]


def test_learning_rates(experiment, data):
    found = experiment("learning_rates").run(short=True, data=data).found
    assert found["with batch norm"].shape == found["without"].shape == (1, 3)
    assert found["with batch norm"][0, 1] > found["without"][0, 1]  # at 0.1
    assert found["without"][0, 2] < 0.2  # at 10 nothing is learnt


def test_regularisation(experiment, data):
    drawn = experiment("regularisation")
    found = drawn.run(short=True, data=data).found
    assert len(found) == 7
    net = drawn.build((np.zeros((2, 1, 28, 28)),), True, 0.5, 0)
    assert sum(isinstance(module, nn.Dropout) for module in net.modules()) == 5
    adam = drawn.decayed(net, 0.25, None, 0.1)
    decayed = {id(p) for group in adam.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(p) for name, p in net.named_parameters() if p.ndim > 1}


def test_preprocessing(experiment, data):
    """Blindness follows from the definitions: it is no matter of the data."""
    found = experiment("preprocessing").run(short=True, data=data).found
    blind = {name: tuple(list(facts.values())[:4]) for name, facts in found.items()}
    assert blind["batch norm"] == blind["subtract the mean image"] == (True, False, False, False)
    assert blind["layer norm"] == blind["scale images to the sum 1"] == (False, True, False, True)
    assert blind["scale rows to the sum 1"] == (False, True, True, True)
    assert blind["threshold"] == (False, False, False, True)


def test_parts(experiment, data):
    parts = experiment("parts")
    found = parts.run(short=True, data=data).found
    same = [np.array(found[name][0].loss) for name in ("batch norm in all five", "no bias before it")]
    np.testing.assert_allclose(*same, rtol=1e-3)  # a shift before a batch norm does nothing
    both = tg.nn.BatchNorm1d(5)
    x = np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32) * 3 + 1
    np.testing.assert_allclose(parts.Lite(5)(tg.Tensor(x)).data, both(x).data, atol=1e-5)
    only = parts.Lite(5, variance=False)(tg.Tensor(x)).data
    np.testing.assert_allclose(only, x - x.mean(0), atol=1e-5)


def test_statistics_anew(experiment, data):
    found = experiment("statistics_anew").run(short=True, data=data).found
    assert len(found["measured anew"]) == 2
    assert (found["measured anew"] > found["running statistics"] - 0.05).all()


def test_whitening(experiment, data):
    whitening = experiment("whitening")
    found = whitening.run(short=True, data=data).found
    assert np.mean(found["whitening"][0].loss[-2:]) < found["whitening"][0].loss[0]
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((400, 4)) @ rng.standard_normal((4, 4))).astype(np.float64) + 3
    layer = whitening.Whitening(4, eps=0.0)
    y = layer(tg.Tensor(x)).data
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(y.T @ y / 400, np.eye(4), atol=1e-5)


def test_a_wrong_formula_is_seen(experiment, data, monkeypatch):
    """The figures of experiments 5 and 7 can be bad: a term left out shows."""
    by_hand = experiment("by_hand")
    monkeypatch.setitem(
        by_hand.ROUTES, "by hand, closed form", lambda x, g, b, dy: (dy * g, (dy * x).sum(0), dy.sum(0))
    )
    assert by_hand.run(short=True, data=data).found["by hand, closed form"]["numeric"] > 0.1


def test_the_nets_can_be_drawn(experiment):
    drawn = experiment("nets")
    for name in ("lenet", "lenet_fused", "six_layers", "six_layers_plain", "six_layers_layer_norm", "eight_layers"):
        graph = tg.snapshot(getattr(drawn, name)())
        assert graph.nodes[-1].name == "L"
        assert all(node.grad_state == "computed" for node in graph.nodes if node.kind == "parameter")
    assert len({node.scope for node in graph.nodes if node.name == "x̂"}) == 7


def test_a_script_writes_its_figure_and_its_place_in_the_docs(experiment, data, tmp_path, monkeypatch, capsys):
    report = experiment("report")
    out = tmp_path / "figure.svg"
    command = [sys.executable, FOLDER / "shift_first.py", "--short", "--data", data, "--out", out]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "β cannot move" in done.stdout
    assert "<svg" in out.read_text()
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- experiment 7 -->\nold\n<!-- /experiment 7 -->\nb\n")
    report.write(page, 7, "new \\1")
    assert page.read_text() == "a\n<!-- experiment 7 -->\nnew \\1\n<!-- /experiment 7 -->\nb\n"
    with pytest.raises(ValueError, match="there are 0 places for experiment 3"):
        report.write(page, 3, "new")


def test_cifar10_is_taken_where_it_is(experiment, tmp_path):
    """Experiments of CS231n run on what the text ran on: images of 3 × 32 × 32."""
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (10_000, 3073), np.uint8)
    records[:, 0] %= 10
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    six = experiment("six_layers")
    sets = six.split(experiment("report").images(tmp_path)[0], 100)
    assert sets[0][0].shape == (100, 3, 32, 32)
    curves = six.train_net(sets, [20], nn.BatchNorm1d, epochs=1)
    assert len(curves.loss) == 2
