"""Whether functions that were given for a simulator's reward and termination say what it says."""

import jax
import jax.numpy as jnp
import numpy as np

from beeline.config import Config
from beeline.envs import reward_of
from beeline.envs._simulator import Simulator
from beeline.envs._simulator_error import SimulatorError
from beeline.envs._transition import termination_of
from beeline.training.episodes import Episode

_TOLERANCE = 1e-3
"""Relative to the largest reward: what observations in single precision may make of it."""


def check_known(config: Config, env: Simulator) -> None:
    """Refuse to learn where a function is missing.

    Args:
        config: The run.
        env: The simulator.

    Raises:
        SimulatorError: If the reward or the termination is to be known, and nothing tells it.
    """
    for name, found in env.learned.items():
        if getattr(config, name) == "known" and found == "learned":
            raise SimulatorError(
                f"{name} is 'known', but no function tells that of {env.name}: hand over an "
                f"environment with one, on the command line as --env {env.name} --env.{name} "
                "module:name"
            )


def check_functions(env: Simulator, episodes: Episode) -> None:
    """Compare them with what the simulator said in its first episodes.

    Args:
        env: The simulator.
        episodes: Rows of its episodes.

    Raises:
        SimulatorError: If a function says something else, naming the step.
    """
    assert episodes.ends is not None
    ends = episodes.ends
    state_dim, action_dim = env.state_dim, env.action_dim
    steps = (
        np.asarray(episodes.states[..., :-1, :]).reshape(-1, state_dim),
        np.asarray(episodes.actions).reshape(-1, action_dim),
        np.asarray(ends.times).ravel(),
        np.asarray(ends.next_states).reshape(-1, state_dim),
    )
    if env.own_reward is not None:
        reward = jax.jit(jax.vmap(lambda s, a, t, n: reward_of(env)(s, a, t, next_state=n)))
        given, seen = np.asarray(reward(*map(jnp.asarray, steps))), np.asarray(episodes.rewards)
        seen = seen.ravel()
        wrong = ~(np.abs(given - seen) <= _TOLERANCE * max(1.0, float(np.abs(seen).max())))
        _refuse(env, "reward", given, seen, wrong, steps)
    if env.own_termination is not None:
        terminated = termination_of(env)
        assert terminated is not None
        given = np.asarray(jax.jit(jax.vmap(terminated))(*map(jnp.asarray, steps)))
        seen = np.asarray(ends.terminated).ravel()
        _refuse(env, "termination", given, seen, given != seen, steps)


def _refuse(
    env: Simulator,
    what: str,
    given: np.ndarray,
    seen: np.ndarray,
    wrong: np.ndarray,
    steps: tuple[np.ndarray, ...],
) -> None:
    if not wrong.any():
        return
    at = int(np.argmax(wrong))
    state, action, t, _ = (x[at] for x in steps)
    action = np.asarray(env.physical_action(jnp.asarray(action)))
    raise SimulatorError(
        f"the {what} that was given says {given[at]} where {env.name} says {seen[at]}, in "
        f"{wrong.sum()} of its first {len(wrong)} steps, such as that from "
        f"{np.round(state, 4).tolist()} by {np.round(action, 4).tolist()} at step {t}: mend it, or "
        "leave it out and it is learned"
    )
