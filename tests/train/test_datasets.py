"""Data sets: what is read is what the files say; damage is told with its file and byte; nothing comes over the net."""

from __future__ import annotations

import gzip
import hashlib
import operator
import pickle
import threading
import tracemalloc
from functools import partial, reduce
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tests.small_fashion import TRAIN, packed
from tinygraph import data
from tinygraph.data import DataLoader, cifar10, cifar10_splits, digits, fashion_mnist


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = digits()
    wanted = datasets.load_digits()
    assert images.dtype == np.float32 and labels.dtype == np.int64
    np.testing.assert_array_equal(images, wanted.data)
    np.testing.assert_array_equal(labels, wanted.target)


def test_digits_are_small_and_have_a_licence():
    assert sum(path.stat().st_size for path in data.EMBEDDED.iterdir()) < 80_000
    text = (data.EMBEDDED / "digits.txt").read_text()
    assert "CC BY 4.0" in text and "Alpaydin" in text


# Fashion-MNIST ------------------------------------------------------------------------------------------------------


def pack(folder):
    for path in list(folder.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def check(found, arrays):
    for part, (images, labels) in zip(("train", "t10k"), found, strict=True):
        np.testing.assert_array_equal(images[:, 0], arrays[f"{part}-images-idx3-ubyte"])
        np.testing.assert_array_equal(labels, arrays[f"{part}-labels-idx1-ubyte"])
        assert images.dtype == np.uint8 and labels.dtype == np.int64


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_four_files_are_read(fashion, is_packed):
    folder, arrays = fashion
    if is_packed:
        pack(folder)
    check(fashion_mnist(folder), arrays)
    check(fashion_mnist(str(folder)), arrays)


def test_debians_folder_is_found_by_itself(fashion, monkeypatch):
    folder, arrays = fashion
    monkeypatch.setattr(data, "DEBIAN", folder)
    check(fashion_mnist(), arrays)


@pytest.mark.skipif(not data.DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_whole_set_is_as_published():
    (images, labels), (test_images, test_labels) = fashion_mnist()
    assert images.shape == (60_000, 1, 28, 28) and test_images.shape == (10_000, 1, 28, 28)
    assert (np.bincount(labels) == 6000).all() and (np.bincount(test_labels) == 1000).all()
    mean, square = images.mean() / 255, np.square(images, dtype=np.uint16).mean() / 255**2
    assert abs(mean - 0.2860) < 1e-4  # the mean and the deviation by which everybody normalizes
    assert abs(np.sqrt(square - mean**2) - 0.3530) < 1e-4


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
SIZE = 16 + TRAIN * 784


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (
            IMAGES,
            lambda b: b[:-1],
            rf"{IMAGES}: ends at byte {SIZE - 1}; its header says \(7, 28, 28\).*makes {SIZE} bytes",
        ),
        (IMAGES, lambda b: b + b"xx", rf"{IMAGES}: goes on after byte {SIZE}"),
        (IMAGES, lambda b: b[:9], rf"{IMAGES}: ends at byte 9, within the header of 16 bytes"),
        (IMAGES, lambda b: b"", rf"{IMAGES}: ends at byte 0"),
        (
            LABELS,
            lambda b: b"\x1f\x8b" + b[2:],
            rf"{LABELS}: at byte 0 stands 0x1f8b0801; IDX of bytes, 1 axes, has 0x00000801",
        ),
        (LABELS, lambda b: b[:10] + b"\x0a" + b[11:], rf"{LABELS}: at byte 10 stands the label 10; classes are 0 … 9"),
        (LABELS, lambda b: packed(np.zeros(5, np.uint8)), "train has 7 images and 5 labels"),
        (
            IMAGES,
            lambda b: packed(np.zeros((TRAIN, 14, 56), np.uint8)),
            rf"{IMAGES}: its records are \(14, 56\), and must be \(28, 28\)",
        ),
        (IMAGES, lambda b: packed(np.zeros((TRAIN, 0, 0), np.uint8)), r"its records are \(0, 0\), and must be"),
        (IMAGES, lambda b: packed(np.zeros((0, 28, 28), np.uint8)), r"its header says 0 records; there must be 1 …"),
        (LABELS, lambda b: b[:4] + b"\xff" * 4 + b[8:], r"its header says 4294967295 records"),
    ],
)
def test_damage_is_told_with_file_and_byte(fashion, name, damage, message):
    folder, _ = fashion
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(ValueError, match=message):
        fashion_mnist(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda b: b[: len(b) // 2],
            r"of \d+ bytes, is truncated or corrupt: it unpacks up to about byte \d+, then: Compressed",
        ),
        (lambda b: b[:100] + bytes(64) + b[164:], r"is truncated or corrupt: it unpacks up to about byte \d+"),
        (lambda b: b"not gzip", r"it unpacks up to about byte 0, then: Not a gzipped file"),
        (lambda b: b[:-6] + b"\0\0" + b[-4:], r"then: CRC check failed"),
    ],
)  # fmt: skip
def test_a_damaged_packed_file(fashion, damage, message):
    folder, _ = fashion
    pack(folder)
    path = folder / f"{IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"{path.name}: the packed file, .*{message}"):
        fashion_mnist(folder)


def test_a_packed_bomb_is_not_unpacked(fashion):
    """50 kB that unpack to 50 MB after what the header says: read no further than that."""
    folder, _ = fashion
    path = folder / IMAGES
    whole = path.read_bytes()
    path.with_name(f"{IMAGES}.gz").write_bytes(gzip.compress(whole + bytes(50_000_000)))
    path.unlink()
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"{IMAGES}.gz: goes on after byte {SIZE}"):
        fashion_mnist(folder)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither this file nor .*\.gz is there; .*, or fetch it: tinygraph"):
        fashion_mnist(tmp_path)


@pytest.fixture
def server(fashion, monkeypatch):
    """A server on this machine that has the files, and their checksums in place of the published ones."""
    pytest.importorskip("pooch").get_logger().setLevel("ERROR")
    folder, arrays = fashion
    pack(folder)
    sums = {path.name: f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}" for path in folder.iterdir()}

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        monkeypatch.setattr(data, "FASHION_MNIST", f"http://127.0.0.1:{http.server_port}/")
        monkeypatch.setattr(data, "CHECKSUMS", sums)
        yield folder, arrays, asked
        http.shutdown()
        thread.join()


def test_a_download_is_checked_and_kept(server, tmp_path):
    _, arrays, asked = server
    check(fashion_mnist(tmp_path / "new" / "folder", download=True), arrays)
    assert len(asked) == 4
    check(fashion_mnist(tmp_path / "new" / "folder", download=True), arrays)
    assert len(asked) == 4


def test_a_download_goes_to_the_cache(server, tmp_path, monkeypatch):
    _, arrays, _ = server
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "DEBIAN", tmp_path / "nowhere")
    check(fashion_mnist(download=True), arrays)
    check(fashion_mnist(), arrays)


def test_a_download_with_another_checksum_is_refused(server, tmp_path):
    folder, _, _ = server
    path = folder / f"{LABELS}.gz"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match=f"{LABELS}.*does not match the known hash"):
        fashion_mnist(tmp_path / "new", download=True)
    assert not (tmp_path / "new" / f"{LABELS}.gz").exists()


def test_a_download_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(ModuleNotFoundError, match="downloads need pooch: pip install pooch"):
        fashion_mnist(tmp_path, download=True)


# CIFAR-10 -----------------------------------------------------------------------------------------------------------


def write_cifar(folder, rng, size=10_000):
    """Write the six files, in which only the first two records of each are not 0; return those records."""
    records = {}
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        records[name] = rng.integers(0, 10, (2, 3073), np.uint8)
        with open(folder / name, "wb") as file:
            file.write(records[name].tobytes())
            file.truncate(3073 * size)
    return records


@pytest.fixture
def cifar(tmp_path, rng):
    return tmp_path, write_cifar(tmp_path, rng)


def test_cifar10_is_read(cifar):
    folder, records = cifar
    (images, labels), (test_images, test_labels) = cifar10(folder)
    assert images.shape == (50_000, 3, 32, 32) and test_images.shape == (10_000, 3, 32, 32)
    for i, name in enumerate(records):
        x, y = (images, labels) if i < 5 else (test_images, test_labels)
        start = i % 5 * 10_000
        np.testing.assert_array_equal(y[start : start + 2], records[name][:, 0])
        for channel in range(3):  # red, green, blue, each row by row
            plane = records[name][:, 1 + channel * 1024 : 1 + (channel + 1) * 1024].reshape(2, 32, 32)
            np.testing.assert_array_equal(x[start : start + 2, channel], plane)
    assert images[2:10_000].max() == 0 and labels.dtype == np.int64


def test_cifar10_damage_is_told(cifar):
    folder, _ = cifar
    with open(folder / "data_batch_3.bin", "rb+") as file:
        file.seek(3073 * 4321)
        file.write(b"\x0b")
    with pytest.raises(ValueError, match=r"data_batch_3.bin: at byte 13278433 stands the label 11"):
        cifar10(folder)
    with open(folder / "data_batch_2.bin", "rb+") as file:
        file.truncate(30_729_999)
    with pytest.raises(ValueError, match=r"data_batch_2.bin: ends at byte 30729999; it must hold 10000 images"):
        cifar10(folder)
    (folder / "data_batch_1.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_1.bin: there is no such file, and no data_batch_1 of"):
        cifar10(folder)


def test_the_pickled_version_is_the_binary_one(tmp_path, rng, monkeypatch):
    """Written as Python 2 wrote it, and as Python 3 does."""
    size = 30  # images, which are more bytes than pickle puts into a frame
    monkeypatch.setattr("tinygraph.train.cifar.RECORDS", size)
    write_cifar(tmp_path, rng, size)
    wanted, wanted_test = cifar10(tmp_path)
    python = tmp_path / "python" / "cifar-10-batches-py"
    python.mkdir(parents=True)
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        images, labels = (wanted[0][i * size :], wanted[1][i * size :]) if i < 5 else wanted_test
        batch = {b"data": images[:size].reshape(-1, 3072), b"labels": labels[:size].tolist(), b"batch_label": b"x"}
        (python / name).write_bytes(pickle.dumps(batch, protocol=i))
    found, found_test = cifar10(tmp_path / "python")
    for a, b in zip((*found, *found_test), (*wanted, *wanted_test), strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)


def test_the_split_of_the_course(cifar, monkeypatch):
    folder, _ = cifar
    both = (images, labels), (tests, test_labels) = cifar10(folder)
    found = cifar10_splits(folder, train=100, validation=20, test=10, dtype=np.float64)
    mean = images[:100].astype(np.float64).mean(0)
    np.testing.assert_allclose(found["X_train"], images[:100] - mean, atol=1e-12)
    np.testing.assert_allclose(found["X_val"], images[100:120] - mean, atol=1e-12)
    np.testing.assert_allclose(found["X_test"], tests[:10] - mean, atol=1e-12)
    np.testing.assert_array_equal(found["y_val"], labels[100:120])
    np.testing.assert_array_equal(found["y_test"], test_labels[:10])
    monkeypatch.setattr("tinygraph.train.cifar.cifar10", lambda root: both)  # to read 180 MB twice more takes a second
    whole = cifar10_splits(folder, subtract_mean=False, dtype=np.uint8)
    assert {key: len(value) for key, value in whole.items()} == {
        "X_train": 49_000, "y_train": 49_000, "X_val": 1_000, "y_val": 1_000, "X_test": 1_000, "y_test": 1_000,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"50000 \+ 1 of 50000 images"):
        cifar10_splits(folder, train=50_000, validation=1)


class Evil:
    def __reduce__(self):
        return eval, ("print('run')",)


HOSTILE = [
    (pickle.dumps(Evil()), "builtins.eval"),
    (pickle.dumps({b"data": Evil()}, protocol=0), "__builtin__.eval"),
    (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
    (b"cnumpy\nload\n(S'x.npy'\ntR.", "numpy.load"),
    (b"cnumpy.testing\nrun\n(tR.", "numpy.testing.run"),
    (pickle.dumps({b"data": np.array([Evil()], dtype=object)}), "no pickle of plain arrays"),
    (pickle.dumps({b"data": np.array(["a"])}), "is asked for, which is none of numbers"),
    (pickle.dumps({b"data": np.zeros(3, "f4,i4")}), "none of numbers"),
    (pickle.dumps([1, 2]), "holds list and no dict"),
    (pickle.dumps({b"data": np.zeros((3, 3))})[:-20], "no pickle of plain arrays"),
    (pickle.dumps({b"data": np.zeros((3, 3), np.uint8)}).replace(b"K\x03K\x03", b"K\x03K\x04"), "has 9 bytes"),
    (b"\x80\x04.", "no pickle of plain arrays"),
    (b"", "no pickle of plain arrays"),
    (b"\x80\x02" + b"(" * 100_000, "no pickle of plain arrays"),
    (b"cnumpy\nndarray\n)\x81}b.", "no pickle of plain arrays"),
]


@pytest.mark.parametrize(("data", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_pickle_runs_nothing(tmp_path, data, message, capsys):
    (tmp_path / "data_batch_1").write_bytes(data)
    with pytest.raises(ValueError, match=f"data_batch_1: .*{message}"):
        cifar10(tmp_path)
    assert capsys.readouterr().out == ""


# Batches ------------------------------------------------------------------------------------------------------------


def rows(batches):
    return [x.tolist() for (x,) in batches]


def test_batches_in_order():
    x = np.arange(7)
    assert rows(DataLoader(x, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert rows(DataLoader(x, 3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert [len(DataLoader(x, 3, drop_last=d)) for d in (False, True)] == [3, 2]
    assert rows(DataLoader(np.arange(6), 3)) == [[0, 1, 2], [3, 4, 5]]


def test_every_epoch_has_an_order_of_its_own_by_the_seed():
    x = np.arange(100)
    first, again, other = (DataLoader((x, -x), 7, shuffle=True, seed=seed) for seed in (1, 1, 2))
    orders = [[np.concatenate([a for a, _ in loader]) for _ in range(2)] for loader in (first, again, other)]
    for order in reduce(operator.iadd, orders, []):
        assert sorted(order) == x.tolist() and order.tolist() != x.tolist()
    assert (orders[0][0] == orders[1][0]).all() and (orders[0][1] == orders[1][1]).all()
    assert (orders[0][0] != orders[0][1]).any() and (orders[0][0] != orders[2][0]).any()
    assert all((a == -b).all() for a, b in first)
    assert DataLoader(x, shuffle=True).seed != DataLoader(x, shuffle=True).seed


def test_a_run_resumes_where_it_was():
    """Epoch and batch number are all there is to know, also for what transforms draw."""

    def noisy(x, generator):
        return (x + generator.random(x.shape),)

    whole = DataLoader(np.arange(20.0), 4, shuffle=True, seed=5, transform=noisy)
    epochs = [rows(whole) for _ in range(3)]
    resumed = DataLoader(np.arange(20.0), 4, shuffle=True, seed=5, transform=noisy)
    resumed.epoch = 1
    assert rows(resumed.batches(1, start=2)) == epochs[1][2:]
    assert [rows(resumed), rows(resumed)] == epochs[1:]
    assert epochs[0] != epochs[1]


def test_transforms_see_the_whole_batch():
    loader = DataLoader((np.arange(4), np.arange(4)), 2, transform=lambda x, y, generator: (x / 2, y))
    assert [(x.tolist(), y.tolist()) for x, y in loader] == [([0.0, 0.5], [0, 1]), ([1.0, 1.5], [2, 3])]


def test_errors_of_the_loader():
    with pytest.raises(ValueError, match="the arrays have lengths 3, 4"):
        DataLoader((np.ones(3), np.ones(4)))
    with pytest.raises(ValueError, match="batch_size is 0"):
        DataLoader(np.ones(3), 0)
