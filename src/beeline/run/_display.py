"""What is shown while a run is under way."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from beeline.training.algorithm import Algorithm


@dataclass(frozen=True)
class Display:
    """A progress bar, or nothing."""

    phase: Callable[[str], None]
    """Says what is being done before training begins."""
    iteration: Callable[[dict[str, Any]], None]
    """Shows what an iteration measured."""


@contextlib.contextmanager
def display(algorithm: Algorithm, env_steps: int, *, shown: bool | None) -> Iterator[Display]:
    """Show how a run is doing, on standard error.

    Args:
        algorithm: What trains, which tells how much work each iteration is.
        env_steps: Environment steps of the whole run.
        shown: Whether to; None shows it if standard error is a terminal.

    Yields:
        Where to report to.
    """
    if shown is None:
        # There is no standard error where a process was begun with it closed.
        shown = sys.stderr is not None and sys.stderr.isatty()
    if not shown:
        yield Display(lambda text: None, lambda row: None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[steps]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with _Lines(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=None, steps="", left="", measured="")
        yield _bar(progress, task, algorithm, env_steps)


class _Lines(Progress):
    # A second line, for all of it does not fit into 80 columns.
    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from (Text(task.fields["measured"]) for task in self.tasks if task.fields["measured"])


def _bar(progress: Progress, task: TaskID, algorithm: Algorithm, env_steps: int) -> Display:
    work = algorithm.work()

    def phase(text: str) -> None:
        progress.update(task, description=text)
        if text == "training":
            fields: dict[str, Any] = {"left": "left", "measured": ""}
            progress.reset(task, total=float(work[-1]), steps=f"0/{env_steps} steps", **fields)

    def iteration(row: dict[str, Any]) -> None:
        progress.update(
            task,
            completed=float(work[row["iteration"] - 1]),
            steps=f"{row['env_steps']}/{env_steps} steps",
            measured=_measured(row),
        )

    return Display(phase, iteration)


def _measured(row: dict[str, Any]) -> str:
    scaled = any(value is not None for value in row["normalized_return"])
    prefix, kind = ("normalized_", "normalised ") if scaled else ("", "")
    named = {
        "model error": "fresh_error",
        f"{kind}return": f"{prefix}return",
        "imagined": f"{prefix}imagined_return",
    }
    return ", ".join(f"{name} {_median(row[key])}" for name, key in named.items() if key in row)


def _median(values: list[float | None]) -> str:
    finite = [value for value in values if value is not None]
    return f"{np.median(finite):.3f}" if finite else "none"
