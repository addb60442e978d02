"""Windows and whole episodes where starts vary: judge the default in the episodes of the rival.

Policies are trained as `beeline train` does, with nothing set but the number of environment steps,
and recorded in the rival's file. Where the linear quadratic regulator is known, so is how the best
feedback answers to the state, and what was learned is held against it.
"""

import argparse
import csv
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import beeline
from beeline.control import lqr
from beeline.envs import make
from beeline.policies import Policy
from beeline.run._reference import Reference
from beeline.storage.atomic import replacing
from experiments.any_start.rival import FILE, Settings, keep, measured, place, read, row_of

NAME = "ours: markov, default"
"""In the place of the rival's settings."""

RUNS = {
    "pendulum": Settings(200, 6_000, NAME),
    "double-integrator": Settings(100, 10_000, NAME),
    "unstable-pole": Settings(100, 10_000, NAME),
    "cart-pole": Settings(250, 15_000, NAME),
    "reaction-diffusion": Settings(100, 10_000, NAME),
}
"""How long episodes are, and for how many environment steps policies are trained."""
SOONER = {"pendulum": (4_000,)}
"""Shorter runs beside these; rates fall to the end of a run, so that each is one of its own."""

FEEDBACK = Path(__file__).parent / "results" / "feedback.csv"
"""How policies answer to the state of the tasks whose best feedback is linear."""
LINEAR = "double-integrator", "unstable-pole"
GAINS = "position", "speed"
"""The entries of their state."""


def judge(task: str, settings: Settings, seed: int) -> None:
    """Train one seed, and record what it earns.

    Args:
        task: The task.
        settings: Its horizon and the environment steps.
        seed: The seed.
    """
    env, steps = make(task, horizon=settings.horizon), settings.env_steps
    begun = time.perf_counter(), time.process_time()
    run = beeline.train(env, model="markov", env_steps=steps, seed=seed, progress=False)
    wall, processor = time.perf_counter() - begun[0], time.process_time() - begun[1]
    act = jax.jit(jax.vmap(run.policy.mode, (0, None)))
    row = row_of(task, settings, seed, steps) | measured(env, act, Reference.of(env))
    keep(FILE, row | {"wall_seconds": f"{wall:.1f}", "processor_seconds": f"{processor:.1f}"})
    print(f"{task} seed {seed}: {row['return']} after {steps} steps, {wall:.0f} s", flush=True)
    if task in LINEAR:
        _keep_gains(task, seed, gains_of(run.policy, env.state_dim))


def gains_of(policy: Policy, state_dim: int) -> np.ndarray:
    """Differentiate the action by the state, at rest in the middle.

    Args:
        policy: The policy.
        state_dim: How many entries a state has.

    Returns:
        The gains of the first action, one an entry of the state.
    """
    return np.asarray(jax.jacobian(policy.mode)(jnp.zeros(state_dim), 0))[0]


def read_gains(file: Path | None = None) -> list[dict[str, str]]:
    """Read the gains that are recorded.

    Args:
        file: The file; that of the experiment if left out.

    Returns:
        A row for each policy, and one for each task's regulator.
    """
    file = FEEDBACK if file is None else file
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as source:
        return list(csv.DictReader(source))


def _keep_gains(task: str, seed: int | str, gains: np.ndarray) -> None:
    told = {name: f"{gain:.4f}" for name, gain in zip(GAINS, gains, strict=True)}
    new = {"task": task, "seed": str(seed), **told}
    rows: dict[Any, dict[str, str]] = {(r["task"], r["seed"]): r for r in read_gains()}
    rows[task, str(seed)] = new
    text = io.StringIO()
    writer = csv.DictWriter(text, new, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    with replacing(FEEDBACK) as target:
        target.write(text.getvalue().encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and judge what is not recorded yet.

    Args:
        arguments: The command line; that of the process if left out.
    """
    parser = argparse.ArgumentParser(
        prog="python -m experiments.any_start.same_starts",
        description=__doc__.partition("\n")[0],
    )
    parser.add_argument("--tasks", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    given = parser.parse_args(arguments)
    for task in given.tasks:
        settings = RUNS[task]
        if task in LINEAR:
            env = make(task, horizon=settings.horizon, process_noise=0)
            _keep_gains(task, "regulator", lqr(env).gains[0, 0])
        for steps in (*SOONER.get(task, ()), settings.env_steps):
            wanted = settings._replace(env_steps=steps)
            for seed in range(given.seeds):
                # Another process may have recorded it in the meantime.
                recorded = {place(row) for row in read(FILE)}
                if place(row_of(task, wanted, seed, steps)) not in recorded:
                    judge(task, wanted, seed)


if __name__ == "__main__":
    main()
