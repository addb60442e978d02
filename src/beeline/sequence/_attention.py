"""Causal softmax attention in blocks.

A query sees only keys at or before it. Queries are taken in blocks, each against the prefix
of keys that it can see: half the products of the full square, and a working set that stays in
cache.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

_SMALLEST_BLOCK = 64
_MOST_BLOCKS = 8
_LONG, _VERY_LONG = 256, 1024


class KeyValues(NamedTuple):
    """Keys and values of one layer for the tokens seen, zero beyond them."""

    keys: Float[Array, "head room channels"]
    values: Float[Array, "head room channels"]

    def append(
        self,
        key: Float[Array, "head channels"],
        value: Float[Array, "head channels"],
        at: Int[Array, ""],
    ) -> "KeyValues":
        """Write one token's key and value.

        Args:
            key: The key.
            value: The value.
            at: Which token it is; there must be room.

        Returns:
            The keys and values, that token's included.
        """
        keys = jax.lax.dynamic_update_slice_in_dim(self.keys, key[:, None], at, axis=1)
        values = jax.lax.dynamic_update_slice_in_dim(self.values, value[:, None], at, axis=1)
        return KeyValues(keys, values)

    def pad(self, length: int) -> "KeyValues":
        """Make room.

        Args:
            length: Tokens to have room for, those seen included.

        Returns:
            The same keys and values with that room, or with more if there was more.
        """
        padding = ((0, 0), (0, max(0, length - self.keys.shape[1])), (0, 0))
        return KeyValues(jnp.pad(self.keys, padding), jnp.pad(self.values, padding))


def no_tokens(heads: int, room: int, channels: int, dtype: DTypeLike) -> KeyValues:
    """Make room for keys and values before any token is seen.

    Args:
        heads: Attention heads.
        room: Tokens to make room for.
        channels: Size of a key and of a value.
        dtype: Precision of the weights that will make them.

    Returns:
        Zeros.
    """
    empty = jnp.zeros((heads, room, channels), dtype)
    return KeyValues(empty, empty)


def attend_to_seen(
    query: Float[Array, "head channels"], seen: KeyValues, at: Int[Array, ""]
) -> Float[Array, "head channels"]:
    """Attend from one token to those at or before it.

    Args:
        query: The token's query, already scaled.
        seen: Keys and values, that token's included.
        at: Which token it is.

    Returns:
        What it attended to.
    """
    visible = jnp.arange(seen.keys.shape[1]) <= at
    return attend(query[:, None], seen.keys, seen.values, visible[None])[0]


def growing_stages(length: int) -> tuple[int, ...]:
    """Grow in quarters once the sequence is long, then in eighths: 9/16 of full attention.

    Args:
        length: Tokens in the whole sequence.

    Returns:
        Increasing sizes, the last of them `length`.
    """
    parts = 1 if length < _LONG else 4 if length < _VERY_LONG else 8
    return tuple(-(-length * part // parts) for part in range(1, parts + 1))


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
    # Subtracting the maximum cancels in the quotient, so it needs no derivative.
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
    # Weights are recomputed in the backward pass: stored, they would take memory quadratic in time.
    attend_block = jax.checkpoint(attend)
    outputs = []
    for first in range(0, length, block):
        last = min(first + block, length)
        visible = jnp.arange(first, last)[:, None] >= jnp.arange(last)
        outputs.append(attend_block(query[:, first:last], key[:, :last], value[:, :last], visible))
    return jnp.concatenate(outputs)
