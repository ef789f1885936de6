"""nn.functional has PyTorch's values, gradients and order of arguments."""

import inspect

import numpy as np
import pytest

import tinygraph as tg
import tinygraph.nn.functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional
RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape)


LABELS = np.array([0, 2, 1, 2])
IMAGES = draw(2, 4, 6, 5)
SCORES = draw(4, 3)
C = RNG.uniform(0.5, 2, 4)

# name: (arrays that are differentiated, call). The call gets the module, an `array` function and the tensors.
CASES = {
    "relu": ([draw(4, 3)], lambda f, a, x: f.relu(x, inplace=False)),
    "leaky_relu": ([draw(4, 3)], lambda f, a, x: f.leaky_relu(x, 0.2)),
    "sigmoid": ([draw(4, 3)], lambda f, a, x: f.sigmoid(x)),
    "tanh": ([draw(4, 3)], lambda f, a, x: f.tanh(x)),
    "gelu": ([draw(4, 3)], lambda f, a, x: f.gelu(x)),
    "gelu by tanh": ([draw(4, 3)], lambda f, a, x: f.gelu(x, approximate="tanh")),
    "softmax": ([draw(4, 3)], lambda f, a, x: f.softmax(x, 1)),
    "softmax dim": ([draw(4, 3)], lambda f, a, x: f.softmax(x, dim=0)),
    "log_softmax": ([draw(4, 3)], lambda f, a, x: f.log_softmax(x, dim=1)),
    "linear": ([draw(4, 3), draw(5, 3), draw(5)], lambda f, a, x, w, b: f.linear(x, w, b)),
    "linear without": ([draw(2, 4, 3), draw(5, 3)], lambda f, a, x, w: f.linear(x, w)),
    "conv2d": ([IMAGES, draw(6, 2, 3, 2), draw(6)], lambda f, a, x, w, b: f.conv2d(x, w, b, 2, (1, 0), 1, 2)),
    "conv2d same": ([IMAGES, draw(3, 4, 3, 3)], lambda f, a, x, w: f.conv2d(x, w, padding="same", dilation=(1, 2))),
    "conv2d valid": ([IMAGES, draw(3, 4, 3, 3)], lambda f, a, x, w: f.conv2d(x, w, None, 1, "valid")),
    "conv_transpose2d": (
        [IMAGES, draw(4, 3, 2, 3), draw(6)],
        lambda f, a, x, w, b: f.conv_transpose2d(x, w, b, 2, 1, 1, 2, 1),
    ),
    "max_pool2d": ([IMAGES], lambda f, a, x: f.max_pool2d(x, 3, 2, 1)),
    "max_pool2d short": ([IMAGES], lambda f, a, x: f.max_pool2d(x, 2)),
    "avg_pool2d": ([IMAGES], lambda f, a, x: f.avg_pool2d(x, (3, 2), stride=1, padding=1)),
    "adaptive_avg_pool2d": ([IMAGES], lambda f, a, x: f.adaptive_avg_pool2d(x, (3, None))),
    "batch_norm, training": (
        [IMAGES, C, draw(4)],
        lambda f, a, x, w, b: f.batch_norm(x, a(np.zeros(4)), a(np.ones(4)), w, b, True, 0.2, 1e-3),
    ),
    "batch_norm, without statistics": ([draw(6, 4)], lambda f, a, x: f.batch_norm(x, None, None, training=True)),
    "batch_norm, evaluation": (
        [IMAGES, C, draw(4)],
        lambda f, a, x, w, b: f.batch_norm(x, a(np.arange(4.0)), a(C), w, b),
    ),
    "layer_norm": (
        [draw(3, 4, 5), draw(4, 5), draw(4, 5)],
        lambda f, a, x, w, b: f.layer_norm(x, (4, 5), w, b, 1e-3),
    ),
    "group_norm": ([IMAGES, C, draw(4)], lambda f, a, x, w, b: f.group_norm(x, 2, w, b, 1e-3)),
    "instance_norm": ([IMAGES, C, draw(4)], lambda f, a, x, w, b: f.instance_norm(x, weight=w, bias=b, eps=1e-3)),
    "dropout, evaluation": ([draw(4, 3)], lambda f, a, x: f.dropout(x, 0.5, False)),
    "dropout of all": ([draw(4, 3)], lambda f, a, x: f.dropout(x, 1.0) + x),
    "pad": ([draw(2, 3, 4)], lambda f, a, x: f.pad(x, (1, 2, 0, 3), "constant", 0.5)),
    "embedding": ([draw(5, 3)], lambda f, a, w: f.embedding(a(np.array([[1, 4], [1, 0]])), w)),
    "mse_loss": ([draw(4, 3), draw(4, 3)], lambda f, a, x, y: f.mse_loss(x, y)),
    "mse_loss, sum": ([draw(4, 3), draw(4, 3)], lambda f, a, x, y: f.mse_loss(x, y, reduction="sum")),
    "binary_cross_entropy_with_logits": (
        [draw(4, 3)],
        lambda f, a, x: f.binary_cross_entropy_with_logits(x, a((SCORES > 0).astype(float)), reduction="none"),
    ),
    "nll_loss": ([-C[:3] * np.ones((4, 3))], lambda f, a, x: f.nll_loss(x, a(LABELS), a(C[:3]), ignore_index=1)),
    "cross_entropy": ([SCORES], lambda f, a, x: f.cross_entropy(x, a(LABELS))),
    "cross_entropy, all options": (
        [SCORES],
        lambda f, a, x: f.cross_entropy(
            x, a(LABELS), a(C[:3]), ignore_index=0, label_smoothing=0.2, reduction="sum"
        ),
    ),
    "cross_entropy of probabilities": (
        [SCORES, np.abs(draw(4, 3))],
        lambda f, a, x, p: f.cross_entropy(x, p, label_smoothing=0.1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_torch(name):
    arrays, call = CASES[name]
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    ours = [tg.Tensor(x) for x in arrays]
    expected, found = call(TF, torch.tensor, *theirs), call(F, np.asarray, *ours)
    np.testing.assert_allclose(found.data, expected.detach().numpy(), rtol=1e-9, atol=1e-9)
    weights = np.random.default_rng(1).standard_normal(found.shape)
    (found * weights).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-9, atol=1e-9)


def test_every_function_is_tested_and_every_case_is_one():
    assert {name.split(",")[0].split(" ")[0] for name in CASES} == set(F.__all__)


@pytest.mark.parametrize("name", F.__all__)
def test_arguments_stand_in_the_order_of_torch(name):
    try:
        theirs = list(inspect.signature(getattr(TF, name)).parameters)
    except ValueError:
        theirs = ["args"]
    if theirs[0] == "args":
        pytest.skip("torch gives no signature of it")
    ours = inspect.signature(getattr(F, name)).parameters
    renamed = {"x": "input", "indices": "input", "log_p": "input"}
    if name in ("softmax", "log_softmax"):
        renamed["axis"] = "dim"
    positional = [renamed.get(n, n) for n, p in ours.items() if p.kind is not p.KEYWORD_ONLY]
    assert positional == theirs[: len(positional)]


@pytest.mark.parametrize("kind", [np.asarray, lambda a: tg.Tensor(a, requires_grad=False)], ids=["arrays", "tensors"])
def test_batch_norm_moves_its_statistics_as_torch_does(kind):
    x, mean, var = draw(6, 4), np.arange(4.0), np.arange(1.0, 5.0)
    theirs = torch.tensor(mean), torch.tensor(var)
    ours = kind(mean.copy()), kind(var.copy())
    TF.batch_norm(torch.tensor(x), *theirs, training=True, momentum=0.3)
    F.batch_norm(x, *ours, training=True, momentum=0.3)
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(getattr(found, "_data", found), expected.numpy(), rtol=1e-12)


def test_dropout_follows_the_seed_and_keeps_the_mean():
    tg.manual_seed(0)
    x = F.dropout(np.ones(100_000), 0.25)
    assert set(np.unique(x).round(12)) == {0.0, round(1 / 0.75, 12)}
    assert abs(x.mean() - 1) < 0.01
    tg.manual_seed(0)
    np.testing.assert_array_equal(F.dropout(np.ones(100_000), 0.25), x)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: F.dropout(np.ones(2), 1.5), "no probability"),
        (lambda: F.pad(np.ones((1, 1)), (1, 2, 3)), "two lengths for each"),
        (lambda: F.pad(np.ones(1), (1, 1, 1, 1)), "two lengths for each"),
        (lambda: F.pad(np.ones(1), (1, 1), "reflect"), "'reflect'"),
        (lambda: F.batch_norm(np.ones((2, 2)), None, None), "needs running_mean"),
        (lambda: F.instance_norm(np.ones((1, 1, 2)), np.ones(1), np.ones(1)), "no running statistics"),
        (lambda: F.layer_norm(np.ones((2, 3)), (2,)), r"must be \(2,\)"),
        (lambda: F.gelu(np.ones(1), "sigmoid"), "neither"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_layers_take_inplace():
    x = np.array([-1.0, 2.0])
    nn = tg.nn
    net = nn.Sequential(nn.ReLU(True), nn.LeakyReLU(0.1, True), nn.Dropout(0.0, inplace=True))
    np.testing.assert_array_equal(net(x), [0.0, 2.0])
    np.testing.assert_array_equal(x, [-1.0, 2.0])
