"""Windows and whole episodes where starts vary: train the rival, soft actor-critic.

It is Stable-Baselines3's own, called as a user of that library calls it, with the settings that its
authors recommend. A task is to it what Gymnasium's own Pendulum-v1 is: the observation is the state
without the time, and the horizon a limit of time, beyond which the critic looks.
"""

import argparse
import csv
import datetime
import io
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import stable_baselines3
import torch
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from beeline.control.reference import _POLICIES
from beeline.envs import Environment, make
from beeline.envs._transition import transition
from beeline.envs.gymnasium import GymnasiumTask
from beeline.run._reference import Reference
from beeline.storage.atomic import replacing
from experiments._results import machine

EPISODES = 100
"""Episodes that a policy is measured in, always the same."""

FILE = Path(__file__).parent / "results" / "rival.csv"
"""What is recorded."""

REFERENCE = "reference"
"""In the place of settings, for what the tasks' references earn in the same episodes."""


class Settings(NamedTuple):
    """What a task is trained with."""

    horizon: int
    env_steps: int
    name: str = "defaults"
    """Where the options come from."""
    options: dict[str, Any] = {}  # noqa: RUF012


TASKS = {
    "pendulum": Settings(200, 10_000, "zoo: Pendulum-v1", {"learning_rate": 1e-3}),
    "double-integrator": Settings(100, 10_000),
    "unstable-pole": Settings(100, 10_000),
    "cart-pole": Settings(250, 50_000),
    "reaction-diffusion": Settings(100, 10_000),
}
"""The zoo is rl-baselines3-zoo, whose file `hyperparams/sac.yml` has a cart-pole to swing up
too, with settings made for 300,000 steps; what is not named is the library's default."""

_KEYS = ("task", "horizon", "settings", "seed")
COLUMNS = (
    *_KEYS, "env_steps", "return", "standard_error", "normalized_return", "wall_seconds",
    "processor_seconds", "versions", "machine", "date",
)  # fmt: skip

Row = dict[str, str]

Act = Callable[[Float[Array, "episode state"], int], ArrayLike]
"""Gives the actions of some states at a step index."""


def measure(env: Environment, act: Act, episodes: int = EPISODES) -> Float[np.ndarray, " episode"]:
    """Play the episodes that `beeline.evaluate` plays, with the same starts and noise.

    Args:
        env: The task.
        act: What to do.
        episodes: How many.

    Returns:
        Their returns.
    """
    keys = jax.vmap(jax.random.split)(jax.random.split(jax.random.key(0), episodes))
    states = jax.jit(jax.vmap(lambda key: env.initial_state(key=key)))(keys[:, 0])
    noise = jax.vmap(partial(jax.random.split, num=env.horizon))(keys[:, 1])

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, None, 0))
    def advance(state: Array, action: Array, t: Array, key: Array) -> tuple[Array, Array]:
        return transition(env, state, action, t, key=key)

    returns = np.zeros(episodes)
    for t in range(env.horizon):
        states, rewards = advance(states, jnp.asarray(act(states, t)), t, noise[:, t])
        returns += np.asarray(rewards)
    return returns


def train(
    task: str, settings: Settings, seed: int, env_steps: int, every: int, file: Path = FILE
) -> None:
    """Train one seed, and record its policy each time that it is measured.

    Args:
        task: The task.
        settings: What it is trained with.
        seed: The seed.
        env_steps: Steps in all.
        every: Steps between measurements.
        file: Where it is recorded.
    """
    env = make(task, horizon=settings.horizon)
    scale = Reference.of(env)
    seen = GymnasiumTask(env, time_limit=True)
    # Compiled before the clock runs.
    seen.reset()
    seen.step(seen.action_space.sample())
    sac = stable_baselines3.SAC("MlpPolicy", seen, seed=seed, device="cpu", **settings.options)

    def act(states: Array, t: int) -> np.ndarray:
        return sac.predict(np.asarray(states), deterministic=True)[0]

    wall = processor = 0.0
    for steps in range(every, env_steps + 1, every):
        begun = time.perf_counter(), time.process_time()
        sac.learn(every, reset_num_timesteps=False)
        wall += time.perf_counter() - begun[0]
        processor += time.process_time() - begun[1]
        row = row_of(task, settings, seed, steps) | measured(env, act, scale)
        row |= {"wall_seconds": f"{wall:.1f}", "processor_seconds": f"{processor:.1f}"}
        keep(file, row)
        print(f"{task} seed {seed}: {row['return']} after {steps} steps, {wall:.0f} s", flush=True)


def record_reference(task: str, settings: Settings, file: Path = FILE) -> None:
    """Record what a task's reference earns in the same episodes, if it has one.

    Args:
        task: The task.
        settings: Its horizon.
        file: Where it is recorded.
    """
    env = make(task, horizon=settings.horizon)
    if type(env) in _POLICIES:
        solve, _ = _POLICIES[type(env)]
        with jax.enable_x64(True):
            policy = solve(env)
        act = jax.jit(jax.vmap(policy.mode, (0, None)))
        row = row_of(task, settings._replace(name=REFERENCE), 0, 0)
        keep(file, row | measured(env, act, Reference.of(env)))


def read(file: Path = FILE) -> list[Row]:
    """Read what is recorded.

    Args:
        file: The file.

    Returns:
        A row for each time that a policy was measured; none if there is no file.
    """
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as source:
        return list(csv.DictReader(source))


def row_of(task: str, settings: Settings, seed: int, steps: int) -> Row:
    """Say what a measurement is of.

    Args:
        task: The task.
        settings: What was trained.
        seed: Its seed.
        steps: Environment steps so far.

    Returns:
        The columns that tell rows apart.
    """
    names = (*_KEYS, "env_steps")
    return dict(
        zip(names, map(str, (task, settings.horizon, settings.name, seed, steps)), strict=True)
    )


def measured(env: Environment, act: Act, scale: Reference) -> Row:
    """Measure a policy in the episodes that are always the same.

    Args:
        env: The task.
        act: What to do.
        scale: The task's random and best returns.

    Returns:
        The columns with what was found.
    """
    returns = measure(env, act)
    mean = returns.mean()
    normalized = scale.normalize(mean[None])[0]
    packages = (stable_baselines3, torch, jax)
    return {
        "return": f"{mean:.6g}",
        "standard_error": f"{returns.std(ddof=1) / np.sqrt(EPISODES):.3g}",
        "normalized_return": f"{normalized:.5f}",
        "versions": ", ".join(f"{one.__name__} {one.__version__}" for one in packages),
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def place(row: Row) -> tuple[str, ...]:
    """Tell a row apart from all others.

    Args:
        row: The row.

    Returns:
        What it is of.
    """
    return tuple(row[name] for name in (*_KEYS, "env_steps"))


def keep(file: Path, row: Row) -> None:
    """Record a measurement, in the place of an older one of the same.

    Args:
        file: Where.
        row: The measurement.
    """
    rows = {place(one): one for one in read(file)} | {place(row): row}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as target:
        target.write(text.getvalue().encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is not recorded yet.

    Args:
        arguments: The command line; that of the process if left out.
    """
    parser = argparse.ArgumentParser(
        prog="python -m experiments.any_start.rival", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--env-steps", type=int, help="in all; the task's own if left out")
    parser.add_argument("--every", type=int, default=1000, help="steps between measurements")
    parser.add_argument("--out", type=Path, default=FILE, help="the file of results")
    given = parser.parse_args(arguments)
    # Networks this small are slower on several cores.
    torch.set_num_threads(1)
    recorded = {place(row) for row in read(given.out)}
    for task in given.tasks:
        settings = TASKS[task]
        reference = row_of(task, settings._replace(name=REFERENCE), 0, 0)
        if place(reference) not in recorded:
            record_reference(task, settings, given.out)
        env_steps = given.env_steps or settings.env_steps
        for seed in range(given.seeds):
            if place(row_of(task, settings, seed, env_steps)) not in recorded:
                train(task, settings, seed, env_steps, given.every, given.out)


if __name__ == "__main__":
    main()
