"""One run as a directory: what its files are called, and who may write over them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beeline.config import Config
from beeline.run._errors import RunError
from beeline.run.directory.config_file import from_json, to_json
from beeline.run.directory.lock import LOCK
from beeline.storage.atomic import remove_leftovers, replacing
from beeline.storage.untrusted import UntrustedError, parse_json, read_bytes, shorten

SCHEMA = 3
"""Raise this when what is in a run directory changes, and keep reading what was written before.

1: no checkpoint of before. 2: the checkpoint knows the configuration and its records.
3: environments of one's own, other references, several episodes of evaluation.
"""

CONFIG = "config.json"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
CHECKPOINT = "checkpoint.npz"
PREVIOUS = "checkpoint-previous.npz"
LEARNING_CURVE = "learning_curve.png"
TRAJECTORIES = "trajectories.png"
DATA = "data.json"
SYSTEM = "system.npz"
LEAVING = "leaving_data.csv"

_OF_DATA = (DATA, SYSTEM, LEAVING)
_WRITTEN = (SUMMARY, CHECKPOINT, PREVIOUS, METRICS, LEARNING_CURVE, TRAJECTORIES, *_OF_DATA, CONFIG)
_FORMAT = "beeline-run"
_LARGEST = 2**20


def expand(path: str | Path) -> Path:
    """Take a path as a shell does, which may have left that to us.

    Args:
        path: The path.

    Returns:
        The same, with a home directory in place of `~`.

    Raises:
        RunError: If there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise RunError(f"{path}: there is no such home directory: give the whole path") from None


def claim(path: Path, *, overwrite: bool) -> None:
    """Make sure that a run may be written to a directory, without changing what is there.

    Args:
        path: The directory; made if there is none.
        overwrite: Whether another run there may be replaced.

    Raises:
        RunError: If there is another run and it may not be replaced, or anything else that
            is not a run at all.
    """
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file: name a directory with --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the directory {path}: {error.strerror}") from error
    occupied = any(not _is_ours(file.name) for file in path.iterdir())
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunError(f"cannot write to {path}: name another directory with --out")
    if occupied and not _is_run(path):
        raise RunError(f"{path} holds files that are not a run: name another directory with --out")
    if occupied and not overwrite:
        raise RunError(
            f"{path} holds another run: replace it with --overwrite, or change --out; "
            "beeline resume continues one"
        )


def begin(path: Path, config: Config) -> None:
    """Remove what an older run wrote, and write down what this one is.

    Files that no run writes are left alone.

    Args:
        path: The directory, claimed.
        config: The new run.
    """
    for name in _WRITTEN:
        remove_leftovers(path / name)
        # What is left if this is cut short is a run, not files that are none.
        if name != CONFIG:
            (path / name).unlink(missing_ok=True)
    write_config(path, config)


def write_config(path: Path, config: Config) -> None:
    """Write down what a run is.

    Args:
        path: Its directory.
        config: The run.
    """
    write_json(path / CONFIG, {"format": _FORMAT, "schema": SCHEMA, "config": to_json(config)})


def reopen(path: Path, config: Config) -> None:
    """Make a run one that has not ended, and may be longer than before.

    Args:
        path: The directory, locked.
        config: The run as it is to be.
    """
    for name in _WRITTEN:
        remove_leftovers(path / name)
    (path / SUMMARY).unlink(missing_ok=True)
    write_config(path, config)


def read_config(path: Path) -> Config:
    """Read what a run is.

    Args:
        path: Its directory.

    Returns:
        Its configuration.

    Raises:
        RunError: If there is no run, or one that this version cannot read.
    """
    if not path.is_dir():
        raise RunError(f"there is no run directory {path}")
    file = path / CONFIG
    try:
        data = _read_json(file)
    except FileNotFoundError:
        raise RunError(f"{path} is not a run: it has no {CONFIG}") from None
    if data.get("format") != _FORMAT:
        raise RunError(f"{file} does not describe a run")
    schema = data.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise RunError(
            f"{file} has schema {shorten(schema)}, this version of beeline reads 1 to {SCHEMA}: "
            "train again, or use the version that wrote it"
        )
    return from_json(data.get("config"), str(file), schema)


def read_summary(path: Path) -> dict[str, Any] | None:
    """Read how a run ended.

    Args:
        path: Its directory.

    Returns:
        The summary, or None for a run that has not ended.

    Raises:
        RunError: If the file is damaged.
    """
    try:
        return _read_json(path / SUMMARY)
    except FileNotFoundError:
        return None


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file for people to read, whole or not at all.

    Args:
        path: The file.
        data: What to write.
    """
    with replacing(path) as file:
        file.write((json.dumps(data, indent=2, allow_nan=False) + "\n").encode())


def _is_run(path: Path) -> bool:
    try:
        return _read_json(path / CONFIG).get("format") == _FORMAT
    except (FileNotFoundError, RunError):
        return False


def _is_ours(name: str) -> bool:
    # The lock, and what a process that was killed has left of a file.
    written, _, process = name[1:].rpartition(".")
    return name == LOCK or (name[:1] == "." and written in _WRITTEN and process.isdigit())


def _read_json(file: Path) -> dict[str, Any]:
    try:
        data = parse_json(read_bytes(file, _LARGEST))
    except UntrustedError as error:
        raise RunError(f"{file} {error}") from error
    if not isinstance(data, dict):
        raise RunError(f"{file} does not hold a JSON object")
    return data
