"""A file is written under another name, then renamed: under its own name there is the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ModuleNotFoundError:  # on Windows nobody can delete a file that another process has open
    fcntl = None  # type: ignore[assignment]

__all__ = ["partial_files", "remove_partial_files", "whole_file"]


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to write; at the end of the ``with`` block it replaces the one at ``path``.

    An error inside the block leaves everything as it was. The permissions of an existing file stay, and a new one
    gets those that ``open`` gives. Of a symbolic link, the target is replaced. What is no regular file, such as
    ``/dev/stdout``, is written into.

    Args:
        path: where the file shall be. Its folder exists.

    Yields:
        A binary file, open for writing.

    Raises:
        OSError: the folder is missing, the disk is full, or the like.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "a.txt") as file:
    ...     _ = file.write(b"all of it")
    >>> [(p.name, p.read_text()) for p in folder.iterdir()]
    [('a.txt', 'all of it')]
    """
    target = Path(os.path.realpath(path))
    if os.path.exists(path) and not target.is_file():
        with naming(path), open(path, "wb") as stream:
            yield stream
        return
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    partial, file = open_partial(target, mode)
    try:
        with naming(path), file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if mode is not None:
                os.chmod(partial, mode)
            if fcntl is not None:
                os.replace(partial, target)  # while it is locked, so that nobody takes it for a leftover
        if fcntl is None:
            os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name is on the disk when its folder is
        with contextlib.suppress(OSError):  # some file systems cannot do this for a folder
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name a file in an error of the system that names none, as when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), os.fspath(path)) from error
        raise


def open_partial(target: Path, mode: int | None) -> tuple[Path, BinaryIO]:
    """Return a new file beside another one, open for writing and locked; ``mode`` None is that of new files."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        file = os.fdopen(os.open(partial, flags, 0o666 if mode is None else mode), "wb")
        lock(file)
        if partial.exists():  # it may have been taken for a leftover before it was locked
            return partial, file
        file.close()


def lock(file: BinaryIO, wait: bool = True) -> bool:
    """Lock a file against other processes; return whether this one has it."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has it, or the file system has no locks
        return False
    return True


def remove_partial_files(path: str | os.PathLike[str]) -> None:
    """Remove what interrupted calls of `whole_file` for this path have left, and nothing that is being written.

    Args:
        path: where the whole file is, or shall be.

    >>> remove_partial_files("a.txt")
    """
    for leftover in partial_files(path):
        with contextlib.suppress(OSError), open(leftover, "ab") as file:
            if lock(file, wait=False):
                leftover.unlink(missing_ok=True)


def partial_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the files that interrupted calls of `whole_file` for this path have left behind."""
    target = Path(os.path.realpath(path))
    return sorted(target.parent.glob(f".{glob.escape(target.name)}.*.partial"))
