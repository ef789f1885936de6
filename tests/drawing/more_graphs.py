"""Graphs that the gallery lacks, each made once: nets of the literature, and shapes that are hard to lay out."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

import tinygraph as tg
from tests.gallery import affine, build, weighted
from tinygraph import Graph, Parameter, Tensor, conv2d, nn, scope, snapshot

__all__ = ["HARD", "MORE", "gated_steps", "implicit_derivative"]

normals, backward = build.normals, build.backward


def dense(x: Tensor, fan_out: int, name: str, normal: Callable[..., np.ndarray]) -> Tensor:
    """Return x W + b."""
    w = Parameter(normal(x.shape[-1], fan_out) * 0.5, name=f"W_{name}")
    return x @ w + Parameter(normal(fan_out) * 0.1, name=f"b_{name}")


def attend(x: Tensor, size: int, head: str, normal: Callable[..., np.ndarray]) -> Tensor:
    """Return one head of attention."""
    q, k, v = ((x @ Parameter(normal(x.shape[-1], size), name=f"W_{c}{head}")).named(f"{c}{head}") for c in "QKV")
    scores = (q @ k.T * (1 / np.sqrt(size))).named(f"S{head}")
    return (tg.softmax(scores).named(f"P{head}") @ v).named(f"y{head}")


def transformer_block() -> Graph:
    """Return attention and a net of two layers, each behind a layer norm and beside a skip."""
    normal = normals()
    x = Tensor(normal(5, 4), name="x")
    with scope("attention"):
        a = attend(tg.layer_norm(x, *affine(4)), 4, "", normal)
        h = (x + a @ Parameter(normal(4, 4), name="W_O")).named("h")
    with scope("mlp"):
        f = tg.relu(dense(tg.layer_norm(h, *affine(4)), 8, "1", normal)).named("f")
        y = (h + dense(f, 4, "2", normal)).named("y")
    return backward(weighted(y))


def multi_head() -> Graph:
    """Return attention of three heads."""
    normal = normals()
    x = Tensor(normal(5, 6), name="x")
    heads = []
    for k in range(3):
        with scope(f"head{k + 1}"):
            heads.append(attend(x, 2, str(k + 1), normal))
    y = (np.concatenate(heads, axis=1) @ Parameter(normal(6, 6), name="W_O")).named("y")
    return backward(weighted(y))


def lstm_step(
    x: Tensor, h: Tensor, c: Tensor, weights: dict[str, tuple[Parameter, ...]], mark: str
) -> tuple[Tensor, Tensor]:
    """Return the next h and c."""

    def gate(name: str) -> Tensor:
        w, u, b = weights[name]
        return x @ w + h @ u + b

    i, f, o = (tg.sigmoid(gate(name)).named(f"{name}{mark}") for name in "ifo")
    g = np.tanh(gate("g")).named(f"g{mark}")
    c = (f * c + i * g).named(f"c{mark}")
    return (o * np.tanh(c)).named(f"h{mark}"), c


def lstm_weights(size: int, hidden: int) -> dict[str, tuple[Parameter, ...]]:
    """Return W, U and b of each gate."""
    normal = normals(5)
    return {
        k: (
            Parameter(normal(size, hidden), name=f"W_{k}"),
            Parameter(normal(hidden, hidden), name=f"U_{k}"),
            Parameter(normal(hidden), name=f"b_{k}"),
        )
        for k in "ifog"
    }


def lstm_cell() -> Graph:
    """Return one step of an LSTM."""
    normal = normals()
    x, h, c = Tensor(normal(4, 3), name="x"), Tensor(normal(4, 2), name="h"), Tensor(normal(4, 2), name="c")
    h, _ = lstm_step(x, h, c, lstm_weights(3, 2), "′")
    return backward(weighted(h))


def lstm_unrolled8() -> Graph:
    """Return eight steps of an LSTM, which share their weights."""
    normal = normals()
    h, c = Tensor(np.zeros((4, 2)), name="h0"), Tensor(np.zeros((4, 2)), name="c0")
    weights = lstm_weights(3, 2)
    for t in range(8):
        with scope(f"step{t + 1}"):
            h, c = lstm_step(Tensor(normal(4, 3), name=f"x{t + 1}"), h, c, weights, str(t + 1))
    return backward(weighted(h))


def unet_small() -> Graph:
    """Return a small U-Net: two stages down, two up, with skips between them."""
    normal = normals()

    def convolve(h: Tensor, channels: int, name: str) -> Tensor:
        return tg.relu(
            conv2d(h, Parameter(normal(channels, h.shape[1], 3, 3) * 0.3, name=f"K_{name}"), padding=1)
        ).named(name)

    x = Tensor(normal(2, 1, 8, 8), name="x")
    with scope("down1"):
        d1 = convolve(x, 2, "d1")
    with scope("down2"):
        d2 = convolve(tg.max_pool2d(d1, 2), 4, "d2")
    with scope("middle"):
        m = convolve(tg.max_pool2d(d2, 2), 4, "m")
    with scope("up2"):
        u = tg.conv_transpose2d(m, Parameter(normal(4, 4, 2, 2), name="T2"), stride=2)
        u2 = convolve(np.concatenate([u, d2], axis=1), 4, "u2")
    with scope("up1"):
        u = tg.conv_transpose2d(u2, Parameter(normal(4, 2, 2, 2), name="T1"), stride=2)
        u1 = convolve(np.concatenate([u, d1], axis=1), 2, "u1")
    return backward(weighted(conv2d(u1, Parameter(normal(1, 2, 1, 1), name="K_out")).named("out")))


class Bottleneck(nn.Module):
    """A residual block of three convolutions, and one beside them where the size changes."""

    def __init__(self, fan_in: int, middle: int, fan_out: int, stride: int = 1) -> None:
        self.conv1, self.bn1 = nn.Conv2d(fan_in, middle, 1, bias=False), nn.BatchNorm2d(middle, fused=False)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle, fused=False)
        self.conv3, self.bn3 = nn.Conv2d(middle, fan_out, 1, bias=False), nn.BatchNorm2d(fan_out, fused=False)
        self.skip = nn.Conv2d(fan_in, fan_out, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = tg.relu(self.bn1(self.conv1(x)))
        h = tg.relu(self.bn2(self.conv2(h)))
        return tg.relu(self.bn3(self.conv3(h)) + self.skip(x))


def bottleneck() -> Graph:
    """Return a bottleneck block of ResNet-50."""
    net = nn.init.manual_seed(Bottleneck(2, 2, 4), 0)
    return backward(weighted(net(Tensor(normals()(2, 2, 4, 4), name="x")).named("y")))


class BasicBlock(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(fan_out)
        self.conv2, self.bn2 = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False), nn.BatchNorm2d(fan_out)
        self.down = nn.Conv2d(fan_in, fan_out, 1, stride=stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = tg.relu(self.bn1(self.conv1(x)))
        return tg.relu(self.bn2(self.conv2(h)) + self.down(x))


class ResNet18(nn.Module):
    """ResNet-18 with few channels."""

    def __init__(self) -> None:
        self.conv1, self.bn1 = nn.Conv2d(3, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2)
        widths = [2, 2, 4, 4, 8]
        self.layers = nn.ModuleList([
            nn.Sequential(BasicBlock(a, b, 1 if n == 0 else 2), BasicBlock(b, b, 1))
            for n, (a, b) in enumerate(zip(widths, widths[1:], strict=False))
        ])  # fmt: skip
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = tg.relu(self.bn1(self.conv1(x)))
        for layer in self.layers:
            h = layer(h)
        return self.fc(self.pool(h).reshape((len(x), -1)))


def resnet18() -> Graph:
    """Return ResNet-18, built of our layers."""
    net = nn.init.manual_seed(ResNet18(), 0)
    x = Tensor(normals()(2, 3, 16, 16), name="x")
    return backward(nn.CrossEntropyLoss()(net(x), np.array([1, 3])).named("L"))


def vae() -> Graph:
    """Return a variational autoencoder: two heads, a sample, a reconstruction and a divergence."""
    normal = normals()
    x, e = Tensor(normal(4, 6), name="x"), Tensor(normal(4, 2), name="ε", requires_grad=False)
    with scope("encoder"):
        h = tg.relu(dense(x, 5, "1", normal)).named("h")
        mean, log_var = dense(h, 2, "m", normal).named("m"), dense(h, 2, "v", normal).named("log σ²")
    z = (mean + np.exp(log_var * 0.5) * e).named("z")
    with scope("decoder"):
        d = tg.relu(dense(z, 5, "3", normal)).named("d")
        out = tg.sigmoid(dense(d, 6, "4", normal)).named("x̃")
    with scope("ELBO"):
        fit = ((x - out) ** 2).sum(axis=1).named("fit")
        kl = (0.5 * (mean**2 + np.exp(log_var) - 1.0 - log_var).sum(axis=1)).named("KL")
        loss = (fit + kl).mean().named("L")
    return backward(loss)


def siamese() -> Graph:
    """Return NT-Xent: two views through one net, all against all."""
    normal = normals()
    w1, w2 = Parameter(normal(6, 5), name="W₁"), Parameter(normal(5, 3), name="W₂")
    views = []
    for k in (1, 2):
        with scope(f"view{k}"):
            views.append((tg.relu(Tensor(normal(4, 6), name=f"x{k}") @ w1) @ w2).named(f"z{k}"))
    with scope("NT-Xent"):
        z = np.concatenate(views, axis=0).named("z")
        z = (z / np.sqrt((z * z).sum(axis=1, keepdims=True))).named("u")
        s = (z @ z.T * 2.0 + np.diag(np.full(8, -1e9))).named("S")
        loss = tg.cross_entropy(s, np.array([4, 5, 6, 7, 0, 1, 2, 3])).named("L")
    return backward(loss)


def mixture() -> Graph:
    """Return a mixture density net."""
    normal = normals()
    x, y = Tensor(normal(6, 2), name="x"), Tensor(normal(6, 1), name="t", requires_grad=False)
    h = np.tanh(dense(x, 5, "h", normal)).named("h")
    weight = tg.softmax(dense(h, 3, "π", normal)).named("π")
    mean, scale = dense(h, 3, "μ", normal).named("μ"), np.exp(dense(h, 3, "σ", normal)).named("σ")
    density = (np.exp(((y - mean) / scale) ** 2 * -0.5) / (scale * np.sqrt(2 * np.pi))).named("N")
    return backward((-np.log((weight * density).sum(axis=1).named("p"))).mean().named("L"))


def gradient_penalty() -> Graph:
    """Return the gradient penalty of a Wasserstein GAN, which differentiates a gradient."""
    normal = normals()
    x = Tensor(normal(4, 3), name="x̂")
    score = (np.tanh(dense(x, 5, "1", normal)) @ Parameter(normal(5, 1), name="W_2")).sum().named("D")
    (g,) = tg.grad(score, [x], create_graph=True)
    norm = np.sqrt((g * g).sum(axis=1) + 1e-12).named("n")
    return backward(((norm - 1.0) ** 2).mean().named("L"))


def adam_step() -> Graph:
    """Return a step of Adam, recorded."""
    normal = normals()
    w, g = Tensor(normal(3, 2), name="w"), Tensor(normal(3, 2), name="g")
    m, v = Tensor(normal(3, 2), name="m"), Tensor(normal(3, 2) ** 2, name="v")
    m = (m * 0.9 + g * 0.1).named("m′")
    v = (v * 0.999 + g * g * 0.001).named("v′")
    step = (m / 0.1 / (np.sqrt(v / 0.001) + 1e-8)).named("Δ")
    return backward((w - step * 0.001).named("w′").sum().named("L"))


def physics_informed() -> Graph:
    """Return the residual of u″ + u = 0 for a net u, with both derivatives recorded."""
    normal = normals()
    x = Tensor(normal(5, 1), name="x")
    w1, b1, w2 = Parameter(normal(1, 4), name="W₁"), Parameter(normal(4), name="b₁"), Parameter(normal(4, 1), name="W₂")
    u = (np.tanh(x @ w1 + b1) @ w2).named("u")
    (first,) = tg.grad(u.sum(), [x], create_graph=True)
    (second,) = tg.grad(first.sum(), [x], create_graph=True)
    return backward(((second + u) ** 2).mean().named("L"))


def random_dag60() -> Graph:
    """Return sixty values, each of two earlier ones."""
    rng = np.random.default_rng(7)
    pool = [Tensor(rng.standard_normal((4, 3)).round(2), name=f"x{k}") for k in range(3)]
    for k in range(57):
        a, b = (pool[j] for j in rng.choice(len(pool), 2, replace=False))
        step = rng.integers(4)
        y = a + b if step == 0 else a * b * 0.5 if step == 1 else np.tanh(a) - b if step == 2 else a + b.mean(axis=0)
        pool.append(y.named(f"h{k}"))
    return backward(sum(pool[-6:], start=pool[-7]).sum().named("L"))


def skip_dense() -> Graph:
    """Return a DenseNet of eight layers: each uses all before it."""
    normal = normals()
    made = [Tensor(normal(4, 3), name="x")]
    for k in range(8):
        total = made[0]
        for other in made[1:]:
            total = total + other
        made.append(np.tanh(total * 0.5).named(f"h{k + 1}"))
    return backward(weighted(made[-1]))


def fan_out40_stacked() -> Graph:
    """Return forty branches of one value, stacked."""
    x = Tensor(normals()(4, 3), name="x")
    return backward(weighted(np.stack([np.tanh(x * float(k + 1)) for k in range(40)]).named("y")))


def branches30() -> Graph:
    """Return thirty branches of one value, summed."""
    x = Tensor(normals()(4, 3), name="x")
    y = np.tanh(x)
    for k in range(29):
        y = y + np.tanh(x * (0.1 * k + 0.1))
    return backward(y.sum().named("L"))


def chain200() -> Graph:
    """Return two hundred steps in a row, without names or scopes."""
    h = Tensor(normals()(4, 3), name="x")
    for _ in range(100):
        h = np.tanh(h * 1.1)
    return backward(h.sum().named("L"))


def nested_diamonds() -> Graph:
    """Return diamonds inside diamonds."""

    def diamond(h: Tensor, depth: int, name: str) -> Tensor:
        left = diamond(h * 0.5, depth - 1, name + "a") if depth else np.tanh(h)
        right = diamond(np.tanh(h), depth - 1, name + "b") if depth else h * 0.7
        return (left * right).named(f"n{name}")

    return backward(diamond(Tensor([1.0, -0.5, 2.0], name="x"), 3, "").sum().named("L"))


def embedding_net() -> Graph:
    """Return words looked up, averaged and classified."""
    net = nn.init.manual_seed(nn.Sequential({"embedding": nn.Embedding(10, 4)}), 0)
    head = nn.init.manual_seed(nn.Sequential({"fc1": nn.Linear(4, 6), "relu": nn.ReLU(), "fc2": nn.Linear(6, 3)}), 0)
    words = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 5, 9]])
    mean = net(words).mean(axis=1).named("mean")
    return backward(nn.CrossEntropyLoss()(head(mean), np.array([0, 1, 2, 1])).named("L"))


def batch_renorm() -> Graph:
    """Return batch renormalization: corrections r and d that no gradient passes."""
    x, gamma, beta = (
        Tensor(build.X, name="x"),
        Parameter([1.0, 2.0, -1.0], name="γ"),
        Parameter([0.0, 1.0, -1.0], name="β"),
    )
    running_mean, running_std = np.array([1.0, 0.5, 4.0]), np.array([1.5, 2.0, 3.0])
    with scope("batch_renorm"):
        mean = x.mean(axis=0).named("μ")
        centered = (x - mean).named("x_c")
        std = np.sqrt((centered * centered).mean(axis=0) + 1e-5).named("σ")
        r = Tensor(np.clip(std.data / running_std, 0.5, 2.0), name="r", requires_grad=False)
        d = Tensor(np.clip((mean.data - running_mean) / running_std, -1, 1), name="d", requires_grad=False)
        y = ((centered / std * r + d) * gamma + beta).named("y")
    return backward(weighted(y))


def many_parameters() -> Graph:
    """Return an op of many parameters."""
    x = Tensor(normals()(4, 3), name="x")
    rows = [Parameter(normals(k)(3), name=f"p{k}") for k in range(12)]
    return backward(weighted((x @ np.stack(rows, axis=1).named("P")).named("y")))


def shared_layer() -> Graph:
    """Return a triplet loss: one net in three places, whose parameters stand in the box of their layer."""
    net = nn.init.manual_seed(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), 0)
    views = [net(Tensor(normals(k)(5, 4), name=name)) for k, name in enumerate(("anchor", "positive", "negative"))]
    return backward(nn.TripletMarginLoss()(*views).named("L"))


def wide_fan() -> Graph:
    """Return unlike functions of one value, added up."""
    x = Tensor(normals()(4, 3), name="x")
    ops = (np.tanh, np.exp, np.sin, tg.sigmoid, np.cos, tg.softplus, tg.silu, np.arctan, tg.relu, np.square, np.abs)
    return backward(weighted(sum((op(x) for op in ops), start=x * 0.5).named("y")))


def hessian_product() -> Graph:
    """Return the Hessian of a net times a vector: the gradient of a product of gradients with constants."""
    normal = normals()
    x, w1, w2 = normal(4, 3), Parameter(normal(3, 4), name="W₁"), Parameter(normal(4, 1), name="W₂")
    loss = ((np.tanh(Tensor(x, name="x", requires_grad=False) @ w1) @ w2) ** 2).mean().named("L")
    g1, g2 = tg.grad(loss, [w1, w2], create_graph=True)
    return snapshot(*tg.grad((g1 * normal(3, 4)).sum() + (g2 * normal(4, 1)).sum(), [w1, w2], create_graph=True))


def jacobian_penalty() -> Graph:
    """Return the squared Jacobian of a net, a backward pass for each of its outputs."""
    x, net = Tensor(normals()(4, 3), name="x"), nn.Sequential(nn.Linear(3, 4), nn.Softplus(), nn.Linear(4, 2))
    y = nn.init.manual_seed(net, 0)(x)
    parts = [(g * g).sum() for k in range(2) for (g,) in [tg.grad(y[:, k].sum(), [x], create_graph=True)]]
    return backward((parts[0] + parts[1]).named("L"))


def many_inputs() -> Graph:
    """Return eight inputs, each of which is used in three places."""
    xs = [Tensor(normals(k)(3, 2), name=f"in{k}") for k in range(8)]
    ys = [(xs[k] * xs[(k + 3) % 8] + xs[(k + 5) % 8]).sum() for k in range(8)]
    return backward(sum(ys[1:], start=ys[0]).named("L"))


def weight_norm() -> Graph:
    """Return a sum of squares, in which one op uses a value twice; a mask; and an exponent with an exponent."""
    v, mask = Parameter(normals()(3, 4), name="v"), Tensor(np.triu(np.full((3, 3), -1e9), 1), requires_grad=False)
    w = (v / np.sqrt((v * v).sum(axis=0))).named("W^{(2)}")
    scores = (w.T @ w).named("S^{(1)}")
    weights = tg.softmax(scores[:3, :3] + mask).named("P")
    return backward((tg.cross_entropy(scores, np.arange(4)) + weights.max(axis=1).sum()).named("L"))


def gated_steps() -> Graph:
    """Return three steps of a GRU without scopes: each takes an input of its own three times, and all share weights."""
    normal = normals()
    h, xs = Tensor(normal(3, 3), name="h0"), [Tensor(normal(3, 2), name=f"x{t}") for t in range(3)]
    w, u = ([Parameter(normal(n, 3) * 0.5, name=f"{name}_{k}") for k in "zrh"] for name, n in (("W", 2), ("U", 3)))
    for t, x in enumerate(xs):
        z, r = (tg.sigmoid(x @ w[k] + h @ u[k]) for k in range(2))
        h = ((1.0 - z) * np.tanh(x @ w[2] + (r * h) @ u[2]) + z * h).named(f"h{t + 1}")
    return backward(weighted(h))


def implicit_derivative() -> Graph:
    """Return the gradient of a quotient of gradients."""
    x, y = Parameter(0.7, name="x"), Tensor(0.5, name="y")
    fx, fy = tg.grad((x**2 + y**3 - np.sin(x * y)).named("F"), [x, y], create_graph=True)
    return snapshot(*tg.grad(((-fx / fy).named("dy/dx") ** 2).named("L"), [x], create_graph=True))


def faded_layer() -> Graph:
    """Return a fused op beside the way that is shown."""
    x = Tensor(normals()(2, 3), name="x")
    y = np.tanh(x).named("y") + tg.nn.functional.layer_norm(x, (3,))
    return backward(y.sum().named("L"))


MORE: dict[str, Callable[[], Graph]] = {
    make.__name__: functools.cache(make)
    for make in (
        transformer_block, multi_head, lstm_cell, lstm_unrolled8, unet_small, bottleneck, resnet18, vae, siamese,
        mixture, gradient_penalty, adam_step, physics_informed, random_dag60, skip_dense, fan_out40_stacked, branches30,
        chain200, nested_diamonds, embedding_net, batch_renorm, many_parameters,
    )
}  # fmt: skip

# Pictures that had a defect once: a graph, and the options with which it is drawn.
HARD: list[tuple[Callable[[], Graph], dict[str, object]]] = [
    (shared_layer, {}),
    (wide_fan, {"show": "backward", "width": "506pt"}),
    (lstm_cell, {"show": "backward", "width": "506pt"}),
    (hessian_product, {"width": "245pt"}),
    (jacobian_penalty, {"width": "245pt"}),
    (jacobian_penalty, {"width": "245pt", "show": "gradient"}),
    (many_inputs, {"show": "gradient"}),
    (gated_steps, {"width": "245pt", "show": "gradient"}),
    (weight_norm, {"detail": 0}),
    (weight_norm, {"detail": 2}),
    (faded_layer, {"show": "path=x,y"}),
]
