"""One process at a time on a run directory."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

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
        RunError: If another process is writing to it, or it cannot be written to.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(folder / LOCK, flags, 0o666)
    except OSError as error:
        raise RunError(f"cannot write to {folder} ({error.strerror}): use another one") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another process is writing to {folder}: wait until it ends, or use another one"
            ) from None
        except OSError as error:
            raise RunError(
                f"cannot lock {folder} ({error.strerror}): use one on another file system"
            ) from error
        yield
    finally:
        os.close(handle)
