"""From logged episodes to a system that a policy can be learned in."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from beeline.config import Config, preset
from beeline.data import DataError, Episodes
from beeline.envs import Environment
from beeline.envs._declared import takes_next_state
from beeline.offline._ensemble import Ensemble, draw_ensemble, fit_ensemble
from beeline.offline._reward import LearnedReward, check_reward, draw_reward, fit_reward
from beeline.offline._rows import Rows, packed_rows
from beeline.offline._system import System
from beeline.training import Optimiser

UPDATES = 3000
"""Of the ensemble, and of the reward."""
_HELD_OUT = 0.1
"""Share of the rows that only the usual disagreement is measured on."""
_USUAL = 0.99
"""Share of held-out steps whose disagreement counts as usual."""
_LONGEST = 200
"""Steps in an episode where nothing is said and the data's are longer."""
_EPISODES = 10
"""Of which the data has to have as many, for episodes to start where its do."""
_MOST_STARTS = 1024
_REWARD_RATE = 2e-3


def usual_horizon(episodes: Episodes) -> int:
    """Choose how many steps an episode has, where nothing is said.

    Args:
        episodes: The data.

    Returns:
        As many as half of the episodes have, at most 200 and half of all steps.
    """
    median = int(np.median([len(one.actions) for one in episodes]))
    return max(2, min(median, _LONGEST, episodes.steps // 2))


def learn_system(
    episodes: Episodes,
    simulator: Environment | None = None,
    *,
    reward: Callable[..., Any] | None = None,
    horizon: int | None = None,
    name: str = "logged-data",
    caution: float = 1.0,
    updates: int | None = None,
    seed: int = 0,
    config: Config | None = None,
) -> System:
    """Learn a system from data alone.

    Args:
        episodes: The data.
        simulator: What the data is of, if there is such a thing: bounds, names, the reward and
            the horizon are taken from it, and no step.
        reward: The reward of a state, an action between its bounds and a step index, and of
            `next_state` if it takes that, in JAX; left out, that of the simulator, or a model of
            the rewards logged.
        horizon: Steps in an episode; left out, those of the simulator, or of half of the episodes.
        name: What the system is called.
        caution: How much reward is taken off where the ensemble disagrees more than it usually
            does; 0 trusts it everywhere.
        updates: Steps of the optimiser; 3,000 if left out.
        seed: Seed of everything random.
        config: Sizes of networks and the optimiser; the default preset's if left out.

    Returns:
        The system.

    Raises:
        DataError: If the data is not of the simulator, has no reward or too few steps, or its
            episodes terminate.
        TypeError: If the reward is no function of a step.
        ValueError: If it fails, or the caution is below 0.
    """
    if not 0 <= caution < float("inf"):
        raise ValueError(f"caution is {caution}: give a number from 0")
    horizon = horizon or (usual_horizon(episodes) if simulator is None else simulator.horizon)
    config = preset("default") if config is None else config
    updates = UPDATES if updates is None else updates
    check_belongs(episodes, simulator)
    low, high = bounds_of(episodes, simulator)
    rows = packed_rows(episodes, horizon, low, high)
    keys = jax.random.split(jax.random.key(seed), 4)
    fitted, kept = _parted(rows, single=len(episodes) == 1, seed=seed)
    earned = _earned(reward, simulator, fitted, low, high, config, updates, keys[:2])
    check_reward(earned, episodes.state_dim, episodes.action_dim)
    fields = config.world_model
    ensemble = draw_ensemble(
        *(episodes.state_dim, episodes.action_dim, horizon, fields.hidden),
        compress=fields.standardise,
        key=keys[2],
    )
    ensemble = fit_ensemble(ensemble, fitted, config, updates=updates, key=keys[3])
    every = np.concatenate([one.states for one in episodes])
    system = System(
        ensemble=ensemble,
        starts=_starts(episodes),
        earned=earned,
        lowest=jnp.asarray(every.min(axis=0), dtype=float),
        highest=jnp.asarray(every.max(axis=0), dtype=float),
        usual=_usual(ensemble, kept),
        spread=jnp.ones(()),
        name=name,
        horizon=horizon,
        state_dim=episodes.state_dim,
        action_dim=episodes.action_dim,
        dt=_dt(episodes, simulator),
        action_low=low,
        action_high=high,
        state_names=episodes.state_names if simulator is None else simulator.state_names,
        action_names=episodes.action_names if simulator is None else simulator.action_names,
        caution=caution,
        continuing=simulator is None or bool(simulator.continuing),
    )
    spread = jnp.maximum(jnp.std(rewards_of(system, rows)), 1e-6)
    return eqx.tree_at(lambda s: s.spread, system, spread)


def rewards_of(env: Environment, rows: Rows) -> Float[Array, "row time"]:
    """Reward the steps of rows by an environment's own reward, without any caution.

    Args:
        env: The environment.
        rows: The rows.

    Returns:
        The rewards.
    """
    states, actions, after = (jnp.asarray(x, dtype=float) for x in rows[:3])
    own = env.earned if isinstance(env, System) else env.reward

    def one(state: Array, action: Array, t: Array, after: Array) -> Array:
        more = {"next_state": after} if takes_next_state(own) else {}
        return jnp.asarray(own(state, env.physical_action(action), t, **more), state.dtype)

    along = jax.vmap(jax.vmap(one), in_axes=(0, 0, None, 0))
    return jax.jit(along)(states[:, :-1], actions, jnp.arange(actions.shape[1]), after)


def check_belongs(episodes: Episodes, env: Environment | None) -> None:
    """Refuse data that a policy cannot be learned from, or that is not of an environment.

    Args:
        episodes: The data.
        env: The environment, if there is one.

    Raises:
        DataError: If sizes differ, or episodes can terminate.
    """
    if env is not None:
        for what, ours, theirs in (
            ("states", episodes.state_dim, env.state_dim),
            ("actions", episodes.action_dim, env.action_dim),
        ):
            if ours != theirs:
                raise DataError(
                    f"the data has {what} of {ours} entries, and {env.name} of {theirs}: name "
                    "the columns in its order"
                )
    if any(one.terminated for one in episodes) or (env is not None and env.terminated is not None):
        raise DataError(
            "episodes of the data can terminate, and policies are learned from data only where "
            "they end with the horizon: leave out what ends early, or train in the simulator"
        )


def bounds_of(
    episodes: Episodes, env: Environment | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Say between which bounds actions lie.

    Args:
        episodes: The data.
        env: The environment, if there is one: its bounds count.

    Returns:
        The lowest and the highest of each entry.
    """
    source: Any = episodes if env is None else env
    low, high = (
        np.broadcast_to(np.asarray(x, float), episodes.action_dim)
        for x in (source.action_low, source.action_high)
    )
    return tuple(low.tolist()), tuple(high.tolist())


def _parted(rows: Rows, *, single: bool, seed: int) -> tuple[Rows, Rows]:
    # What comes last in a single record is the nearest to what is to come.
    count = len(rows.states)
    order = np.arange(count) if single else np.random.default_rng(seed).permutation(count)
    held = max(1, round(_HELD_OUT * count))
    return rows.at(order[:-held]), rows.at(order[-held:])


def _usual(ensemble: Ensemble, rows: Rows) -> Float[Array, ""]:
    states, actions = (jnp.asarray(x, dtype=float) for x in (rows.states[:, :-1], rows.actions))
    _, apart = jax.jit(jax.vmap(jax.vmap(ensemble.predict)))(states, actions)
    return jnp.quantile(apart, _USUAL)


def _earned(
    reward: Callable[..., Any] | None,
    simulator: Environment | None,
    rows: Rows,
    low: tuple[float, ...],
    high: tuple[float, ...],
    config: Config,
    updates: int,
    keys: Array,
) -> Callable[..., Any]:
    if reward is not None:
        return reward
    if simulator is not None and config.reward == "known":
        return simulator.reward
    if rows.rewards is None:
        raise DataError(
            "nothing says what is good: give a reward with --reward module:function, or name the "
            "column of the data that has it"
        )
    model = draw_reward(
        rows.states.shape[-1],
        rows.actions.shape[-1],
        rows.actions.shape[1],
        config.world_model.hidden,
        compress=config.world_model.standardise,
        key=keys[0],
    )
    optimiser = Optimiser(_REWARD_RATE, 0.05, 1.0)
    fitted = fit_reward(model, rows, optimiser, updates=updates, key=keys[1])
    return LearnedReward(fitted, low, high)


def _starts(episodes: Episodes) -> Float[Array, "start state"]:
    if len(episodes) >= _EPISODES:
        starts = np.stack([one.states[0] for one in episodes])
    else:
        starts = np.concatenate([one.states[:-1] for one in episodes])
    if len(starts) > _MOST_STARTS:
        starts = starts[np.linspace(0, len(starts) - 1, _MOST_STARTS).round().astype(int)]
    return jnp.asarray(starts, dtype=float)


def _dt(episodes: Episodes, simulator: Environment | None) -> float:
    if simulator is not None:
        return float(simulator.dt)
    return 1.0 if episodes.dt is None else float(episodes.dt)
