"""What is remembered of many updates in one loop on the device."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from beeline.training._optimiser import Descent


class Skipped(NamedTuple):
    """The first update of a loop that was not taken."""

    update: Int[Array, ""]
    """Its index; -1 if all were taken."""
    values: Float[Array, " value"]
    """What was computed on the way to its gradient, and that one's norm."""
    bad_entry: Int[Array, ""]
    """The first entry of its gradient that is not finite, its arrays laid end to end; or -1."""
    due: Int[Array, ""]
    """How many updates there were to be."""


class Tally(NamedTuple):
    """What a loop of updates adds up to: 0 where none was due, NaN where none could be taken."""

    taken: Int[Array, ""]
    clipped: Int[Array, ""]
    total: Float[Array, " value"]
    latest: Float[Array, " value"]
    """The values of the last update taken, if any; the last of them its gradient's norm."""
    first_skipped: Skipped

    @classmethod
    def none(cls, values: int, *, due: Int[Array, ""]) -> "Tally":
        """Begin.

        Args:
            values: How many values an update computes.
            due: How many updates there are to be.

        Returns:
            The tally before the first.
        """
        zero, nothing = jnp.zeros((), int), jnp.zeros(values + 1)
        return cls(zero, zero, nothing, nothing, Skipped(zero - 1, nothing, zero - 1, due))

    def counting(
        self, index: Int[Array, ""], values: Sequence[Float[Array, ""]], descent: Descent
    ) -> "Tally":
        """Count one more update.

        Args:
            index: Its index.
            values: What was computed on the way to its gradient.
            descent: How it went.

        Returns:
            The tally after it.
        """
        taken, measured = descent.taken, jnp.stack([*values, descent.gradient_norm])
        skipped = Skipped(index, measured, descent.bad_entry, self.due)
        is_first = ~taken & (self.first_skipped.update < 0)
        return Tally(
            self.taken + taken,
            self.clipped + (taken & descent.clipped),
            self.total + jnp.where(taken, measured, 0),
            jnp.where(taken, measured, self.latest),
            jax.tree.map(
                lambda new, old: jnp.where(is_first, new, old), skipped, self.first_skipped
            ),
        )

    @property
    def due(self) -> Int[Array, ""]:
        """Look up how many updates there were to be.

        Returns:
            Their number.
        """
        return self.first_skipped.due

    @property
    def skipped(self) -> Int[Array, ""]:
        """Count the updates that were not taken.

        Returns:
            Their number.
        """
        return self.due - self.taken

    @property
    def mean(self) -> Float[Array, " value"]:
        """Average the values.

        Returns:
            Their means over the updates taken.
        """
        return self._measured(self.total / jnp.maximum(self.taken, 1))

    @property
    def last(self) -> Float[Array, " value"]:
        """Look up the last update taken.

        Returns:
            Its values.
        """
        return self._measured(self.latest)

    @property
    def gradient_norm(self) -> Float[Array, ""]:
        """Look up the norm of the gradient.

        Returns:
            That of the last update taken, before clipping.
        """
        return self.last[-1]

    @property
    def clip_fraction(self) -> Float[Array, ""]:
        """Say how often the gradient was too long.

        Returns:
            The share of the updates taken whose gradient was clipped.
        """
        return self._measured(self.clipped / jnp.maximum(self.taken, 1))

    def _measured(self, values: Array) -> Array:
        # No NaN while all is sound, or JAX's search for NaN would end there.
        nothing = jnp.where(self.first_skipped.update < 0, 0, jnp.nan)
        return jnp.where(self.taken > 0, values, nothing)
