"""Gradient ascent on the first action alone, in a model or in the true dynamics."""

from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from beeline.diagnostics import open_loop
from beeline.envs import Environment, reward_of
from beeline.gradients import rewards_along
from beeline.models import WorldModel
from experiments._offline import later_actions

CLIP = 100.0
"""Largest gradient, as for the paper's policies (Appendix C)."""


def ascend(
    model: WorldModel,
    env: Environment,
    starts: Float[Array, " start"],
    rates: Float[Array, " rate"],
    *,
    steps: int,
    seed: int,
) -> Float[Array, "rate start"]:
    """Climb a model's return from several starts, with Adam at several rates.

    Args:
        model: Whose return is climbed.
        env: The task, for its reward.
        starts: First actions to start from.
        rates: Adam's step sizes.
        steps: How many steps to take.
        seed: Decides the actions after the first.

    Returns:
        The first actions reached, held to [-1, 1].
    """
    return _ascend(model, env, later_actions(env, seed=seed), starts, rates, steps)


@eqx.filter_jit
def _ascend(
    model: WorldModel, env: Environment, actions: Array, starts: Array, rates: Array, steps: int
) -> Array:
    def return_of(value: Array) -> Array:
        chosen = actions.at[0, 0].set(value)
        first = env.initial_state(key=jax.random.key(0))
        after = open_loop(model, first, chosen)
        states = jnp.concatenate([first[None], after[:-1]])
        return rewards_along(reward_of(env), states, chosen, after[-1]).sum()

    adam = optax.scale_by_adam()

    def climb(start: Array, rate: Array) -> Array:
        def step(loop, _):
            value, state = loop
            # Forward mode: one input, and nothing to store along a long episode.
            _, slope = jax.jvp(return_of, (value,), (jnp.ones_like(value),))
            slope = jnp.where(jnp.isnan(slope), 0.0, jnp.clip(slope, -CLIP, CLIP))
            update, state = adam.update(slope, state)
            return (jnp.clip(value + rate * cast(Array, update), -1, 1), state), None

        return jax.lax.scan(step, (start, adam.init(start)), None, length=steps)[0][0]

    return jax.vmap(lambda rate: jax.vmap(lambda start: climb(start, rate))(starts))(rates)
