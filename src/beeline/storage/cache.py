"""Where results that are slow to compute are kept between runs."""

import contextlib
import os
import zlib
from pathlib import Path

_CHECKED = ".checked"
_NOWHERE = Path(os.devnull, "beeline")
"""A folder that cannot be made: nothing is found there, and nothing written."""


def cache_directory() -> Path:
    """Choose the folder for cached results; it need not exist yet.

    Returns:
        `$BEELINE_CACHE` if set, else `$XDG_CACHE_HOME/beeline`, else `~/.cache/beeline`, of which
        the last two have to be absolute; without a home, a folder that cannot be made.
    """
    own = os.environ.get("BEELINE_CACHE")
    if own:
        return _expanded(own)
    home = "" if os.environ.get("HOME") == "" else "~/.cache"
    for shared in (os.environ.get("XDG_CACHE_HOME", ""), home):
        folder = _expanded(shared)
        if folder.is_absolute() and folder != _NOWHERE:
            return folder / "beeline"
    return _NOWHERE


def can_keep(folder: Path) -> bool:
    """Make a folder for cached results.

    Args:
        folder: The folder.

    Returns:
        Whether it is there and files can be written to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        # There is no such home.
        return _NOWHERE


def drop_torn_programs(folder: Path) -> None:
    """Remove compiled programs that are not whole from JAX's cache.

    JAX writes them in place, so that a process that is killed may leave a part of one, or a loss of
    power. From then on it would warn of it and compile anew in every process, and never replace it.

    Args:
        folder: JAX's cache. What was there the last time is not read again.
    """
    checked = folder / _CHECKED
    with contextlib.suppress(OSError):
        since = checked.stat().st_mtime_ns if checked.exists() else 0
        # Before looking: what another process is writing now is then looked at once more.
        checked.touch()
        if checked.stat().st_mtime_ns < since:
            # The clock went back, and says nothing of what came since.
            since = 0
        for file in folder.glob("*-cache"):
            if file.stat().st_mtime_ns >= since and _is_torn(file.read_bytes()):
                file.unlink()


def _is_torn(content: bytes) -> bool:
    # With a package that Python brings from 3.14 on, JAX compresses in another way.
    if content and not content.startswith(b"x"):
        return False
    try:
        zlib.decompress(content)
    except zlib.error:
        return True
    return False
