"""The choice between whole episodes and windows, where it is left to the library."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from beeline.build._algorithm import exploration_of
from beeline.build._continuing import check_continuing
from beeline.build._networks import NO_DRAWS, Draws, build_model, modes_of
from beeline.config import BASELINES, Config
from beeline.control import is_noisy
from beeline.envs import Environment, make
from beeline.envs._constraints import Constraints
from beeline.envs._transition import transition
from beeline.models import knows_windows
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling
from beeline.training.choice import weigh
from beeline.training.episodes import Episode
from beeline.training.exploration import random_episodes


def imagination_of(
    config: Config,
    env: Environment | None = None,
    draws: Draws = NO_DRAWS,
    data: Episode | None = None,
) -> Config:
    """Choose between whole episodes and windows, where that is left to be chosen.

    What decides is the warm-up of the first seed, the same episodes that its run begins with, or
    the data in its place.

    Args:
        config: The run.
        env: Its environment; left out, the task of its name.
        draws: What the user draws.
        data: Logged episodes in the place of the warm-up.

    Returns:
        The run, with `imagination` one or the other, and why; a baseline's as it was.

    Raises:
        ValueError: If an episode is shorter than the windows that the environment asks for, or it
            does not end and an option says that it does.
    """
    chosen = _chosen(config, env, draws, data)
    if env is not None and env.continuing:
        # None of the library's own is.
        check_continuing(chosen, env)
    return chosen


def _chosen(config: Config, env: Environment | None, draws: Draws, data: Episode | None) -> Config:
    if config.imagination != "auto" or config.model in BASELINES:
        return config
    env = make(config.task, horizon=config.horizon) if env is None else env
    whole = dataclasses.replace(config, imagination="episodes")
    if env.terminated is not None or env.continuing:
        why = "the task does not end" if env.terminated is None else "episodes can terminate"
        return dataclasses.replace(config, imagination="windows", because=why)
    constraints = Constraints.of(env)
    if constraints is not None and constraints.of_episodes:
        why = f"the constraint {constraints.of_episodes[0]!r} is about whole episodes"
        return dataclasses.replace(whole, because=why)
    needed = 2 * config.windows.length
    if config.horizon < needed:
        why = f"{config.horizon} steps are less than two windows of {config.windows.length}"
        return dataclasses.replace(whole, because=why)
    model = eqx.filter_eval_shape(
        lambda: build_model(whole, env, key=jax.random.key(0), draws=draws)
    )
    if not knows_windows(model):
        why = f"the model {config.model!r} knows whole episodes only"
        return dataclasses.replace(whole, because=why)
    episodes = _warm_up(config, env) if data is None else data
    count = modes_of(config, env)
    values = np.asarray(_standardised(episodes.states, count), float)
    found = weigh(values, np.asarray(episodes.actions), noisy=is_noisy(env))
    if not found.for_windows:
        return dataclasses.replace(whole, because=str(found))
    why, fields = str(found), config.windows
    if fields.clock == "none" and _time_matters(env, episodes.states, episodes.actions):
        why += "; time matters"
        fields = dataclasses.replace(fields, clock="episode")
    return dataclasses.replace(config, imagination="windows", windows=fields, because=why)


def _warm_up(config: Config, env: Environment) -> Episode:
    def play(seed: UInt32[Array, ""]) -> Episode:
        # By the keys of `_draw` and of `BPO.init`.
        _, _, key = jax.random.split(jax.random.key(seed), 3)
        _, key = jax.random.split(key)
        return random_episodes(env, exploration_of(config), config.warmup_episodes, key=key)

    # Run once, so that making it faster would lose time; one program for all seeds.
    once = {"xla_backend_optimization_level": "0"}
    return jax.jit(play, compiler_options=once)(np.uint32(config.seed))


@partial(jax.jit, static_argnums=1)
def _standardised(
    states: Float[Array, "episode times state"], count: int | None
) -> Float[Array, "episode times code"]:
    # In one program: outside, each operation would be compiled on its own.
    modes = None if count is None else Modes.fit(states, count)
    return StateScaling.fit(states, modes=modes).encode(states)


def _time_matters(
    env: Environment,
    states: Float[Array, "episode times state"],
    actions: Float[Array, "episode time action"],
) -> bool:
    # Whether the same state and action lead elsewhere, or earn something else, at another time.
    key = jax.random.key(0)

    def at(t: int) -> list[np.ndarray]:
        def one(state: Array, action: Array) -> tuple[Array, Array]:
            return transition(env, state, action, jnp.asarray(t), key=key)

        found = jax.jit(jax.vmap(one))(states[0, :-1], actions[0])
        return [np.asarray(leaf) for leaf in found]

    return not all(
        np.array_equal(a, b, equal_nan=True)
        for t in (env.horizon // 2, env.horizon - 1)
        for a, b in zip(at(0), at(t), strict=True)
    )
