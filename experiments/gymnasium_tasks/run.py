"""Gymnasium's own simulators: train by name, count every step, and judge in the same 100 episodes.

Policies are trained as `beeline train gymnasium:NAME` does, evaluation off, with nothing set but
the model and the number of steps. They are measured without noise in episodes that
`reset(seed=1000)` to `reset(seed=1099)` begin, which are played apart from training.
"""

import argparse
import csv
import datetime
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import beeline
from beeline.control.reference import _POLICIES
from beeline.envs import make
from beeline.storage.atomic import replacing
from experiments._results import machine

EPISODES, FIRST = 100, 1000
"""Episodes that a policy is measured in, and the seed of the first."""

FILE = Path(__file__).parent / "results" / "returns.csv"
"""What is recorded."""

REFERENCE = "dynamic programming"
"""In the place of a model, for what is known of the best."""


class Task(NamedTuple):
    """How a simulator is learned from."""

    horizon: int
    """Steps in a row of the training, at most an episode's own limit."""
    env_steps: int
    limit: int
    """Steps in an episode that a policy is judged by."""


TASKS = {
    "Pendulum-v1": Task(200, 6_000, 200),
    "InvertedPendulum-v5": Task(100, 10_000, 1_000),
    "InvertedDoublePendulum-v5": Task(100, 20_000, 1_000),
    "Reacher-v5": Task(50, 20_000, 50),
}

Row = dict[str, str]
_KEYS = "task", "model", "env_steps", "seed"


def returns_of(name: str, act: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """Play the episodes that are always the same.

    Args:
        name: The simulator.
        act: The action in its unit by the observation and the step.

    Returns:
        What each episode earned.
    """
    env, returns = gymnasium.make(name), []
    for seed in range(FIRST, FIRST + EPISODES):
        state, _ = env.reset(seed=seed)
        earned, over, t = 0.0, False, 0
        while not over:
            state, reward, terminated, truncated, _ = env.step(act(state, t))
            earned, over, t = earned + float(reward), terminated or truncated, t + 1
        returns.append(earned)
    return np.asarray(returns)


def judge(name: str, task: Task, model: str, seed: int) -> Row:
    """Train one seed and measure it.

    Args:
        name: The simulator.
        task: How it is learned from.
        model: The world model.
        seed: The seed.

    Returns:
        What there is to record.
    """
    begun = time.perf_counter(), time.process_time()
    run = beeline.train(
        f"gymnasium:{name}",
        task.horizon,
        model=model,
        env_steps=task.env_steps,
        seed=seed,
        progress=False,
    )
    wall, processor = time.perf_counter() - begun[0], time.process_time() - begun[1]
    policy, env = run.policy, run.env
    mode = jax.jit(lambda state, t: env.physical_action(policy.mode(state, t)))

    def act(state: np.ndarray, t: int) -> np.ndarray:
        return np.asarray(mode(jnp.asarray(state, jnp.float32), jnp.minimum(t, task.horizon - 1)))

    summary = run.summary or {}
    found = row_of(name, task, model, seed, returns_of(name, act))
    return found | {
        "simulator_steps": str(summary["simulator_steps"][0]),
        "evaluation_steps": str(summary["evaluation_steps"]),
        "wall_seconds": f"{wall:.0f}",
        "processor_seconds": f"{processor:.0f}",
    }


def row_of(name: str, task: Task, model: str, seed: int | str, returns: np.ndarray) -> Row:
    """Say what was measured.

    Args:
        name: The simulator.
        task: How it was learned from.
        model: The world model.
        seed: The seed.
        returns: What the episodes earned.

    Returns:
        A row of the file.
    """
    command = f"beeline train gymnasium:{name} --horizon {task.horizon} --model {model}"
    return {
        "task": name,
        "model": model,
        "env_steps": str(task.env_steps),
        "seed": str(seed),
        "return": f"{returns.mean():.6g}",
        "standard_error": f"{returns.std(ddof=1) / np.sqrt(len(returns)):.3g}",
        "least": f"{returns.min():.6g}",
        "simulator_steps": "",
        "evaluation_steps": "",
        "wall_seconds": "",
        "processor_seconds": "",
        "command": f"{command} --env-steps {task.env_steps} --seed {seed}"
        if model != REFERENCE
        else "",
        "versions": f"gymnasium {gymnasium.__version__}, jax {jax.__version__}",
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def reference() -> Row:
    """Play dynamic programming in Gymnasium's pendulum.

    Returns:
        What there is to record.
    """
    env = make("pendulum", horizon=200)
    solve, _ = _POLICIES[type(env)]
    with jax.enable_x64(True):
        best = jax.jit(solve(env).mode)
        act = lambda state, t: 2 * np.asarray(best(jnp.asarray(state, float), t))  # noqa: E731
        return row_of(
            "Pendulum-v1", TASKS["Pendulum-v1"], REFERENCE, "", returns_of("Pendulum-v1", act)
        )


def table() -> str:
    """Put what is recorded as a table.

    Returns:
        Its lines.
    """
    lines = [
        "| task | environment steps | asked of the simulator | seeds | return: median "
        "[least, greatest] | worst episode | reference |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = read()
    best = {row["task"]: row["return"] for row in rows if row["model"] == REFERENCE}
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row["model"] != REFERENCE:
            groups.setdefault((row["task"], row["env_steps"]), []).append(row)
    for (task, steps), found in groups.items():
        returns = sorted(float(row["return"]) for row in found)
        counted = {str(int(row["simulator_steps"]) + int(row["evaluation_steps"])) for row in found}
        spread = f"{np.median(returns):.4g} [{returns[0]:.4g}, {returns[-1]:.4g}]"
        worst = min(float(row["least"]) for row in found)
        cells = task, steps, " ".join(sorted(counted)), str(len(found)), spread, f"{worst:.4g}"
        lines.append(f"| {' | '.join(cells)} | {best.get(task, 'none')} |")
    return "\n".join(lines)


def draw() -> None:
    """Put the table into the page."""
    page = Path(__file__).parent / "README.md"
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- measured -->")
    after = rest.partition("<!-- end -->")[2]
    text = f"{before}<!-- measured -->\n{table()}\n<!-- end -->{after}"
    page.write_text(text, encoding="utf-8")


def read(file: Path = FILE) -> list[Row]:
    """Read what is recorded.

    Args:
        file: The file.

    Returns:
        Its rows.
    """
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as source:
        return list(csv.DictReader(source))


def place(row: Row) -> tuple[str, ...]:
    """Tell a row apart from all others.

    Args:
        row: The row.

    Returns:
        What it is of.
    """
    return tuple(row[name] for name in _KEYS)


def keep(row: Row) -> None:
    """Record a measurement, in the place of an older one of the same.

    Args:
        row: The measurement.
    """
    rows = {place(one): one for one in read()} | {place(row): row}
    text = io.StringIO()
    writer = csv.DictWriter(text, row, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with replacing(FILE) as target:
        target.write(text.getvalue().encode())
    print(row["task"], row["model"], row["seed"], row["return"], flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and judge what is not recorded yet.

    Args:
        arguments: The command line; that of the process if left out.
    """
    parser = argparse.ArgumentParser(
        prog="python -m experiments.gymnasium_tasks.run", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--model", default="markov")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    given = parser.parse_args(arguments)
    recorded = {place(row) for row in read()}
    for name in given.tasks:
        task = TASKS[name]
        if name == "Pendulum-v1" and not any(row["model"] == REFERENCE for row in read()):
            keep(reference())
        for seed in range(given.seeds):
            if (name, given.model, str(task.env_steps), str(seed)) not in recorded:
                keep(judge(name, task, given.model, seed))
    draw()


if __name__ == "__main__":
    main()
