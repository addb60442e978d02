"""Run `python -m benchmarks speed`, `compare`, `table`, `exports` or `soak`."""

from pathlib import Path

import tyro
from tyro.conf import Positional

from beeline.config import MODELS
from benchmarks import exports as _exports
from benchmarks import soak as _soak
from benchmarks import speed as _speed
from benchmarks.cases import OPERATIONS


def speed(
    models: tuple[str, ...] = tuple(MODELS),
    horizons: tuple[int, ...] = (20, 100, 500, 2000),
    operations: tuple[str, ...] = tuple(OPERATIONS),
    out: Path | None = None,
    together: int = 1,
) -> None:
    """Time, memory and compile time of each operation, every case in its own process.

    Args:
        models: World models to measure.
        horizons: Steps in an episode.
        operations: What to measure.
        out: JSON file to write.
        together: How many cases compile side by side, where cores are to spare; each is timed
            alone.
    """
    _speed.run(list(models), list(horizons), list(operations), out, together)


def compare(before: Positional[Path], after: Positional[Path]) -> None:
    """Set two files that `speed` wrote side by side.

    Args:
        before: The earlier.
        after: The later.
    """
    _speed.compare(before, after)


def table(files: Positional[tuple[Path, ...]]) -> None:
    """Print what `speed` wrote as a Markdown table.

    Args:
        files: Files of one machine.
    """
    print(_speed.markdown(files))


def exports(task: str = "cart-pole", horizon: int = 100, batch: int = 256) -> None:
    """Print the time of an action in each form that a policy is exported to.

    Args:
        task: Name of the task; the policy is an untrained one of the default preset.
        horizon: Steps in an episode.
        batch: How many states at once.
    """
    _exports.run(task, horizon, batch)


def soak(minutes: float = 60.0, seed: int = 0, out: Path | None = None) -> None:
    """Train, kill, resume, evaluate and plot in a loop, and count what goes wrong.

    Args:
        minutes: How long; the round under way is finished.
        seed: Seed of the order, the instants of the kills and the damage to files.
        out: JSON file to write.
    """
    _soak.run(minutes, seed, out)


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict(
        {"speed": speed, "compare": compare, "table": table, "exports": exports, "soak": soak},
        prog="python -m benchmarks",
    )
