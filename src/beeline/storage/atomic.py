"""Files that are written whole or not at all."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: Path, *, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Write a file beside `path` and move it there once it is complete and on the disk.

    Whoever reads `path` meanwhile, or after a crash, finds the old content or the new one. With
    `previous`, a crash between two renames may leave the old content there and nothing at `path`.

    Args:
        path: The file to make or to replace.
        previous: Where to move what is replaced.

    Yields:
        A binary file to write to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        # Exclusively, so that a link which somebody put there is not followed.
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a loss of power, where a system can be told to.

    Args:
        folder: The folder.

    Raises:
        OSError: If the disk fails.
    """
    if not hasattr(os, "O_DIRECTORY"):
        # Windows opens no folders.
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems, of networks mostly, keep their names in another way.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


def remove_leftovers(path: Path) -> None:
    """Remove what a process that was killed while writing `path` left beside it.

    Args:
        path: The file; no other process may be writing it.
    """
    for leftover in path.parent.glob(f".{path.name}.*"):
        if leftover.name.rpartition(".")[2].isdigit():
            leftover.unlink(missing_ok=True)
