"""Many updates in one loop on the device, and what is remembered of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from beeline.training._optimiser import Descent


class Updated(NamedTuple):
    """Weights after an update, and how it went."""

    weights: Any
    optimiser_state: Any
    values: tuple[Array, ...]
    """What was computed on the way to the gradient."""
    descent: Descent


class Skipped(NamedTuple):
    """The first update of a loop that was not taken."""

    update: Int[Array, ""]
    """Its index; -1 if all were taken."""
    values: Float[Array, " value"]
    """What was computed on the way to its gradient, and that one's norm."""
    bad_entry: Int[Array, ""]
    """The first entry of its gradient that is not finite, its arrays laid end to end; or -1."""


class Tally(NamedTuple):
    """What a loop of updates adds up to: 0 where none was due, NaN where none could be taken."""

    taken: Int[Array, ""]
    clipped: Int[Array, ""]
    total: Float[Array, " value"]
    latest: Float[Array, " value"]
    """The values of the last update taken, if any; the last of them its gradient's norm."""
    first_skipped: Skipped

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
        """Look up the length of the gradient.

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


def repeat(
    update: Callable[[Array, Any, Any], Updated],
    weights: Any,
    optimiser_state: Any,
    count: Int[Array, ""],
    *,
    values: int,
) -> tuple[Any, Any, Tally]:
    """Update some weights several times.

    Args:
        update: From the update's index, weights and optimiser state to those after it.
        weights: The module; its inexact arrays are trained.
        optimiser_state: Its optimiser's state.
        count: How many times.
        values: How many values an update computes.

    Returns:
        The weights and the optimiser's state after all of them, and their tally.
    """
    none, nothing = jnp.zeros((), int), jnp.zeros(values + 1)
    first = Skipped(none - 1, nothing, none - 1)
    tally = Tally(none, none, jnp.zeros(values + 1), nothing, first)
    # The static parts of a module cannot be carried through a loop.
    arrays, static = eqx.partition((weights, optimiser_state), eqx.is_array)

    def body(i: Array, loop: tuple[Any, Tally]) -> tuple[Any, Tally]:
        arrays, tally = loop
        updated = update(i, *eqx.combine(arrays, static))
        after = eqx.filter((updated.weights, updated.optimiser_state), eqx.is_array)
        return after, _count(tally, i, updated)

    arrays, tally = jax.lax.fori_loop(0, count, body, (arrays, tally))
    return *eqx.combine(arrays, static), tally


def _count(tally: Tally, index: Array, updated: Updated) -> Tally:
    descent = updated.descent
    taken = descent.taken
    values = jnp.stack([*updated.values, descent.gradient_norm])
    first = Skipped(index, values, descent.bad_entry)
    is_first = ~taken & (tally.first_skipped.update < 0)
    return Tally(
        tally.taken + taken,
        tally.clipped + (taken & descent.clipped),
        tally.total + jnp.where(taken, values, 0),
        jnp.where(taken, values, tally.latest),
        jax.tree.map(lambda new, old: jnp.where(is_first, new, old), first, tally.first_skipped),
    )
