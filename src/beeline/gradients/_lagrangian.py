"""Constraints in what a policy maximises: the augmented Lagrangian.

References:
    J. Nocedal and S. J. Wright, *Numerical Optimization*, Springer, 2nd edition, 2006,
        section 17.3.
"""

from typing import NamedTuple, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from beeline._module import Module
from beeline.envs._constraints import OF_STEPS, TOLERANCE, Constraints, Limits

FIRST_WEIGHT, LAST_WEIGHT, _GROWTH = 10.0, 100.0, 1.5
_UNKNOWN = 1e30
"""Beyond any violation, before one was seen."""
_PROGRESS = 0.9
"""Share of its violation that a policy may keep from one time to the next, or w grows."""
_SMALL = 0.01
"""Violation, in its unit, that is left to the multipliers."""
_RATE = 0.3
"""Share of the way that multipliers go at once: a policy in training never settles."""


Batch = dict[str, Float[Array, "batch row limit"]]
"""Values by kind of constraint in some episodes or windows."""


class Multipliers(NamedTuple):
    """What constraints cost, and in which units."""

    units: dict[str, Float[Array, " limit"]]
    """Mean magnitude of each value in the first episodes, by kind of constraint."""
    values: Limits
    """One multiplier for each step of an episode, or one for all, in units of the score."""
    weight: Float[Array, ""]
    """Of the squares of violations."""
    worst: Float[Array, ""]
    """The largest violation when they were last raised, in its unit."""

    @classmethod
    def begin(cls, limits: Batch, *, of_each_step: bool) -> "Multipliers":
        """Begin with 0.

        Args:
            limits: Values in some episodes.
            of_each_step: Whether each step of an episode has multipliers of its own.

        Returns:
            The multipliers.
        """

        def nothing(values: Array) -> Array:
            return jnp.zeros_like(values[0] if of_each_step else values[0, :1])

        return cls(
            jax.tree.map(_magnitude, limits),
            jax.tree.map(nothing, limits),
            jnp.asarray(FIRST_WEIGHT),
            jnp.asarray(_UNKNOWN),
        )

    def raised(self, limits: Batch) -> "Multipliers":
        """Take notice of a policy: λ ← max(0, λ + w (g + ε)) by a share, g being the worst value.

        By ε, a thousandth of the usual magnitude, the policy is to stay away from the bound, for
        the model errs as well. Where a violation above a hundredth is more than nine tenths of
        that before, w grows. No multiplier exceeds the greatest w, for some constraints cannot be
        kept.

        Args:
            limits: Values in a batch of episodes or windows, -∞ at steps that do not count.

        Returns:
            The multipliers that the policy is to be improved under next.
        """

        def worst_of(multipliers: Array, values: Array) -> Array:
            return jnp.max(values.reshape(-1, *multipliers.shape), axis=0)

        worst = jax.tree.map(worst_of, self.values, jax.tree.map(jnp.divide, limits, self.units))
        now = jnp.max(jnp.stack([jnp.max(x, initial=0.0) for x in worst.values()]))
        values = jax.tree.map(
            lambda m, g: jnp.clip(m + _RATE * self.weight * (g + TOLERANCE), 0.0, LAST_WEIGHT),
            self.values,
            worst,
        )
        missed = now > jnp.maximum(_SMALL, _PROGRESS * self.worst)
        grown = jnp.minimum(_GROWTH * self.weight, LAST_WEIGHT)
        return Multipliers(self.units, values, jnp.where(missed, grown, self.weight), now)


@final
class Lagrangian(Module):
    r"""What is taken off the score: Σ_i (max(0, λ_i + w g_i)² - λ_i²) / (2 w).

    The sum is over the constraints and their steps, g_i being a value in units of its mean
    magnitude in the first episodes, so that multipliers and weight are of the order of the score.
    """

    constraints: Constraints
    multipliers: Multipliers

    def limits(
        self,
        states: Float[Array, "times state"],
        actions: Float[Array, "time action"],
        first: Int[Array, ""] | None = None,
        counted: Bool[Array, " time"] | None = None,
    ) -> Limits:
        """Evaluate the constraints along an episode or a window.

        Args:
            states: One more than there are actions.
            actions: Actions in [-1, 1].
            first: Index of the first step of a window; left out for a whole episode.
            counted: Which steps there are; all if left out.

        Returns:
            The values, -∞ at steps that there are not.
        """
        limits = self.constraints.along(states, actions, 0 if first is None else first)
        if counted is None:
            return limits
        return {
            kind: jnp.where(counted[:, None], x, -jnp.inf) if kind in OF_STEPS else x
            for kind, x in limits.items()
        }

    def __call__(
        self,
        states: Float[Array, "times state"],
        actions: Float[Array, "time action"],
        first: Int[Array, ""] | None = None,
        counted: Bool[Array, " time"] | None = None,
    ) -> Float[Array, ""]:
        """Say what an episode or a window costs.

        Args:
            states: As for `limits`.
            actions: As for `limits`.
            first: As for `limits`.
            counted: As for `limits`.

        Returns:
            The sum.
        """
        weight = self.multipliers.weight

        def of_kind(multiplier: Array, limit: Array) -> Array:
            pushed = jnp.maximum(0.0, multiplier + weight * limit)
            return jnp.sum(pushed**2 - multiplier**2) / (2 * weight)

        limits = self.limits(states, actions, first, counted)
        limits = jax.tree.map(jnp.divide, limits, self.multipliers.units)
        costs = jax.tree.map(of_kind, self.multipliers.values, limits)
        return jnp.sum(jnp.stack(jax.tree.leaves(costs)))


def _magnitude(values: Float[Array, "batch row limit"]) -> Float[Array, " limit"]:
    size = jnp.nanmean(jnp.abs(values), axis=(0, 1))
    return jnp.where((size > 0) & jnp.isfinite(size), size, 1.0)
