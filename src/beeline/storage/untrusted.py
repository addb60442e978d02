"""Reading files that somebody else may have written, in bounded time and memory.

Nothing in such a file is executed, no link is followed, and no declared size is believed.
"""

import contextlib
import errno
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_DIGITS = 19
_IRREGULAR = "is not a regular file"
_ODD = {errno.ELOOP: "is a symbolic link", errno.ENXIO: _IRREGULAR, errno.EISDIR: _IRREGULAR}
"""What is wrong with a file that the system refuses to open as one; all else is not its fault."""


class UntrustedError(ValueError):
    """A file that cannot be what it should be; the message says why, without naming the file."""


def open_unlinked(path: Path, flags: int) -> int:
    """Open a file for its bytes as they are, but no link to one.

    Args:
        path: The file.
        flags: Those of `os.open`; the ones that a system lacks are left out.

    Returns:
        The handle.

    Raises:
        OSError: If it cannot be opened, or is a symbolic link (ELOOP).
    """
    if not hasattr(os, "O_NOFOLLOW") and path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    return os.open(path, flags, 0o666)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file.

    Args:
        path: The file.

    Yields:
        The file and its size in bytes.

    Raises:
        FileNotFoundError: If there is no such file.
        UntrustedError: If it is a symbolic link, a folder, a pipe or a device.
        OSError: If it cannot be opened for a reason that is not the file's.
    """
    try:
        # Opening a pipe would otherwise wait for somebody to write to it.
        handle = open_unlinked(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno not in _ODD:
            raise
        raise UntrustedError(_ODD[error.errno]) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise UntrustedError(_IRREGULAR)
    with os.fdopen(handle, "rb") as file:
        yield file, status.st_size


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a file that should be small.

    Args:
        path: The file.
        limit: Most bytes it may have.

    Returns:
        Its content.

    Raises:
        UntrustedError: If it is larger, or not a regular file.
    """
    with opened(path) as (file, size):
        content = b"" if size > limit else file.read(limit + 1)
        if max(size, len(content)) > limit:
            raise UntrustedError(f"has {size} bytes, more than the {limit} that it may have")
        return content


def parse_json(text: bytes) -> Any:
    """Parse JSON as the standard has it: no NaN, no infinity, no field twice.

    Args:
        text: The text, in UTF-8.

    Returns:
        What it says.

    Raises:
        UntrustedError: If it is anything else.
    """
    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=_fields,
            parse_constant=_finite,
            parse_float=_finite,
            parse_int=_whole,
        )
    except UntrustedError:
        raise
    except RecursionError:
        raise UntrustedError("is nested too deeply") from None
    except ValueError as error:
        raise UntrustedError(f"is truncated or not JSON ({error})") from error


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise UntrustedError(f"has the field {shorten(twice)} twice")
    return fields


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise UntrustedError(f"holds an integer of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise UntrustedError(f"holds {shorten(text)}, which is not a finite number")
    return number


def shorten(value: Any, limit: int = 60) -> str:
    """Show a value of a file within one line of an error.

    Args:
        value: The value.
        limit: Most characters.

    Returns:
        Its representation, cut where it is too long.
    """
    text = ascii(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."
