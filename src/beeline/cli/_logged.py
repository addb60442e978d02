"""Logged data on the command line: which columns to read, and what came of learning from it."""

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beeline.cli._commands import Columns, Train
from beeline.cli._messages import warnings_in_one_line
from beeline.cli._mistakes import CommandError, mistakes
from beeline.config import Config

if TYPE_CHECKING:
    from beeline.data import Episodes

_KNOWN = "known"


def read_logged(command: Columns, path: Path) -> "Episodes":
    """Read the data that a command names.

    Args:
        command: Says which columns to read.
        path: The file.

    Returns:
        The episodes.

    Raises:
        CommandError: If the data or an option cannot be used.
    """
    with mistakes():
        low = _bound("action-low", command.action_low)
        high = _bound("action-high", command.action_high)
    # Importing it imports JAX.
    from beeline.data import DataError, read
    from beeline.run._errors import RunError
    from beeline.run.directory.layout import expand

    try:
        with warnings_in_one_line():
            return read(
                expand(path),
                states=_names(command.states),
                actions=_names(command.actions),
                episode=command.episode,
                step=command.step,
                reward=command.reward_column,
                terminated=command.terminated,
                action_low=low,
                action_high=high,
            )
    except (DataError, RunError) as error:
        raise CommandError(str(error)) from None


def data_of(command: Train) -> tuple[Train, dict[str, Any]]:
    """Find what a run learns from, if that is data.

    Args:
        command: What to train.

    Returns:
        The command as one without data has it, and what to hand to `beeline.train`.

    Raises:
        CommandError: If the data or an option cannot be used.
    """
    columns = {field.name for field in dataclasses.fields(Columns)}
    path = command.data
    if path is None:
        given = sorted(name for name in columns if getattr(command, name) != getattr(Columns, name))
        given += ["offline"] * command.offline + ["caution"] * (command.caution != Train.caution)
        if given:
            flag = given[0].replace("_", "-")
            raise CommandError(f"--{flag} is for logged data: name the file with --data")
        return command, {}
    if not command.task and not command.offline:
        raise CommandError(
            "--data without --offline goes on in a simulator: name the task, or add --offline"
        )
    reward = None
    if ":" in command.reward:
        from beeline.run._system_file import reward_of_module

        with mistakes():
            reward = reward_of_module(command.reward)
        command = dataclasses.replace(command, reward=_KNOWN)
    # The data is the warm-up, however long that of the preset is.
    exploration = dataclasses.replace(command.exploration, warmup_steps=0)
    command = dataclasses.replace(command, exploration=exploration)
    episodes = read_logged(command, path)
    more = {"offline": command.offline, "reward": reward, "caution": command.caution}
    return command, {"data": episodes, **more}


def directory_of(command: Train, name: str, config: Config) -> Path:
    """Name the directory of a run that was given none.

    Args:
        command: What to train.
        name: Its task; empty for data alone.
        config: The run.

    Returns:
        The directory.
    """
    made_of = f"h{config.horizon}-{config.model}"
    if command.data is not None and command.offline:
        made_of = f"{command.data.stem}-offline"
    slug = "-".join(re.sub(r"[^\w.-]", "-", part) for part in (name, made_of) if part)
    return Path("runs", f"{slug}-seed{config.seed}")


def print_judgement(summary: dict[str, Any]) -> None:
    """Print what policies that were learned from data alone are worth.

    Args:
        summary: The run's.
    """
    found = summary["offline"]
    steps = summary["imagined_steps"]
    print(f"training  0 environment steps, {steps} imagined, in {summary['wall_seconds']:.1f} s")
    for i, seed in enumerate(summary["seeds"]):
        of = {name: values[i] for name, values in found.items()}
        best = of["behaviour_best"]
        at_best = "" if best is None else f", {best:.6g} at best"
        print(f"seed {seed}")
        print(f"  behaviour  {of['behaviour_mean']:.6g} in the mean{at_best}")
        print(f"  imagined   {of['imagined_mean']:.6g}, with caution {of['cautious_mean']:.6g}")
        if of["true_mean"] is not None:
            print(f"  true       {of['true_mean']:.6g} ± {of['true_error']:.2g} in the simulator")
        left = of["left_data_at"]
        stay = "most episodes stay" if left is None else f"most episodes leave it by step {left}"
        print(f"  leaving    {of['beyond_data']:.1%} of steps are beyond the data; {stay}")
        for name, share in zip(summary["state_names"], of["at_the_edge"], strict=True):
            if share:
                print(
                    f"             {name} at the edge of the data's range in {share:.1%} of steps"
                )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _bound(flag: str, text: str | None) -> Any:
    try:
        return None if text is None else [float(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"{flag} is {text!r}: give numbers with commas between") from None
