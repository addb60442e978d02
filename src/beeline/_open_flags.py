"""Flags of `os.open` on systems that do not have them all."""

import os


def open_flags(*names: str) -> int:
    """Combine flags, without those that this system has not.

    Args:
        names: Such as "O_NOFOLLOW", which Windows lacks.

    Returns:
        The flags, for a file of bytes: without one of its own, Windows would translate line ends.
    """
    flags = 0
    for name in (*names, "O_BINARY"):
        flags |= getattr(os, name, 0)
    return flags
