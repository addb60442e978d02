"""Train, kill, resume, evaluate, plot and read damaged files, in a loop, and count what goes wrong.

Each round takes another task and model. The same small run is trained twice, each time in
processes of its own: once undisturbed, and once killed by SIGKILL at random instants and resumed
until it ends. Both must leave the same bits. This process evaluates and plots the second, reads
copies of it with random damage, and watches its own memory.
"""

import ctypes
import gc
import json
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np

from beeline import envs
from beeline.config import (
    BASELINES,
    Config,
    Exploration,
    Fitting,
    Improvement,
    Model,
    OnlineDecisionTransformer,
    Policy,
    SoftActorCritic,
)
from beeline.config._catalogue import CATALOGUE, located

_RECORDS, _CHECKPOINTS = "metrics.jsonl", ("checkpoint.npz", "checkpoint-previous.npz")
_PRELOADED = [
    "beeline.run",
    "beeline.run._figures",
    "beeline.control.optimum",
    "beeline.sac._seed_learner",
]


@dataclass
class Counts:
    """What was done, and what went wrong."""

    rounds: int = 0
    runs: int = 0
    kills: int = 0
    kills_while_saving: int = 0
    resumes: int = 0
    evaluated_and_plotted: int = 0
    bad_files_tried: int = 0
    bad_files_refused: int = 0
    mismatches: int = 0


def run(minutes: float, seed: int, out: Path | None) -> None:
    """Soak for a while, and print the table.

    Args:
        minutes: How long; the round under way is finished.
        seed: Seed of the order, the instants and the damage.
        out: JSON file to write.
    """
    import jax

    chance, counts, memory = random.Random(seed), Counts(), []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        for task, model in _cases(chance):
            if time.monotonic() - began >= 60 * minutes:
                break
            _round(small(task, model, counts.rounds), Path(folder), chance, counts)
            # The programs of a round serve no other: kept, they would look like a leak.
            jax.clear_caches()
            gc.collect()
            memory.append(((time.monotonic() - began) / 3600, _resident_megabytes()))
            print(
                f"{memory[-1][0] * 60:.1f} min {memory[-1][1]:.0f} MB {task} {model} {counts}",
                file=sys.stderr,
            )
    hours = (time.monotonic() - began) / 3600
    table = {"minutes": round(60 * hours, 1), **asdict(counts), **_growth(memory)}
    table["live_arrays_at_the_end"] = len(jax.live_arrays())
    for name, value in table.items():
        print(f"| {name.replace('_', ' ')} | {value} |")
    if out is not None:
        out.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def small(task: str, model: str, seed: int) -> Config:
    """Make a run that takes seconds and has all that a run has.

    Args:
        task: Name of the task.
        model: Name of the world model or baseline.
        seed: Its seed.

    Returns:
        The run.
    """
    return Config(
        task=task,
        horizon=6,
        model=model,
        seed=seed,
        env_steps=6 * 60,
        exploration=Exploration(warmup_steps=18),
        **_sizes(model, seed),
    )


_SMALL = {
    "world_model": Model(
        width=8, layers=1, heads=2, recurrent=(8,), hidden=(8,), frequencies=1, harmonics=1
    ),
    "policy": Policy(hidden=(8,), frequencies=1),
    "fitting": Fitting(batch_size=2, env_steps_per_update=3.0),
    "improvement": Improvement(batch_size=2, env_steps_per_update=3.0),
    # Updates do not come at the ends of episodes.
    "sac": SoftActorCritic(
        hidden=(8,), batch_size=4, env_steps_per_update=4, env_steps_per_policy_update=8
    ),
    "online_dt": OnlineDecisionTransformer(
        width=8, layers=1, heads=2, context=3, batch_size=2, env_steps_per_update=3.0
    ),
}


def _sizes(model: str, seed: int) -> dict[str, Any]:
    options = CATALOGUE[model].options
    reward = {"reward": "learned"} if "reward" in options and seed % 2 else {}
    return reward | {name: group for name, group in _SMALL.items() if name in options}


def train_undisturbed(config: Config, folder: Path) -> float:
    """Train in a process of its own.

    Args:
        config: The run.
        folder: Its directory.

    Returns:
        The seconds between the first and the last line of its records.

    Raises:
        RuntimeError: If it fails.
    """
    process = _begin(config, folder)
    _wait_for_line(process, folder, 0)
    began = time.monotonic()
    _wait_for_line(process, folder, config.iterations - 1)
    seconds = time.monotonic() - began
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"training {config.task} with {config.model} ended {process.exitcode}")
    return seconds


def train_with_kills(
    config: Config, folder: Path, seconds: float, kills: int, chance: random.Random
) -> tuple[int, int, int]:
    """Train in processes that are killed at random instants, each going on where one was killed.

    Args:
        config: The run.
        folder: Its directory.
        seconds: How long it trains undisturbed.
        kills: Most kills; the process after the last one ends by itself.
        chance: Where the instants come from.

    Returns:
        How often it was killed, how often while a checkpoint was being written, and resumed.

    Raises:
        RuntimeError: If a process fails by itself.
    """
    killed = while_saving = resumed = 0
    while True:
        process = _begin(config, folder)
        if killed < kills:
            _wait_for_line(process, folder, _lines(folder))
            process.join(chance.uniform(0, seconds / kills))
            process.kill()
        process.join()
        if process.exitcode == 0:
            return killed, while_saving, resumed
        if process.exitcode != -9:
            raise RuntimeError(f"resuming {folder} ended {process.exitcode}")
        killed += 1
        resumed += (folder / "config.json").exists()
        while_saving += any(folder.glob(".checkpoint.npz.*"))


def lengthen(folder: Path, env_steps: int, *, kill_after: int | None = None) -> None:
    """Make a run that has ended longer, in a process of its own.

    Args:
        folder: Its directory.
        env_steps: Environment steps in all.
        kill_after: More lines of records after which it is killed; None lets it end.
    """
    lines = _lines(folder)
    process = _begin(None, folder, env_steps)
    if kill_after is not None:
        _wait_for_line(process, folder, lines + kill_after)
        process.kill()
    process.join()


def differences(ours: Path, theirs: Path) -> list[str]:
    """Compare two runs bit for bit, but for what a clock says.

    Args:
        ours: Directory of a run.
        theirs: Directory of another.

    Returns:
        The names of what differs.
    """
    found = []
    with np.load(ours / _CHECKPOINTS[0]) as a, np.load(theirs / _CHECKPOINTS[0]) as b:
        if set(a.files) != set(b.files):
            found.append("names")
        found += [
            name
            for name in a.files
            if name != "manifest" and (name not in b or a[name].tobytes() != b[name].tobytes())
        ]
    if _records(ours) != _records(theirs):
        found.append(_RECORDS)
    return found


def _cases(chance: random.Random) -> Iterator[tuple[str, str]]:
    tasks = list(envs.names())
    models = [name for name, entry in CATALOGUE.items() if entry.missing_package() is None]
    asking = {
        m for m in models if m in BASELINES and located(BASELINES[m].factory).asks_for_optimum
    }
    by_chance = {task for task in tasks if not envs.make(task, horizon=20).deterministic}
    while True:
        chance.shuffle(tasks)
        chance.shuffle(models)
        # Every task and every model comes soon, and every pair in the end.
        for shift in range(len(models)):
            for place, task in enumerate(tasks):
                model = models[(place + shift) % len(models)]
                # There is no best plan to ask for a share of where chance has a part.
                if not (model in asking and task in by_chance):
                    yield task, model


def _round(config: Config, folder: Path, chance: random.Random, counts: Counts) -> None:
    from beeline import run

    undisturbed, disturbed = folder / "undisturbed", folder / "disturbed"
    for path in (undisturbed, disturbed):
        shutil.rmtree(path, ignore_errors=True)
    seconds = train_undisturbed(config, undisturbed)
    kills, while_saving, resumes = train_with_kills(config, disturbed, seconds, 2, chance)
    counts.runs += 2
    counts.kills += kills
    counts.kills_while_saving += while_saving
    counts.resumes += resumes
    different = differences(undisturbed, disturbed)
    counts.mismatches += bool(different)
    if different:
        print(f"{config.task} {config.model}: {different} differ", file=sys.stderr)
    run.draw_run(run.load(disturbed))
    counts.evaluated_and_plotted += 1
    _try_bad_files(disturbed, folder / "damaged", chance, counts)
    counts.rounds += 1


def _try_bad_files(source: Path, copy: Path, chance: random.Random, counts: Counts) -> None:
    from beeline import run

    (source / _CHECKPOINTS[1]).unlink(missing_ok=True)
    whole = run.load(source)
    for name in ("config.json", "metrics.jsonl", "summary.json", *2 * _CHECKPOINTS[:1]):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy)
        (copy / name).write_bytes(_damaged((copy / name).read_bytes(), chance))
        counts.bad_files_tried += 1
        try:
            loaded = run.load(copy)
        except run.RunError:
            counts.bad_files_refused += 1
        else:
            counts.mismatches += not _same(loaded, whole)


def _damaged(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    kind = chance.choice(("flip", "cut", "repeat", "zero"))
    start = chance.randrange(len(damaged))
    end = min(len(damaged), start + chance.choice((1, 16, 4096)))
    if kind == "flip":
        damaged[start] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del damaged[start:]
    elif kind == "repeat":
        damaged[start:start] = damaged[start:end]
    else:
        damaged[start:end] = bytes(end - start)
    return bytes(damaged)


def _same(ours: Any, theirs: Any) -> bool:
    import jax

    leaves = [
        [
            np.asarray(
                jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
            )
            for x in jax.tree.leaves(run.state)
            if isinstance(x, jax.Array)
        ]
        for run in (ours, theirs)
    ]
    return (
        ours.config == theirs.config
        and ours.records == theirs.records
        and all(a.tobytes() == b.tobytes() for a, b in zip(*leaves, strict=True))
    )


def _begin(config: Config | None, folder: Path, env_steps: int | None = None) -> ForkServerProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_train, args=(config, folder, env_steps))
    process.start()
    return process


def _train(config: Config | None, folder: Path, env_steps: int | None) -> None:
    import jax

    from beeline import run

    # How many devices share the work decides the order of sums, and so the bits; but cores may be
    # given to this process and taken away while it soaks.
    jax.config.update("jax_num_cpu_devices", 1)
    if (folder / "config.json").exists():
        run.resume(folder, env_steps=env_steps, checkpoint_steps=1, progress=False)
    else:
        run.train(config=config, out=folder, checkpoint_steps=1, progress=False)


def _wait_for_line(process: ForkServerProcess, folder: Path, lines: int) -> None:
    while process.is_alive() and _lines(folder) <= lines:
        time.sleep(0.01)


def _lines(folder: Path) -> int:
    file = folder / _RECORDS
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _records(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / _RECORDS).read_bytes().splitlines()]
    return [row | {"wall_seconds": None} for row in rows]


def _resident_megabytes() -> float:
    # What is freed and not yet given back is not kept: between rounds that come and go it would
    # hide a hundred megabytes of what is.
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 1e6


def _growth(memory: list[tuple[float, float]]) -> dict[str, Any]:
    # What is imported and compiled at first is not growth: the first half is left out.
    half = np.asarray(memory[len(memory) // 2 :])
    slope = float(np.polyfit(half[:, 0], half[:, 1], 1)[0]) if len(half) > 2 else None
    return {
        "resident_megabytes_at_the_end": round(memory[-1][1]) if memory else None,
        "megabytes_an_hour_over_the_second_half": None if slope is None else round(slope, 1),
    }
