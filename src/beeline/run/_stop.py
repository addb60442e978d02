"""Being asked to stop: the iteration is finished first."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Stop:
    """Whether the process was asked to stop.

    Attributes:
        signal: The signal that asked, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def heed(self) -> None:
        """Stop here if asked to.

        Raises:
            KeyboardInterrupt: If the process was asked to stop.
        """
        if self.signal is not None:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            # Asked twice: whoever asks does not want to wait.
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def stopping() -> Iterator[Stop]:
    """Note SIGINT and SIGTERM for a while, in place of ending at once.

    Python lets only the main thread do so; elsewhere they do what they did.

    Yields:
        Whether one came.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {
        number: signal.signal(number, stop._ask) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # None is a handler that was not set by Python, which it cannot set again.
            if handler is not None:
                signal.signal(number, handler)
