"""Models of PyTorch as graphs: values, gradients and contributions are those of PyTorch's own run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.exchange.torch_steps import ONE, TWO
from tinygraph.graph import batch
from tinygraph.graph.data import Graph, Node

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*:UserWarning", "ignore:.*:FutureWarning", "ignore:.*:DeprecationWarning"
)

EVERYTHING = 10**6  # so many elements are listed


def randn(*shape: int, grad: bool = True, dtype: Any = torch.float32) -> Any:
    generator = torch.Generator().manual_seed(sum(shape) + len(shape))
    return torch.randn(*shape, generator=generator).to(dtype).requires_grad_(grad)


class Mlp(nn.Module):
    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.fc1, self.bn, self.drop, self.fc2 = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(p), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.fc2(self.drop(F.relu(self.bn(self.fc1(x)))))


class Block(nn.Module):
    """A residual block, as in ResNet-18."""

    def __init__(self, c: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        same = stride == 1 and c == out
        self.downsample = None if same else nn.Sequential(nn.Conv2d(c, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Any) -> Any:
        skip = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += skip
        return self.relu(out)


class ResNet18(nn.Module):
    """torchvision's, written out; ``width`` is 64 there."""

    def __init__(self, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        sizes = [width, width, 2 * width, 4 * width, 8 * width]
        for i in range(4):
            first = Block(sizes[i], sizes[i + 1], 1 if i == 0 else 2)
            setattr(self, f"layer{i + 1}", nn.Sequential(first, Block(sizes[i + 1], sizes[i + 1])))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(8 * width, classes)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.att, self.ln = nn.MultiheadAttention(4, 2, batch_first=True), nn.LayerNorm(4)

    def forward(self, x: Any) -> Any:
        return self.ln(x + self.att(x, x, x, need_weights=False)[0])


class Dot(nn.Module):
    def forward(self, q: Any, k: Any, v: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm_cell, self.gru_cell = nn.LSTMCell(3, 4), nn.GRUCell(4, 4)

    def forward(self, x: Any, h: Any) -> Any:
        h, c = self.lstm_cell(x, (h, torch.tanh(h)))
        return self.gru_cell(c, h)


class Lm(nn.Module):
    """Embedding, recurrence, and the embedding's matrix again as the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.gru, self.head = nn.Embedding(7, 4), nn.GRU(4, 4), nn.Linear(4, 7, bias=False)
        self.head.weight = self.emb.weight

    def forward(self, ids: Any) -> Any:
        return self.head(F.gelu(self.gru(self.emb(ids))[0]))


class Bag(nn.Module):
    """The mean of rows, of which one may be padding: it gets no gradient."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.emb, self.fc = nn.Embedding(7, 3, **options), nn.Linear(3, 2)
        with torch.no_grad():
            self.emb.weight[0] = 1.0

    def forward(self, ids: Any) -> Any:
        return self.fc(self.emb(ids).mean(1))


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.pool = nn.Conv2d(1, 2, 3, padding=1), nn.GroupNorm(2, 2), nn.MaxPool2d(2)
        self.mean, self.fc = nn.AdaptiveAvgPool2d(3), nn.Linear(18, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.mean(self.pool(F.silu(self.norm(self.conv(x))))).flatten(1))


IDS = torch.tensor([1, 3, 3, 6, 0])
T = torch.tensor([0, 1, 1, 0, 1, 0])
CASES: dict[str, tuple[Callable[[], Any], tuple[Any, ...], Callable[[Any], Any]]] = {
    "mlp": (Mlp, (randn(6, 3),), lambda y: F.cross_entropy(y, T)),
    "mlp_dropout": (lambda: Mlp(0.5), (randn(6, 3),), lambda y: F.cross_entropy(y, T, label_smoothing=0.1)),
    "mlp_eval": (lambda: Mlp(0.5).eval(), (randn(6, 3),), lambda y: F.mse_loss(y, torch.ones(6, 2))),
    "residual": (lambda: Block(2, 4, 2), (randn(3, 2, 6, 6),), lambda y: (y * y).mean()),
    "attention": (SelfAttention, (randn(2, 3, 4),), lambda y: (y * y * y).sum()),
    "dot_product": (Dot, (randn(1, 3, 4), randn(1, 3, 4), randn(1, 3, 4)), lambda y: y.pow(3).sum()),
    "cells": (Cells, (randn(2, 3), randn(2, 4)), lambda y: y.square().mean()),
    "lstm": (
        lambda: nn.LSTM(3, 4, 2, batch_first=True), (randn(2, 3, 3),), lambda y: (y[0] ** 2).sum() + y[1][1].sum()),
    "bi_gru": (lambda: nn.GRU(3, 4, bidirectional=True), (randn(3, 2, 3),), lambda y: (y[0] ** 2).sum()),
    "lm": (Lm, (IDS,), lambda y: F.cross_entropy(y, IDS)),
    "conv": (Conv, (randn(2, 1, 7, 7),), lambda y: F.smooth_l1_loss(y, torch.zeros(2, 3))),
    "resnet18": (lambda: ResNet18(4), (randn(4, 3, 64, 64, grad=False),), lambda y: F.cross_entropy(y, IDS[:4])),
}  # fmt: skip


def own_run(module: Any, inputs: tuple[Any, ...], loss: Any) -> dict[str, Any]:
    """The gradients of PyTorch's own backward, and the loss."""
    module = copy.deepcopy(module)
    inputs = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in inputs)
    with torch.random.fork_rng():
        total = loss(module(*inputs))
    total.backward()
    found = {name: p.grad for name, p in module.named_parameters()} | {"": total.detach()}
    return found | {i: x.grad for i, x in enumerate(inputs) if x.requires_grad}


def array(summary: Any) -> np.ndarray:
    dtype = {"bfloat16": "float32"}.get(summary.dtype, summary.dtype)
    return np.array(summary.values, dtype).reshape(summary.shape)


def leaves(graph: Graph, kind: str) -> list[Node]:
    return [n for n in graph.nodes if n.kind == kind]


def assert_contributions_add_up(graph: Graph) -> None:
    outputs = set(graph.outputs)
    for node in graph.nodes:
        parts = [array(e.grad) for _, e in graph.consumers[node.id] if e.grad is not None]
        if node.grad is not None and node.id not in outputs:
            g = array(node.grad)
            size = max([abs(p).max() for p in parts if p.size], default=0)
            np.testing.assert_allclose(sum(parts), g, rtol=1e-4, atol=1e-6 + 1e-5 * size)
        elif node.id not in outputs:
            assert not parts


@pytest.fixture(scope="module")
def graphs() -> dict[Any, Any]:
    return {}


def made(graphs: dict[Any, Any], name: str, decompose: bool = True) -> tuple[Graph, Any, tuple[Any, ...], Any]:
    """Each model is exported once."""
    if (name, decompose) not in graphs:
        make, inputs, loss = CASES[name]
        torch.manual_seed(0)
        module = make()
        graph = tg.from_torch(module, *inputs, loss=loss, values=EVERYTHING, decompose=decompose)
        graphs[name, decompose] = graph, module, inputs, loss
    return graphs[name, decompose]


@pytest.mark.parametrize("decompose", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_pytorch(graphs, name, decompose):
    graph, module, inputs, loss = made(graphs, name, decompose)
    expected = own_run(module, inputs, loss)
    size = max(float(g.abs().max()) for key, g in expected.items() if key != "")

    def agree(node: Node, g: Any) -> None:
        np.testing.assert_allclose(array(node.grad), g.numpy(), rtol=2e-3, atol=2e-5 * size, err_msg=str(node.name))

    np.testing.assert_allclose(array(graph.nodes[graph.outputs[0]].value), expected[""], rtol=1e-4)
    parameters = leaves(graph, "parameter")
    assert {n.name for n in parameters} == {name for name, _ in module.named_parameters()}
    for node in parameters:
        agree(node, expected[node.name])
    differentiated = [n for n in leaves(graph, "input") if n.requires_grad]
    assert len(differentiated) == sum(x.requires_grad for x in inputs)
    for i, node in enumerate(differentiated):
        agree(node, expected[i])
    assert_contributions_add_up(graph)
    assert not [note for note in graph.notes if "gradients" in note]
    assert Graph.from_json(graph.to_json()) == graph


def of_parts(x: Any) -> Any:
    """Return a result that needs parameters and values of unusual kinds."""
    found = torch.softmax(x.masked_fill(x > 0, float("-inf")), -1, dtype=torch.float64)
    found = found.to(memory_format=torch.contiguous_format).clamp(0, float("inf"))[:, [0, 2], None, ...]
    spectrum = torch.fft.rfft(found).abs().sum()
    joined = torch.cat([found.flatten(), torch.empty(0, dtype=torch.float64), torch.zeros(3, device="cpu")])
    return spectrum + joined.cumsum(0).flip(0).sum() + (x.topk(2).values > 0).sum() + torch.einsum("ij,kj->", x, x)


@pytest.mark.parametrize("decompose", [True, False])
def test_what_json_has_no_kind_for_is_read_back(decompose):
    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return of_parts(x)

    graph = tg.from_torch(Net(), randn(2, 4), decompose=decompose)
    text = graph.to_json()
    again = Graph.from_json(text)
    assert again == graph
    assert again.to_json() == text
    assert again.text() == graph.text()


@pytest.mark.parametrize("options", [{"padding_idx": 0}, {"scale_grad_by_freq": True}], ids=str)
def test_rows_whose_gradient_is_not_that_of_taking_rows(options):
    torch.manual_seed(0)
    module, ids = Bag(**options), torch.tensor([[1, 3, 0], [6, 0, 3]])
    graph = tg.from_torch(module, ids, loss=lambda y: (y * y).sum())
    expected = own_run(module, (ids,), lambda y: (y * y).sum())
    assert not graph.notes
    for node in leaves(graph, "parameter"):
        np.testing.assert_allclose(array(node.grad), expected[node.name], rtol=1e-5, atol=1e-6)
    assert ("aten.embedding" in {n.op for n in graph.nodes}) == ("scale_grad_by_freq" in options)
    if "padding_idx" in options:
        output = array(graph.nodes[graph.outputs[0]].value)
        np.testing.assert_allclose(tg.run(graph), output, rtol=1e-5)
        assert next(n for n in batch.with_batch(graph).nodes if n.name == "ids").batch == (0,)


@pytest.mark.parametrize("name", CASES)
def test_a_model_of_our_ops_runs_again(graphs, name):
    graph, *_ = made(graphs, name)
    assert [n.op for n in graph.nodes if n.op and n.op not in tg.OPS] == []
    np.testing.assert_allclose(tg.run(graph), array(graph.nodes[graph.outputs[0]].value), rtol=1e-4)


def test_a_graph_runs_on_other_inputs(graphs):
    graph, module, *_ = made(graphs, "lm")
    ids = np.array([5, 4, 3, 2, 1])
    logits = Graph(graph.nodes, (next(n.id for n in graph.nodes[::-1] if n.op == "matmul"),))
    with torch.no_grad():
        expected = module(torch.tensor(ids))
    np.testing.assert_allclose(tg.run(logits, ids=ids), expected, rtol=1e-4, atol=1e-6)


def test_scopes_names_and_places(graphs):
    graph, *_ = made(graphs, "mlp")
    mean = graph.find("μ")
    assert (mean.op, mean.scope, dict(mean.params)["axis"]) == ("mean", ("bn", "batch_norm"), {"tuple": [0]})
    assert graph.find("fc1.weight").scope == ("fc1",)
    assert [n.name for n in leaves(graph, "input")] == ["x"]
    assert graph.nodes[graph.outputs[0]].name == "L"
    at = {n.at.partition(":")[0] for n in graph.nodes if n.op and "cross_entropy" not in n.scope}
    assert at == {"test_from_torch.py"}  # of a loss outside of any forward, PyTorch notes no line
    assert graph.local(graph.find("x̂").id, graph.find("x̂").inputs[1]) == "-x_c/σ^2"
    assert Graph.from_json(graph.to_json()) == graph


class Branch(nn.Module):
    """Which way it goes depends on the data, so that ``torch.export`` cannot follow; in place, and with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.bn = nn.Linear(3, 3), nn.BatchNorm1d(3)

    def forward(self, x: Any) -> Any:
        h = self.bn(self.fc(x))
        if h.max() > 0:
            h = F.relu_(h)
        return F.dropout(h, 0.2)


def test_a_branch_is_recorded_as_one_run_took_it():
    module, x = Branch(), randn(6, 3)
    loss = lambda y: (y * y).sum()
    graph = tg.from_torch(module, x, loss=loss, values=EVERYTHING)
    expected = own_run(module, (x,), loss)
    for name in ("fc.weight", "bn.weight", "bn.bias"):
        np.testing.assert_allclose(array(graph.find(name).grad), expected[name], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(array(graph.find("x").grad), expected[0], rtol=1e-3, atol=1e-5)
    assert graph.find("μ").scope == ("bn", "batch_norm")
    assert any("torch.export could not" in note for note in graph.notes)
    assert_contributions_add_up(graph)


class Stops(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.bad = nn.Linear(3, 3), Numpy()

    def forward(self, x: Any) -> Any:
        return self.bad(F.relu(self.fc(x)))


class Numpy(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * torch.from_numpy(x.numpy())


def test_an_error_names_the_module_and_has_what_there_is_up_to_it():
    with pytest.raises(
        tg.ExportError, match=r"the model failed in bad, .*numpy\(\).*; error.graph has the 7 nodes"
    ) as caught:
        tg.from_torch(Stops(), randn(2, 3))
    graph = caught.value.graph
    assert [n.op for n in graph.nodes if n.op][:4] == ["transpose", "matmul", "add", "relu"]
    assert "an error" in graph.notes[-1] and "<svg" in graph.svg()


class Straight(torch.autograd.Function):
    """A function with a backward of its own, which an export leaves out."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.round()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


class Rounds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        return Straight.apply(self.fc(x)).sum()


def test_gradients_that_are_not_those_of_pytorch_are_not_shown():
    graph = tg.from_torch(Rounds(), randn(2, 3))
    assert all(n.grad is None and all(e.grad is None for e in n.inputs) for n in graph.nodes)
    assert any("no gradients are shown" in note and "fc.bias" in note for note in graph.notes)
    assert "aten.round" in [n.op for n in graph.nodes]


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.calls = nn.Linear(3, 3), 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return self.fc(x) * self.calls


def test_the_model_is_not_changed():
    module, x = nn.Sequential(Mlp(0.5), nn.BatchNorm1d(2)), randn(6, 3)
    module(x).sum().backward()
    state = {k: v.clone() for k, v in module.state_dict().items()}
    grads = {k: p.grad.clone() for k, p in module.named_parameters()}
    grad_of_x, random = x.grad.clone(), torch.get_rng_state()
    tg.from_torch(module, x, loss=lambda y: (y * y).sum())
    assert all(torch.equal(state[k], v) for k, v in module.state_dict().items())
    assert all(torch.equal(grads[k], p.grad) for k, p in module.named_parameters())
    assert torch.equal(x.grad, grad_of_x) and torch.equal(torch.get_rng_state(), random)
    assert module.training and not any(m._forward_hooks for m in module.modules())
    x.grad = None
    counted = Counts()
    tg.from_torch(counted, x)
    assert counted.calls == 0


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.spare = nn.Linear(3, 3), nn.Linear(1, 1)

    def forward(self, batch: Any, k: int, scale: float = 2.0) -> Any:
        b, c = batch["pair"]
        h = self.fc(batch["a"]) * b
        values, places = h.topk(2)
        return {"logits": h * k * scale, "top": values, "where": places, "same": c, "best": h.max(1)[0]}


def test_nested_inputs_and_several_outputs():
    batch = {"a": randn(4, 3, grad=False), "pair": (randn(4, 3), torch.arange(3))}
    module = Nested()
    graph = tg.from_torch(module, batch, 3, scale=0.5)
    assert [n.name for n in leaves(graph, "input")] == ["batch.a", "batch.pair.0", "batch.pair.1"]
    assert [graph.nodes[i].name for i in graph.outputs] == ["logits", "top", "where", "batch.pair.1", "best"]
    total = sum(y.sum() for k, y in module(batch, 3, scale=0.5).items() if k in ("logits", "top", "best"))
    total.backward()
    np.testing.assert_allclose(array(graph.find("fc.weight").grad), module.fc.weight.grad, rtol=1e-5)
    assert_contributions_add_up(graph)
    assert graph.find("where").dtype == "int64" and graph.find("best").op == "aten.max"
    assert "no loss was given: gradients are those of the sum of all outputs" in graph.notes
    assert any("not in the graph: spare.weight, spare.bias" in note for note in graph.notes)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_precisions(dtype):
    kind = getattr(torch, dtype)
    module, x = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)).to(kind), randn(2, 3, dtype=kind)
    graph = tg.from_torch(module, x, loss=lambda y: y[0].sum())
    expected = own_run(module, (x,), lambda y: y[0].sum())
    assert {n.dtype for n in graph.nodes if n.op} == {dtype}
    assert graph.find("0.weight").value.nbytes == 12 * kind.itemsize
    np.testing.assert_allclose(array(graph.find("1.bias").grad), expected["1.bias"].float(), rtol=1e-2)


def test_tied_weights_are_one_node(graphs):
    graph, *_ = made(graphs, "lm")
    assert [n.name for n in leaves(graph, "parameter")].count("emb.weight") == 1
    assert "head.weight is emb.weight: one parameter with two names" in graph.notes
    assert graph.find("emb.weight").scope == ()
    assert graph.definition(next(c for c, _ in graph.consumers[graph.find("ids").id])) == "emb.weight[ids]"


def test_without_gradients_there_are_values():
    frozen = nn.Linear(3, 2).requires_grad_(False)
    with torch.no_grad():
        graph = tg.from_torch(frozen, randn(2, 3, grad=False))
    assert {n.grad_state for n in graph.nodes} == {"none"}
    with torch.inference_mode():
        graph = tg.from_torch(nn.Linear(3, 2), torch.ones(2, 3))
    assert graph.find("weight").grad_state == "computed"


def test_fused_ops_stay_closed(graphs):
    graph, *_ = made(graphs, "mlp", decompose=False)
    assert [n.op for n in graph.nodes if n.op] == [
        "aten.linear", "batch_norm", "relu", "aten.linear", "aten.cross_entropy_loss"]  # fmt: skip
    assert graph.definition(graph.find("fc1.bias").id + 1) == r"\operatorname{linear}(x, fc1.weight, fc1.bias)"
    with pytest.raises(ValueError, match=r"aten\.linear.*is not registered"):
        tg.run(graph)


def test_bytes_that_are_kept(graphs):
    graph, *_ = made(graphs, "mlp")
    relu = next(n for n in graph.nodes if n.op == "relu")
    assert relu.saved == relu.value.nbytes


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match=r"the first argument is a torch.nn.Module, not function"):
        tg.from_torch(lambda x: x, 1)
    with pytest.raises(TypeError, match=r"the loss gives float32\[2, 2\]; it must give one number"):
        tg.from_torch(nn.Linear(3, 2), torch.ones(2, 3), loss=lambda y: y)


def test_the_page_of_the_documentation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(tg.__file__).parents[1] / "docs" / "from_pytorch.md").read_text(encoding="utf-8")
    code = page.partition("## A model of PyTorch as a graph")[2].partition("```py\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert "<svg" in Path("net.svg").read_text(encoding="utf-8")
    names["loss"] = nn.functional.cross_entropy(names["net"](names["x"]), names["target"])
    names["loss"].backward()
    np.testing.assert_allclose(array(names["graph"].find("0.weight").grad), names["net"][0].weight.grad, atol=1e-6)


class Ours(tg.nn.Module):
    """`Mlp`, written in tinygraph."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.bn, self.drop = tg.nn.Linear(3, 4), tg.nn.BatchNorm1d(4), tg.nn.Dropout(0.0)
        self.fc2 = tg.nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.fc2(self.drop(tg.nn.functional.relu(self.bn(self.fc1(x)))))


def test_a_model_is_compared_with_a_net_of_ours(graphs):
    graph, module, (x,), _ = made(graphs, "mlp")
    net = Ours()
    net.load_state_dict({name: array.numpy() for name, array in module.state_dict().items()})
    loss = tg.nn.functional.cross_entropy(net(tg.Tensor(x.detach().numpy(), name="x")), T.numpy())
    loss.backward()
    ours = tg.snapshot(loss, values=EVERYTHING)
    found = tg.diff(graph, ours, ("PyTorch", "tinygraph"))
    assert [ours.nodes[j].op for j in found.only_b] == ["batch_norm"]
    assert all("batch_norm" in graph.nodes[i].scope for i in found.only_a)
    gaps = {gap.label: gap for gap in found.gaps}
    assert {"x", "fc1.weight", "fc1.bias", "bn.weight", "bn.bias", "fc2.weight", "fc2.bias", "L"} <= set(gaps)
    assert all(gap.value < 1e-5 and (gap.grad is None or gap.grad < 1e-5) for gap in gaps.values())
    assert "greatest difference: of values" in found.text() and "fc1.weight" in found.table()
    closed, *_ = made(graphs, "mlp", decompose=False)
    shared = tg.diff(closed, ours).shared
    assert "batch_norm" in [closed.nodes[i].op for i, _ in shared]


def test_torchvisions_resnet18():
    models = pytest.importorskip("torchvision", exc_type=Exception).models
    torch.manual_seed(0)
    module, x = models.resnet18(weights=None), randn(2, 3, 64, 64, grad=False)
    loss = lambda y: F.cross_entropy(y, IDS[:2])
    graph = tg.from_torch(module, x, loss=loss, values=0)
    expected = own_run(module, (x,), loss)
    assert [n.op for n in graph.nodes if n.op and n.op not in tg.OPS] == []
    size = max(float(g.norm()) for name, g in expected.items() if name != "")
    for node in leaves(graph, "parameter"):
        assert node.grad.norm == pytest.approx(float(expected[node.name].norm()), rel=1e-2, abs=1e-5 * size)


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_functions_of_one_and_two_elements_are_ops_of_ours(name):
    function = getattr(torch, name)
    x, y = (torch.tensor(a, requires_grad=True) for a in ([1.3, 1.1], [0.6, 0.7]))
    inside = name in ("asin", "acos", "atanh", "erfinv")
    given = [y if inside else x] + ([y] if name in TWO else [])

    class Net(torch.nn.Module):
        def forward(self, *xs):
            return function(*xs)

    graph = tg.from_torch(Net(), *given)
    found = graph.nodes[graph.outputs[0]]
    assert found.op == {**ONE, **TWO}[name]
    np.testing.assert_allclose(found.value.values, function(*given).detach().numpy(), rtol=1e-6)
