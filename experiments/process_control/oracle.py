"""What is earned with the equations: by the best plan, and by model-predictive control.

Every controller minimises the cost that policies are judged by, knows the setpoints ahead as they
do, and has its inputs replayed in the task. The best plan bounds them all where nothing is left to
chance. The programs of CasADi are independent of the library: equations stated once more, multiple
shooting, an interior-point method.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from beeline.control import LBFGS, MPC, solve_optimum
from beeline.control._rollout import open_loop_from
from beeline.envs import make, reward_of
from beeline.envs.process._base import TrackingTask
from beeline.models import SimulatorModel
from experiments._results import save

RESULTS = Path(__file__).parent / "results"
HORIZONS = {
    "stirred-tank": 60,
    "four-tank": 60,
    "multistage-extraction": 60,
    "crystallization": 30,
    "heat-exchanger": 60,
    "biofilm-reactor": 60,
    "nonsmooth-control": 60,
    "photobioreactor": 60,
}
AHEAD = {
    "stirred-tank": 17,
    "four-tank": 19,
    "multistage-extraction": 20,
    "crystallization": 10,
}
"""Steps of a plan: those of the published package where it says so, 20 elsewhere."""


class Played(NamedTuple):
    """An episode that a controller acted in."""

    return_: float
    """Of its actions replayed in the task, in double precision."""
    actions: Float[np.ndarray, "time action"]
    """In [-1, 1]."""
    states: Float[np.ndarray, "times state"]
    seconds: float
    """An action, in the median."""


def replayed(env: Any, actions: np.ndarray, seconds: float) -> Played:
    """Play actions in the task.

    Args:
        env: The task.
        actions: In [-1, 1].
        seconds: What one of them took.

    Returns:
        The episode.
    """
    with jax.enable_x64(True):
        key = jax.random.key(0)
        states, rewards = open_loop_from(
            env, env.initial_state(key=key), jnp.asarray(actions), 0, key=key
        )
        return Played(float(rewards.sum()), np.asarray(actions), np.asarray(states), seconds)


def best(env: Any) -> float:
    """Solve for the best plan of the whole episode.

    Args:
        env: The task.

    Returns:
        Its return: no controller earns more.
    """
    return solve_optimum(env).return_


def receding(env: Any, ahead: int) -> Played:
    """Control by the library's own planner on the equations of the task.

    Args:
        env: The task.
        ahead: Steps of a plan.

    Returns:
        The episode.
    """
    with jax.enable_x64(True):
        mpc = MPC(
            SimulatorModel(env),
            reward_of(env),
            ahead,
            action_dim=env.action_dim,
            search=LBFGS(iterations=30),
            starts=4,
            episode=env.horizon,
        )
        state = env.initial_state(key=jax.random.key(0))
        memory, act = jax.jit(mpc.start)(state), jax.jit(mpc.act)
        key = jax.random.key(0)
        advance = jax.jit(lambda s, a, t: open_loop_from(env, s, a[None], t, key=key)[0][1])
        actions, taken = [], []
        for t in range(env.horizon):
            begun = time.perf_counter()
            memory, action = jax.block_until_ready(act(memory, state, jnp.asarray(t)))
            taken.append(time.perf_counter() - begun)
            state = advance(state, action, jnp.asarray(t))
            actions.append(np.asarray(action))
    return replayed(env, np.stack(actions), float(np.median(taken)))


def interior_point(env: TrackingTask, ahead: int) -> Played:
    """Control by CasADi and IPOPT, with the equations stated once more.

    Args:
        env: A task of `EQUATIONS`.
        ahead: Steps of a plan.

    Returns:
        The episode.

    Raises:
        SystemExit: If CasADi is not installed.
    """
    try:
        import casadi
    except ImportError:
        raise SystemExit("the oracle needs CasADi: pip install 'beeline[oracle]'") from None
    solver = _Solver(casadi, env, ahead)
    low, high = np.asarray(env.action_low), np.asarray(env.action_high)
    with jax.enable_x64(True):
        known = np.asarray(jax.vmap(env.context)(jnp.arange(env.horizon)), float)
        state = np.asarray(env.initial_state(key=jax.random.key(0)))
        actions, taken = [], []
        for t in range(env.horizon):
            begun = time.perf_counter()
            inputs = solver(state, known, t)
            taken.append(time.perf_counter() - begun)
            state = np.asarray(_stepped(env, state, inputs, t))
            actions.append(2 * (inputs - low) / (high - low) - 1)
    return replayed(env, np.stack(actions), float(np.median(taken)))


@eqx.filter_jit
def _stepped(env: Any, state: Any, inputs: Any, t: Any) -> Any:
    return env.step(state, inputs, t)


class _Solver:
    """The best inputs for the steps ahead, from a state on: multiple shooting."""

    def __init__(self, casadi: Any, env: TrackingTask, ahead: int) -> None:
        self.env, self.ahead = env, ahead
        plant, inputs = len(env.x_0), env.action_dim
        outputs, disturbances = len(env.outputs), len(env.disturbances)
        step = _step(casadi, env)
        x, u = casadi.MX.sym("x", plant, ahead), casadi.MX.sym("u", inputs, ahead)
        start, before = casadi.MX.sym("start", plant), casadi.MX.sym("before", inputs)
        wanted = casadi.MX.sym("wanted", outputs, ahead)
        known = casadi.MX.sym("known", disturbances, ahead)
        counts, moves = casadi.MX.sym("counts", ahead), casadi.MX.sym("moves", ahead)
        reached = step.map(ahead)(casadi.horzcat(start, x[:, :-1]), u, known)
        cost = 0
        for j, output in enumerate(env.outputs):
            missed = (x[OUTPUTS[env.name][j], :] - wanted[j, :]) / output.span
            cost += output.weight * casadi.dot(missed.T**2, counts)
        ranges = np.asarray(env.action_high) - np.asarray(env.action_low)
        change = (u - casadi.horzcat(before, u[:, :-1])) / ranges
        cost += env.move_weight * casadi.dot(casadi.sum1(change**2).T, moves)
        parameters = casadi.vertcat(
            start, before, casadi.vec(wanted), casadi.vec(known), counts, moves
        )
        self.program = casadi.nlpsol(
            "best",
            "ipopt",
            {
                "x": casadi.vertcat(casadi.vec(x), casadi.vec(u)),
                "f": cost,
                "g": casadi.vec(reached - x),
                "p": parameters,
            },
            {"print_time": False, "ipopt.print_level": 0, "ipopt.sb": "yes", "ipopt.tol": 1e-9},
        )
        free = np.full(plant * ahead, np.inf)
        self.low = np.concatenate([-free, np.tile(env.action_low, ahead)])
        self.high = np.concatenate([free, np.tile(env.action_high, ahead)])
        middle = np.mean([env.action_low, env.action_high], axis=0)
        self.guess = np.concatenate([np.tile(env.x_0, ahead), np.tile(middle, ahead)])

    def __call__(self, state: np.ndarray, known: np.ndarray, t: int) -> np.ndarray:
        env, ahead = self.env, self.ahead
        plant, outputs = len(env.x_0), len(env.outputs)
        steps = t + np.arange(ahead)
        rows = known[np.minimum(steps, env.horizon - 1)]
        counts = (steps < env.horizon).astype(float)
        # The first move of an episode is free, and nothing counts after its end.
        moves = counts * (steps > 0)
        before = state[plant:] if env.move_weight else np.zeros(env.action_dim)
        parameters = np.concatenate(
            [
                *(state[:plant], before),
                *(rows[:, :outputs].ravel(), rows[:, outputs:].ravel()),
                *(counts, moves),
            ]
        )
        found = self.program(x0=self.guess, lbx=self.low, ubx=self.high, lbg=0, ubg=0, p=parameters)
        self.guess = np.asarray(found["x"]).ravel()
        first = plant * ahead
        inputs = self.guess[first : first + env.action_dim]
        return np.clip(inputs, env.action_low, env.action_high)


def _step(casadi: Any, env: TrackingTask) -> Any:
    # The same Runge-Kutta steps as the task's, so that only the method of control differs.
    x = casadi.MX.sym("x", len(env.x_0))
    u = casadi.MX.sym("u", env.action_dim)
    d = casadi.MX.sym("d", len(env.disturbances))
    parts = int(np.ceil(env.dt / env.longest_part * (1 - 1e-9)))
    size, slope = env.dt / parts, EQUATIONS[env.name]

    def f(x: Any) -> Any:
        return casadi.vertcat(*slope(casadi, casadi.vertsplit(x), u, d))

    one = f(x)
    two = f(x + 0.5 * size * one)
    three = f(x + 0.5 * size * two)
    four = f(x + size * three)
    after = x + size / 6 * (one + 2 * two + 2 * three + four)
    part = casadi.Function("part", [x, u, d], [after])
    start = casadi.MX.sym("start", len(env.x_0))
    end = start
    for _ in range(parts):
        end = part(end, u, d)
    # Scalar by scalar, which is evaluated many times faster than calls of matrices.
    return casadi.Function("step", [start, u, d], [end]).expand()


def _stirred_tank(casadi: Any, x: Any, u: Any, d: Any) -> list[Any]:
    rate = 7.2e10 * casadi.exp(-8750 / x[1]) * x[0]
    cooled = 5e4 / (1000 * 0.239 * 100) * (u[0] - x[1])
    return [d[1] - x[0] - rate, d[0] - x[1] + 5e4 / (1000 * 0.239) * rate + cooled]


def _four_tank(casadi: Any, x: Any, u: Any, d: Any) -> list[Any]:
    outlets = 3.5e-3, 3e-3, 2e-3, 2.5e-3
    f = []
    for a, h in zip(outlets, x, strict=True):
        root = casadi.if_else(h > 1e-4, casadi.sqrt(casadi.fmax(h, 1e-4)), 100 * h)
        f.append(a * casadi.sqrt(2 * 9.81) * root)
    one, two = 8.5e-4 * u[0], 9.5e-4 * u[1]
    return [f[2] - f[0] + 0.2 * one, f[3] - f[1] + 0.2 * two, 0.8 * two - f[2], 0.8 * one - f[3]]


def _nonsmooth(casadi: Any, x: Any, u: Any, d: Any) -> list[Any]:
    return [x[1], -2 * x[0] - 3 * x[1] + u[0]]


EQUATIONS: dict[str, Callable[..., list[Any]]] = {
    "stirred-tank": _stirred_tank,
    "four-tank": _four_tank,
    "nonsmooth-control": _nonsmooth,
}
OUTPUTS = {"stirred-tank": (0,), "four-tank": (2, 3), "nonsmooth-control": (0,)}
"""Which entries of the state are to follow setpoints."""


def main() -> None:
    """Measure all of them on some tasks."""
    parser = argparse.ArgumentParser(prog="python -m experiments.process_control.oracle")
    parser.add_argument("--tasks", nargs="+", default=list(HORIZONS), choices=list(HORIZONS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for name in arguments.tasks:
        env, ahead = make(name, horizon=HORIZONS[name]), AHEAD.get(name, 20)
        rows = [{"controller": "best plan", "ahead": env.horizon, "return": best(env), "ms": ""}]
        played = {"L-BFGS": receding(env, ahead)}
        if name in EQUATIONS:
            assert isinstance(env, TrackingTask)
            played["CasADi and IPOPT"] = interior_point(env, ahead)
        rows += [
            {"controller": what, "ahead": ahead, "return": one.return_, "ms": 1e3 * one.seconds}
            for what, one in played.items()
        ]
        rows = [{"task": name, "horizon": env.horizon} | row for row in rows]
        command = f"python -m experiments.process_control.oracle --tasks {name}"
        save(arguments.out / f"oracle_{name}.csv", rows, command)
        for row in rows:
            print(row, flush=True)


if __name__ == "__main__":
    main()
