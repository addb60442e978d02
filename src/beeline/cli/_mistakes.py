"""What the user did wrong, in one line."""

import contextlib
from collections.abc import Iterator

USER_ERROR = 2


class CommandError(Exception):
    """A command that cannot be done; the message says why and what to do.

    Attributes:
        code: The exit code.
    """

    def __init__(self, message: str, code: int = USER_ERROR) -> None:
        super().__init__(message)
        self.code = code


@contextlib.contextmanager
def mistakes() -> Iterator[None]:
    """Take errors about values for the user's: only where nothing but what was given is looked at.

    Yields:
        Nothing.

    Raises:
        CommandError: In the place of `TypeError` and `ValueError`.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None
