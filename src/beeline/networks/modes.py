"""Leading principal components of states of many entries, such as fields on a grid.

Neighbouring entries of a field move together, so that few coefficients say nearly all of it. A
network that sees and predicts these needs no more weights for a finer grid, and learns as fast.

References:
    Lumley 1967, "The structure of inhomogeneous turbulent flows" (proper orthogonal decomposition).
"""

from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from beeline._module import Module

_SMALLEST_SPREAD = 1e-6

_LEAST_SHARE = 0.1
"""Of the largest spread of a coefficient: what one is measured in at least."""


@final
class Modes(Module):
    """A projection on orthonormal directions of standardised states, and the way back.

    Entries are standardised first, so that a state may hold quantities of different units. The
    directions are data, not weights: no gradient reaches them, and no optimiser moves them.
    """

    centre: Float[Array, " state"]
    spread: Float[Array, " state"]
    """Standard deviation of each entry, times that of the leading coefficient."""
    directions: Float[Array, "code state"]
    """Orthonormal rows, of falling variance."""

    @property
    def count(self) -> int:
        """Number of directions.

        Returns:
            Their number.
        """
        return self.directions.shape[0]

    @classmethod
    def blank(cls, state_dim: int, count: int) -> "Modes":
        """Hold the place of directions that are not known yet.

        Args:
            state_dim: Number of state entries.
            count: Number of directions.

        Returns:
            The first entries of the state.
        """
        return cls(jnp.zeros(state_dim), jnp.ones(state_dim), jnp.eye(count, state_dim))

    @classmethod
    def fit(cls, states: Float[Array, "*batch state"], count: int) -> "Modes":
        """Find the directions in which states vary most.

        Args:
            states: States in physical units.
            count: Number of directions, at most that of the state's entries.

        Returns:
            The projection on them, the leading coefficient with unit variance.
        """
        rows = states.reshape(-1, states.shape[-1])
        centre = jnp.mean(rows, axis=0)
        spread = jnp.maximum(jnp.std(rows, axis=0), _SMALLEST_SPREAD)
        rows = (rows - centre) / spread
        # Of the square, whose size does not depend on how many states there are.
        variances, vectors = jnp.linalg.eigh(rows.T @ rows / len(rows))
        largest = jnp.sqrt(jnp.maximum(variances[-1], _SMALLEST_SPREAD**2))
        return cls(centre, largest * spread, vectors[:, ::-1][:, :count].T)

    def units(self, spread: Float[Array, " code"]) -> Float[Array, " code"]:
        """Say what coefficients, or their changes, are measured in.

        In units of its own spread, what hardly varies would be as large as what matters, and to
        predict it count as much.

        Args:
            spread: Standard deviation of each.

        Returns:
            The same, raised to a tenth of the largest.
        """
        return jnp.maximum(spread, _LEAST_SHARE * jnp.max(spread))

    def project(self, states: Float[Array, "*batch state"]) -> Float[Array, "*batch code"]:
        """Reduce states to their coefficients.

        Args:
            states: States in physical units.

        Returns:
            The coefficients, of falling variance over the states that were fitted.
        """
        centre, spread, directions = jax.lax.stop_gradient(
            (self.centre, self.spread, self.directions)
        )
        return ((states - centre) / spread) @ directions.T

    def expand(self, coefficients: Float[Array, "*batch code"]) -> Float[Array, "*batch state"]:
        """Invert `project`, on the states that the directions span.

        Args:
            coefficients: Coefficients.

        Returns:
            The states.
        """
        centre, spread, directions = jax.lax.stop_gradient(
            (self.centre, self.spread, self.directions)
        )
        return (coefficients @ directions) * spread + centre
