"""Creation functions: PyTorch's shapes and values, NumPy's dtypes, no gradient unless asked for, one seed."""

import numpy as np
import pytest

import tinygraph as tg

SAME = {
    "zeros": lambda m: m.zeros(2, 3),
    "zeros of a tuple": lambda m: m.zeros((2, 3)),
    "ones": lambda m: m.ones([2]),
    "no axis": lambda m: m.ones(()),
    "full": lambda m: m.full((2, 2), 1.5),
    "eye": lambda m: m.eye(2, 3),
    "arange": lambda m: m.arange(4),
    "arange from": lambda m: m.arange(1, 4),
    "arange by": lambda m: m.arange(1.0, 0.0, -0.25),
    "linspace": lambda m: m.linspace(0, 1, steps=5),
    "tensor": lambda m: m.tensor([[1.0, 2.0]]),
    "integers": lambda m: m.tensor([1, 2]),
    "zeros_like": lambda m: m.zeros_like(m.tensor([1, 2])),
    "ones_like": lambda m: m.ones_like(m.ones(2, 1)),
    "full_like": lambda m: m.full_like(m.ones(2, 1), 7.0),
    "cat": lambda m: m.cat([m.ones(2, 1), m.zeros(2, 2)], dim=1),
    "cat, by place": lambda m: m.cat((m.ones(1, 2), m.zeros(2, 2)), 0),
    "stack": lambda m: m.stack([m.ones(2), m.zeros(2)], dim=1),
}


@pytest.mark.parametrize("name", SAME)
def test_values_and_shapes_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    expected, found = SAME[name](torch), SAME[name](tg)
    assert isinstance(found, tg.Tensor)
    assert found.requires_grad is expected.requires_grad is False
    np.testing.assert_array_equal(found.data, expected.numpy())
    assert found.dtype == (np.float64 if expected.is_floating_point() else np.int64)


@pytest.mark.parametrize("make", [tg.zeros, tg.ones, tg.empty, tg.rand, tg.randn])
def test_gradients_and_dtypes_are_asked_for(make):
    x = make(2, 3, dtype=np.float32, requires_grad=True)
    assert (x.shape, x.dtype, x.requires_grad) == ((2, 3), np.float32, True)
    with pytest.raises(TypeError, match="cannot differentiate"):
        make(2, dtype=np.int64, requires_grad=True)


def test_a_tensor_is_a_copy_and_from_numpy_is_not():
    array = np.ones(3)
    assert not np.shares_memory(tg.tensor(array).data, array)
    assert not np.shares_memory(tg.tensor(tg.Tensor(array)).data, array)
    assert np.shares_memory(tg.from_numpy(array).data, array)
    assert tg.tensor(array, name="a", dtype=np.float32).name == "a"


def test_numpy_makes_likenesses_too():
    x = tg.Tensor([1.0, 2.0])
    assert isinstance(np.zeros_like(x), tg.Tensor)
    np.testing.assert_array_equal(np.full_like(x, 3).data, [3.0, 3.0])


def test_one_seed_is_for_all_random_numbers():
    tg.manual_seed(3)
    first = numbers()
    tg.manual_seed(3)
    again = numbers()
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(tg.randn(2).data, first[0])


def numbers():
    layer, dropout = tg.nn.Linear(2, 2), tg.nn.Dropout(0.5)
    loader = tg.data.DataLoader((np.arange(20),), shuffle=True)
    return [tg.randn(2).data, tg.rand(()).data, layer.weight.data, dropout(np.ones(20)), [x for (x,) in loader]]


def test_random_numbers_have_their_distribution():
    tg.manual_seed(0)
    numbers, uniform = tg.randn(100_000).data, tg.rand(100_000).data
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02
    assert (uniform.min() >= 0, uniform.max() < 1, abs(uniform.mean() - 0.5) < 0.01) == (True, True, True)


def test_files_are_those_of_the_checkpoints(tmp_path):
    tg.save({"x": tg.ones(2)}, tmp_path / "x.npz")
    np.testing.assert_array_equal(tg.load(tmp_path / "x.npz")["x"], [1.0, 1.0])
    for call in (lambda path: tg.save({"x": np.ones(2)}, path), tg.load):
        with pytest.raises(ValueError, match=r"could run any code.*safetensors\.torch\.save_file"):
            call(tmp_path / "net.pt")
