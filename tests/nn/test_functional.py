"""nn.functional has PyTorch's values, gradients and order of arguments."""

import inspect

import numpy as np
import pytest

import tinygraph as tg
import tinygraph.nn.functional as F
from tests.nn.setups import LOSSES

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*upsample.*is deprecated:UserWarning")  # PyTorch's own
TF = torch.nn.functional
RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape)


LABELS = np.array([0, 2, 1, 2])
IMAGES = draw(2, 4, 6, 5)
SCORES = draw(4, 3)
C = RNG.uniform(0.5, 2, 4)
SAMPLES = RNG.random((2, 3, 3))

# name: (arrays that are differentiated, call). The call gets the module, an `array` function and the tensors.
CASES = {
    **{name: ([draw(4, 3)], lambda f, a, x, name=name: getattr(f, name)(x, inplace=False)) for name in (
        "silu", "mish", "elu", "selu", "celu", "hardtanh", "relu6", "rrelu")},
    # Of these the values alone: in PyTorch's derivatives 1/6 is a float32.
    "hardsigmoid": ([draw(4, 3)], lambda f, a, x: f.hardsigmoid(x).detach() + x),
    "hardswish": ([draw(4, 3)], lambda f, a, x: f.hardswish(x).detach() + x),
    **{name: ([draw(4, 6)], lambda f, a, x, name=name: getattr(f, name)(x)) for name in (
        "softplus", "softsign", "tanhshrink", "softshrink", "hardshrink", "logsigmoid", "glu")},
    "softmin": ([draw(4, 3)], lambda f, a, x: f.softmin(x, 1)),
    "elu, with alpha": ([draw(4, 3)], lambda f, a, x: f.elu(x, 0.3)),
    "celu, with alpha": ([draw(4, 3)], lambda f, a, x: f.celu(x, 0.5)),
    "hardtanh, bounds": ([draw(4, 3)], lambda f, a, x: f.hardtanh(x, -0.5, 0.3)),
    "softplus, sharp": ([draw(4, 3)], lambda f, a, x: f.softplus(x, 2.0, 1.0)),
    "softshrink, far": ([draw(4, 3)], lambda f, a, x: f.softshrink(x, 0.1)),
    "threshold": ([draw(4, 3)], lambda f, a, x: f.threshold(x, 0.2, -1.0)),
    "glu, first": ([draw(4, 3)], lambda f, a, x: f.glu(x, 0)),
    "prelu": ([draw(4, 3, 2), draw(3)], lambda f, a, x, w: f.prelu(x, w)),
    "prelu, one": ([draw(4, 3), draw(1)], lambda f, a, x, w: f.prelu(x, w)),
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
    **{
        f"{name}{rank}d": ([draw(2, 4, *(4,) * rank), draw(4, 2, *(2,) * rank), draw(4)], call)
        for rank in (1, 3)
        for name, call in {
            "conv": lambda f, a, x, w, b, rank=rank: getattr(f, f"conv{rank}d")(x, w, b, 2, 1, 1, 2),
            "conv_transpose": lambda f, a, x, w, b, rank=rank: (
                getattr(f, f"conv_transpose{rank}d")(x, w, b, 2, 1, 1, 2, 2)),
        }.items()
    },
    **{
        f"{name}{rank}d": ([draw(2, 3, *(5,) * rank)], call)
        for rank in (1, 2, 3)
        for name, call in {
            "max_pool": lambda f, a, x, rank=rank: getattr(f, f"max_pool{rank}d")(x, 2, 1, 1, 2, True),
            "avg_pool": lambda f, a, x, rank=rank: getattr(f, f"avg_pool{rank}d")(x, 2, 2, 1, True, False),
            "lp_pool": lambda f, a, x, rank=rank: getattr(f, f"lp_pool{rank}d")(x, 2, 3, 2, True),
            "adaptive_avg_pool": lambda f, a, x, rank=rank: getattr(f, f"adaptive_avg_pool{rank}d")(x, 3),
            "adaptive_max_pool": lambda f, a, x, rank=rank: (
                getattr(f, f"adaptive_max_pool{rank}d")(x, 2, return_indices=True)[0]),
            "max_unpool": lambda f, a, x, rank=rank: getattr(f, f"max_unpool{rank}d")(
                *getattr(f, f"max_pool{rank}d")(x, 2, return_indices=True), 2, output_size=x.shape),
        }.items()
    },
    "interpolate": ([IMAGES], lambda f, a, x: f.interpolate(x, scale_factor=(1.5, 0.7), mode="bilinear")),
    "interpolate corners": ([IMAGES], lambda f, a, x: f.interpolate(x, (4, 9), mode="bicubic", align_corners=True)),
    "interpolate nearest": ([IMAGES], lambda f, a, x: f.interpolate(x, 7, mode="nearest-exact")),
    "interpolate area": ([IMAGES], lambda f, a, x: f.interpolate(x, (4, 2), mode="area")),
    "unfold": ([IMAGES], lambda f, a, x: f.unfold(x, (2, 3), 1, (0, 1), 2)),
    "fold": ([draw(2, 12, 6)], lambda f, a, x: f.fold(x, (3, 4), 2)),
    "pixel_shuffle": ([IMAGES], lambda f, a, x: f.pixel_shuffle(x, 2)),
    "pixel_unshuffle": ([draw(1, 2, 6, 4)], lambda f, a, x: f.pixel_unshuffle(x, 2)),
    "channel_shuffle": ([draw(2, 4, 6, 4)], lambda f, a, x: f.channel_shuffle(x, 2)),
    **{f"dropout{r}d": ([draw(2, 3, *(2,) * r)], lambda f, a, x, r=r: getattr(f, f"dropout{r}d")(x, 1.0) + x)
       for r in (1, 2, 3)},
    "alpha_dropout": ([draw(4, 3)], lambda f, a, x: f.alpha_dropout(x, 1.0, True) + f.alpha_dropout(x)),
    "feature_alpha_dropout": ([draw(4, 3)], lambda f, a, x: f.feature_alpha_dropout(x, 0.5) + x),
    "max_pool2d plain": ([IMAGES], lambda f, a, x: f.max_pool2d(x, 3, 2, 1)),
    "max_pool2d short": ([IMAGES], lambda f, a, x: f.max_pool2d(x, 2)),
    "avg_pool2d plain": ([IMAGES], lambda f, a, x: f.avg_pool2d(x, (3, 2), stride=1, padding=1)),
    "adaptive_avg_pool2d plain": ([IMAGES], lambda f, a, x: f.adaptive_avg_pool2d(x, (3, None))),
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
    "pad, mirrored": ([draw(2, 3, 4)], lambda f, a, x: f.pad(x, (3, 2), "reflect")),
    "pad, with ends": ([draw(2, 3, 4, 3)], lambda f, a, x: f.pad(x, (5, 2, 0, 1), "replicate")),
    "pad, around": ([draw(2, 3, 4, 3)], lambda f, a, x: f.pad(x, (3, 2, 0, 4), "circular")),
    "pad, cut": ([draw(2, 3, 4)], lambda f, a, x: f.pad(x, (-1, 2), "replicate")),
    "embedding": ([draw(5, 3)], lambda f, a, w: f.embedding(a(np.array([[1, 4], [1, 0]])), w)),
    "cosine_similarity": ([draw(4, 3), draw(4, 3)], lambda f, a, x, y: f.cosine_similarity(x, y, 0)),
    "cosine_similarity, copied": (
        [draw(1, 2, 3), draw(2, 1, 3)], lambda f, a, x, y: f.cosine_similarity(x, y, -2)),
    "cosine_similarity, of fewer axes": ([draw(3), draw(2, 3)], lambda f, a, x, y: f.cosine_similarity(x, y, 1)),
    "gaussian_nll_loss, targets copied": (
        [draw(3, 4), draw(4), np.full((3, 1), 0.7)], lambda f, a, x, y, v: f.gaussian_nll_loss(x, y, v)),
    "cosine_similarity, of nothing": ([np.zeros((2, 3)), draw(2, 3)], lambda f, a, x, y: f.cosine_similarity(x, y)),
    **{f"grid_sample {mode}, {padding}": (
        [draw(2, 3, 4, 5), 1.5 * draw(2, 3, 2, 2)],
        lambda f, a, x, grid, mode=mode, padding=padding: (
            f.grid_sample(x, grid, mode, padding, mode == "nearest") + 0 * grid.sum()))
        for mode in ("bilinear", "nearest", "bicubic") for padding in ("zeros", "border", "reflection")},
    "grid_sample of volumes": (
        [draw(1, 2, 3, 4, 2), draw(1, 2, 3, 1, 3)],
        lambda f, a, x, grid: f.grid_sample(x, grid, "bilinear", "border", True)),
    "affine_grid": ([draw(2, 2, 3)], lambda f, a, theta: f.affine_grid(theta, (2, 3, 4, 5), True)),
    "affine_grid of volumes": ([draw(2, 3, 4)], lambda f, a, theta: f.affine_grid(theta, [2, 1, 2, 1, 3], False)),
    "pairwise_distance": ([draw(4, 3), draw(4, 3)], lambda f, a, x, y: f.pairwise_distance(x, y, 1.5, 0.1, True)),
    "pairwise_distance, largest": ([draw(4, 3), draw(3)], lambda f, a, x, y: f.pairwise_distance(x, y, float("inf"))),
    "pdist": ([draw(5, 3)], lambda f, a, x: f.pdist(x, 3)),
    "pdist, to itself": ([np.ones((3, 2))], lambda f, a, x: f.pdist(x) + f.pdist(x, 1)),
    "normalize": ([draw(4, 3)], lambda f, a, x: f.normalize(x)),
    "normalize, of nothing": ([np.zeros((4, 3))], lambda f, a, x: f.normalize(x, 1.0, 0)),
    "one_hot": ([draw(4, 3)], lambda f, a, x: f.one_hot(a(LABELS)) * x),
    **{f"{kind}max_pool{r}d_with_indices": (
        [draw(2, 3, *(5,) * r)],
        lambda f, a, x, r=r, kind=kind: getattr(f, f"{kind}max_pool{r}d_with_indices")(x, 2)[0])
        for r in (1, 2, 3) for kind in ("", "adaptive_")},
    **{f"fractional_max_pool{r}d{name}": (
        [draw(2, 3, *range(7, 7 + r))],
        lambda f, a, x, r=r, name=name, take=take: take(getattr(f, f"fractional_max_pool{r}d{name}")(
            x, (2, 3, 4)[:r], (3, 4, 5)[:r], _random_samples=a(SAMPLES[:, :, :r]))))
        for r in (2, 3) for name, take in (("", lambda y: y), ("_with_indices", lambda pair: pair[0]))},
    "fractional_max_pool3d, of nothing": (
        [np.zeros((0, 2, 5, 5, 5))], lambda f, a, x: f.fractional_max_pool3d(x, 2, 2)),
    "fractional_max_pool2d, by ratio": (
        [draw(3, 7, 8)],
        lambda f, a, x: f.fractional_max_pool2d(
            x, 2, output_ratio=(0.5, 0.7), _random_samples=a(SAMPLES[:1, :, :2]))),
    "conv_tbc": (
        [draw(5, 2, 3), draw(2, 3, 4), draw(4)],
        lambda f, a, x, w, b: f.conv_tbc(x, w, b) + f.conv_tbc(x, w, b, 1)[1:-1]),
    # PyTorch has no derivative of it.
    "native_channel_shuffle": ([draw(2, 4, 3, 2)], lambda f, a, x: f.native_channel_shuffle(x.detach(), 2) + x),
    "upsample": ([IMAGES], lambda f, a, x: f.upsample(x, (4, 7), mode="bilinear", align_corners=False)),
    "upsample_nearest": ([IMAGES], lambda f, a, x: f.upsample_nearest(x, scale_factor=2)),
    "upsample_bilinear": ([IMAGES], lambda f, a, x: f.upsample_bilinear(x, (4, 7))),
    **{f"interpolate {mode} with a filter, {size}, {corners}": (
        [IMAGES],
        lambda f, a, x, mode=mode, size=size, corners=corners: f.interpolate(
            x, *size, mode=mode, align_corners=corners, antialias=True))
        for mode in ("bilinear", "bicubic") for corners in (False, True)
        for size in (((3, 2),), ((4, 9),), (None, (0.4, 1.7)))},
    "linear_cross_entropy": (
        [draw(4, 5), draw(3, 5), draw(3)],
        lambda f, a, x, w, b: f.linear_cross_entropy(
            x, w, a(LABELS), linear_bias=b, weight=a(C[:3]), ignore_index=1, label_smoothing=0.2)),
    "linear_cross_entropy, of places": (
        [draw(4, 5), draw(3, 2, 5)],
        lambda f, a, x, w: f.linear_cross_entropy(
            x, w, a(np.stack([LABELS, LABELS[::-1]], 1)), reduction="none", options=None)),
    "multi_head_attention_forward": (
        [draw(3, 2, 4), draw(5, 2, 4), draw(5, 2, 4), draw(12, 4), draw(12), draw(1, 1, 4), draw(1, 1, 4), draw(4, 4),
         draw(4)],
        lambda f, a, q, k, v, w, b, bk, bv, out, shift: f.multi_head_attention_forward(
            q, k, v, 4, 2, w, b, bk, bv, True, 0.0, out, shift, attn_mask=a(np.tril(np.ones((3, 5)), 2)))[0]),
    "multi_head_attention_forward, of three": (
        [draw(3, 4), draw(5, 3), draw(5, 2), draw(4, 4), draw(4, 3), draw(4, 2), draw(4, 4)],
        lambda f, a, q, k, v, wq, wk, wv, out: f.multi_head_attention_forward(
            q, k, v, 4, 2, None, None, None, None, False, 0.5, out, None, False, None, True, None, True, wq, wk, wv,
            average_attn_weights=False)[1] + 0 * (v.sum() + wv.sum() + out.sum())),
    "multi_head_attention_forward, of given keys": (
        [draw(3, 2, 4), draw(12, 4), draw(4, 4, 2), draw(4, 4, 2), draw(4, 4)],
        lambda f, a, x, w, k, v, out: f.multi_head_attention_forward(
            x, x, x, 4, 2, w, None, None, None, False, 0.0, out, None, static_k=k, static_v=v)[0]),
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


# Those of PyTorch are NaN, or it has none.
NO_SECOND = {"cosine_similarity, of nothing", "pdist", "pdist, to itself"}


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


@pytest.mark.parametrize("name", [name for name in CASES if name not in NO_SECOND])
def test_second_derivatives_are_those_of_torch(name):
    arrays, call = CASES[name]
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    ours = [tg.Tensor(x) for x in arrays]
    expected, found = call(TF, torch.tensor, *theirs), call(F, np.asarray, *ours)
    rng = np.random.default_rng(1)
    weights, *directions = (rng.standard_normal(np.shape(x)) for x in (found, *arrays))
    dys = torch.autograd.grad((expected * torch.tensor(weights)).sum(), theirs, create_graph=True)
    dxs = tg.grad((found * weights).sum(), ours, create_graph=True)
    other = sum((dy * torch.tensor(v)).sum() + 0 * y.sum() for dy, v, y in zip(dys, directions, theirs, strict=True))
    total = sum((dx * v).sum() + 0 * x.sum() for dx, v, x in zip(dxs, directions, ours, strict=True))
    wanted = torch.autograd.grad(other, theirs)
    for y, x in zip(wanted, tg.grad(total, ours), strict=True):
        np.testing.assert_allclose(x, y.numpy(), rtol=1e-8, atol=1e-8)


def test_every_function_is_tested_and_every_case_is_one():
    """Here, or as what a loss calls; losses are tested with random configurations."""
    here = {name.split(",")[0].split(" ")[0] for name in CASES}
    assert here <= set(F.__all__)
    losses = {getattr(tg.nn, name).function.__name__ for name in LOSSES}
    layers = {
        "scaled_dot_product_attention",
        "embedding_bag",
        "bilinear",
        "rms_norm",
        "local_response_norm",
        "gumbel_softmax",
    }
    assert here | losses | layers == set(F.__all__)


GRID = np.zeros((1, 2, 2, 2))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: F.grid_sample(IMAGES, GRID), r"a grid \(1, 2, 2, 2\) does not fit images of shape \(2, 4, 6, 5\)"),
        (lambda: F.grid_sample(IMAGES[:1], GRID, "linear"), "mode 'linear' is none of"),
        (lambda: F.grid_sample(IMAGES[:1], GRID, padding_mode="wrap"), "padding_mode 'wrap' is none of"),
        (lambda: F.grid_sample(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 1, 1, 3)), "bicubic"), "mode 'bicubic'"),
        (lambda: F.affine_grid(np.ones((1, 2, 2)), (1, 1, 4, 4)), r"theta of shape \(1, 2, 2\) does not fit"),
    ],
)
def test_grids_that_do_not_fit_say_so(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_grids_keep_float32():
    theta = tg.Tensor(draw(1, 2, 3).astype(np.float32))
    y = F.grid_sample(np.ones((1, 2, 3, 4), np.float32), F.affine_grid(theta, (1, 2, 5, 5)), "bicubic", "reflection")
    y.sum().backward()
    assert y.dtype == theta.grad.dtype == np.float32


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
    if name in ("margin_ranking_loss", "cosine_embedding_loss", "bilinear"):
        renamed |= {"x1": "input1", "x2": "input2"}  # as there, but for cosine_similarity
    if name in ("softmax", "log_softmax"):
        renamed["axis"] = "dim"
    if "unpool" in name:
        del renamed["indices"]
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
        (lambda: F.pad(np.ones(1), (1, 1), "mirror"), "'mirror' is none of"),
        (lambda: F.pad(np.ones(3), (1, 3), "reflect"), "takes 3 elements of an axis of length 3"),
        (lambda: F.pad(np.ones(3), (4, 1), "circular"), "takes 4 elements of an axis of length 3"),
        (lambda: F.batch_norm(np.ones((2, 2)), None, None), "needs running_mean"),
        (lambda: F.instance_norm(np.ones((1, 1, 2)), use_input_stats=False), "needs running_mean"),
        (lambda: F.rms_norm(np.ones((2, 3)), (2,)), r"must be \(2,\)"),
        (lambda: F.local_response_norm(np.ones((2, 3)), 2), r"must be \(N, C, …\)"),
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


def test_a_gumbel_softmax_draws_by_the_scores_and_has_the_soft_gradient(rng):
    tg.manual_seed(0)
    p = np.array([0.2, 0.3, 0.5])
    drawn = F.gumbel_softmax(np.log(p) * np.ones((20_000, 1)), hard=True)
    assert set(np.unique(drawn.round(12))) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(0), p, atol=0.015)
    x, weights = rng.standard_normal((2, 4, 3))
    slopes = []
    for hard in (False, True):
        tg.manual_seed(1)
        slopes.append(tg.grad((F.gumbel_softmax(t := tg.Tensor(x), 0.5, hard) * weights).sum(), t)[0])
    np.testing.assert_array_equal(*slopes)
    with pytest.raises(ValueError, match="tau is 0"):
        F.gumbel_softmax(x, 0)


def test_a_sequence_that_is_too_long_costs_infinity_or_nothing():
    x = np.log(np.full((2, 2, 3), 1 / 3))
    call = (np.array([[1, 1], [1, 2]]), np.array([2, 2]), np.array([2, 2]))
    loss = F.ctc_loss(x, *call, reduction="none")
    assert loss[0] == np.inf and abs(loss[1] - np.log(9)) < 1e-12
    assert F.ctc_loss(x, *call, reduction="none", zero_infinity=True)[0] == 0
    assert F.ctc_loss(x[:, 1], call[0][1], 2, 2, reduction="none").shape == ()
    for wrong in ((call[0], np.array([3, 2]), call[2]), (call[0], *call[1:][::-1][:1], np.array([3, 3]))):
        with pytest.raises(ValueError, match="ctc_loss: "):
            F.ctc_loss(x, *wrong)
    with pytest.raises(ValueError, match="none of the 3 classes"):
        F.ctc_loss(x, call[0] + 5, *call[1:])
