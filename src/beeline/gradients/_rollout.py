"""Episodes in a world model: a policy's, and those of a fixed sequence of actions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from beeline.gradients._base import steps_from
from beeline.models import WorldModel
from beeline.policies import Policy


def scale_gradient(x: Float[Array, "*shape"], scale: float) -> Float[Array, "*shape"]:
    """Leave a value as it is and multiply its gradient.

    Args:
        x: Any array.
        scale: 1 keeps the gradient, 0 stops it.

    Returns:
        `x`.
    """
    if scale == 1:
        return x
    stopped = jax.lax.stop_gradient(x)
    return stopped if scale == 0 else scale * x + (1 - scale) * stopped


def rollout(
    policy: Policy,
    model: WorldModel,
    state: Float[Array, " state"],
    noise: Float[Array, "time action"],
    first: Int[Array, ""] | None = None,
    disturbances: Float[Array, "time code"] | None = None,
    *,
    through_policy: float,
    through_states: float,
) -> tuple[
    Float[Array, "time state"],
    Float[Array, "time action"],
    Float[Array, " time"],
    Float[Array, " state"],
]:
    """Unroll one episode or window, the model's room growing in stages.

    Args:
        policy: The policy.
        model: The world model.
        state: The initial state.
        noise: Standard normal draws for the policy.
        first: Index of the first step of a window; left out for a whole episode.
        disturbances: What is added to each standardised state that the model predicts; nothing if
            not given.
        through_policy: Share of the gradient that passes through the policy's input.
        through_states: Share that passes through predicted states fed back to the model.

    Returns:
        The state before each action, the actions, their entropy estimates, and the last state.
    """

    def step(loop, inputs):
        carry, state = loop
        t, draw, disturbance = inputs
        action, entropy = policy.sample(scale_gradient(state, through_policy), t, draw)
        fed_back = scale_gradient(state, through_states)
        carry, next_state = model.step(carry, fed_back, action, t)
        if disturbance is not None:
            scaling = model.scaling
            next_state = scaling.decode(scaling.encode(next_state) + disturbance)
        return (carry, next_state), (state, action, entropy)

    times = steps_from(first, noise.shape[0])
    stages = model.stages(noise.shape[0])
    done, parts = 0, []
    loop = (model.start(state, stages[0], *(() if first is None else (first,))), state)
    for last in stages:
        if done:
            loop = (model.reserve(loop[0], last), loop[1])
        stage = slice(done, last)
        lacking = None if disturbances is None else disturbances[stage]
        loop, part = jax.lax.scan(step, loop, (times[stage], noise[stage], lacking))
        parts.append(part)
        done = last
    states, actions, entropy = (jnp.concatenate(piece) for piece in zip(*parts, strict=True))
    return states, actions, entropy, loop[1]


def open_loop(
    model: WorldModel,
    state: Float[Array, " state"],
    actions: Float[Array, "time action"],
    *,
    through_states: float = 1.0,
) -> Float[Array, "time state"]:
    """Predict the states that a fixed sequence of actions leads to.

    Args:
        model: The world model.
        state: The initial state, in physical units.
        actions: Actions in [-1, 1].
        through_states: Share of the gradient through predicted states that are fed back.

    Returns:
        The state after each action.
    """
    length = actions.shape[0]
    if not model.state_fed:
        return model.predict(jnp.broadcast_to(state, (length, *state.shape)), actions)

    def step(loop, inputs):
        carry, state = loop
        action, t = inputs
        carry, state = model.step(carry, scale_gradient(state, through_states), action, t)
        return (carry, state), state

    first = (model.start(state, length), state)
    return jax.lax.scan(step, first, (actions, jnp.arange(length)))[1]
