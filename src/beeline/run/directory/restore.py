"""The last good state of a run, whoever wrote its files."""

import contextlib
import dataclasses
import hashlib
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from beeline.build import NO_DRAWS, Draws, build
from beeline.config import BASELINES, Config
from beeline.config._fields import numbers_saved
from beeline.config._unused import plays_a_part
from beeline.run._errors import RunError, RunWarning
from beeline.run.directory import layout as files
from beeline.run.directory.config_file import from_json, to_json
from beeline.run.directory.keeper import Position
from beeline.run.directory.records import parse_rows, total
from beeline.storage import checkpoint
from beeline.storage.untrusted import UntrustedError, opened, shorten
from beeline.training.algorithm import Algorithm, State

_DEVICES = 1024
_NUMBERS = 10_000
"""Sizes in a configuration up to which no file is asked whether it bears them out."""


class Restored(NamedTuple):
    """A run as of its last good checkpoint."""

    state: State
    rows: list[dict[str, Any]]
    position: Position
    about: dict[str, Any]
    """What its checkpoint says, of which the versions and devices are for others to judge."""


def restore(
    folder: Path, config: Config, algorithm: Algorithm, draws: Draws = NO_DRAWS
) -> Restored | None:
    """Read the last good state of a run, with room for all iterations that its config asks for.

    Args:
        folder: Its directory.
        config: Its configuration.
        algorithm: What trains, built for it.
        draws: What the user draws.

    Returns:
        The state and its records; None if the run has no checkpoint yet.

    Raises:
        RunError: If neither the last checkpoint nor the one before it can be used.
    """
    faults: list[str] = []
    for file in _checkpoints(folder):
        try:
            restored = _restore(folder, file, config, algorithm, draws)
        except (RunError, checkpoint.CheckpointError) as error:
            faults.append(str(error))
            continue
        if faults:
            back = f"going back to {file.name}, {restored.position.iterations} iterations"
            warnings.warn(f"{faults[0]}: {back}", RunWarning, stacklevel=2)
        return restored
    if faults:
        raise RunError(faults[0])
    return None


def devices_then(folder: Path) -> int | None:
    """Read how many devices shared the work of a run, before JAX looks for any.

    Args:
        folder: Its directory.

    Returns:
        Their number; None if there is no checkpoint that says so.
    """
    for file in _checkpoints(folder):
        with contextlib.suppress(checkpoint.CheckpointError):
            devices = checkpoint.peek(file).about.get("devices")
            return devices if type(devices) is int and 1 <= devices <= _DEVICES else None
    return None


def _checkpoints(folder: Path) -> list[Path]:
    # The newest first; a crash between two renames leaves only the one before it.
    both = [folder / name for name in (files.CHECKPOINT, files.PREVIOUS)]
    return [file for file in both if file.exists() or file.is_symlink()]


def _restore(
    folder: Path, file: Path, config: Config, algorithm: Algorithm, draws: Draws
) -> Restored:
    peek = checkpoint.peek(file)
    then = _config_then(folder, file, peek, config)
    _check_sizes(then, folder, file, peek)
    builder = algorithm if then == config else build(then, algorithm.env, draws)
    loaded = checkpoint.load(file, builder.saved_skeleton(peek.arrays.keys()))
    state: State = loaded.tree
    iterations = _count(file, loaded.about, "iterations", then.iterations)
    rows, position = _records(folder, file, loaded.about, iterations, config.seeds)
    episodes = builder.episodes_kept(state)
    seen = then.warmup_episodes + iterations - total(rows, "discarded_episodes", config.seeds)
    if episodes is not None and (episodes != seen).any():
        raise RunError(f"{file}: iterations is {iterations}, but 'buffer.count' says otherwise")
    if then != config and builder.can_go_on(state):
        state = algorithm.enlarged(state)
    return Restored(state, rows, position, loaded.about)


def _config_then(folder: Path, file: Path, peek: checkpoint.Peek, config: Config) -> Config:
    about = peek.about
    if "config" not in about:
        # Schema 1 has it beside the checkpoint only, where the run may have been made longer.
        room = config.warmup_episodes + config.iterations
        match peek.arrays.get("buffer.states"):
            case {"shape": [int(), int(episodes), *_]} if config.warmup_episodes < episodes < room:
                return dataclasses.replace(config, env_steps=episodes * config.horizon)
        return config
    then = from_json(about["config"], f"{file}: config", about.get("schema"))
    ours, theirs = _flat(to_json(config)), _flat(to_json(then))
    for field, value in ours.items():
        if theirs[field] != value and (field != "env_steps" or theirs[field] > value):
            raise RunError(
                f"{folder / files.CONFIG}: {field} is {value}, but {file} was saved with "
                f"{theirs[field]}: put the file back as it was"
            )
    return dataclasses.replace(config, env_steps=then.env_steps)


def _flat(group: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in group.items():
        inner = _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else None
        flat |= {prefix + name: value} if inner is None else inner
    return flat


def _check_sizes(config: Config, folder: Path, file: Path, peek: checkpoint.Peek) -> None:
    # Shaping the state takes time and memory that the configuration asks for: a file that is
    # too small to hold such a state is not worth them.
    sizes = {path: numbers for path, numbers in numbers_saved(config) if plays_a_part(path, config)}
    if config.model not in BASELINES:
        sizes["env_steps"] = config.env_steps * config.seeds
    for path, numbers in sizes.items():
        if numbers > max(peek.bytes // 4, _NUMBERS):
            raise RunError(
                f"{folder / files.CONFIG}: {path} is larger than {file} of {peek.bytes} bytes "
                "can hold"
            )


def _count(file: Path, group: Any, field: str, most: int) -> int:
    value = group.get(field) if isinstance(group, dict) else None
    if type(value) is not int or not 0 <= value <= most:
        raise RunError(f"{file}: {field} is {shorten(value)}, not an integer from 0 to {most}")
    return value


def _records(
    folder: Path, file: Path, about: dict[str, Any], iterations: int, seeds: int
) -> tuple[list[dict[str, Any]], Position]:
    records = folder / files.METRICS
    most = iterations * 4096 * (1 + seeds)
    stated = about.get("records")
    length = most if stated is None else _count(file, stated, "bytes", most)
    try:
        with opened(records) as (source, size):
            if stated is not None and size < length:
                raise UntrustedError(f"has {size} bytes, fewer than the {length} of {file}")
            content = source.read(length)
        if stated is None:
            # Schema 1 does not say how far its records go.
            content = b"".join(content.splitlines(keepends=True)[:iterations])
        digest = hashlib.sha256(content).hexdigest()
        if stated is not None and stated.get("sha256") != digest:
            raise UntrustedError(f"does not have the checksum that {file} gives")
    except FileNotFoundError:
        raise RunError(f"{records} is missing") from None
    except UntrustedError as error:
        raise RunError(f"{records} {error}") from error
    rows = parse_rows(content, records, seeds)
    if len(rows) != iterations:
        raise RunError(f"{records} has {len(rows)} whole lines, not the {iterations} of {file}")
    return rows, Position(iterations, len(content), digest)
