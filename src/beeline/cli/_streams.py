"""Standard streams that may be closed, broken, full, or unable to spell the name of a file."""

import codecs
import contextlib
import os
import sys

BROKEN_PIPE = 141
"""As a shell says of a process that SIGPIPE ended."""


def prepare_streams() -> None:
    """Make standard output and error such that anything can be printed to them."""
    # Else the next file to be opened would get the number of a stream that is closed, and what
    # libraries print there.
    handle = os.open(os.devnull, os.O_RDWR)
    while handle <= 2:
        os.set_inheritable(handle, True)
        handle = os.open(os.devnull, os.O_RDWR)
    os.close(handle)
    codecs.register_error("beeline-names", _spell)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(nowhere, "w", encoding="utf-8", closefd=False))
        else:
            getattr(sys, name).reconfigure(errors="beeline-names")


def flush_streams(code: int) -> int:
    """Print what is left to print, and nothing from then on where that fails.

    Args:
        code: The exit code so far.

    Returns:
        The same, or 141 if nobody reads standard output any more, or 1 if it cannot be written.
    """
    for number, stream in enumerate((sys.stdout, sys.stderr), 1):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or BROKEN_PIPE
        except OSError as error:
            code = code or 1
            with contextlib.suppress(OSError):
                print(f"beeline: cannot print ({error.strerror})", file=sys.stderr)
        else:
            continue
        # Python flushes once more at its end, and would show a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return code


def _spell(error: UnicodeError) -> tuple[bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    # Bytes of a name that are no text are printed as they are; what the terminal lacks, escaped.
    characters = error.object[error.start : error.end]
    spelt = (
        c.encode("utf-8", "surrogateescape")
        if "\udc80" <= c <= "\udcff"
        else c.encode("ascii", "backslashreplace")
        for c in characters
    )
    return b"".join(spelt), error.end
