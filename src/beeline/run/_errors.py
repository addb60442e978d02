"""What can go wrong with a run, in one line each."""

import contextlib
import os
import shlex
import signal
import string
import sys
from pathlib import Path


class RunError(ValueError):
    """A run directory that cannot be used as asked; the message says why and what to do."""


class RunWarning(UserWarning):
    """A run directory that is not as it should be, but can be used; the message says how."""


class StorageError(OSError):
    """A run that cannot be written any more; what was saved of it before is whole."""


class DivergedError(ArithmeticError):
    """Training met a number that is not finite.

    Attributes:
        quantity: The first such quantity.
        seed: The seed in which it appeared.
        iteration: The iteration in which it appeared, counted from 1; 0 for the warm-up.
    """

    def __init__(
        self,
        quantity: str,
        seed: int,
        iteration: int,
        stored: str = "",
        advice: str = "lower the learning rates",
    ) -> None:
        # The arguments themselves, for a copy in another process is made from them.
        super().__init__(quantity, seed, iteration, stored, advice)
        self._rest = f"{advice}{stored}"
        self.quantity = quantity
        self.seed = seed
        self.iteration = iteration

    def __str__(self) -> str:
        return (
            f"{self.quantity} of seed {self.seed} is not finite in iteration {self.iteration}: "
            f"{self._rest}"
        )


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; the message says how far it got and how to go on.

    Attributes:
        signal: The signal that asked.
    """

    def __init__(
        self, iterations: int, of: int, path: Path | None, number: signal.Signals = signal.SIGINT
    ) -> None:
        super().__init__(iterations, of, path, number)
        stored = "" if path is None else f"; {how_to_go_on(path)}"
        self._message = f"interrupted after {iterations} of {of} iterations{stored}"
        self.signal = number

    def __str__(self) -> str:
        return self._message


def how_to_go_on(path: Path) -> str:
    """Name the command that continues a run.

    Args:
        path: Its directory.

    Returns:
        An advice.
    """
    return f"continue with: beeline resume {shell_word(path)}"


def shell_word(path: Path) -> str:
    """Write a path such that a shell takes it, and the terminal can spell it.

    Args:
        path: The path.

    Returns:
        One word.
    """
    text, encoding = str(path), getattr(sys.stderr, "encoding", None) or "utf-8"
    with contextlib.suppress(UnicodeEncodeError):
        text.encode(encoding)
        if text.isprintable():
            return shlex.quote(text)
    # By its bytes, where the terminal cannot spell it or it is not one line.
    plain = set(string.ascii_letters + string.digits + "/._- ")
    names = (chr(b) if chr(b) in plain else f"\\x{b:02x}" for b in os.fsencode(path))
    return f"$'{''.join(names)}'"
