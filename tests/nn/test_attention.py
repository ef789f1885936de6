"""Attention beyond what random configurations of its layers compare with PyTorch: the function, and its limits."""

import numpy as np
import pytest

import tinygraph as tg
import tinygraph.nn.functional as F
from tinygraph import Tensor, nn

SHAPES = {"plain": ((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 2)), "flat": ((4, 5), (6, 5), (6, 2))}


@pytest.mark.parametrize("kind", ["none", "bool", "float", "blind", "causal", "scale", "grouped"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_attention_is_that_of_pytorch(torch, rng, shapes, kind):
    q, k, v = (rng.standard_normal(shape) for shape in SHAPES[shapes])
    options = {"is_causal": kind == "causal", "scale": 0.3 if kind == "scale" else None}
    mask = None
    if kind in ("bool", "blind"):
        mask = rng.random((4, 6)) > 0.4
        mask[2] = kind == "bool"  # a query that may look nowhere gets zeros
    if kind == "float":
        mask = rng.standard_normal((4, 6))
    if kind == "grouped":
        if shapes == "flat":
            pytest.skip("there are no heads")
        q, options["enable_gqa"] = rng.standard_normal((2, 6, 4, 5)), True
    ours = [Tensor(x) for x in (q, k, v)]
    theirs = [torch.tensor(x, requires_grad=True) for x in (q, k, v)]
    y = F.scaled_dot_product_attention(*ours, mask, **options)
    z = torch.nn.functional.scaled_dot_product_attention(
        *theirs, None if mask is None else torch.tensor(mask), **options
    )
    np.testing.assert_allclose(y.data, z.detach().numpy(), atol=1e-12)
    g = rng.standard_normal(y.shape)
    y.backward(g)
    z.backward(torch.tensor(g))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), atol=1e-11)


def test_dropped_weights_are_scaled():
    tg.manual_seed(0)
    x = np.ones((1000, 2))
    y = F.scaled_dot_product_attention(x, x, x, dropout_p=0.5)
    assert abs(y.mean() - 1) < 0.01 and y.std() > 0.01


def test_second_derivatives_and_the_names_of_the_paper(rng):
    x = rng.standard_normal((3, 2))
    assert tg.gradgradcheck(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), (x,))
    net = nn.Sequential(nn.TransformerEncoderLayer(4, 2, 3, dropout=0.0)).double()
    graph = tg.snapshot(net(Tensor(rng.standard_normal((3, 1, 4)), name="x")).sum())
    assert {"Q", "K", "V", "scores", "weights", "x"} <= {n.name for n in graph.nodes}
    assert ("TransformerEncoderLayer 0", "self_attn", "out_proj") in {n.scope for n in graph.nodes}


def test_dropout_follows_the_seed_and_copies_begin_alike(rng):
    layer = nn.TransformerEncoderLayer(4, 2, 3, dropout=0.5)
    net = nn.TransformerEncoder(layer, 2, nn.LayerNorm(4))
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(net.state_dict()[f"layers.1.{key}"], value)
    x = rng.standard_normal((3, 2, 4)).astype(np.float32)
    first, again = (nn.init.manual_seed(net, 0)(x).data for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (net(x).data != first).any()
    np.testing.assert_array_equal(net.eval()(x).data, net(x).data)


def test_the_causal_mask_is_that_of_pytorch(torch):
    wanted = torch.nn.Transformer.generate_square_subsequent_mask(4).numpy()
    np.testing.assert_array_equal(nn.Transformer.generate_square_subsequent_mask(4), wanted)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: nn.MultiheadAttention(4, 3), "num_heads=3 does not divide embed_dim=4"),
        (lambda x: nn.MultiheadAttention(4, 2)(x, x[:2], x), "query, key and value have shapes"),
        (lambda x: nn.MultiheadAttention(4, 2)(x, x, x, np.ones((3, 9), bool)), "key_padding_mask has shape"),
        (lambda x: nn.MultiheadAttention(4, 2)(x, x, x, attn_mask=np.ones((9, 3), bool)), "attn_mask has shape"),
        (lambda x: nn.MultiheadAttention(4, 2)(x, x, x, is_causal=True), "give the mask too"),
        (lambda x: nn.TransformerEncoderLayer(4, 2, activation="tanh"), "neither 'relu' nor 'gelu'"),
        (lambda x: F.scaled_dot_product_attention(x, x, x, np.ones(1), is_causal=True), "not both"),
        (lambda x: F.scaled_dot_product_attention(x, x[..., :2], x), r"are not \(…, L, d\)"),
        (
            lambda x: F.scaled_dot_product_attention(x, x, x, enable_gqa=True) if x.ndim > 3 else F.bilinear(x, x, x),
            "not",
        ),
        (lambda x: nn.Embedding(3, 2, max_norm=1.0), "bound them yourself"),
        (lambda x: nn.Embedding(3, 2, padding_idx=3), "padding_idx=3 is none of the 3 rows"),
        (lambda x: nn.EmbeddingBag(3, 2)(np.array([1, 2])), "offsets"),
        (lambda x: nn.EmbeddingBag(3, 2)(np.array([1, 2]), np.array([0, 5])), "go beyond 2 indices"),
        (lambda x: nn.EmbeddingBag(3, 2, mode="min")(np.array([[1]])), "mode 'min' is none of"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call(np.ones((3, 2, 4), np.float32))


def test_rows_that_were_given_stay_unless_thawed():
    rows = np.arange(6.0).reshape(3, 2)
    layer = nn.Embedding.from_pretrained(rows)
    np.testing.assert_array_equal(layer(np.array([2])).data, rows[[2]])
    assert not layer.weight.requires_grad
    assert nn.EmbeddingBag.from_pretrained(rows, freeze=False, mode="sum").weight.requires_grad
    assert (nn.Embedding(3, 2, padding_idx=-1).weight.data[2] == 0).all()


def test_a_batch_of_no_examples_passes():
    x = np.ones((5, 0, 4), np.float32)
    y, weights = nn.MultiheadAttention(4, 2)(x, x, x)
    assert y.shape == (5, 0, 4) and weights.shape == (0, 5, 5)
    assert nn.TransformerEncoderLayer(4, 2, 3).self_attn(x, x, x, need_weights=False)[0].shape == (5, 0, 4)
