"""A name of PyTorch's that is not here is an AttributeError that says what to write; what it says is right."""

import ast
import copy
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

import tinygraph as tg
import tinygraph.nn.functional as F
from tinygraph import nn, optim
from tinygraph.exchange.missing import GENERAL, advice_for, missing_name, tables
from tinygraph.exchange.torch_names import PAIRS, SENTENCES

RNG = np.random.default_rng(0)
ARRAYS = {
    "x": RNG.uniform(0.1, 0.9, (4, 3)),
    "y": RNG.uniform(0.1, 0.9, (4, 3)),
    "m": RNG.uniform(0.1, 0.9, (3, 3)),
    "v": np.array([0.3, 0.9, 0.5]),
    "z": RNG.uniform(0.1, 0.9, (2, 4, 2, 3)),
    "mask": RNG.random((4, 3)) > 0.5,
    "i": np.array([[0], [2], [1], [1]]),
    "j": np.array([2, 0]),
    "k": np.array([0, 2, 1]),
}
OWNERS = {
    "Tensor": tg.Tensor([[1.0]]),
    "tinygraph": tg,
    "nn": nn,
    "functional": F,
    "optim": optim,
    "Module": nn.Module(),
    "linalg": tg.linalg,
    "fft": tg.fft,
    "data": tg.data,
}


def theirs(torch):
    tensors = {name: torch.tensor(array, requires_grad=name in "xymvz") for name, array in ARRAYS.items()}
    return {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "a": ARRAYS["x"], **tensors}


def ours():
    tensors = {name: tg.Tensor(ARRAYS[name]) for name in "xymvz"}
    return {"tg": tg, "np": np, "nn": nn, "F": F, "a": ARRAYS["x"], **ARRAYS, **tensors}


def plain(value):
    """What a value is, whichever library it is of."""
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    value = value.detach().numpy() if hasattr(value, "detach") else value
    return np.asarray(value)


@pytest.mark.parametrize("call", PAIRS)
def test_what_is_advised_gives_the_same(call):
    torch = pytest.importorskip("torch")
    names, others = theirs(torch), ours()
    with np.errstate(all="ignore"):
        expected, found = eval(call, names), eval(PAIRS[call], others)
    parts = zip(expected, found, strict=True) if isinstance(expected, tuple | list) else [(expected, found)]
    for theirs_part, ours_part in parts:
        np.testing.assert_allclose(plain(ours_part), plain(theirs_part), rtol=1e-9)
        if not (isinstance(ours_part, tg.Tensor) and ours_part.requires_grad and ours_part.dtype == np.float64):
            continue
        weights = np.random.default_rng(1).standard_normal(ours_part.shape)
        (theirs_part * torch.tensor(weights)).sum().backward(retain_graph=True)
        (ours_part * weights).sum().backward()
    for name in "xymvz":
        if others[name].grad is not None:
            np.testing.assert_allclose(others[name].grad, names[name].grad.numpy(), rtol=1e-7, atol=1e-12)


def test_a_pair_is_of_a_name_that_is_not_here():
    for call in PAIRS:
        thing, name = re.match(r"(\w+)\.(\w+)", call).groups()
        owner = {"torch": tg, "nn": nn, "F": F}.get(thing, tg.Tensor)
        assert not hasattr(owner, name), f"{call} is here: take it out of PAIRS"


def test_a_sentence_is_of_a_name_that_is_not_here():
    for owner, sentences in SENTENCES.items():
        for name in " ".join(sentences).split():
            assert not hasattr(OWNERS[owner], name), f"{owner}.{name} is here: take it out of SENTENCES"


def test_what_sentences_name_is_there():
    """Every ``tinygraph.a.b`` in a sentence can be imported, and likewise numpy and the short names."""
    roots = {"tinygraph": tg, "numpy": np, "nn": nn, "optim": optim, "F": F}
    texts = [t for s in SENTENCES.values() for t in s.values()] + [*GENERAL.values()]
    found = [path for text in texts for path in re.findall(r"\b(?:tinygraph|numpy|nn|optim|F)(?:\.\w+)+", text)]
    assert len(found) > 60
    for path in found:
        root, *names = path.split(".")
        thing = roots[root]
        for name in names:
            thing = getattr(thing, name)


@pytest.mark.parametrize(
    ("owner", "module"),
    [
        ("Tensor", "Tensor"),
        ("tinygraph", ""),
        ("nn", "nn"),
        ("functional", "nn.functional"),
        ("optim", "optim"),
        ("linalg", "linalg"),
        ("fft", "fft"),
        ("data", "utils.data"),
    ],
)
def test_every_public_name_of_torch_is_here_or_answered(owner, module):
    torch = pytest.importorskip("torch")
    thing = torch
    for part in filter(None, module.split(".")):
        thing = getattr(thing, part)
    names = [name for name in dir(thing) if not name.startswith("_")]
    assert len(names) > 15
    for name in names:
        try:
            getattr(OWNERS[owner], name)
        except AttributeError as error:
            text = str(error)
            assert repr(name) in text
            assert len(text.partition(": ")[2]) > 7, text
        except RuntimeError:  # a property of a leaf that has none
            continue


def test_every_function_and_layer_of_torch_is_here_or_refused_with_a_reason_of_its_own():
    """Not by the general sentence, which says only where to look."""
    torch = pytest.importorskip("torch")
    functions = {n for n, f in vars(torch.nn.functional).items() if callable(f) and n[0].islower()}
    functions = {n for n in functions if not isinstance(getattr(torch.nn.functional, n), type)} - {"warn"}
    layers = {n for n, c in vars(torch.nn).items() if isinstance(c, type)}
    assert len(functions) >= 116 and len(layers) >= 150
    for owner, names, there in (("functional", functions, F), ("nn", layers, nn)):
        for name in names:
            in_place = name.endswith("_") and hasattr(there, name[:-1])
            assert hasattr(there, name) or in_place or name in tables()[owner], f"{owner}.{name}"


def test_every_public_name_of_a_torch_module_that_asks_for_it_is_answered():
    torch = pytest.importorskip("torch")
    net = nn.Module()
    missing = {n for n in dir(torch.nn.Module) if not n.startswith("_") and not hasattr(net, n)}
    assert {n for n in missing if ":" not in str(missing_name("Module", n))} <= {
        "T_destination",
        "call_super_init",
        "dump_patches",
    }


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: tg.Tensor([1.0]).cuda, "'Tensor' object has no attribute 'cuda': arrays on a GPU are CuPy's"),
        (lambda: tg.Tensor([1.0]).new_ones, "for PyTorch's x.new_ones(2) write tg.ones(2, dtype=x.dtype)"),
        (lambda: tg.Tensor([1.0]).add_, "a Tensor is never changed in place: write x = x.add(…)"),
        (lambda: tg.Tensor([1.0]).uniform_, "write tinygraph.nn.init.uniform_(x)"),
        (lambda: tg.Tensor([1.0]).pad, "write tinygraph.pad(x, …)"),
        (lambda: tg.Tensor([1.0]).igamma, "as an op (help(tinygraph.op))"),
        (lambda: tg.Tensor([1.0]).register_hook, "tinygraph.grad(loss, [x])"),
        (lambda: tg.Tensor([1.0]).to_sparse, "no sparse"),
        (lambda: tg.float32, "module 'tinygraph' has no attribute 'float32': dtypes are NumPy's: write numpy.float32"),
        (lambda: tg.double, "write numpy.float64"),
        (lambda: tg.FloatTensor, "tinygraph.tensor(data, dtype=numpy.float32)"),
        (lambda: tg.new_ones, "for PyTorch's x.new_ones(2) write"),
        (lambda: tg.masked_scatter_, "write x = x.masked_scatter(…)"),
        (lambda: tg.expand, "it is a method: write x.expand(…)"),
        (lambda: F.celu_, "write x = nn.functional.celu(x)"),
        (lambda: tg.dropout, "write tinygraph.nn.functional.dropout"),
        (lambda: tg.Adam, "write tinygraph.optim.Adam"),
        (lambda: tg.autograd, "write tinygraph.grad"),
        (lambda: nn.SyncBatchNorm, "training uses one device"),
        (lambda: optim.Muon, "take optim.AdamW or optim.Lion"),
        (lambda: nn.Linear(1, 1).fit, "'Linear' object has no attribute 'fit': write the loop"),
        (lambda: nn.Linear(1, 1).cuda, "net.to(backend='cupy')"),
    ],
)
def test_the_error_says_what_to_write(call, text):
    with pytest.raises(AttributeError, match=re.escape(text)):
        call()


def test_an_attribute_that_a_module_never_had_is_a_plain_error():
    with pytest.raises(AttributeError) as caught:
        nn.Module().hidden  # noqa: B018 - reading it is the test
    assert str(caught.value) == "'Module' object has no attribute 'hidden'"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cpu"])
def test_a_device_is_no_dtype(device):
    with pytest.raises(TypeError, match=r'write net\.to\(backend="cupy"\)'):
        nn.Linear(1, 1).to(device)


def test_protocols_are_not_disturbed():
    x = tg.Tensor([1.0, 2.0])
    assert not hasattr(x, "cuda")
    assert not hasattr(x, "__array_interface__")
    assert not hasattr(x, "_repr_html_")
    assert getattr(x, "device", None) is None
    assert not hasattr(tg, "cuda")
    assert not hasattr(nn.Linear(1, 1), "fit")
    for make in (copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))):
        np.testing.assert_array_equal(make(x).data, x.data)
        assert make(nn.Linear(2, 1)).weight.shape == (1, 2)
    with pytest.raises(AttributeError):
        object.__new__(tg.Tensor).shape  # noqa: B018 - not yet made, it has no array


def test_a_name_with_an_underscore_loads_no_table():
    code = (
        "import sys, tinygraph as tg; x = tg.Tensor([1.0]); assert not hasattr(x, '_repr_html_');"
        "assert not hasattr(x, '__array_interface__');"
        "assert not hasattr(tg, '_x'); print('tinygraph.exchange.torch_names' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_advice_is_one_line_and_pairs_are_expressions():
    for call, code in PAIRS.items():
        ast.parse(call, mode="eval")
        ast.parse(code, mode="eval")
    assert all("\n" not in advice_for(o, n) for o, s in SENTENCES.items() for n in " ".join(s).split())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: x.sum().backward(create_graph=True), "write tinygraph.grad(loss, inputs, create_graph=True)"),
        (lambda x: x.clone(memory_format=None), "Tensor.clone takes no memory_format=: leave it out"),
        (lambda x: tg.zeros(2, device="cuda"), "tinygraph.zeros takes no device=: arrays on a GPU are CuPy's"),
        (lambda x: tg.tensor([1.0], device="cpu"), "tinygraph.tensor takes no device="),
        (lambda x: tg.randn(2, generator=None), "tinygraph.manual_seed(0) seeds it"),
        (lambda x: x.cumsum(0, dtype=np.float32), "write .astype(dtype) on the operand or the result"),
    ],
)
def test_an_argument_that_is_not_here_says_what_to_write(call, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        call(tg.Tensor([[1.0]]))


@pytest.mark.parametrize(
    "owner", [lambda net: net, lambda net: optim.SGD(net.parameters(), lr=0.1)], ids=["net", "optimizer"]
)
def test_gradients_are_forgotten_or_zero(owner):
    net = nn.Linear(2, 1)
    net(np.ones((1, 2), np.float32)).sum().backward()
    net.bias.grad[0] = np.nan
    owner(net).zero_grad(set_to_none=False)
    np.testing.assert_array_equal(net.weight.grad, np.zeros((1, 2)))
    np.testing.assert_array_equal(net.bias.grad, [0.0])
    owner(net).zero_grad(set_to_none=True)
    assert net.weight.grad is None
    owner(net).zero_grad(set_to_none=False)
    assert net.weight.grad is None


def test_a_step_takes_a_closure():
    x = tg.Tensor([2.0])
    sgd = optim.SGD([x], lr=0.25)

    def closure():
        sgd.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    assert float(sgd.step(closure)) == 4.0
    np.testing.assert_array_equal(x.data, [1.0])
    assert sgd.step() is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: tg.load("net.npz", weights_only=True),
            "tinygraph.load takes no weights_only=: leave it out: reading a",
        ),
        (lambda: tg.load("net.npz", map_location="cpu"), "tinygraph.load takes no map_location=: .*NumPy's"),
        (lambda: tg.data.DataLoader([1], num_workers=2), "tinygraph.DataLoader takes no num_workers=: leave it out"),
        (lambda: tg.data.DataLoader([1], collate_fn=len), "write transform=function"),
    ],
    ids=["weights_only", "map_location", "num_workers", "collate_fn"],
)
def test_arguments_of_files_and_loaders_are_answered(call, message):
    with pytest.raises(TypeError, match=message):
        call()
