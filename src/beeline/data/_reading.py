"""From a file in long form, a row a step, to episodes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beeline._choices import choose
from beeline.data._csv import read_csv
from beeline.data._episodes import DataError, Episodes
from beeline.data._minari import PREFIX, read_minari
from beeline.data._npz import read_npz
from beeline.data._parquet import read_parquet
from beeline.data._table import Columns, Table, first_of
from beeline.storage.untrusted import UntrustedError, shorten

_TOLERANCE = 0.01
"""Share of a step by which its length may differ, for times are rounded where they are logged."""

_FORMATS: dict[str, Callable[[Path, Columns], Table]] = {
    ".csv": read_csv,
    ".txt": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
_ARCHIVE = ".npz"


def read(
    path: str | Path,
    *,
    states: Sequence[str] = (),
    actions: Sequence[str] = (),
    episode: str | None = None,
    step: str | None = None,
    reward: str | None = None,
    terminated: str | None = None,
    action_low: Any = None,
    action_high: Any = None,
) -> Episodes:
    """Read episodes from a CSV, Parquet or NPZ file, or from a dataset of Minari's.

    Nothing in it is executed.

    A row is a step: the state, the action taken in it, the reward of that action. The last row of
    an episode is its last state; the action and the reward there lead nowhere and may be empty.

    Args:
        path: The file; its suffix tells the format. Or `minari:NAME` of a dataset in Minari's
            storage. That and an NPZ file have arrays of their own names, and no columns are named.
        states: Columns of the state.
        actions: Columns of the action.
        episode: Column that says which episode a row is of; without it, all rows are one.
        step: Column of the step's number or time, which grows by the same in every step.
        reward: Column of the reward.
        terminated: Column that is 1 in the last row of an episode that ended there.
        action_low: The lowest actions, a number or one for each entry; by default of the data.
        action_high: The highest ones, likewise.

    Returns:
        The episodes, their `dt` the growth of the column of steps.

    Raises:
        DataError: If the file cannot be read, or what is in it is not a row for each step.
    """
    path = Path(path)
    columns = Columns(tuple(states), tuple(actions), episode, step, reward, terminated)
    own_names = "has arrays of its own names, so that no columns are to be named"
    if path.as_posix().startswith(PREFIX):
        if columns != Columns((), ()):
            raise DataError(f"{path}: {own_names}")
        name = path.as_posix().removeprefix(PREFIX)
        return read_minari(name, action_low=action_low, action_high=action_high)
    try:
        kind = choose("kind of file", path.suffix.lower(), {**_FORMATS, _ARCHIVE: None})
        if kind is not None:
            columns.check()
            table = kind(path, columns)
        elif columns != Columns((), ()):
            raise DataError(own_names)
        else:
            table, columns = read_npz(path)
        return _episodes(table, columns, action_low, action_high)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except UntrustedError as error:
        raise DataError(f"{path} {error}") from None
    except (DataError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None


def _episodes(table: Table, columns: Columns, low: Any, high: Any) -> Episodes:
    rows = len(table.columns[columns.states[0]])
    if not rows:
        raise DataError("has no rows")
    starts = _starts(table, rows)
    ends = [*starts[1:], rows]
    labels = ["0"] if table.episodes is None else [str(table.episodes[i]) for i in starts]
    for label, start, end in zip(labels, starts, ends, strict=True):
        if end - start < 2:
            raise DataError(
                f"episode {shorten(label)} has one row, {table.where(start)}: give two at least, "
                "a state and the one after it"
            )
    last = np.zeros(rows, bool)
    last[[end - 1 for end in ends]] = True
    _check_finite(table, columns, last)
    dt = None if columns.step is None else _spacing(table, columns.step, starts)
    over = _terminated(table, columns.terminated, last)

    def parts(names: tuple[str, ...], less: int) -> list[np.ndarray]:
        values = np.stack([table.columns[name] for name in names], axis=1)
        return [values[start : end - less] for start, end in zip(starts, ends, strict=True)]

    rewards = None if columns.reward is None else parts((columns.reward,), 1)
    return Episodes(
        parts(columns.states, 0),
        parts(columns.actions, 1),
        None if rewards is None else [part[:, 0] for part in rewards],
        [bool(over[end - 1]) for end in ends],
        state_names=columns.states,
        action_names=columns.actions,
        labels=labels,
        dt=dt,
        action_low=low,
        action_high=high,
    )


def _starts(table: Table, rows: int) -> list[int]:
    if table.episodes is None:
        return [0]
    labels = table.episodes
    starts = [0, *(i for i in range(1, rows) if labels[i] != labels[i - 1])]
    seen: set[Any] = set()
    for start in starts:
        if labels[start] in seen:
            raise DataError(
                f"episode {shorten(labels[start])} goes on in {table.where(start)}, after another: "
                "sort the rows by episode"
            )
        seen.add(labels[start])
        if labels[start] in ("", None, "None"):
            raise DataError(f"{table.where(start)} has no episode: fill that column")
    return starts


def _check_finite(table: Table, columns: Columns, last: np.ndarray) -> None:
    may_lack = {*columns.actions, columns.reward}
    for name in columns.numbers:
        values = table.columns[name]
        wrong = ~np.isfinite(values)
        if name in may_lack:
            wrong &= ~last
        if wrong.any():
            row = first_of(wrong)
            what = "missing (empty or NaN)" if np.isnan(values[row]) else f"{values[row]}"
            raise DataError(
                f"{table.where(row)}, column {name!r} is {what}: fill it, or cut the episode there"
            )


def _spacing(table: Table, name: str, starts: list[int]) -> float:
    times = table.columns[name]
    growth = np.diff(times, prepend=times[0])
    inside = np.ones(len(times), bool)
    inside[starts] = False
    for wrong, what in (
        (growth == 0, "repeats the {before:g} of the row before: leave one of them out"),
        (
            growth < 0,
            "goes back from {before:g} to {now:g}: sort the rows, or name the column of episodes",
        ),
    ):
        if (wrong & inside).any():
            row = first_of(wrong & inside)
            said = what.format(before=times[row - 1], now=times[row])
            raise DataError(f"{table.where(row)}, column {name!r} {said}")
    usual = float(np.median(growth[inside]))
    odd = inside & (np.abs(growth - usual) > _TOLERANCE * usual)
    if odd.any():
        row = first_of(odd)
        steps = growth[row] / usual
        missing = round(steps) - 1
        if missing > 0 and abs(steps - round(steps)) <= _TOLERANCE * steps:
            what = f"a gap, {missing} rows are missing: fill them, or begin a new episode there"
        else:
            what = "unequal sampling: interpolate to equal steps"
        raise DataError(
            f"{table.where(row)}, column {name!r} grows by {growth[row]:g}, elsewhere by "
            f"{usual:g}: {what}"
        )
    return usual


def _terminated(table: Table, name: str | None, last: np.ndarray) -> np.ndarray:
    if name is None:
        return np.zeros_like(last)
    values = table.columns[name]
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        row = first_of(wrong)
        raise DataError(f"{table.where(row)}, column {name!r} is {values[row]:g}: give 0 or 1")
    wrong = (values == 1) & ~last
    if wrong.any():
        row = first_of(wrong)
        raise DataError(
            f"{table.where(row)}, column {name!r} is 1, but the episode goes on after it: name "
            "the column of episodes, or put the flag in their last rows"
        )
    return values == 1
