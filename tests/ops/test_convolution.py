"""Convolution against PyTorch: values, gradients, gradients of gradients, and the errors.

That every derivative line agrees with finite differences, at first and second order, is in `test_ops`.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import against_torch, close
from tinygraph import Tensor, grad
from tinygraph.ops import convolution
from tinygraph.ops.convolution import conv2d, conv2d_weight, conv_transpose2d

torch = pytest.importorskip("torch")
F = torch.nn.functional


SHAPES = [
    ((2, 3, 7, 6), (4, 3, 3, 2), 1),
    ((2, 4, 5, 8), (6, 2, 1, 3), 2),
    ((3, 3, 6, 6), (6, 1, 2, 2), 3),
    ((1, 2, 5, 5), (3, 2, 1, 1), 1),
]


@pytest.mark.parametrize(("stride", "padding", "dilation"), [*itertools.product([1, (2, 3)], [0, (2, 1)], [1, (1, 2)])])
@pytest.mark.parametrize(("x", "w", "groups"), SHAPES)
def test_convolution(rng, x, w, groups, stride, padding, dilation):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    arrays = rng.standard_normal(x), rng.standard_normal(w)
    against_torch(lambda x, w: conv2d(x, w, **options), lambda x, w: F.conv2d(x, w, **options), arrays)


@pytest.mark.parametrize(("stride", "output_padding"), [(1, 0), (2, 1), ((3, 2), (2, 0))])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution(rng, stride, output_padding, groups):
    options = {"stride": stride, "output_padding": output_padding, "padding": 1, "groups": groups}
    arrays = rng.standard_normal((2, 4, 3, 5)), rng.standard_normal((4, 3, 2, 3))
    against_torch(
        lambda x, w: conv_transpose2d(x, w, **options), lambda x, w: F.conv_transpose2d(x, w, **options), arrays
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_over_any_number_of_axes(rank, seed):
    """Random geometries, one image alone or a batch, and "same" padding of even kernels; then the transpose."""
    rng = np.random.default_rng(seed)
    draw = lambda low, high: tuple(map(int, rng.integers(low, high, rank)))
    groups, lead = int(rng.integers(1, 3)), () if rng.random() < 0.3 else (2,)
    stride, padding = (1, "same") if rng.random() < 0.4 else (draw(1, 4), draw(0, 3))
    x = rng.standard_normal((*lead, 2 * groups, *draw(6, 9)))
    w = rng.standard_normal((3 * groups, 2, *draw(1, 4)))
    options = {"stride": stride, "padding": padding, "dilation": draw(1, 3), "groups": groups}
    name = f"conv{rank}d"
    against_torch(
        lambda x, w: getattr(tg, name)(x, w, **options), lambda x, w: getattr(F, name)(x, w, **options), [x, w]
    )
    stride = draw(2, 4)
    options |= {"stride": stride, "padding": 1, "output_padding": tuple(int(rng.integers(0, s)) for s in stride)}
    name, w = f"conv_transpose{rank}d", rng.standard_normal((2 * groups, 3, *draw(1, 4)))
    against_torch(
        lambda x, w: getattr(tg, name)(x, w, **options), lambda x, w: getattr(F, name)(x, w, **options), [x, w]
    )


def test_an_array_in_a_file_is_taken_as_a_plain_one(rng, tmp_path):
    x, w = rng.standard_normal((2, 3, 6, 6)), rng.standard_normal((4, 3, 3, 3))
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", x.dtype, "r", shape=x.shape)
    y = conv2d(mapped, w)
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, conv2d(x, w))
    assert type(conv2d_weight(mapped, y, (3, 3))) is np.ndarray


def test_the_gradient_of_weights_is_an_op_itself(rng):
    x, g = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((2, 4, 2, 2))
    options = {"stride": 2, "padding": (0, 1), "dilation": (2, 1)}
    wanted = torch.nn.grad.conv2d_weight(
        torch.tensor(x), (4, 3, 2, 3), torch.tensor(g[:, :, :, :1].repeat(3, 3)), **options
    )
    close(conv2d_weight(x, g[:, :, :, :1].repeat(3, 3), (2, 3), **options), wanted.numpy(), 1e-12)


def test_many_tiles_give_what_one_gives(rng, monkeypatch):
    """The batch is cut up by the size of the scratch; the result must not tell."""
    arrays = rng.standard_normal((7, 3, 6, 6)), rng.standard_normal((4, 3, 3, 3))
    wanted = F.conv2d(*map(torch.tensor, arrays)).numpy()
    for size in (1, 3000, 1 << 30):
        monkeypatch.setattr(convolution, "scratch", lambda x, size=size: size)
        close(conv2d(*arrays), wanted, 1e-12)
        against_torch(conv2d, F.conv2d, arrays)


def test_float32_is_kept_and_an_empty_batch_is_one(rng):
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 8, 8), (4, 3, 3, 3))]
    against_torch(conv2d, F.conv2d, arrays, 1e-5)
    x, w = Tensor(np.zeros((0, 3, 8, 8))), Tensor(np.ones((4, 3, 3, 3)))
    y = conv2d(x, w)
    assert y.shape == (0, 4, 6, 6)
    assert [g.shape for g in grad(y, [x, w], np.zeros(y.shape))] == [x.shape, w.shape]


def test_backward_keeps_no_columns(rng):
    """What im2col lays out is laid out again on the way back: the node keeps its operands, nothing else."""
    x, w = Tensor(rng.standard_normal((4, 2, 9, 9))), Tensor(rng.standard_normal((3, 2, 5, 5)))
    kept = [a for args in conv2d(x, w).node.saved for a in args if isinstance(a, np.ndarray)]
    assert all(any(a is b.data for b in (x, w)) for a in kept)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, w: conv2d(x[0, 0], w), r"images are \(N, C, H, W\).*not \(5, 5\) and \(4, 3, 3, 3\)"),
        (lambda x, w: conv2d(x, w[:, :2]), r"have 3 channels a group; weights of shape \(4, 2, 3, 3\) take 2"),
        (lambda x, w: conv2d(x, w, groups=2), r"groups=2 must divide the channels of images \(3\)"),
        (lambda x, w: conv2d(x, w, dilation=3), r"no window fits: the kernel \(3, 3\) with dilation \(3, 3\)"),
        (lambda x, w: conv2d(x, w, stride=0), "stride must be an integer of at least 1, or a pair of them, not 0"),
        (lambda x, w: conv2d(x, w, padding=(1, 2, 3)), "padding must be an integer"),
        (lambda x, w: conv_transpose2d(x, w), "x has 3 channels and w 4"),
        (lambda x, w: conv2d(x, w, padding="full"), "neither 'same' nor 'valid'"),
        (lambda x, w: conv2d(x, w, stride=2, padding="same"), "takes stride 1"),
        (lambda x, w: conv_transpose2d(x[:, [0, 1, 2, 0]], w, padding=4), "nothing is left of the result"),
        (
            lambda x, w: conv_transpose2d(w.swapaxes(0, 1), w, output_padding=1),
            r"output_padding \(1, 1\) must be less than the stride",
        ),
        (
            lambda x, w: conv2d_weight(x, w, (2, 2)),
            r"y has shape \(4, 3, 3, 3\); the windows of x call for \(2, 3, 4, 4\)",
        ),
    ],
)
def test_errors_say_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((2, 3, 5, 5)), np.ones((4, 3, 3, 3)))


def test_an_error_names_op_operands_and_line():
    with pytest.raises(
        ValueError, match=r"in conv2d\(x float64\[2,3,5,5\], float64\[4,2,3,3\]\) at test_convolution.py:\d+"
    ):
        conv2d(Tensor(np.ones((2, 3, 5, 5)), name="x"), np.ones((4, 2, 3, 3)))
