"""Plans in learned world models: what they earn, from many starts and under a cap, and how soon."""

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import beeline
from beeline.control import LBFGS, MPC, Adam, Constraints, plan, solve_optimum
from beeline.control._rollout import open_loop_from
from beeline.control.reference import _of_pendulum
from beeline.control.sampling import CEM, MPPI
from beeline.envs import Environment, make, reward_of
from beeline.models import SimulatorModel, WorldModel
from experiments._results import save

RESULTS = Path(__file__).parent / "results"
STARTS = 20
KEY = jax.random.key(0)


class Anywhere(Environment):
    """A task whose episodes start anywhere between two states."""

    task: Environment
    low: tuple[float, ...]
    high: tuple[float, ...]
    deterministic = False
    # Of the task; the class needs to have them.
    name = cast(Any, property(lambda self: self.task.name))
    state_dim = cast(Any, property(lambda self: self.task.state_dim))
    action_dim = cast(Any, property(lambda self: self.task.action_dim))
    horizon = cast(Any, property(lambda self: self.task.horizon))
    dt = cast(Any, property(lambda self: self.task.dt))

    def initial_state(self, *, key: Array | None = None) -> Array:
        """Draw a start.

        Args:
            key: Randomness.

        Returns:
            The state.
        """
        low, high = jnp.asarray(self.low, float), jnp.asarray(self.high, float)
        return jax.random.uniform(cast(Any, key), low.shape, low.dtype, low, high)

    def step(self, state: Array, action: Array, t: Any, *, key: Array | None = None) -> Array:
        """Move as the task does.

        Args:
            state: The state.
            action: The action.
            t: The step index.
            key: Randomness.

        Returns:
            The next state.
        """
        return self.task.step(state, action, t, key=key)

    def reward(self, state: Array, action: Array, t: Any) -> Array:
        """Reward as the task does.

        Args:
            state: The state.
            action: The action.
            t: The step index.

        Returns:
            The reward.
        """
        return self.task.reward(state, action, t)

    def physical_action(self, action: Array) -> Array:
        """Convert as the task does.

        Args:
            action: Actions in [-1, 1].

        Returns:
            The same in its units.
        """
        return self.task.physical_action(action)


@dataclasses.dataclass(frozen=True)
class Case:
    """A task, how its starts vary, and what its models are trained with."""

    make: Callable[[], Environment]
    models: dict[str, dict[str, Any]]
    """Options of `beeline.train` by model."""


def cancer() -> Environment:
    """Make cancer treatment from any tumour.

    Returns:
        The task.
    """
    return Anywhere(make("cancer-treatment", horizon=100), (0.3,), (0.975,))


def timber() -> Environment:
    """Make timber harvesting from any stock.

    Returns:
        The task.
    """
    return Anywhere(make("timber-harvest", horizon=100), (50.0,), (150.0,))


def pendulum() -> Environment:
    """Make the pendulum, which starts anywhere by itself.

    Returns:
        The task.
    """
    return make("pendulum", horizon=200)


WHOLE = {"env_steps": 3_000, "imagination": "episodes"}
CASES = {
    "cancer-treatment": Case(cancer, {"markov": {"env_steps": 3_000}, "ssm-awm": WHOLE}),
    "timber-harvest": Case(timber, {"markov": {"env_steps": 3_000}, "ssm-awm": WHOLE}),
    "pendulum": Case(pendulum, {"markov": {"env_steps": 4_000}}),
}
MODELS = ("markov", "ssm-awm")
HORIZON = 40
"""Steps of the plans of a controller on the pendulum."""


@functools.cache
def trained(task: str, model: str, seeds: int) -> beeline.Run:
    """Train seeds side by side, once in a process.

    Args:
        task: The task.
        model: The model.
        seeds: How many.

    Returns:
        The run.
    """
    case = CASES[task]
    print(f"training {model} on {task}", flush=True)
    config = beeline.preset("default", **case.models[model])
    return beeline.train(
        case.make(), model=model, seeds=seeds, config=config, progress=False, check=False
    )


def starts_of(env: Environment) -> Float[np.ndarray, "start state"]:
    """Draw the starts, which are always the same.

    Args:
        env: The task.

    Returns:
        The states.
    """
    keys = jax.random.split(jax.random.key(1), STARTS)
    return np.asarray(jax.vmap(lambda key: env.initial_state(key=key))(keys))


def real_return(env: Environment, state: np.ndarray, actions: np.ndarray) -> float:
    """Play a plan.

    Args:
        env: The task.
        state: Where it begins.
        actions: The plan.

    Returns:
        What it earns.
    """
    return float(_played(env, jnp.asarray(state), jnp.asarray(actions)))


@functools.partial(jax.jit, static_argnums=0)
def _played(env: Environment, state: Array, actions: Array) -> Array:
    return open_loop_from(env, state, actions, key=KEY)[1].sum()


def best_returns(env: Environment, states: np.ndarray) -> list[float]:
    """Find the best that is known from each start.

    It is the best plan through the true dynamics, in double precision and from more starts; of the
    pendulum also what dynamic programming earns.

    Args:
        env: The task.
        states: The starts.

    Returns:
        The returns.
    """
    with jax.enable_x64(True):
        grid = None if env.name != "pendulum" else _of_pendulum(cast(Any, env))
        found = []
        for state in states.astype(float):
            guess = None if grid is None else _followed(env, grid.mode, state)
            played = -np.inf if guess is None else real_return(env, state, guess)
            best = plan(
                _simulator(env),
                state,
                _reward(env),
                env.horizon,
                action_dim=env.action_dim,
                search=LBFGS(iterations=400, tolerance=1e-10),
                starts=20,
                guess=guess,
            )
            found.append(max(best.return_, played))
    return found


@functools.cache
def _simulator(env: Environment) -> WorldModel:
    return SimulatorModel(env)


@functools.cache
def _reward(env: Environment) -> Any:
    return reward_of(env)


def _followed(env: Environment, mode: Callable[..., Array], state: np.ndarray) -> np.ndarray:
    return np.asarray(_follow(env, mode, jnp.asarray(state)))


@eqx.filter_jit
def _follow(env: Environment, mode: Callable[..., Array], state: Array) -> Array:
    def step(state: Array, t: Array) -> tuple[Array, Array]:
        action = mode(state, t)
        return open_loop_from(env, state, action[None], t, key=KEY)[0][1], action

    return jax.lax.scan(step, state, jnp.arange(env.horizon))[1]


def from_starts(task: str, models: Sequence[str], seeds: int, folder: Path, command: str) -> None:
    """Plan from many starts, in the true dynamics and in learned models.

    Args:
        task: The task.
        models: Which learned models.
        seeds: How many models of each kind.
        folder: Where results go.
        command: How this was called.
    """
    env = CASES[task].make()
    states = starts_of(env)
    best = best_returns(env, states)
    row = functools.partial(_row, task, best)
    rows = []
    for number, state in enumerate(states):
        found = plan(_simulator(env), state, _reward(env), env.horizon, action_dim=env.action_dim)
        earned = real_return(env, state, found.actions)
        rows.append(row("simulator", "plan", 0, number, earned, found))
    for model in [one for one in CASES[task].models if one in models]:
        run = trained(task, model, seeds)
        for seed in run.seeds:
            for number, state in enumerate(states):
                found = run.plan(state, seed=seed)
                earned = real_return(env, state, found.actions)
                rows.append(row(model, "plan", seed, number, earned, found))
            others = {"policy": followed_returns}
            if task == "pendulum":
                others["mpc"] = controlled
            for how, returns in others.items():
                for number, earned in enumerate(returns(run, seed, states)):
                    rows.append(row(model, how, seed, number, earned, None))
    save(folder / f"starts_{task}.csv", rows, command)


def _row(
    task: str,
    best: Sequence[float],
    model: str,
    how: str,
    seed: int,
    start: int,
    earned: float,
    found: Any,
) -> dict[str, Any]:
    row = {"task": task, "model": model, "how": how, "seed": seed, "start": start}
    return row | {
        "best": best[start],
        "return": earned,
        "predicted": "" if found is None else found.return_,
        "distance": "" if found is None or found.distance is None else found.distance,
    }


def controlled(run: Any, seed: int, states: np.ndarray) -> Float[np.ndarray, " start"]:
    """Control by planning again in every step, with the critic at the end of each plan.

    Args:
        run: The run.
        seed: Whose model.
        states: The starts.

    Returns:
        What the episodes earn.
    """
    env, position = run.env, run.position_of(seed)
    critics = jax.tree.map(lambda x: x[position], run.state.learners["critic"].weights)
    mpc = MPC(
        run.models[position],
        reward_of(env),
        HORIZON,
        action_dim=env.action_dim,
        value=critics.critic,
        episode=env.horizon,
    )

    @jax.jit
    @jax.vmap
    def episode(state: Array) -> Array:
        def step(loop: Any, t: Array) -> Any:
            state, memory = loop
            memory, action = mpc.act(memory, state, t)
            states, rewards = open_loop_from(env, state, action[None], t, key=KEY)
            return (states[1], memory), rewards[0]

        return jax.lax.scan(step, (state, mpc.start(state)), jnp.arange(env.horizon))[1].sum()

    return np.asarray(episode(jnp.asarray(states)))


def followed_returns(run: Any, seed: int, states: np.ndarray) -> Sequence[float]:
    """Follow the policy that was learned with the model.

    Args:
        run: The run.
        seed: Which.
        states: The starts.

    Returns:
        What the episodes earn.
    """
    mode = run.policies[run.position_of(seed)].mode
    plans = [_followed(run.env, mode, state) for state in states]
    return [
        real_return(run.env, state, actions) for state, actions in zip(states, plans, strict=True)
    ]


def under_a_cap(models: Sequence[str], seeds: int, folder: Path, command: str) -> None:
    """Plan cancer treatment with six tenths of the drug that the best plan would take.

    Args:
        models: Which learned models.
        seeds: How many models of each kind.
        folder: Where results go.
        command: How this was called.
    """
    env = make("cancer-treatment", horizon=100)

    def drug(actions: Any) -> float:
        return float(env.dt * env.physical_action(jnp.asarray(actions)).sum())

    cap = round(0.6 * drug(solve_optimum(env).actions), 3)
    kept = Constraints(
        total=lambda states, actions: env.dt * actions.sum() - cap, units=env.physical_action
    )
    best = solve_optimum(env, constraints=kept)
    start = np.asarray(env.initial_state(key=KEY))
    found = plan(_simulator(env), start, _reward(env), env.horizon, action_dim=1, constraints=kept)
    rows = [("optimum", 0, best.actions, best.return_), ("simulator", 0, found.actions, 0.0)]
    for model in [one for one in CASES["cancer-treatment"].models if one in models]:
        run = trained("cancer-treatment", model, seeds)
        for seed in run.seeds:
            rows.append((model, seed, run.plan(start, seed=seed, constraints=kept).actions, 0.0))
    save(
        folder / "cap.csv",
        [
            {
                "model": model,
                "seed": seed,
                "cap": cap,
                "drug": drug(actions),
                "violation of the cap": max(0.0, drug(actions) / cap - 1),
                "best": best.return_,
                "return": real_return(env, start, np.asarray(actions, np.float32)),
            }
            for model, seed, actions, _ in rows
        ],
        command,
    )


SEARCHES = {
    "8 starts": (LBFGS(), 8),
    "4 starts": (LBFGS(), 4),
    "1 start": (LBFGS(), 1),
    "Adam, 4 starts": (Adam(), 4),
    "CEM": (CEM(), 1),
    "MPPI": (MPPI(), 1),
}
"""What is timed, and from how many starts."""


def latencies(models: Sequence[str], seeds: int, folder: Path, command: str) -> None:
    """Time plans of 100 steps and actions of a controller, once compiled.

    Args:
        models: Which learned models.
        seeds: How many models of each kind were trained.
        folder: Where results go.
        command: How this was called.
    """
    rows = []
    for name in models:
        run = trained("cancer-treatment", name, seeds)
        env, model, states = run.env, run.models[0], starts_of(run.env)
        for what, (search, starts) in SEARCHES.items():
            options = {"action_dim": 1, "search": search, "starts": starts}
            once = functools.partial(
                plan, model, reward=_reward(env), horizon=env.horizon, **options
            )
            rows.append({"model": name, "what": f"plan, {what}"} | _timed(once, states))
        mpc = MPC(model, _reward(env), 20, action_dim=1, episode=env.horizon)
        memory = jax.jit(mpc.start)(jnp.asarray(states[0]))
        control = functools.partial(_act, jax.jit(mpc.act), memory)
        what = "MPC, 20 steps ahead, an action"
        rows.append({"model": name, "what": what} | _timed(control, states))
    save(folder / "latency.csv", rows, command)


def _act(act: Callable[..., Any], memory: Any, state: Any) -> Any:
    return act(memory, jnp.asarray(state), 1)


def _timed(once: Callable[[Any], Any], states: np.ndarray) -> dict[str, float]:
    begun = time.perf_counter()
    jax.block_until_ready(once(states[0]))
    first, taken, spent = time.perf_counter() - begun, [], []
    for state in np.concatenate([states, states]):
        begun, busy = time.perf_counter(), time.process_time()
        result = once(state)
        jax.block_until_ready(result)
        taken.append(1e3 * (time.perf_counter() - begun))
        spent.append(1e3 * (time.process_time() - busy))
    return {
        "compile_seconds": first,
        "least_ms": float(np.min(taken)),
        "median_ms": float(np.median(taken)),
        "greatest_ms": float(np.max(taken)),
        "processor_ms": float(np.median(spent)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute what is asked for.

    Args:
        arguments: The command line; that of the process if left out.
    """
    parts = [*CASES, "cap", "latency"]
    parser = argparse.ArgumentParser(
        prog="python -m experiments.plans.run", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--models", nargs="*", choices=MODELS, default=MODELS)
    parser.add_argument("--seeds", type=int, default=3, help="how many models of each kind")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    given = parser.parse_args(arguments)
    for part in given.parts:
        command = f"python -m experiments.plans.run --parts {part} --models"
        command = f"{' '.join([command, *given.models])} --seeds {given.seeds}"
        rest = given.models, given.seeds, given.out, command
        if part == "cap":
            under_a_cap(*rest)
        elif part == "latency":
            latencies(*rest)
        else:
            from_starts(part, *rest)
        print(f"{part} is done", flush=True)


if __name__ == "__main__":
    main()
