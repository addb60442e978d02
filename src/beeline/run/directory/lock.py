"""One process at a time on a run directory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from beeline.run._errors import RunError

LOCK = ".lock"
"""The file that is locked. It stays; the lock on it ends with the process, however that ends."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a run directory.

    Args:
        folder: The directory.

    Yields:
        Nothing.

    Raises:
        RunError: If another process is writing to it, or it cannot be locked.
    """
    try:
        lock = FileLock(folder / LOCK, timeout=0, fallback_to_soft=False).acquire()
    except Timeout:
        raise RunError(
            f"another process is writing to {folder}: wait until it ends, or use another one"
        ) from None
    except OSError as error:
        raise RunError(
            f"cannot lock {folder} ({error.strerror}): use a directory that can be written, on a "
            "file system with locks"
        ) from error
    with lock:
        yield
