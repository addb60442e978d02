"""The interface of every sequence core."""

import abc
from typing import ClassVar, Generic, TypeVar

import equinox as eqx
from jaxtyping import Array, Float

from beeline._module import Module

Cache = TypeVar("Cache")


class SequenceCore(Module, Generic[Cache]):
    """A causal map from tokens to outputs, in two forms of one function.

    `parallel` evaluates a whole sequence at once; `start` and `step` evaluate it token by
    token. Output t depends on tokens 0..t only. Batching is by `jax.vmap`, outside.
    """

    width: eqx.AbstractVar[int]
    parallel_in_time: ClassVar[bool] = False
    """Whether `parallel` works on all tokens at once, on an accelerator at least."""

    @abc.abstractmethod
    def parallel(self, tokens: Float[Array, "time hidden"]) -> Float[Array, "time hidden"]:
        """Evaluate the whole sequence.

        Args:
            tokens: The tokens, `width` wide.

        Returns:
            One output per token.
        """

    @abc.abstractmethod
    def start(self, length: int) -> Cache:
        """Begin a sequence.

        Args:
            length: Tokens to make room for.

        Returns:
            The cache that has seen no token.
        """

    @abc.abstractmethod
    def step(
        self, cache: Cache, token: Float[Array, " hidden"]
    ) -> tuple[Cache, Float[Array, " hidden"]]:
        """Evaluate one more token.

        Args:
            cache: What the tokens before it left.
            token: The next token.

        Returns:
            The cache after it, and its output.
        """

    def reserve(self, cache: Cache, length: int) -> Cache:
        """Make room for a longer sequence.

        A step of a core with attention costs time in proportion to the room in its cache, so a
        rollout starts small and grows. A core of constant memory inherits this method and `stages`.

        Args:
            cache: A cache.
            length: Tokens to have room for, those seen included.

        Returns:
            The same cache with that room.
        """
        del length
        return cache

    def stages(self, length: int) -> tuple[int, ...]:
        """Sizes of room worth passing through on the way to `length`.

        Args:
            length: Tokens in the whole sequence.

        Returns:
            Increasing sizes, the last of them `length`.
        """
        return (length,)
