"""Keeping a run on disk as it goes: a line for each iteration, and now and then its state."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from beeline.config import Config
from beeline.config._fields import POSITIVE, Count
from beeline.run._errors import RunError, StorageError, how_to_go_on
from beeline.run.directory import layout as files
from beeline.run.directory.config_file import to_json
from beeline.storage import checkpoint
from beeline.storage.untrusted import open_unlinked
from beeline.training.algorithm import State

_COST = 50
"""A save is put off until this many times the last one's duration has passed: at most 2%."""


class Position(NamedTuple):
    """How far a run has got."""

    iterations: int
    """Iterations done."""
    bytes: int
    """Bytes of their records."""
    digest: str
    """Checksum of those bytes."""


START = Position(0, 0, hashlib.sha256().hexdigest())
"""Before the first iteration."""


@dataclass(frozen=True)
class Cadence:
    """How often the state of a run is saved.

    Raises:
        RunError: If a number is out of range.
    """

    steps: int | None = None
    """Environment steps between saves; None goes by time alone."""
    minutes: float = 1.0
    """Minutes between saves; more where saving would take over 2% of the run's time."""

    def __post_init__(self) -> None:
        try:
            if self.steps is not None:
                object.__setattr__(self, "steps", Count(1)("checkpoint-steps", self.steps))
            object.__setattr__(self, "minutes", POSITIVE("checkpoint-minutes", self.minutes))
        except (TypeError, ValueError) as error:
            raise RunError(str(error)) from None


class Keeper:
    """Writes a run to its directory, if it has one.

    Attributes:
        path: The directory, or None.
        saves: How many states were saved.
        save_seconds: How long that took.
        save_bytes: The size of the last one.
    """

    def __init__(
        self,
        path: Path | None,
        records: BinaryIO | None,
        config: Config,
        cadence: Cadence,
        about: dict[str, Any],
    ) -> None:
        self.saves, self.save_seconds, self.save_bytes = 0, 0.0, 0
        self.path, self._records, self._config, self._cadence = path, records, config, cadence
        self._about = about
        self._hash = hashlib.sha256()
        self._position = START
        self._saved: Position | None = None
        self._saved_at, self._pause = time.monotonic(), 0.0

    @property
    def position(self) -> Position:
        """How far the records go.

        Returns:
            The position behind the last line.
        """
        return self._position

    def begin_at(self, position: Position) -> None:
        """Take up the records of a run, dropping those behind a position.

        Args:
            position: The position; all but the start has been saved.

        Raises:
            StorageError: If the records cannot be written.
        """
        if self._records is None:
            return
        with storing(self.path):
            self._hash.update(self._records.read(position.bytes))
            self._records.seek(position.bytes)
            self._records.truncate()
        self._position = position
        self._saved = position if position.iterations else None

    def append(self, row: dict[str, Any]) -> Position:
        """Write down what an iteration measured.

        Args:
            row: The measurements.

        Returns:
            The position behind it.

        Raises:
            StorageError: If it cannot be written.
        """
        iterations, size, digest = self._position
        if self._records is not None:
            line = (json.dumps(row, allow_nan=False) + "\n").encode()
            with storing(self.path):
                self._records.write(line)
                self._records.flush()
            self._hash.update(line)
            size, digest = size + len(line), self._hash.hexdigest()
        self._position = Position(iterations + 1, size, digest)
        return self._position

    def due(self) -> bool:
        """Tell whether the state should be saved.

        Returns:
            Whether enough environment steps or minutes have passed since it last was.
        """
        if self._cadence.steps is not None:
            last = 0 if self._saved is None else self._saved.iterations
            done = (self._position.iterations - last) * self._config.horizon
            if done >= self._cadence.steps:
                return True
        wait = max(60 * self._cadence.minutes, self._pause)
        return time.monotonic() - self._saved_at >= wait

    def save(self, state: State, position: Position) -> None:
        """Save the state, unless it already is.

        Args:
            state: The state.
            position: The position that it belongs to.

        Raises:
            StorageError: If it cannot be written.
        """
        if self.path is None or self._records is None or position == self._saved:
            return
        began = time.monotonic()
        about = {
            "schema": files.SCHEMA,
            "iterations": position.iterations,
            "records": {"bytes": position.bytes, "sha256": position.digest},
            "config": to_json(self._config),
            **self._about,
        }
        with storing(self.path):
            # A state must never be ahead of the records on the disk.
            os.fsync(self._records.fileno())
            self.save_bytes = checkpoint.save(
                self.path / files.CHECKPOINT,
                state,
                about,
                previous=self.path / files.PREVIOUS,
            )
        self._saved, self._saved_at = position, time.monotonic()
        self.saves += 1
        self.save_seconds += self._saved_at - began
        self._pause = _COST * (self._saved_at - began)


@contextlib.contextmanager
def keeping(
    path: Path | None, config: Config, cadence: Cadence, about: dict[str, Any]
) -> Iterator[Keeper]:
    """Open the records of a run for as long as it goes.

    Args:
        path: The directory of the run, begun and locked; None keeps nothing.
        config: The run.
        cadence: How often to save.
        about: What else to write into each checkpoint.

    Yields:
        What writes to it.

    Raises:
        StorageError: If the records cannot be opened.
    """
    if path is None:
        yield Keeper(None, None, config, cadence, about)
        return
    with storing(path):
        handle = open_unlinked(path / files.METRICS, os.O_RDWR | os.O_CREAT)
    records = os.fdopen(handle, "r+b")
    try:
        yield Keeper(path, records, config, cadence, about)
    finally:
        # Each line was flushed; only what could not be written is tried, and fails, once more.
        with contextlib.suppress(OSError):
            records.close()


@contextlib.contextmanager
def storing(path: Path | None) -> Iterator[None]:
    """Say in one line that a run cannot be written, and what to do.

    Args:
        path: Its directory.

    Yields:
        Nothing.

    Raises:
        StorageError: In place of any other operating system error.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        why = f"cannot write to {path} ({error.strerror or error})"
        if path is None or not path.is_dir():
            raise StorageError(f"{why}: the directory is gone, and the run with it") from error
        raise StorageError(
            f"{why}: what was saved is whole; when it can be written again, {how_to_go_on(path)}"
        ) from error
