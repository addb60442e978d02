"""A single layer of softmax self-attention and nothing else.

o_t = Attention(x_t W_q, x_{1:t} W_k, x_{1:t} W_v), where Attention(Q, K, V) = softmax(Q Kᵀ) V.

There is no residual, normalisation, bias or scaling of the scores, because this is the layer that
the paper bounds: an actions model made of it has a policy gradient of order H³ at most.

References:
    Paper, Eq. 5 and Corollary 2.2.
"""

from typing import ClassVar, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.sequence._attention import (
    KeyValues,
    attend_to_seen,
    causal_attention,
    growing_stages,
    no_tokens,
)
from beeline.sequence._base import SequenceCore


class SelfAttentionCache(NamedTuple):
    """Keys and values of the tokens seen, and their number."""

    seen: KeyValues
    position: Int[Array, ""]


@final
class SelfAttention(SequenceCore[SelfAttentionCache]):
    """Causal self-attention with linear queries, keys and values of the raw tokens."""

    parallel_in_time: ClassVar[bool] = True
    query_key_value: Float[Array, "hidden columns"]
    """W_q, W_k and W_v side by side, so that they take one product."""
    width: int = eqx.field(static=True)

    def __init__(self, width: int = 72, *, key: PRNGKeyArray) -> None:
        """Draw the three maps.

        Args:
            width: Size of a token, of its query, key and value, and of an output.
            key: Random key.
        """
        # Queries and keys of variance width**-1/2 give scores of unit variance.
        scales = jnp.repeat(jnp.array([width**-0.75, width**-0.75, width**-0.5]), width)
        self.query_key_value = scales * jax.random.normal(key, (width, 3 * width))
        self.width = width

    @override
    def parallel(self, tokens: Float[Array, "time hidden"]) -> Float[Array, "time hidden"]:
        query, key, value = self._split(tokens)
        return causal_attention(query, key, value)[:, 0]

    @override
    def start(self, length: int) -> SelfAttentionCache:
        seen = no_tokens(1, length, self.width, self.query_key_value.dtype)
        return SelfAttentionCache(seen, jnp.zeros((), int))

    @override
    def step(
        self, cache: SelfAttentionCache, token: Float[Array, " hidden"]
    ) -> tuple[SelfAttentionCache, Float[Array, " hidden"]]:
        query, key, value = self._split(token)
        seen = cache.seen.append(key, value, cache.position)
        output = attend_to_seen(query, seen, cache.position)[0]
        return SelfAttentionCache(seen, cache.position + 1), output

    @override
    def reserve(self, cache: SelfAttentionCache, length: int) -> SelfAttentionCache:
        return cache._replace(seen=cache.seen.pad(length))

    @override
    def stages(self, length: int) -> tuple[int, ...]:
        return growing_stages(length)

    def _split(self, tokens: Float[Array, "*time hidden"]) -> tuple[Array, ...]:
        fused = (tokens @ self.query_key_value)[..., None, :]
        return tuple(jnp.split(fused, 3, axis=-1))
