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

__all__ = ["partial_files", "whole_file"]


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
        with open(path, "wb") as file:
            yield file
        return
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "xb") as file:  # new, and with the permissions that the process gives to new files
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(partial, stat.S_IMODE(target.stat().st_mode))
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


def partial_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the files that interrupted calls of `whole_file` for this path have left behind."""
    target = Path(os.path.realpath(path))
    return sorted(target.parent.glob(f".{glob.escape(target.name)}.*.partial"))
