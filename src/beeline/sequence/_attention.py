"""Causal softmax attention in blocks.

A query sees only keys at or before it. Queries are taken in blocks, each against the prefix
of keys that it can see: half the products of the full square, and a working set that stays in
cache.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_SMALLEST_BLOCK = 64
_MOST_BLOCKS = 8


def attend(
    query: Float[Array, "head queries channels"],
    key: Float[Array, "head keys channels"],
    value: Float[Array, "head keys channels"],
    visible: Bool[Array, "queries keys"],
) -> Float[Array, "queries head channels"]:
    """Softmax attention, softmax(Q K^T) V, over the visible keys.

    Args:
        query: Queries, already scaled.
        key: Keys.
        value: Values.
        visible: Which keys each query may see; at least one.

    Returns:
        What each query attended to.
    """
    scores = jnp.where(visible, query @ key.swapaxes(-1, -2), -jnp.inf)
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
    attended = (weights @ value) / weights.sum(axis=-1, keepdims=True)
    return attended.swapaxes(0, 1)


def causal_attention(
    query: Float[Array, "time head channels"],
    key: Float[Array, "time head channels"],
    value: Float[Array, "time head channels"],
) -> Float[Array, "time head channels"]:
    """Attend from every token to those at or before it.

    Args:
        query: Queries, already scaled.
        key: Keys.
        value: Values.

    Returns:
        What each token attended to.
    """
    length = query.shape[0]
    block = max(_SMALLEST_BLOCK, -(-length // _MOST_BLOCKS))
    query, key, value = (x.swapaxes(0, 1) for x in (query, key, value))
    attend_block = jax.checkpoint(attend)
    outputs = []
    for first in range(0, length, block):
        last = min(first + block, length)
        visible = jnp.arange(first, last)[:, None] >= jnp.arange(last)
        outputs.append(attend_block(query[:, first:last], key[:, :last], value[:, :last], visible))
    return jnp.concatenate(outputs)
