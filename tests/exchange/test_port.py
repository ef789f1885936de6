"""Programs written for PyTorch run here without a change but that of the imports, and train alike."""

import numpy as np
import pytest

import tinygraph as tg

# d2l.ai, section 8.5, shortened: batch norm from scratch, in a LeNet-like net of one convolution.
FROM_SCRATCH = """
def batch_norm(X, gamma, beta, moving_mean, moving_var, eps, momentum):
    if not torch.is_grad_enabled():
        X_hat = (X - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        assert len(X.shape) in (2, 4)
        if len(X.shape) == 2:
            mean = X.mean(dim=0)
            var = ((X - mean) ** 2).mean(dim=0)
        else:
            mean = X.mean(dim=(0, 2, 3), keepdim=True)
            var = ((X - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        X_hat = (X - mean) / torch.sqrt(var + eps)
        moving_mean = (1.0 - momentum) * moving_mean + momentum * mean
        moving_var = (1.0 - momentum) * moving_var + momentum * var
    Y = gamma * X_hat + beta
    return Y, moving_mean.detach(), moving_var.detach()


class BatchNorm(nn.Module):
    def __init__(self, num_features, num_dims):
        super().__init__()
        shape = (1, num_features) if num_dims == 2 else (1, num_features, 1, 1)
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        self.moving_mean = torch.zeros(shape)
        self.moving_var = torch.ones(shape)

    def forward(self, X):
        Y, self.moving_mean, self.moving_var = batch_norm(
            X, self.gamma, self.beta, self.moving_mean, self.moving_var, eps=1e-5, momentum=0.1
        )
        return Y


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, kernel_size=3, padding=1)
        self.bn1 = BatchNorm(4, 4)
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        x = F.max_pool2d(self.act(self.bn1(self.conv(x))), 2)
        x = torch.flatten(x, 1)
        x = F.dropout(x, p=0.3, training=False)
        return self.fc(x)


def train(net, x, target, steps):
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        out = net(x)
        loss = F.cross_entropy(out, target) + 1e-3 * net.fc.weight.pow(2).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    line = f"loss {loss:.4f}"
    with torch.no_grad():
        scores = net(x).softmax(dim=1)
        right = (scores.argmax(dim=1).detach().cpu().numpy() == labels).mean()
    return losses, scores.detach().numpy(), right, line
"""

# A head of attention, as many write it.
ATTENTION = """
def attention(q, k, v, mask, heads):
    n, length, width = q.shape
    q, k, v = (t.view(n, length, heads, width // heads).transpose(1, 2) for t in (q, k, v))
    scores = torch.matmul(q, k.transpose(-2, -1)) / (width // heads) ** 0.5
    scores = scores.masked_fill(mask.unsqueeze(0) == 0, float("-inf"))
    out = torch.matmul(F.softmax(scores, dim=-1), v)
    return out.transpose(1, 2).contiguous().view(n, length, width)
"""


@pytest.fixture
def double():
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


def run(source, names):
    exec(compile(source, "program.py", "exec"), names)
    return names


def test_batch_norm_from_scratch_trains_alike(double):
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((12, 1, 8, 8)), np.arange(12) % 3
    theirs = run(
        FROM_SCRATCH,
        {"torch": double, "nn": double.nn, "F": double.nn.functional, "optim": double.optim, "labels": labels},
    )
    ours = run(
        FROM_SCRATCH,
        {"torch": tg, "nn": tg.nn, "F": tg.nn.functional, "optim": tg.optim, "labels": labels},
    )
    net, other = ours["Net"]().to(np.float64), theirs["Net"]()
    net.load_state_dict({key: value.numpy() for key, value in other.state_dict().items()})
    expected = theirs["train"](other, double.tensor(x), double.tensor(labels), 20)
    found = ours["train"](net, tg.tensor(x), tg.tensor(labels), 20)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-8)
    assert found[2:] == (expected[2], expected[3])
    assert found[0][-1] < found[0][0] / 4


def test_attention_is_alike(double):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, 5, 6)) for _ in range(3)]
    mask = np.tril(np.ones((1, 5, 5)))
    theirs = run(ATTENTION, {"torch": double, "F": double.nn.functional})["attention"]
    ours = run(ATTENTION, {"torch": tg, "F": tg.nn.functional})["attention"]
    tensors = [double.tensor(a, requires_grad=True) for a in arrays]
    mine = [tg.Tensor(a) for a in arrays]
    expected, found = theirs(*tensors, double.tensor(mask), 2), ours(*mine, tg.tensor(mask), 2)
    np.testing.assert_allclose(found.data, expected.detach().numpy(), rtol=1e-12)
    weights = rng.standard_normal(found.shape)
    (expected * double.tensor(weights)).sum().backward()
    (found * weights).sum().backward()
    for a, b in zip(mine, tensors, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-9, atol=1e-12)
