"""What is told beside the output: each message in one line of standard error."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any


def say(message: str) -> None:
    """Print a message in one line.

    Args:
        message: The message.
    """
    line = " ".join(part.strip() for part in message.splitlines())
    with contextlib.suppress(BrokenPipeError):
        print(f"beeline: {line}", file=sys.stderr)


@contextlib.contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Print the library's warnings as messages.

    Yields:
        Nothing.
    """
    from beeline.data import DataWarning
    from beeline.run import RunWarning

    with warnings.catch_warnings():
        # Not an error, even where Python is told to make errors of warnings.
        warnings.simplefilter("always", UserWarning)
        show = warnings.showwarning

        def tell(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, (RunWarning, DataWarning)) or category is UserWarning:
                say(str(message))
            else:
                show(message, category, *rest, **more)

        warnings.showwarning = tell
        yield
