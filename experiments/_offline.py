"""The paper's offline setting: a data set of random episodes, and models fitted to it.

References:
    Paper, Appendix D and Table 1.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from beeline.build import build_model
from beeline.config import Config, preset
from beeline.diagnostics import first_action_landscape
from beeline.envs import Environment, make, reward_of
from beeline.models import SimulatorModel, WorldModel
from beeline.networks.scaling import StateScaling
from beeline.training import IndependentNoise, ModelFitting, Optimiser, fit, play

TRUTH = "truth"
"""The name of the true dynamics among the models."""

_HELD_OUT = 64


@dataclasses.dataclass(frozen=True)
class Offline:
    """How much is collected and fitted; the defaults are the paper's."""

    transitions: int = 100_000
    """Transitions collected with uniformly random actions, in whole episodes."""
    fitting_steps: int = 1000
    """Gradient steps on each model."""
    batch_size: int = 64
    """Whole episodes a step."""
    learning_rate: float = 1e-3
    """Adam's step size."""


class Fit(NamedTuple):
    """A fitted model and how well it predicts."""

    preset: str
    name: str
    model: WorldModel
    one_pass_error: float
    """Root mean squared error on held-out episodes, as the loss has it, in standardised units:
    state-fed models see the true state before every step."""


def episodes(
    env: Environment, transitions: int, *, key: PRNGKeyArray
) -> tuple[Float[Array, "batch times state"], Float[Array, "batch time action"]]:
    """Collect whole episodes with uniformly random actions.

    Args:
        env: The task.
        transitions: How many to collect at least.
        key: Random key.

    Returns:
        States, one more than actions, and actions.
    """

    def one(key: PRNGKeyArray) -> tuple[Array, Array]:
        noise_key, env_key = jax.random.split(key)
        actions = IndependentNoise().random_actions(env.horizon, env.action_dim, key=noise_key)
        episode = play(env, actions, key=env_key)
        return episode.states, episode.actions

    return jax.jit(jax.vmap(one))(jax.random.split(key, -(-transitions // env.horizon)))


def fitted_models(
    env: Environment,
    names: tuple[str, ...],
    presets: tuple[str, ...],
    plan: Offline,
    *,
    seed: int,
) -> Iterator[Fit]:
    """Fit one model after another to one data set.

    Args:
        env: The task.
        names: Models to fit.
        presets: Presets of the library, whose network sizes and scaling are used.
        plan: How much to collect and fit.
        seed: Decides the data, the first weights and the batches.

    Yields:
        Each model, fitted.
    """
    data_key, test_key, *keys = jax.random.split(jax.random.key(seed), 2 + len(names))
    states, actions = episodes(env, plan.transitions, key=data_key)
    test = episodes(env, _HELD_OUT * env.horizon, key=test_key)
    for preset_name in presets:
        for name, key in zip(names, keys, strict=True):
            config = preset(preset_name, task=env.name, horizon=env.horizon, model=name)
            # The paper's models see the actions as they are, and predict changes of the state.
            plain = dataclasses.replace(config.world_model, harmonics=0, units="state")
            config = dataclasses.replace(config, world_model=plain)
            model = _fit(config, env, states, actions, plan, key=key)
            yield Fit(preset_name, name, model, _error(model, *test))


def true_model(env: Environment) -> WorldModel:
    """The environment as a model of itself.

    Args:
        env: The task.

    Returns:
        The model that is always right.
    """
    return SimulatorModel(env)


def later_actions(env: Environment, *, seed: int) -> Float[Array, "time action"]:
    """Draw the actions after the first, which do nothing, but which models read.

    Args:
        env: The task.
        seed: Decides the draw; not the one that the data was drawn with.

    Returns:
        Uniformly random actions.
    """
    key = jax.random.fold_in(jax.random.key(seed), 1)
    return jax.random.uniform(key, (env.horizon, env.action_dim), minval=-1, maxval=1)


def landscape(
    model: WorldModel, env: Environment, values: Float[Array, " point"], *, seed: int
) -> Float[Array, " point"]:
    """Return of an episode as its first action varies.

    Args:
        model: Says what comes of it.
        env: The task, for its reward.
        values: First actions.
        seed: Decides the actions after the first.

    Returns:
        The return at each.
    """
    actions = later_actions(env, seed=seed)
    start = env.initial_state(key=jax.random.key(0))
    return first_action_landscape(model, reward_of(env), start, actions, values)


def task(name: str, horizon: int) -> Environment:
    """Make a task as both figures have it.

    Args:
        name: Name of the task.
        horizon: Steps in an episode.

    Returns:
        The task with its default options.
    """
    return make(name, horizon=horizon)


def _fit(
    config: Config,
    env: Environment,
    states: Float[Array, "batch times state"],
    actions: Float[Array, "batch time action"],
    plan: Offline,
    *,
    key: PRNGKeyArray,
) -> WorldModel:
    model_key, key = jax.random.split(key)
    optimiser = Optimiser(plan.learning_rate, final_rate=1.0, clip=config.fitting.clip)
    return fit(
        build_model(config, env, key=model_key),
        states,
        actions,
        ModelFitting(optimiser, plan.batch_size),
        updates=plan.fitting_steps,
        standardise=config.world_model.standardise,
        key=jax.random.split(key, plan.fitting_steps),
    )


@eqx.filter_jit
def _squared_error(model: WorldModel, states: Array, actions: Array) -> Array:
    # In the units of the data, whatever the model's own, so that models can be compared.
    scaling = StateScaling.fit(states, compress=False)
    predicted = jax.lax.map(lambda e: model.predict(e[0][:-1], e[1]), (states, actions))
    return jnp.mean((scaling.encode(predicted) - scaling.encode(states[:, 1:])) ** 2)


def _error(model: WorldModel, states: Array, actions: Array) -> float:
    return float(jnp.sqrt(_squared_error(model, states, actions)))
