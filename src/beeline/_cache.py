"""Where results that are slow to compute are kept between runs."""

import os
from pathlib import Path


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
