"""Grid files: which runs an experiment consists of.

A grid file is TOML. Each scale is a list of blocks, and a block is every combination of its
entries:

    [[reduced]]
    tasks = ["harvest", "hiv-treatment"]  # the paper's eight if left out
    horizons = [20, 500]
    models = ["transformer-awm", "markov"]
    variants = ["default", "default improvement.through_policy=1.0"]
    seeds = 3

A task is a name, of those that installed packages name too, or `module:Name` of an environment: a
grid file says what to import, as a command line does, so that nobody should run one of a stranger.

The variants of a block are tried against each other, and the best counts. What is to be told apart
stands in blocks of its own, with a `label`. A variant is a preset, followed by fields of the
configuration that differ from it, as JSON without spaces: its name says all that there is to know.
One thing is the same in all of them: a number that is not finite is left out, counted and shown
(`nonfinite=skip`), unless a variant says otherwise.
"""

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from beeline._choices import choose
from beeline.config import BASELINES, Config, preset
from beeline.envs import Environment
from beeline.envs._given import fields_of, given_environment
from beeline.envs._registry import ENTRIES
from beeline.run.directory.config_file import from_json, to_json
from beeline.run.directory.layout import SCHEMA

TASKS = (
    "cancer-treatment", "bioreactor", "mould-fungicide", "bacteria",
    "harvest", "invasive-plant", "hiv-treatment", "timber-harvest",
)  # fmt: skip
"""The paper's benchmark, in the paper's order."""

NONFINITE = "skip"
"""What every run of a world model does about a number that is not finite."""

_FIXED = ("task", "environment", "horizon", "model", "preset", "seed", "seeds")
_KEYS = {
    "label": str,
    "tasks": str,
    "horizons": int,
    "models": str,
    "variants": str,
    "seeds": int,
}


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
    def env(self) -> Environment | None:
        """What it trains on, where that is not a task of the library.

        Returns:
            The environment; None for a task, which its name tells.

        Raises:
            ValueError: If there is no such environment.
        """
        if self.task in ENTRIES:
            return None
        return given_environment(self.task, horizon=self.horizon)

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
        data |= dict(self._always)
        env = self.env
        if env is not None:
            data |= fields_of(env, self.task)
        groups = {key: value for key, value in data.items() if isinstance(value, dict)}
        places = {
            f"{group}.{key}": (groups[group], key) for group in groups for key in groups[group]
        }
        places |= {key: (data, key) for key in data if key not in {*groups, *_FIXED}}
        for field in fields:
            path, _, text = field.partition("=")
            place, key = choose("field", path, places)
            place[key] = _value(text)
        return from_json(data, f"the cell {self} cannot run", SCHEMA)

    @property
    def arguments(self) -> list[str]:
        """The command line that trains it.

        Returns:
            What follows `beeline`, without a directory.
        """
        name, *fields = self.variant.split()
        given = {field.partition("=")[0] for field in fields}
        always = [f"{name}={value}" for name, value in self._always if name not in given]
        changed = [argument for field in (*fields, *always) for argument in _flag(field)]
        said = f"train {self.task} --horizon {self.horizon} --model {self.model} --preset {name}"
        return [*said.split(), *changed, "--seed", str(self.seed)]

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
        task = self.task.replace(":", "-")
        return f"{task}-h{self.horizon}-{self.model}-{variant}-seed{self.seed}"

    @property
    def _always(self) -> tuple[tuple[str, str], ...]:
        return () if self.model in BASELINES else (("nonfinite", NONFINITE),)

    def __str__(self) -> str:
        return f"{self.task} H={self.horizon} {self.model}, {self.variant}, seed {self.seed}"


class Block(NamedTuple):
    """Every combination of its entries; its variants are tried against each other."""

    label: str
    """What sets it apart from other blocks; may be empty."""
    tasks: tuple[str, ...]
    horizons: tuple[int, ...]
    models: tuple[str, ...]
    variants: tuple[str, ...]
    seeds: int

    @property
    def cells(self) -> list[Cell]:
        """List its runs.

        Returns:
            Every combination.
        """
        return [
            Cell(task, horizon, model, variant, seed)
            for task in self.tasks
            for horizon in self.horizons
            for model in self.models
            for variant in self.variants
            for seed in range(self.seeds)
        ]


def read_blocks(file: Path, scale: str) -> list[Block]:
    """Read a scale of a grid.

    Args:
        file: The grid file.
        scale: Which of its scales.

    Returns:
        Its blocks.

    Raises:
        GridError: If the file is not a grid, lacks the scale, or has a cell that cannot run.
    """
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8")).get(scale)
    except (OSError, ValueError) as error:
        raise GridError(f"{file} cannot be read as a grid: {error}") from None
    if not isinstance(entries, list) or not entries:
        raise GridError(f"{file} has no [[{scale}]]: add a block, or choose another scale")
    blocks, checked = [], set()
    for number, entry in enumerate(entries, 1):
        try:
            blocks.append(_block(entry))
            _check(blocks[-1], checked)
        except (TypeError, ValueError) as error:
            raise GridError(f"{file}, [[{scale}]] number {number}: {error}") from None
    return blocks


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
    cells = (cell for block in read_blocks(file, scale) for cell in block.cells)
    return sorted(dict.fromkeys(cells), key=lambda cell: (cell.seed, cell.horizon))


def _block(entry: dict[str, Any]) -> Block:
    given = {"label": "", "tasks": list(TASKS)} | entry
    for name in (*given, *_KEYS):
        if name not in _KEYS:
            raise ValueError(f"unknown entry {name!r}: choose from {', '.join(_KEYS)}")
        _check_entry(name, given.get(name))
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return Block(label=given["label"], seeds=given["seeds"], **lists)


def _check(block: Block, checked: set[Any]) -> None:
    for cell in block.cells:
        parts = {cell.task, (cell.horizon, cell.variant), (cell.model, cell.variant)}
        if not parts <= checked:
            # Raises for what cannot run.
            _ = cell.config
            checked |= parts


def _check_entry(name: str, value: Any) -> None:
    kind = _KEYS[name]
    alone = name in ("label", "seeds")
    entries = [value] if alone else value
    if not isinstance(entries, list) or not entries or any(type(e) is not kind for e in entries):
        wanted = kind.__name__ if alone else f"a list of {kind.__name__}"
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
