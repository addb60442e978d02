"""A fitted model as a directory, read back without trust."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx

from beeline.config import Config
from beeline.config._fields import numbers_saved
from beeline.config._unused import plays_a_part
from beeline.forecast._fitting import Fitted
from beeline.forecast._forecaster import Forecaster, Sizes, draw, known_models
from beeline.run._errors import RunError
from beeline.run.directory.config_file import from_json, to_json
from beeline.run.directory.layout import SCHEMA as CONFIG_SCHEMA
from beeline.run.directory.layout import write_json
from beeline.storage import checkpoint
from beeline.storage.untrusted import UntrustedError, parse_json, read_bytes, shorten

SCHEMA = 1
"""Raise this when what is in the directory changes, and keep reading what was written before."""

DESCRIPTION = "forecaster.json"
WEIGHTS = "weights.npz"
ERRORS = "errors.csv"
FIGURE = "errors.png"

_FORMAT = "beeline-forecaster"
_LARGEST = 2**20
_MOST_ENTRIES = 10_000
_MOST_STEPS = 2**31
_NUMBERS = 10_000
"""Sizes in a configuration up to which the weights are not asked whether they bear them out."""


def claim(path: Path, *, overwrite: bool) -> None:
    """Make sure that a model may be written to a directory, without changing what is there.

    Args:
        path: The directory; made if there is none.
        overwrite: Whether another model there may be replaced.

    Raises:
        RunError: If it is a file, holds anything else, or another model that may not be replaced.
    """
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file: name a directory with --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the directory {path}: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunError(f"cannot write to {path}: name another directory with --out")
    if any(path.iterdir()) and not (path / DESCRIPTION).is_file():
        raise RunError(
            f"{path} holds files that are not a fitted model: name another directory with --out"
        )
    if (path / DESCRIPTION).is_file() and not overwrite:
        raise RunError(f"{path} holds another model: replace it with --overwrite, or change --out")


def save(fitted: Fitted, path: Path) -> tuple[Path, ...]:
    """Write a model, its errors and their figure.

    Args:
        fitted: The model and how it did.
        path: The directory, made if there is none.

    Returns:
        The files.
    """
    path.mkdir(parents=True, exist_ok=True)
    # The weights last but for what tells of them: no description is there without its weights.
    (path / DESCRIPTION).unlink(missing_ok=True)
    forecaster = fitted.forecaster
    checkpoint.save(path / WEIGHTS, forecaster.model, {})
    fitted.errors.table().save(path / ERRORS)
    from beeline._drawing import save_figure

    save_figure(fitted.errors.figure(fitted.share), path / FIGURE)
    description = {
        "format": _FORMAT,
        "schema": SCHEMA,
        "state_names": list(forecaster.state_names),
        "action_names": list(forecaster.action_names),
        "action_low": list(forecaster.action_low),
        "action_high": list(forecaster.action_high),
        "longest": forecaster.longest,
        "believed": forecaster.believed,
        "dt": forecaster.dt,
        "config_schema": CONFIG_SCHEMA,
        "config": to_json(forecaster.config),
    }
    write_json(path / DESCRIPTION, description)
    return tuple(path / name for name in (DESCRIPTION, WEIGHTS, ERRORS, FIGURE))


def load(path: str | Path) -> Forecaster:
    """Read a model that `save` wrote, trusting nothing in its files.

    Args:
        path: Its directory.

    Returns:
        The model.

    Raises:
        RunError: If there is none, or a file is damaged, forged, or of another version.
    """
    path = Path(path)
    file = path / DESCRIPTION
    try:
        data = parse_json(read_bytes(file, _LARGEST))
    except FileNotFoundError:
        raise RunError(f"{path} is not a fitted model: it has no {DESCRIPTION}") from None
    except UntrustedError as error:
        raise RunError(f"{file} {error}") from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise RunError(f"{file} does not describe a fitted model")
    if data.get("schema") != SCHEMA or type(data["schema"]) is not int:
        raise RunError(
            f"{file} has schema {shorten(data.get('schema'))}, this version of beeline reads "
            f"{SCHEMA}: fit again, or use the version that wrote it"
        )
    config = from_json(data.get("config"), str(file), data.get("config_schema"))
    if config.model not in known_models():
        raise RunError(f"{file}: {shorten(config.model)} is no model that is fitted to data")
    fields = _Fields(data, file)
    states, actions = fields.texts("state_names"), fields.texts("action_names")
    low = fields.numbers("action_low", len(actions))
    high = fields.numbers("action_high", len(actions))
    longest = fields.whole("longest", 1)
    try:
        peek = checkpoint.peek(path / WEIGHTS)
        _check_sizes(config, max(len(states), len(actions)), file, peek.bytes)
        sizes = Sizes(len(states), len(actions), longest)
        skeleton = eqx.filter_eval_shape(draw, config, sizes)
        model = checkpoint.load(path / WEIGHTS, skeleton).tree
    except checkpoint.CheckpointError as error:
        raise RunError(str(error)) from None
    dt = None if data.get("dt") is None else fields.number("dt", data["dt"])
    believed = fields.whole("believed", 0)
    return Forecaster(model, config, states, actions, low, high, longest, believed, dt)


def _check_sizes(config: Config, entries: int, file: Path, size: int) -> None:
    # Shaping a model takes the time and memory that its sizes ask for: a file that is too small to
    # hold it is not worth them.
    sizes = {path: n for path, n in numbers_saved(config) if plays_a_part(path, config)}
    for path, count in {**sizes, "names": entries}.items():
        if count > max(size // 4, _NUMBERS):
            raise RunError(f"{file}: {path} is larger than weights of {size} bytes can hold")


class _Fields:
    """Takes fields of a description, each checked."""

    def __init__(self, data: dict[str, Any], file: Path) -> None:
        self._data, self._file = data, file

    def texts(self, name: str) -> tuple[str, ...]:
        return self._list(name, "texts", lambda x: isinstance(x, str) and len(x) <= 1000)

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        values = self._list(name, "finite numbers", _is_number)
        if len(values) != count:
            raise RunError(f"{self._file}: {name} has {len(values)} entries, not {count}")
        return tuple(float(value) for value in values)

    def number(self, name: str, value: Any) -> float:
        if not _is_number(value):
            raise RunError(f"{self._file}: {name} is {shorten(value)}, not a finite number")
        return float(value)

    def whole(self, name: str, least: int) -> int:
        value = self._data.get(name)
        if type(value) is not int or not least <= value <= _MOST_STEPS:
            raise RunError(f"{self._file}: {name} is {shorten(value)}, not an integer from {least}")
        return value

    def _list(self, name: str, what: str, allowed: Callable[[Any], bool]) -> tuple[Any, ...]:
        values = self._data.get(name)
        if not isinstance(values, list) or not 0 < len(values) <= _MOST_ENTRIES:
            raise RunError(f"{self._file}: {name} is not a list of 1 to {_MOST_ENTRIES} {what}")
        for value in values:
            if not allowed(value):
                raise RunError(f"{self._file}: {name} holds {shorten(value)}: {what} belong there")
        return tuple(values)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
