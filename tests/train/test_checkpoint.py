"""Checkpoints: what is saved is loaded, PyTorch's files too; a killed save leaves the last; nothing is unpickled."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tinygraph import Parameter, checkpoint, nn, optim
from tinygraph.nn.module import StateDict


@pytest.fixture(params=["safetensors", "npz"])
def path(request, tmp_path):
    if request.param == "safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"last.{request.param}"


def net():
    return nn.init.manual_seed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.3), nn.Flatten()), 0)


def same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert a[key].dtype == b[key].dtype, key
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_a_state_dict_comes_back(path, rng):
    first, second = net(), nn.init.manual_seed(net(), 1)
    first(rng.standard_normal((4, 1, 6, 6)).astype(np.float32))
    checkpoint.save(first.state_dict(), path)
    loaded = checkpoint.load(path)
    assert isinstance(loaded, StateDict)
    same(loaded, first.state_dict())
    assert second.load_state_dict(loaded) == ([], [])
    x = rng.standard_normal((4, 1, 6, 6)).astype(np.float32)
    np.testing.assert_array_equal(first(x).data, second(x).data)  # the dropouts too go on alike


def test_conventions_stand_beside_the_running_statistics(path):
    checkpoint.save(nn.Sequential(nn.BatchNorm1d(2, decay=0.75)).state_dict(), path)
    loaded = checkpoint.load(path)
    assert loaded.about == {"0": {"momentum": 0.25, "momentum_weighs": "new batch", "running_var": "unbiased"}}
    loaded.about["0"]["running_var"] = "biased"
    with pytest.raises(ValueError, match=r"BatchNorm1d.*of another kind.*here the variance is unbiased"):
        nn.Sequential(nn.BatchNorm1d(2)).load_state_dict(loaded)


def test_a_nested_state_comes_back(path, rng):
    p = Parameter(rng.standard_normal(3), name="p")
    adam = optim.Adam([p])
    p.grad = rng.standard_normal(3)
    adam.step()
    state = {
        "model": StateDict({"a.b": p.data, "γ": np.arange(3, dtype=np.int64)}, {"a": {"kind": 1}}),
        "optimizer": adam.state_dict(),
        "epoch": 3, "history": [0.5, 0.25], "none": None, "name": "λ", "big": 1 << 100, "empty": {},
        "deep": {"er": {"array": np.float32(2.5), "parameter": p}},
    }  # fmt: skip
    checkpoint.save(state, path)
    loaded = checkpoint.load(path)
    assert loaded.keys() == state.keys()
    same(loaded["model"], state["model"])
    assert loaded["model"].about == {"a": {"kind": 1}}
    for key in ("epoch", "history", "none", "name", "big", "empty"):
        assert loaded[key] == state[key]
    deep = loaded["deep"]["er"]
    assert deep["array"].shape == () and deep["array"].dtype == np.float32 and deep["array"] == 2.5
    np.testing.assert_array_equal(deep["parameter"], p.data)
    other = optim.Adam([Parameter(p.data)])
    other.load_state_dict(loaded["optimizer"])
    for optimizer in (adam, other):
        optimizer.param_groups[0]["params"][0].grad = np.ones(3)
        optimizer.step()
    np.testing.assert_array_equal(p.data, other.param_groups[0]["params"][0].data)


def test_layouts_and_dtypes_come_back(path, rng):
    arrays = {
        "transposed": rng.standard_normal((3, 4)).T, "strided": np.arange(10)[::3], "scalar": np.array(7),
        "empty": np.zeros((0, 3)), "half": np.ones(2, np.float16), "bytes": np.arange(4, dtype=np.uint8),
        "yes": np.array([True, False]), "file": np.ones(1), "allow_pickle": np.ones(1),
    }  # fmt: skip
    checkpoint.save(arrays, path)
    same(checkpoint.load(path), arrays)


def test_saving_again_replaces(path):
    for i in range(3):
        checkpoint.save({"a": np.full(3, i), "i": i}, path)
    assert checkpoint.load(path)["i"] == 2
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_failed_save_leaves_the_last_one(path):
    checkpoint.save({"a": np.ones(3)}, path)
    with pytest.raises(Exception, match=r"."):
        checkpoint.save({"a": np.array([object()])}, path)
    np.testing.assert_array_equal(checkpoint.load(path)["a"], np.ones(3))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_a_killed_save_left_is_removed(path):
    leftover = path.with_name(f".{path.name}.0123.partial")
    leftover.write_bytes(b"half of it")
    checkpoint.save({"a": np.ones(3)}, path)
    assert not leftover.exists()


SAVER = """
    import os, pathlib, signal, sys, time
    import numpy as np
    from tinygraph import checkpoint

    path, kills, careful = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "careful"
    write = checkpoint.format_of(path).write
    package = os.path.dirname(checkpoint.__file__)
    broken = newer = last = lines = 0

    def save(i, size=100_000):
        state = {"a": np.full(size, float(i)), "i": i}
        if careful:
            checkpoint.save(state, path)
        else:  # what one would write without thinking
            with open(path, "wb") as file:
                write(file, {"a": state["a"]}, {"tinygraph": '{"about": {}, "values": {"i": %d}}' % i})

    def is_killed(work, seconds=None):
        global broken, newer, last
        child = os.fork()
        if not child:
            work()
            os._exit(0)
        if seconds:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        try:
            state = checkpoint.load(path)
            assert (state["a"] == state["i"]).all() and state["i"] >= last
            newer += state["i"] > last
            last = state["i"]
        except (ValueError, AssertionError):
            broken += 1
        return killed

    def save_one_after_the_other():
        for i in range(last + 1, sys.maxsize):
            save(i)

    def die_at_a_line():
        left = lines

        def trace(frame, event, argument):
            nonlocal left
            if not frame.f_code.co_filename.startswith(package):
                return None
            left -= event == "line"
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        save(last + 1, 100)

    for _ in range(3):
        started = time.perf_counter()
        save(0)
    longest = max(0.012, 2 * (time.perf_counter() - started))  # a slow disk needs longer for one checkpoint
    for k in range(kills):
        before = newer
        is_killed(save_one_after_the_other, 0.001 + (longest - 0.001) * k / kills)
        longest = longest if newer > before else min(1.1 * longest, 0.5)  # a busy machine needs longer still
    last += 1
    save(last, 100)
    while careful and is_killed(die_at_a_line):
        lines += 1
    print(broken, newer, lines, len(list(path.parent.iterdir())))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize(("way", "kills"), [("careful", 40), ("naive", 20)])
def test_killed_at_any_moment_the_last_checkpoint_loads(path, way, kills):
    """SIGKILL while one checkpoint after the other is saved, at moments all over two of them and before each line.

    A naive save fails this, so the kills do hit.
    """
    command = [sys.executable, "-c", textwrap.dedent(SAVER), str(path), str(kills), way]
    out = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    )
    broken, newer, lines, files = map(int, out.stdout.split())
    if way == "careful":
        assert broken == 0
        assert newer > 0
        assert lines > 50
        assert files <= 2
    else:
        assert broken > 0


def test_torch_files_load_unchanged(tmp_path, rng):
    """The state dict of a PyTorch net, as it saves it, and back again."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    t = torch.nn
    theirs = t.Sequential(
        t.Conv2d(1, 3, 3, padding=1), t.BatchNorm2d(3), t.ReLU(), t.Flatten(), t.Linear(48, 2), t.BatchNorm1d(2)
    )
    x = rng.standard_normal((5, 1, 4, 4)).astype(np.float32)
    theirs(torch.tensor(x))
    path = tmp_path / "torch.safetensors"
    save_file(theirs.state_dict(), path)
    ours = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2), nn.BatchNorm1d(2)
    )
    loaded = checkpoint.load(path)
    assert ours.load_state_dict(loaded) == ([], [])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for mode in (True, False):
        close = ours.train(mode)(x).data - theirs.train(mode)(torch.tensor(x)).detach().numpy()
        assert abs(close).max() < 1e-5
    checkpoint.save(ours.state_dict(), path)
    theirs.load_state_dict(load_file(path))
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), ours.state_dict()[key])
    save_file({"half": torch.ones(2, dtype=torch.bfloat16)}, path)
    half = checkpoint.load(path)["half"]
    assert half.dtype == np.float32 and (half == 1).all()
    values = torch.tensor(rng.standard_normal(1000)).bfloat16()
    values[:3] = torch.tensor([float("inf"), float("-inf"), -0.0])
    save_file({"v": values}, path)
    np.testing.assert_array_equal(checkpoint.load(path)["v"], values.float().numpy())
    save_file({"eighth": torch.ones(2).to(torch.float8_e4m3fn)}, path)
    with pytest.raises(ValueError, match=r"torch.safetensors: eighth is of the type F8_E4M3, .*; save it as float32"):
        checkpoint.load(path)


def test_optimizer_states_go_to_torch_and_back(path, rng):
    """Ten steps here, saved, ten in PyTorch, and back here: as twenty here. amsgrad and maximize go along."""
    torch = pytest.importorskip("torch")
    options = {"lr": 0.01, "amsgrad": True, "maximize": True, "weight_decay": 0.1}
    start, gradients = rng.standard_normal((2, 3)), rng.standard_normal((30, 2, 3))
    p, q = Parameter(start), Parameter(start)
    whole, here = optim.Adam([p], **options), optim.Adam([q], **options)
    for g in gradients[:10]:
        q.grad = g
        here.step()
    checkpoint.save({"optimizer": here.state_dict()}, path)
    t = torch.tensor(q.data, requires_grad=True)
    there = torch.optim.Adam([t])
    there.load_state_dict(checkpoint.to_torch(here.state_dict()))
    for g in gradients[10:20]:
        t.grad = torch.tensor(g)
        there.step()
    r = Parameter(t.detach().numpy().copy())
    again = optim.Adam([r])
    again.load_state_dict(there.state_dict())
    for g in gradients[20:]:
        r.grad = g
        again.step()
    for g in gradients:
        p.grad = g
        whole.step()
    np.testing.assert_allclose(r.data, p.data, rtol=1e-12)
    loaded = optim.Adam([Parameter(start)])
    loaded.load_state_dict(checkpoint.load(path)["optimizer"])
    assert loaded.param_groups[0]["amsgrad"] and loaded.param_groups[0]["maximize"]


@pytest.mark.parametrize("name", ["SGD", "NAdam", "RMSprop", "Rprop", "ASGD", "LBFGS"])
def test_a_state_of_every_kind_goes_through_a_file_and_to_torch(path, rng, name):
    torch = pytest.importorskip("torch")
    p = Parameter(rng.standard_normal((2, 3)))
    optimizer = getattr(optim, name)([p], **({"momentum": 0.9} if name == "SGD" else {}))

    def closure():
        optimizer.zero_grad()
        loss = ((p - 1) ** 4).sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    checkpoint.save(optimizer.state_dict(), path)
    other = getattr(optim, name)([Parameter(p.data)])
    other.load_state_dict(checkpoint.load(path))
    assert other.state_dict().keys() == optimizer.state_dict().keys()
    for key, value in optimizer.state_dict()["state"][0].items():
        np.testing.assert_array_equal(other.state_dict()["state"][0][key], value, err_msg=key)
    t = torch.tensor(p.data, requires_grad=True)
    theirs = getattr(torch.optim, name)([t])
    theirs.load_state_dict(checkpoint.to_torch(optimizer.state_dict()))

    def their_closure():
        theirs.zero_grad()
        loss = ((t - 1) ** 4).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    theirs.step(their_closure)
    np.testing.assert_allclose(p.data, t.detach().numpy(), rtol=1e-6)


def test_damage_is_told(path):
    checkpoint.save({"weight": np.arange(1000.0), "i": 1}, path)
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[: len(whole) // 2], b"", whole[:3]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{path.name}: .*truncated"):
            checkpoint.load(path)
    path.write_bytes(whole.replace(b"values", b"valves"))
    with pytest.raises(ValueError, match=path.name):
        checkpoint.load(path)


def test_npz_notices_a_changed_byte(tmp_path):
    path = tmp_path / "a.npz"
    checkpoint.save({"weight": np.zeros(1000)}, path)
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"a.npz: weight is truncated or corrupt: Bad CRC-32"):
        checkpoint.load(path)


def test_objects_are_not_unpickled(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, a=np.array([{"os": "system"}], dtype=object))
    with pytest.raises(ValueError, match=r"objects\.npz: a holds objects, which are not unpickled"):
        checkpoint.load(path)


def test_numpys_own_files_load(tmp_path):
    np.savez(tmp_path / "n.npz", weight=np.ones(2), bias=np.zeros(1))
    same(checkpoint.load(tmp_path / "n.npz"), {"weight": np.ones(2), "bias": np.zeros(1)})


@pytest.mark.parametrize(
    ("state", "name", "error", "message"),
    [
        ({"a": np.ones(1)}, "a.pt", ValueError, "ends in neither .safetensors nor .npz"),
        ({"a": np.ones(1)}, "none/a.npz", FileNotFoundError, "there is no folder .*none$"),
        ({"a/b": np.ones(1)}, "a.npz", ValueError, "the key 'a/b' has a '/'"),
        ({"m": {"f": {1, 2}}}, "a.npz", TypeError, "m/f is set, neither an array nor fit for JSON"),
        ({"m": [np.ones(2), {1}]}, "a.npz", TypeError, "m/1 is set, neither an array nor fit for JSON"),
        ({"1": np.ones(2), 1: 3}, "a.npz", ValueError, "there are two keys '1': in a file keys are text"),
    ],
)
def test_errors_of_save(tmp_path, state, name, error, message):
    with pytest.raises(error, match=message):
        checkpoint.save(state, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_and_a_missing_library(tmp_path, monkeypatch, path):
    with pytest.raises(FileNotFoundError):
        checkpoint.load(path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs a library: pip install safetensors; "):
        checkpoint.save({}, tmp_path / "a.safetensors")
