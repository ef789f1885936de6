"""A file is there whole or not at all; permissions, links and the process's umask stay as they are."""

import os
import stat
import threading

import pytest

from tinygraph.graph.files import partial_files, whole_file

posix = pytest.mark.skipif(os.name != "posix", reason="permissions and links as POSIX has them")


def write(path, content=b"new"):
    with whole_file(path) as file:
        file.write(content)


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), whole_file(path) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write(path)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_sees_a_part_of_it(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        (partial,) = partial_files(path)
        assert partial.read_bytes() == b"half"
    assert partial_files(path) == []


def test_brackets_in_a_name_are_no_pattern(tmp_path):
    (tmp_path / ".a1.npz.0000.partial").touch()
    (tmp_path / ".a[1].npz.0000.partial").touch()
    assert [p.name for p in partial_files(tmp_path / "a[1].npz")] == [".a[1].npz.0000.partial"]


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_file_has_the_permissions_that_open_gives(tmp_path, mask):
    before = os.umask(mask)
    try:
        write(tmp_path / "a.txt")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask


@posix
def test_the_umask_of_the_process_is_never_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is of all threads"))
    write(tmp_path / "a.txt")
    monkeypatch.undo()
    import tinygraph as tg

    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is of all threads"))
    tg.draw(tg.Tensor([1.0], name="x") * 2, tmp_path / "graph.svg")
    tg.checkpoint.save(tg.nn.Linear(2, 2).state_dict(), tmp_path / "net.npz")


@posix
def test_the_permissions_of_an_existing_file_stay(tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    path.chmod(0o640)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@posix
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link, dangling = tmp_path / "folder" / "target.txt", tmp_path / "link.txt", tmp_path / "dangling.txt"
    target.write_bytes(b"old")
    link.symlink_to(target)
    dangling.symlink_to(tmp_path / "folder" / "later.txt")
    write(link)
    write(dangling)
    assert link.is_symlink() and dangling.is_symlink()
    assert target.read_bytes() == (tmp_path / "folder" / "later.txt").read_bytes() == b"new"


@posix
def test_what_is_no_regular_file_is_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write(pipe)
    reader.join()
    assert found == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(IsADirectoryError):
        write(tmp_path)
