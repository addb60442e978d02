"""Freed memory that the process keeps.

XLA asks for its working set anew at each call on a CPU. By default glibc maps large blocks
afresh and gives them back at once, so that every page is faulted in and zeroed again: measured,
that can take longer than the arithmetic of a policy gradient at 500 steps.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have glibc serve large blocks from memory that it keeps.

    The peak of the process is about the same; it is held until the process ends.

    Returns:
        Whether it was done; elsewhere than under glibc nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all(mallopt(which, _LARGEST_INT) for which in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))


def give_freed_memory_back() -> bool:
    """Give memory that was freed back to the system, for a process that does several things.

    Returns:
        Whether any was; elsewhere than under glibc nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False
