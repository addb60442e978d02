"""The transformer core: pre-norm blocks of causal self-attention and an MLP, as in GPT-2.

References:
    Radford et al. 2019, "Language models are unsupervised multitask learners".
    Paper, Appendix C (embedding 72, 2 layers, 3 heads).
"""

from typing import ClassVar, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline._module import Module
from beeline.networks.layers import MLP, LayerNorm, Linear
from beeline.sequence._attention import (
    KeyValues,
    attend_to_seen,
    causal_attention,
    growing_stages,
    no_tokens,
)
from beeline.sequence._base import SequenceCore


class TransformerCache(NamedTuple):
    """What a transformer remembers: one pair per layer, and the number of tokens seen."""

    layers: tuple[KeyValues, ...]
    position: Int[Array, ""]


@final
class Block(Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    attention_norm: LayerNorm
    query_key_value: Linear
    projection: Linear
    mlp_norm: LayerNorm
    mlp: MLP
    heads: int = eqx.field(static=True)

    def __init__(
        self, width: int, heads: int, mlp_width: int, residual_scale: float, *, key: PRNGKeyArray
    ) -> None:
        """Draw the weights.

        Args:
            width: Size of a token.
            heads: Attention heads; divides `width`.
            mlp_width: Hidden units of the MLP.
            residual_scale: Factor on the layers that write to the residual stream.
            key: Random key.
        """
        attention_key, projection_key, mlp_key = jax.random.split(key, 3)
        self.attention_norm = LayerNorm(width)
        self.query_key_value = Linear(width, 3 * width, key=attention_key)
        scale = residual_scale * width**-0.5
        self.projection = Linear(width, width, scale=scale, key=projection_key)
        self.mlp_norm = LayerNorm(width)
        self.mlp = MLP(
            (width, mlp_width, width),
            jax.nn.gelu,
            last_scale=residual_scale * mlp_width**-0.5,
            key=mlp_key,
        )
        self.heads = heads

    def split(self, x: Float[Array, "*time hidden"]) -> tuple[Array, Array, Array]:
        """Queries, keys and values of normalised tokens, in one product.

        Args:
            x: The residual stream.

        Returns:
            Three arrays (*time, head, channels), the queries scaled by channels**-0.5.
        """
        channels = x.shape[-1] // self.heads
        fused = self.query_key_value(self.attention_norm(x))
        query, key, value = jnp.split(fused, 3, axis=-1)
        shape = (*x.shape[:-1], self.heads, channels)
        query, key, value = query.reshape(shape), key.reshape(shape), value.reshape(shape)
        return query * channels**-0.5, key, value

    def merge(
        self, x: Float[Array, "*time hidden"], attended: Float[Array, "*time head channels"]
    ) -> Float[Array, "*time hidden"]:
        """Add what was attended to, then the MLP's output, to the residual stream.

        Args:
            x: The residual stream.
            attended: Output of the heads.

        Returns:
            The residual stream after the block.
        """
        x = x + self.projection(attended.reshape(x.shape))
        return x + self.mlp(self.mlp_norm(x))


@final
class Transformer(SequenceCore[TransformerCache]):
    """Stack of pre-norm blocks with a last normalisation.

    Time is part of the tokens that a world model makes. A learned table of positions, as
    GPT-2 has, is added when `positions` is set, and then limits the length.
    """

    parallel_in_time: ClassVar[bool] = True
    blocks: tuple[Block, ...]
    norm: LayerNorm
    table: Float[Array, "positions hidden"] | None
    width: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)

    def __init__(
        self,
        width: int = 72,
        layers: int = 2,
        heads: int = 3,
        *,
        mlp_width: int | None = None,
        positions: int | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the weights.

        Args:
            width: Size of a token.
            layers: Number of blocks.
            heads: Attention heads per block.
            mlp_width: Hidden units of each block's MLP; four times `width` if not given.
            positions: Length of the learned position table; none if not given.
            key: Random key.

        Raises:
            ValueError: If `heads` does not divide `width`.
        """
        if heads < 1 or width % heads:
            raise ValueError(
                f"width {width} is not divisible by {heads} heads: "
                f"choose a width that is a multiple of the number of heads"
            )
        *keys, table_key = jax.random.split(key, layers + 1)
        mlp_width = 4 * width if mlp_width is None else mlp_width
        # Each block adds to the residual stream twice: this keeps its variance, as in GPT-2.
        residual_scale = (2 * layers) ** -0.5
        self.blocks = tuple(Block(width, heads, mlp_width, residual_scale, key=k) for k in keys)
        self.norm = LayerNorm(width)
        self.table = (
            None if positions is None else 0.02 * jax.random.normal(table_key, (positions, width))
        )
        self.width = width
        self.heads = heads

    @classmethod
    def for_horizon(
        cls,
        width: int,
        layers: int,
        heads: int,
        positions: bool,
        horizon: int,
        *,
        key: PRNGKeyArray,
    ) -> "Transformer":
        """Draw the weights for episodes of a known length.

        Args:
            width: Size of a token.
            layers: Number of blocks.
            heads: Attention heads a block.
            positions: Whether to add a learned table of positions.
            horizon: Steps in an episode; a model of actions has one token more.
            key: Random key.

        Returns:
            The core.
        """
        table = horizon + 1 if positions else None
        return cls(width, layers, heads, positions=table, key=key)

    @override
    def parallel(self, tokens: Float[Array, "time hidden"]) -> Float[Array, "time hidden"]:
        self._check_length(tokens.shape[0])
        x = tokens if self.table is None else tokens + self.table[: tokens.shape[0]]
        for block in self.blocks:
            query, key, value = block.split(x)
            x = block.merge(x, causal_attention(query, key, value))
        return self.norm(x)

    @override
    def start(self, length: int) -> TransformerCache:
        self._check_length(length)
        channels, dtype = self.width // self.heads, self.norm.weight.dtype
        layers = tuple(no_tokens(self.heads, length, channels, dtype) for _ in self.blocks)
        return TransformerCache(layers, jnp.zeros((), int))

    @override
    def step(
        self, cache: TransformerCache, token: Float[Array, " hidden"]
    ) -> tuple[TransformerCache, Float[Array, " hidden"]]:
        at = cache.position
        x = token if self.table is None else token + self.table[at]
        seen = []
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            query, key, value = block.split(x)
            layer = layer.append(key, value, at)
            x = block.merge(x, attend_to_seen(query, layer, at))
            seen.append(layer)
        return TransformerCache(tuple(seen), at + 1), self.norm(x)

    @override
    def reserve(self, cache: TransformerCache, length: int) -> TransformerCache:
        self._check_length(length)
        return cache._replace(layers=tuple(layer.pad(length) for layer in cache.layers))

    @override
    def stages(self, length: int) -> tuple[int, ...]:
        return growing_stages(length)

    def _check_length(self, length: int) -> None:
        if self.table is not None and length > self.table.shape[0]:
            raise ValueError(
                f"a sequence of {length} tokens was given to a transformer with "
                f"{self.table.shape[0]} learned positions: build it with more positions"
            )
