"""Searches under constraints, by the method of multipliers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from beeline.control._problem import Problem
from beeline.control.search import Search
from beeline.envs._constraints import TOLERANCE, Limits

_ROUNDS = 12
"""Searches one after the other, with multipliers in between."""
_FIRST_WEIGHT, _LAST_WEIGHT, _GROWTH = 10.0, 1e4, 4.0
_PROGRESS = 0.25
"""Share of its violation that a round has to leave, or the weight grows."""


class Constrained(NamedTuple):
    """Where searches under constraints ended."""

    actions: Float[Array, "start time action"]
    returns: Float[Array, " start"]
    worst: Float[Array, " start"]
    """The largest value of a constraint, in units of its mean magnitude; 0 where all are kept."""

    @property
    def kept(self) -> Bool[Array, " start"]:
        """Tell which plans keep the constraints.

        Returns:
            Whether each does, within the tolerance.
        """
        return self.worst <= TOLERANCE


def search_constrained(
    problem: Problem,
    search: Search,
    state: Float[Array, " state"],
    guesses: Float[Array, "start time action"],
    first: Array,
    previous: Float[Array, " action"] | None = None,
    *,
    key: PRNGKeyArray,
) -> Constrained:
    r"""Search from all guesses by the augmented Lagrangian.

    Each round maximises R(a) / R̄ - Σ_i (max(0, λ_i + w g_i(a))² - λ_i²) / (2 w), with g in units of
    its mean magnitude over the guesses and R̄ the spread of their returns, and then takes
    λ_i ← max(0, λ_i + w g_i). The weight w grows where a round leaves too much of the violation.

    Args:
        problem: What to maximise, and what to keep.
        search: How, in each round.
        state: Where plans begin.
        guesses: What to begin from.
        first: Index of the first step.
        previous: The action before it, if any.
        key: Randomness.

    Returns:
        Where each guess led to.

    References:
        J. Nocedal and S. J. Wright, *Numerical Optimization*, Springer, 2nd edition, 2006,
        section 17.3.
    """

    def predict(actions: Array):
        return problem.predict(state, actions, first, previous)

    tried = jax.vmap(predict)(guesses)
    units = jax.tree.map(_magnitude, tried.limits)
    spread, size = jnp.nanstd(tried.return_), jnp.nanmean(jnp.abs(tried.return_))
    scale = jnp.where(spread > 1e-3 * size, spread, jnp.where(size > 0, size, 1.0))

    def scaled(limits: Limits) -> Limits:
        return jax.tree.map(jnp.divide, limits, units)

    def climb(guess: Array, key: PRNGKeyArray):
        def once(loop, key):
            actions, multipliers, weight, worst = loop

            def score(actions: Array) -> Array:
                found = predict(actions)
                penalties = jax.tree.map(
                    lambda m, g: _penalty(m, g, weight), multipliers, scaled(found.limits)
                )
                return found.return_ / scale - sum(jax.tree.leaves(penalties))

            actions = search(score, actions, key=key).actions
            limits = scaled(predict(actions).limits)
            now = _worst(limits)
            multipliers = jax.tree.map(
                lambda m, g: jnp.maximum(0.0, m + weight * g), multipliers, limits
            )
            grown = jnp.minimum(_GROWTH * weight, _LAST_WEIGHT)
            weight = jnp.where(now > _PROGRESS * worst, grown, weight)
            return (actions, multipliers, weight, now), None

        nothing = jax.tree.map(lambda x: jnp.zeros_like(x[0]), tried.limits)
        weight, far = (jnp.asarray(x, guess.dtype) for x in (_FIRST_WEIGHT, jnp.inf))
        loop = guess, nothing, weight, far
        actions, *_ = jax.lax.scan(once, loop, jax.random.split(key, _ROUNDS))[0]
        found = predict(actions)
        return actions, found.return_, _worst(scaled(found.limits))

    return Constrained(*jax.vmap(climb)(guesses, jax.random.split(key, len(guesses))))


def best_of(found: Constrained) -> Array:
    """Choose the plan that earns most of those that keep the constraints, or breaks them least.

    Args:
        found: The plans.

    Returns:
        Its index.
    """
    returns = jnp.where(jnp.isfinite(found.returns), found.returns, -jnp.inf)
    kept = found.kept & jnp.isfinite(returns)
    by_violation = -jnp.where(jnp.isfinite(returns), found.worst, jnp.inf)
    return jnp.where(
        kept.any(), jnp.argmax(jnp.where(kept, returns, -jnp.inf)), jnp.argmax(by_violation)
    )


def _penalty(multiplier: Array, limit: Array, weight: ArrayLike) -> Array:
    pushed = jnp.maximum(0.0, multiplier + weight * limit)
    return jnp.sum(pushed**2 - multiplier**2) / (2 * weight)


def _worst(limits: Limits) -> Array:
    return jnp.max(jnp.stack([jnp.max(x, initial=0.0) for x in limits.values()]))


def _magnitude(values: Float[Array, "start row limit"]) -> Float[Array, " limit"]:
    size = jnp.nanmean(jnp.abs(values), axis=(0, 1))
    return jnp.where((size > 0) & jnp.isfinite(size), size, 1.0)
