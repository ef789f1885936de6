"""Files that are damaged or made to do harm: each is read rightly, or refused in a line that names it."""

from __future__ import annotations

import io
import json
import os
import random
import stat
import struct
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest

from tinygraph import checkpoint, nn, optim

STATE = {"weight": np.arange(12.0).reshape(3, 4), "bias": np.ones(3, np.float32), "epoch": 3, "names": ["a", "b"]}


@pytest.fixture(params=["safetensors", "npz"])
def path(request, tmp_path):
    if request.param == "safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"last.{request.param}"


def refused_or_right(path, wanted):
    """Load a file: it gives what was saved, or one line that names the file."""
    try:
        state = checkpoint.load(path)
    except ValueError as error:
        assert path.name in str(error) and "\n" not in str(error)
        return False
    assert state.keys() == wanted.keys()
    for key, value in wanted.items():
        np.testing.assert_array_equal(state[key], value)
    return True


def test_a_flipped_bit_is_noticed(path):
    """Anywhere in the file; those that change nothing, such as a date, may pass."""
    checkpoint.save(STATE, path)
    whole = path.read_bytes()
    generator, passed = random.Random(0), 0
    for _ in range(400):
        data = bytearray(whole)
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(bytes(data))
        passed += refused_or_right(path, STATE)
    assert passed < 120


def test_every_bit_of_the_list_of_parts_counts(tmp_path):
    """The end of an archive says which parts there are: none may be lost without a word, in NumPy's own files too."""
    path = tmp_path / "own.npz"
    arrays = {f"a{i}": np.full(3, i) for i in range(4)}
    np.savez(path, **arrays)
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole) - 22, len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            path.write_bytes(bytes(data))
            refused += not refused_or_right(path, arrays)
    assert refused > 60


def test_a_truncated_file_is_noticed(path):
    checkpoint.save(STATE, path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=path.name):
            checkpoint.load(path)


def npz(path, **parts):
    """An archive of raw parts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for key, data in parts.items():
            file.writestr(f"{key}.npy", data)


def npy(header, data=b"", version=b"\x01\x00"):
    """A part with a header of its own."""
    header = header.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


HEADERS = {
    "eight terabytes": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
    "a truth value": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (True, 2), }", b"0" * 16),
    "negative": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", b"0" * 8),
    "a text": npy("{'descr': '<f8', 'fortran_order': False, 'shape': '3', }", b"0" * 8),
    "deep": npy("[" * 5000),
    "unclosed": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,"),
    "code": npy("__import__('os').system('exit 1')"),
    "no dtype": npy("{'descr': 'what', 'fortran_order': False, 'shape': (1,), }", b"0" * 8),
    "another version": npy("{}", version=b"\x09\x00"),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n(S'exit 1'\ntR."),
    "more than it says": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", b"0" * 2_000_000),
    "less than it says": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", b"0" * 8),
    "nothing": b"",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_wrong_header_is_refused(tmp_path, kind):
    path = tmp_path / "bad.npz"
    npz(path, a=HEADERS[kind])
    with pytest.raises(ValueError, match=r"bad.npz: a ") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


def test_a_bomb_ends_at_the_limit(tmp_path):
    """A file of 1 MB that unpacks to 269 MB: refused before it is unpacked; with a larger limit it is read."""
    path = tmp_path / "bomb.npz"
    zeros = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (269000000,), }", bytes(269_000_000))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("zeros.npy", zeros)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(ValueError, match=r"bomb.npz: unpacks to more than 268,435,456 bytes; load\(path, limit=…\)"):
        checkpoint.load(path)
    with pytest.raises(ValueError, match=r"unpacks to more than 1,000 bytes"):
        checkpoint.load(path, limit=1000)
    small = tmp_path / "small.npz"
    np.savez_compressed(small, zeros=np.zeros(1_000_000, np.uint8))
    assert checkpoint.load(small)["zeros"].shape == (1_000_000,)


def test_overlapping_parts_are_refused(tmp_path):
    """A list that names one part many times unpacks it many times."""
    path = tmp_path / "overlap.npz"
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1000))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", buffer.getvalue())
        file.filelist.append(file.filelist[0])
    with pytest.raises(ValueError, match=r"overlap.npz: the list of its parts is truncated or corrupt"):
        checkpoint.load(path)


def test_methods_and_secrets_are_refused(tmp_path):
    path = tmp_path / "odd.npz"
    np.savez(path, a=np.ones(3))
    whole = path.read_bytes()
    place = whole.rindex(b"PK\x01\x02")
    for offset, value, name in ((10, 99, "method"), (8, 1, "secret"), (6, 99, "version")):
        data = bytearray(whole)
        data[place + offset] = value
        local = whole.index(b"PK\x03\x04")
        data[local + offset - 2] = value
        path.write_bytes(bytes(data))
        with pytest.raises(ValueError, match=r"odd\.npz: ") as caught:
            checkpoint.load(path)
        assert "\n" not in str(caught.value), name


def safetensors(path, header, data=b""):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


SAFE = {
    "huge": ({"a": {"dtype": "F64", "shape": [1 << 60], "data_offsets": [0, 8]}}, b"0" * 8),
    "overflow": ({"a": {"dtype": "F64", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 8]}}, b"0" * 8),
    "overlap": (
        {k: {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]} for k in "ab"}, b"0" * 8,
    ),
    "hole": ({"a": {"dtype": "F64", "shape": [1], "data_offsets": [8, 16]}}, b"0" * 16),
    "negative": ({"a": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}}, b"0" * 8),
    "no such type": ({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 8]}}, b"0" * 8),
    "eight bits": ({"a": {"dtype": "F8_E5M2", "shape": [2], "data_offsets": [0, 2]}}, b"00"),
    "no header": (b"[[[[", b""),
    "deep": (b"[" * 100_000, b""),
    "rest": ({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}, b"0" * 9),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAFE)
def test_a_wrong_safetensors_file_is_refused(tmp_path, kind):
    pytest.importorskip("safetensors")
    path = tmp_path / "bad.safetensors"
    safetensors(path, *SAFE[kind])
    with pytest.raises(ValueError, match=r"bad\.safetensors: ") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


TEXTS = {
    "no JSON": "{", "a number": "3", "a list": "[]", "deep": "[" * 100_000, "no values": '{"about": {}}',
    "values a list": '{"about": {}, "values": [1]}', "about a text": '{"about": "x", "values": {}}',
    "value within a value": '{"about": {}, "values": {"a": 1, "a/b": 2}}',
    "value over an array": '{"about": {}, "values": {"weight": 1}}',
    "value in an array": '{"about": {}, "values": {"weight/b": 1}}',
    "list of nothing": '{"about": {}, "values": {}, "lists": ["none"]}',
    "list of an array": '{"about": {}, "values": {}, "lists": ["weight"]}',
}  # fmt: skip


@pytest.mark.parametrize("kind", TEXTS)
def test_a_wrong_text_is_refused(path, kind):
    from tinygraph.train.checkpoint import DIGEST, TEXT, digest, format_of

    arrays = {"weight": np.ones(2)}
    with path.open("wb") as file:
        format_of(path).write(file, arrays, {TEXT: TEXTS[kind], DIGEST: digest(arrays, TEXTS[kind])})
    with pytest.raises(ValueError, match=rf"{path.name}: the text beside the arrays is not what tinygraph writes"):
        checkpoint.load(path)


def test_a_digest_without_its_text_is_noticed(path):
    from tinygraph.train.checkpoint import DIGEST, digest, format_of

    arrays = {"weight": np.ones(2)}
    with path.open("wb") as file:
        format_of(path).write(file, arrays, {DIGEST: digest(arrays, "{}")})
    with pytest.raises(ValueError, match="its digest says so"):
        checkpoint.load(path)


def test_a_folder_is_named(path):
    path.mkdir()
    with pytest.raises(ValueError, match=rf"{path.name}: this is a folder"):
        checkpoint.load(path)


def test_a_list_of_arrays_comes_back(path):
    checkpoint.save({"s": {"d": [np.ones(2), np.arange(3)], "none": [], "i": [1, 2], "mixed": [np.ones(1), 5]}}, path)
    found = checkpoint.load(path)["s"]
    np.testing.assert_array_equal(found["d"][1], np.arange(3))
    assert len(found["d"]) == 2 and found["none"] == [] and found["i"] == [1, 2] and found["mixed"][1] == 5


# Who else writes ----------------------------------------------------------------------------------------------------

WRITER = """
    import os, sys
    import numpy as np
    from tinygraph import checkpoint

    def write(who):
        for i in range(60):
            checkpoint.save({"a": np.full(20_000, float(i)), "who": who, "i": i}, sys.argv[1])
            state = checkpoint.load(sys.argv[1])
            assert (state["a"] == state["i"]).all()

    for who in range(3):
        if not os.fork():
            write(who)
            os._exit(0)
    sys.exit(any(os.wait()[1] for _ in range(3)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_processes_that_save_in_one_folder_all_succeed(path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert checkpoint.load(path)["i"] == 59
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_and_links_stay(path, tmp_path):
    checkpoint.save(STATE, path)
    path.chmod(0o600)
    checkpoint.save(STATE, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / path.name
    os.replace(path, target)
    path.symlink_to(target)
    checkpoint.save({**STATE, "epoch": 4}, path)
    assert path.is_symlink() and checkpoint.load(target)["epoch"] == 4
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [p.name for p in target.parent.iterdir()] == [path.name]


def test_a_full_disk_names_the_file(path, monkeypatch):
    checkpoint.save(STATE, path)

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '.*{path.name}'"):
        checkpoint.save({**STATE, "epoch": 4}, path)
    monkeypatch.undo()
    assert checkpoint.load(path)["epoch"] == 3
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_names_with_brackets_leave_nothing_behind(tmp_path):
    path = tmp_path / "x[1].npz"
    (tmp_path / ".x[1].npz.0123.partial").write_bytes(b"half")
    (tmp_path / ".x1.npz.0123.partial").write_bytes(b"another's")
    checkpoint.save(STATE, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".x1.npz.0123.partial", "x[1].npz"]


def test_a_foreign_state_changes_nothing(path):
    """A net and an optimizer load from one file; a part that is wrong leaves both as they were."""
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = optim.Adam(net.parameters())
    before = {key: value.copy() for key, value in net.state_dict().items()}
    checkpoint.save({"model": net.state_dict() | {"1.running_var": -np.ones(2)}, "optimizer": {}}, path)
    state = checkpoint.load(path)
    with pytest.raises(RuntimeError, match=r"1\.running_var is negative"):
        net.load_state_dict(state["model"])
    with pytest.raises(ValueError, match="a state is a dict with"):
        optimizer.load_state_dict(state["optimizer"])
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
