"""Grid files: which runs an experiment consists of.

A grid file is TOML. Each scale is a list of blocks, and a block is every combination of its
entries:

    [[reduced]]
    tasks = ["harvest", "hiv-treatment"]  # the paper's eight if left out
    horizons = [20, 500]
    models = ["transformer-awm", "markov"]
    variants = ["default", "default improvement.through_policy=1.0"]
    seeds = 3

A variant is a preset, followed by fields of the configuration that differ from it, as JSON
without spaces: its name says all that there is to know.
"""

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from beeline._choices import choose
from beeline.config import Config, preset
from beeline.run._config_file import from_json, to_json

TASKS = (
    "cancer-treatment", "bioreactor", "mould-fungicide", "bacteria",
    "harvest", "invasive-plant", "hiv-treatment", "timber-harvest",
)  # fmt: skip
"""The paper's benchmark, in the paper's order."""

_FIXED = ("task", "horizon", "model", "preset", "seed", "seeds")
_ENTRIES = {"tasks": str, "horizons": int, "models": str, "variants": str, "seeds": int}


class GridError(ValueError):
    """A grid file or results that cannot be used; the message says why in one line."""


class Cell(NamedTuple):
    """One training run."""

    task: str
    horizon: int
    model: str
    variant: str
    seed: int

    @property
    def config(self) -> Config:
        """What it is.

        Returns:
            The configuration of the run.

        Raises:
            ValueError: If there is no such run.
        """
        name, *fields = self.variant.split() or [""]
        data = to_json(preset(name))
        data |= {name: getattr(self, name) for name in ("task", "horizon", "model", "seed")}
        groups = {key: value for key, value in data.items() if isinstance(value, dict)}
        places = {
            f"{group}.{key}": (groups[group], key) for group in groups for key in groups[group]
        }
        places |= {key: (data, key) for key in data if key not in {*groups, *_FIXED}}
        for field in fields:
            path, _, text = field.partition("=")
            place, key = choose("field", path, places)
            place[key] = _value(text)
        return from_json(data, f"the cell {self} cannot run")

    @property
    def arguments(self) -> list[str]:
        """The command line that trains it.

        Returns:
            What follows `beeline`, without a directory.
        """
        name, *fields = self.variant.split()
        changed = [argument for field in fields for argument in _flag(field)]
        given = f"train {self.task} --horizon {self.horizon} --model {self.model} --preset {name}"
        return [*given.split(), *changed, "--seed", str(self.seed)]

    @property
    def command(self) -> str:
        """The same as one line for people to repeat.

        Returns:
            The command.
        """
        return shlex.join(["beeline", *self.arguments])

    @property
    def slug(self) -> str:
        """A name for its files.

        Returns:
            The name.
        """
        variant = self.variant.replace(" ", "_")
        return f"{self.task}-h{self.horizon}-{self.model}-{variant}-seed{self.seed}"

    def __str__(self) -> str:
        return f"{self.task} H={self.horizon} {self.model}, {self.variant}, seed {self.seed}"


def read_grid(file: Path, scale: str) -> list[Cell]:
    """List the runs of a grid, seed by seed, so that one cut short is complete in its first seeds.

    Args:
        file: The grid file.
        scale: Which of its scales.

    Returns:
        Every run once.

    Raises:
        GridError: If the file is not a grid, lacks the scale, or has a cell that cannot run.
    """
    try:
        blocks = tomllib.loads(file.read_text(encoding="utf-8")).get(scale)
    except (OSError, ValueError) as error:
        raise GridError(f"{file} cannot be read as a grid: {error}") from None
    if not isinstance(blocks, list) or not blocks:
        raise GridError(f"{file} has no [[{scale}]]: add a block, or choose another scale")
    cells: dict[Cell, None] = {}
    for number, block in enumerate(blocks, 1):
        try:
            cells |= dict.fromkeys(_cells_of(block))
        except ValueError as error:
            raise GridError(f"{file}, [[{scale}]] number {number}: {error}") from None
    return sorted(cells, key=lambda cell: (cell.seed, cell.horizon))


def _cells_of(block: dict[str, Any]) -> list[Cell]:
    block = {"tasks": list(TASKS), **block}
    for name in (*block, *_ENTRIES):
        if name not in _ENTRIES:
            raise ValueError(f"unknown entry {name!r}: choose from {', '.join(_ENTRIES)}")
        _check_entry(name, block.get(name))
    cells = [
        Cell(task, horizon, model, variant, seed)
        for task in block["tasks"]
        for horizon in block["horizons"]
        for model in block["models"]
        for variant in block["variants"]
        for seed in range(block["seeds"])
    ]
    checked = set()
    for cell in cells:
        parts = {cell.task, (cell.horizon, cell.variant), (cell.model, cell.variant)}
        if not parts <= checked:
            # Raises for what cannot run.
            _ = cell.config
            checked |= parts
    return cells


def _check_entry(name: str, value: Any) -> None:
    kind = _ENTRIES[name]
    entries = [value] if name == "seeds" else value
    if not isinstance(entries, list) or not entries or any(type(e) is not kind for e in entries):
        wanted = "an integer" if name == "seeds" else f"a list of {kind.__name__}"
        raise ValueError(f"{name} is {value!r}: give {wanted}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _flag(field: str) -> list[str]:
    path, _, text = field.partition("=")
    *group, name = path.replace("_", "-").split(".")
    value = _value(text)
    if isinstance(value, bool):
        return ["--" + ".".join([*group, name if value else f"no-{name}"])]
    values = value if isinstance(value, list) else [text]
    return ["--" + ".".join([*group, name]), *map(str, values)]
