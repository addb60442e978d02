"""Where results that are slow to compute are kept between runs."""

import contextlib
import os
import zlib
from pathlib import Path

_CHECKED = ".checked"


def cache_directory() -> Path:
    """Choose the folder for cached results; it need not exist yet.

    Returns:
        `$BEELINE_CACHE` if set, else `$XDG_CACHE_HOME/beeline`, else `~/.cache/beeline`.
    """
    own = os.environ.get("BEELINE_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared:
        return Path(shared).expanduser() / "beeline"
    return Path("~/.cache").expanduser() / "beeline"


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
