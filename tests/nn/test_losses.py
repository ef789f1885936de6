"""Losses against PyTorch, on arrays as on Tensors, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import close
from tinygraph import Tensor, grad, nn


def both(torch, name, options, x, target, tolerance=1e-9):
    """A loss and its gradient, ours and theirs."""
    theirs = {key: torch.tensor(value) if isinstance(value, np.ndarray) else value for key, value in options.items()}
    a, b = Tensor(x), torch.tensor(x, requires_grad=True)
    loss, other = getattr(nn, name)(**options)(a, target), getattr(torch.nn, name)(**theirs)(b, torch.tensor(target))
    close(loss.data, other.detach().numpy(), tolerance, "loss")
    assert loss.dtype == x.dtype
    g = np.random.default_rng(0).standard_normal(loss.shape).astype(x.dtype)
    (wanted,) = torch.autograd.grad(other, b, torch.tensor(g))
    close(grad(loss, a, g)[0], wanted.numpy(), tolerance, "gradient")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": np.array([0.5, 2.0, 1.0])},
        {"ignore_index": 1},
        {"weight": np.array([0.5, 2.0, 1.0]), "ignore_index": 0},
    ],
)
@pytest.mark.parametrize("smoothing", [None, 0.0, 0.2])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (3,)])
def test_losses_of_classes(torch, rng, shape, smoothing, options, reduction):
    x = rng.standard_normal(shape)
    target = np.array(2) if len(shape) == 1 else np.resize([0, 1, 2, 2, 1], (shape[0], *shape[2:]))
    if smoothing is None:
        both(torch, "NLLLoss", {**options, "reduction": reduction}, x, target)
    else:
        both(torch, "CrossEntropyLoss", {**options, "reduction": reduction, "label_smoothing": smoothing}, x, target)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_numbers(torch, rng, reduction):
    x, target = rng.standard_normal((4, 3)) * 20, rng.uniform(0, 1, (4, 3))
    x[0, 0] = 0.0
    both(torch, "MSELoss", {"reduction": reduction}, x, target)
    both(torch, "BCEWithLogitsLoss", {"reduction": reduction}, x, target)
    soft = target / target.sum(1, keepdims=True)
    both(torch, "CrossEntropyLoss", {"reduction": reduction, "label_smoothing": 0.1}, x, soft)
    both(torch, "CrossEntropyLoss", {"reduction": reduction}, x.astype(np.float32), soft.astype(np.float32), 1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.MSELoss()(np.ones((3, 1)), np.ones(3)),
            r"mse_loss: the target has shape \(3,\), the input \(3, 1\)",
        ),
        (lambda: nn.MSELoss("average"), "reduction 'average' is none of"),
        (
            lambda: nn.NLLLoss()(np.ones((2, 3)), np.array([0, 3])),
            "nll_loss: indices go from 0 to 3; x has classes 0 … 2",
        ),
        (
            lambda: nn.NLLLoss()(np.ones((2, 3)), np.array([0])),
            r"nll_loss: indices have shape \(1,\); x of shape \(2, 3\)",
        ),
        (
            lambda: nn.NLLLoss()(np.ones((2, 3)), np.array([0.0, 1.0])),
            "nll_loss: the target must be classes, which are integers, not float64",
        ),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "label_smoothing is 2, outside of 0 … 1"),
    ],
)
def test_errors_of_losses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("loss", [nn.NLLLoss, nn.CrossEntropyLoss])
def test_a_target_is_an_array_and_class_weights_are_state(torch, loss):
    with pytest.raises(TypeError, match=r"(nll_loss|cross_entropy): the target must be an array, not list"):
        loss()(np.zeros((2, 3)), [0, 1])
    theirs = getattr(torch.nn, loss.__name__)(weight=torch.tensor([0.5, 2.0, 1.0]))
    ours = loss(weight=np.ones(3, np.float32))
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    np.testing.assert_array_equal(ours.weight, [0.5, 2.0, 1.0])
    assert not loss().state_dict() and not getattr(torch.nn, loss.__name__)().state_dict()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_arrays_and_tensors_give_the_same_bits(rng, loss, dtype):
    for n in (1, 3, 7, 11, 33, 100, 229):
        x, y = rng.random((2, n, 3)).astype(dtype)
        target = rng.integers(0, 3, n) if isinstance(loss, nn.NLLLoss) else y
        np.testing.assert_array_equal(loss(x, target), loss(Tensor(x), target).data)


@pytest.mark.parametrize(
    "name", ["MSELoss", "L1Loss", "HuberLoss", "BCEWithLogitsLoss", "SoftMarginLoss", "MultiLabelSoftMarginLoss"]
)
def test_whole_numbers_as_targets_keep_the_dtype(torch, name, rng):
    x, target = rng.standard_normal((4, 3)).astype(np.float32), rng.integers(0, 2, (4, 3))
    loss = getattr(nn, name)()(x, target)
    assert loss.dtype == np.float32
    wanted = getattr(torch.nn, name)()(torch.tensor(x), torch.tensor(target.astype(np.float32)))
    np.testing.assert_allclose(loss, wanted.numpy(), rtol=1e-5)
    assert nn.MarginRankingLoss()(x, -x, target * 2 - 1).dtype == np.float32
