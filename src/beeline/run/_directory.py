"""One run as a directory: what its files are called, and who may write over them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beeline._atomic import replacing
from beeline.config import Config
from beeline.run._config_file import from_json, to_json
from beeline.run._errors import RunError

SCHEMA = 1
"""Raise this when run directories written before can no longer be read."""

CONFIG = "config.json"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
CHECKPOINT = "checkpoint.npz"
LEARNING_CURVE = "learning_curve.png"
TRAJECTORIES = "trajectories.png"

_WRITTEN = (CONFIG, METRICS, SUMMARY, CHECKPOINT, LEARNING_CURVE, TRAJECTORIES)
_FORMAT = "beeline-run"


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
        occupied = any(path.iterdir())
    except OSError as error:
        raise RunError(f"cannot make the directory {path}: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunError(f"cannot write to {path}: name another directory with --out")
    if occupied and not _is_run(path):
        raise RunError(f"{path} holds files that are not a run: name another directory with --out")
    if occupied and not overwrite:
        raise RunError(f"{path} holds another run: replace it with --overwrite, or change --out")


def begin(path: Path, config: Config) -> None:
    """Remove what an older run wrote, and write down what this one is.

    Files that no run writes are left alone.

    Args:
        path: The directory, claimed.
        config: The new run.
    """
    for name in _WRITTEN:
        (path / name).unlink(missing_ok=True)
    write_json(path / CONFIG, {"format": _FORMAT, "schema": SCHEMA, "config": to_json(config)})


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
    if not file.exists():
        raise RunError(f"{path} is not a run: it has no {CONFIG}")
    data = _read_json(file)
    if data.get("format") != _FORMAT:
        raise RunError(f"{file} does not describe a run")
    if data.get("schema") != SCHEMA:
        raise RunError(
            f"{file} has schema {data.get('schema')!r}, this version of beeline reads {SCHEMA}: "
            "train again, or use the version that wrote it"
        )
    return from_json(data.get("config"), str(file))


def read_summary(path: Path) -> dict[str, Any] | None:
    """Read how a run ended.

    Args:
        path: Its directory.

    Returns:
        The summary, or None for a run that has not ended.

    Raises:
        RunError: If the file is damaged.
    """
    file = path / SUMMARY
    return _read_json(file) if file.exists() else None


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
    except (OSError, RunError):
        return False


def _read_json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{file} is truncated or not JSON ({error})") from error
    if not isinstance(data, dict):
        raise RunError(f"{file} does not hold a JSON object")
    return data
