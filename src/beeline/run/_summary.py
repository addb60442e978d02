"""How a run ended, in one file of its directory."""

from pathlib import Path
from typing import Any

from beeline.config import Config
from beeline.run._errors import RunError
from beeline.run._reference import Reference
from beeline.run.directory import layout as files
from beeline.run.directory.keeper import Keeper
from beeline.run.directory.records import known, total
from beeline.storage.untrusted import shorten
from beeline.training.algorithm import seeds_of


def summarise(
    config: Config,
    rows: list[dict[str, Any]],
    reference: Reference,
    compile_seconds: float,
    keeper: Keeper,
    origin: dict[str, Any],
    *,
    evaluation_episodes: int,
) -> dict[str, Any]:
    """Say how a run ended.

    Args:
        config: The run.
        rows: Its records.
        reference: What returns are compared with.
        compile_seconds: What compiling took.
        keeper: What stored it on disk.
        origin: Where the result comes from.
        evaluation_episodes: Episodes that a policy was measured in after each iteration.

    Returns:
        What `summary.json` holds.
    """
    return {
        "schema": files.SCHEMA,
        "task": config.task,
        "horizon": config.horizon,
        "model": config.model,
        "preset": config.preset,
        "seeds": seeds_of(config),
        "env_steps": rows[-1]["env_steps"],
        "iterations": len(rows),
        **_steps(config, rows, evaluation_episodes),
        "wall_seconds": rows[-1]["wall_seconds"],
        "compile_seconds": round(compile_seconds, 3),
        "saves": keeper.saves,
        "save_seconds": round(keeper.save_seconds, 3),
        "checkpoint_bytes": keeper.save_bytes,
        "return": rows[-1]["return"],
        "normalized_return": rows[-1]["normalized_return"],
        **{name: rows[-1][name] for name in ("violation", "violated_steps") if name in rows[-1]},
        "skipped_updates": total(rows, "skipped_updates", config.seeds).astype(int).tolist(),
        "optimal_return": reference.best_return,
        "random_return": known(reference.random_return),
        **origin,
    }


def _steps(config: Config, rows: list[dict[str, Any]], evaluation_episodes: int) -> dict[str, Any]:
    # Those of a simulator are counted, and others computed.
    if "simulator_steps" not in rows[-1]:
        return {"evaluation_steps": len(rows) * config.horizon * evaluation_episodes}
    names = "simulator_steps", "simulator_evaluation_steps", "simulator_failures"
    counted = {name: total(rows, name, config.seeds).astype(int).tolist() for name in names}
    return {"evaluation_steps": max(counted["simulator_evaluation_steps"]), **counted}


def check_summary(
    file: Path, summary: dict[str, Any], config: Config, last: dict[str, Any]
) -> None:
    """Refuse a summary that is not that of its run.

    Args:
        file: The summary's file, for errors.
        summary: What it holds.
        config: The run.
        last: The run's last record.

    Raises:
        RunError: If they contradict each other.
    """
    expected = {name: getattr(config, name) for name in ("task", "horizon", "model", "preset")}
    expected |= {name: last[name] for name in ("env_steps", "return", "normalized_return")}
    expected |= {"seeds": seeds_of(config), "iterations": last["iteration"]}
    for name, value in expected.items():
        if name not in summary or summary[name] != value:
            raise RunError(f"{file}: {name} is {shorten(summary.get(name))}, not that of the run")
    for name in ("optimal_return", "random_return", "wall_seconds", "compile_seconds"):
        unknown = name.endswith("_return") and summary.get(name, 0) is None
        if type(summary.get(name)) not in (int, float) and not unknown:
            raise RunError(f"{file}: {name} is {shorten(summary.get(name))}, not a number")
