"""What a plain implementation does, as the baseline of the same run.

The same weights and the same mathematics as the transformer Actions World Model, in the
manner of the paper's published code: attention over the full square under a mask, batches
whole, and the policy gradient by differentiating a scan that attends over a cache padded to
the whole horizon.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from beeline.models import ActionsModel


def _block(block, x, queries_keys_values, visible):
    query, key, value = queries_keys_values
    scores = jnp.einsum("qhc,khc->hqk", query, key)
    weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
    return block.merge(x, jnp.einsum("hqk,khc->qhc", weights, value))


def predict(model: ActionsModel, state, actions):
    """Standardised predictions by attention over the full square."""
    length = actions.shape[0] + 1
    first = model._state_token(state, 0)
    x = jnp.concatenate([first[None], model._action_token(actions, jnp.arange(length - 1))])
    visible = jnp.tril(jnp.ones((length, length), bool))
    for block in model.core.blocks:
        x = _block(block, x, block.split(x), visible)
    return model.decoder(model.core.norm(x)[1:])


def fit_gradient(model: ActionsModel, states, actions):
    """Gradient of the prediction loss, the batch whole."""

    def loss(model):
        predicted = jax.vmap(predict, in_axes=(None, 0, 0))(model, states[:, 0], actions)
        return jnp.mean((predicted - model.scaling.encode(states[:, 1:])) ** 2)

    return eqx.filter_grad(loss)(model)


def policy_gradient(policy, model: ActionsModel, objective, initial_states, noise):
    """Gradient of the objective through a scan with a full padded cache."""
    horizon = noise.shape[1]

    def live(policy, state, draws):
        def step(loop, inputs):
            carry, state = loop
            t, draw = inputs
            action, entropy = policy.sample(jax.lax.stop_gradient(state), t, draw)
            carry, following = model.step(carry, state, action, t)
            return (carry, following), (state, action, entropy)

        start = (model.start(state, horizon), state)
        return jax.lax.scan(step, start, (jnp.arange(horizon), draws))[1]

    def value(policy):
        return objective(*jax.vmap(live, in_axes=(None, 0, 0))(policy, initial_states, noise))[0]

    return eqx.filter_grad(value)(policy)
