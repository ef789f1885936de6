"""vjp, jvp, jacobian, hessian and hvp: against closed forms, finite differences and PyTorch, in one output or many."""

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, grad
from tinygraph.functions.transforms import hessian, hvp, jacobian, jvp, vjp

RANDOM = np.random.default_rng(3)
X, W, B = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(3, 2)), RANDOM.normal(size=2)
GAMMA, BETA = RANDOM.normal(size=3), RANDOM.normal(size=3)


def layer(x, w, b):
    return tg.tanh(x @ w + b)


def difference(f, x, v, h=1e-6):
    return (f(x + h * v) - f(x - h * v)) / (2 * h)


def test_jacobian_of_a_linear_map_is_its_matrix():
    x = np.array([1.0, -2.0, 0.5])
    np.testing.assert_array_equal(jacobian(lambda x: x @ W, x), W.T)
    value, product = jvp(lambda x: x @ W, x, np.array([1.0, 0.0, 2.0]))
    np.testing.assert_allclose(value, x @ W, rtol=1e-15)
    np.testing.assert_allclose(product, W[0] + 2 * W[2], rtol=1e-15)
    value, product = vjp(lambda x: x @ W, x, np.array([1.0, -3.0]))
    np.testing.assert_allclose(product, W[:, 0] - 3 * W[:, 1], rtol=1e-15)


def test_hessian_of_a_quadratic_form_is_its_symmetrized_matrix():
    a, x, v = RANDOM.normal(size=(3, 3)), RANDOM.normal(size=3), RANDOM.normal(size=3)
    quadratic = lambda x: x @ a @ x
    np.testing.assert_allclose(hessian(quadratic, x), a + a.T, rtol=1e-14)
    value, product = hvp(quadratic, x, v)
    np.testing.assert_allclose(value, x @ a @ x)
    np.testing.assert_allclose(product, (a + a.T) @ v, rtol=1e-14)


def test_blocks_of_several_inputs_and_outputs_have_the_shapes_of_both():
    func = lambda x, w: (x @ w, (x * x).sum())
    blocks = jacobian(func, (X, W))
    assert [[b.shape for b in row] for row in blocks] == [[(4, 2, 4, 3), (4, 2, 3, 2)], [(4, 3), (3, 2)]]
    np.testing.assert_allclose(blocks[0][0], np.einsum("ik,jl->ijkl", np.eye(4), W.T), atol=1e-15)
    np.testing.assert_allclose(blocks[0][1], np.einsum("ik,jl->ijkl", X, np.eye(2)), atol=1e-15)
    np.testing.assert_allclose(blocks[1][0], 2 * X)
    assert not blocks[1][1].any()  # the second output does not depend on w
    cross = hessian(lambda x, y: (x * x * y).sum(), (X[0], X[1]))
    assert isinstance(cross, tuple) and isinstance(cross[0], tuple)
    np.testing.assert_allclose(cross[0][0], np.diag(2 * X[1]))
    np.testing.assert_allclose(cross[0][1], np.diag(2 * X[0]))
    np.testing.assert_allclose(cross[1][0], cross[0][1].T)
    assert not cross[1][1].any()


def test_products_agree_with_finite_differences_and_with_each_other():
    v, upstream = RANDOM.normal(size=X.shape), RANDOM.normal(size=X.shape)
    func = lambda x: tg.batch_norm(x, GAMMA, BETA)
    _, forward = jvp(func, X, v)
    np.testing.assert_allclose(forward, difference(func, X, v), rtol=1e-6, atol=1e-8)
    _, back = vjp(func, X, upstream)
    np.testing.assert_allclose((upstream * forward).sum(), (back * v).sum(), rtol=1e-12)
    loss = lambda x: (upstream * tg.batch_norm(x, GAMMA, BETA)).sum()
    _, second = hvp(loss, X, v)
    np.testing.assert_allclose(second, difference(lambda x: vjp(loss, x)[1], X, v), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(second, np.einsum("ijkl,kl->ij", hessian(loss, X), v), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("create_graph", [False, True])
def test_all_five_agree_with_torch(create_graph):
    torch = pytest.importorskip("torch")
    theirs = torch.autograd.functional
    arrays = (X, W, B)
    tensors = tuple(map(torch.tensor, arrays))
    torch_layer = lambda x, w, b: torch.tanh(x @ w + b)
    v, along = RANDOM.normal(size=(4, 2)), tuple(RANDOM.normal(size=a.shape) for a in arrays)
    scalar, torch_scalar = (lambda *a: (layer(*a) * v).sum()), (lambda *a: (torch_layer(*a) * torch.tensor(v)).sum())
    torch_along = tuple(map(torch.tensor, along))
    pairs = [
        (vjp(layer, arrays, v, create_graph), theirs.vjp(torch_layer, tensors, torch.tensor(v))),
        (jvp(layer, arrays, along, create_graph), theirs.jvp(torch_layer, tensors, torch_along)),
        (jacobian(layer, arrays, create_graph), theirs.jacobian(torch_layer, tensors)),
        (hessian(scalar, arrays, create_graph), theirs.hessian(torch_scalar, tensors)),
        (hvp(scalar, arrays, along, create_graph), theirs.hvp(torch_scalar, tensors, torch_along)),
    ]

    def compare(ours, other):
        if isinstance(other, tuple):
            assert isinstance(ours, tuple) and len(ours) == len(other)
            for a, b in zip(ours, other, strict=True):
                compare(a, b)
        else:
            assert isinstance(ours, Tensor) == create_graph
            ours = ours.data if create_graph else ours
            assert ours.shape == tuple(other.shape)
            np.testing.assert_allclose(ours, other.numpy(), rtol=1e-9, atol=1e-12)

    for ours, other in pairs:
        compare(ours, other)


def test_create_graph_reaches_back_to_the_callers_tensors():
    x = Tensor(np.array([1.0, 2.0]), name="x")
    cube = lambda x: x * x * x
    upstream = Tensor(np.array([1.0, 10.0]))
    value, product = vjp(cube, x, upstream, create_graph=True)
    np.testing.assert_allclose(grad(product.sum(), [x, upstream]), [[6, 120], [3, 12]])
    np.testing.assert_allclose(grad(value.sum(), x)[0], [3, 12])
    _, product = jvp(cube, x, np.ones(2), create_graph=True)
    np.testing.assert_allclose(grad(product.sum(), x)[0], [6, 12])
    np.testing.assert_allclose(grad(jacobian(cube, x, create_graph=True).sum(), x)[0], [6, 12])
    total = lambda x: cube(x).sum()
    np.testing.assert_allclose(grad(hessian(total, x, create_graph=True).sum(), x)[0], [6, 6])
    np.testing.assert_allclose(grad(hvp(total, x, np.ones(2), create_graph=True)[1].sum(), x)[0], [6, 6])
    assert x.grad is None


@pytest.mark.parametrize("create_graph", [False, True])
def test_only_the_argument_is_differentiated(create_graph):
    x = Tensor(np.array([3.0]))
    assert jacobian(lambda a: a * x, x, create_graph).item() == 3  # not 2x: the x inside is a constant here
    first, second = jacobian(lambda a, b: a * a * b, (x, x), create_graph)
    assert (first.item(), second.item()) == (18, 9)


def test_recording_is_on_inside_even_under_no_grad_and_inputs_stay_as_they_are():
    x = X.copy()
    with tg.no_grad():
        assert jacobian(lambda x: x * x, np.array([2.0])).item() == 4
        assert jvp(lambda x: x * x, Tensor(np.array([2.0])), np.ones(1), create_graph=True)[1].item() == 4
    hessian(lambda x: (x * x).sum(), x)
    np.testing.assert_array_equal(x, X)


def test_scalars_lists_and_float32():
    assert hessian(lambda x: x * x * x, 2.0) == 12
    assert vjp(lambda x: x * x, 3.0)[1] == 6
    np.testing.assert_array_equal(vjp(lambda x: x * x, [1.0, 2.0], [1.0, 1.0])[1], [2, 4])
    single = X.astype(np.float32)
    for derivative in (vjp(tg.tanh, single, single), jvp(tg.tanh, single, single)):
        assert [a.dtype for a in derivative] == [np.float32] * 2
    assert jacobian(tg.tanh, single[0]).dtype == hessian(lambda x: tg.tanh(x).sum(), single[0]).dtype == np.float32


def test_what_no_output_depends_on_has_derivative_zero():
    np.testing.assert_array_equal(jacobian(lambda x, y: x * 2, (np.ones(2), np.ones(3)))[1], np.zeros((2, 3)))
    constant = lambda x: Tensor(np.ones(2), requires_grad=False)
    np.testing.assert_array_equal(jacobian(constant, np.ones(3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(jvp(constant, np.ones(3), np.ones(3))[1], np.zeros(2))
    assert not hessian(lambda x: x.sum(), np.ones(3)).any()
    assert not jacobian(lambda x: x.sum(), np.ones(3), create_graph=True).requires_grad
    assert jacobian(lambda x: x[:0], np.ones(3)).shape == (0, 3)
    assert jacobian(lambda x: x[:0], np.ones(3), create_graph=True).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: vjp(lambda x: x * x, np.ones(3)), ValueError, r"v is needed, since the output is mul float64\[3\]"),
        (lambda: jvp(lambda x: x * x, np.ones(3)), ValueError, r"jvp: v is needed, since the input is float64\[3\]"),
        (lambda: hvp(lambda x: x * x, np.ones(3), np.ones(3)), ValueError, r"hvp: v is needed, since the output is"),
        (lambda: hessian(lambda x: x * x, np.ones(3)), ValueError, r"v is needed, since the output is mul float64"),
        (
            lambda: vjp(lambda x: x * x, np.ones(3), np.ones(2)),
            ValueError,
            r"vjp: v is float64\[2\], and must have the shape of the output mul float64\[3\]",
        ),
        (
            lambda: jvp(lambda x, y: x * y, (np.ones(3), np.ones(3)), np.ones(3)),
            ValueError,
            "jvp: v has 1 arrays; there are 2 of the input",
        ),
        (
            lambda: jacobian(lambda x: x.data * 2, np.ones(2)),
            TypeError,
            r"jacobian: the function returned float64\[2\], not a Tensor .* not with their \.data",
        ),
        (lambda: vjp(lambda x: x.argmax(), np.ones(2)), TypeError, "has no derivative"),
        (lambda: vjp(lambda x: x * x, np.ones(2, int)), TypeError, r"cannot differentiate with respect to int"),
    ],
)
def test_errors_say_what_is_wrong(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
