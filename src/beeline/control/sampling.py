"""Searches that only try plans: no gradient is taken, so rewards and models may have none."""

import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from beeline.control.search import Found, Score, Search, check_counts, check_range

_LEAST_SPREAD = 1e-12


@final
class CEM(Search):
    """The cross-entropy method: a normal distribution is fitted to the best of its own draws.

    References:
        R. Y. Rubinstein and D. P. Kroese, *The Cross-Entropy Method*, Springer, 2004.
    """

    iterations: int = eqx.field(static=True, default=30)
    samples: int = eqx.field(static=True, default=128)
    """Plans tried in each iteration."""
    elites: int = eqx.field(static=True, default=16)
    """How many of them the next distribution is fitted to."""
    width: float = eqx.field(static=True, default=0.5)
    """Standard deviation at first."""
    smoothing: float = eqx.field(static=True, default=0.9)
    """Share of what is fitted in the next distribution; the rest is the last one."""

    def __check_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            ValueError: If one is out of range.
        """
        check_counts(self, iterations=1, samples=2, elites=1)
        if self.elites > self.samples:
            raise ValueError(f"CEM: elites is {self.elites}, more than samples, {self.samples}")
        check_range(self, "width", 2.0)
        check_range(self, "smoothing", 1.0)

    @override
    def __call__(
        self, score: Score, guess: Float[Array, "time action"], *, key: PRNGKeyArray
    ) -> Found:
        def advance(loop: tuple[Array, Array, Found], key: Array):
            mean, width, best = loop
            plans, scores = _tried(score, mean, width, self.samples, best, key=key)
            top, which = jax.lax.top_k(scores, self.elites)
            elites = plans[which]
            # Of fewer finite scores than elites, the finite ones alone.
            counted = jnp.isfinite(top)[:, None, None]
            count = jnp.maximum(counted.sum(), 1)
            fitted = jnp.sum(jnp.where(counted, elites, 0.0), axis=0) / count
            spread = jnp.sum(jnp.where(counted, (elites - fitted) ** 2, 0.0), axis=0) / count
            share = jnp.where(jnp.isfinite(top[0]), self.smoothing, 0.0)
            mean = (1 - share) * mean + share * fitted
            width = (1 - share) * width + share * jnp.sqrt(spread)
            return (mean, width, _best(plans, scores)), None

        start = jnp.clip(guess, -1.0, 1.0)
        loop = start, jnp.full_like(start, self.width), _nothing(start)
        return jax.lax.scan(advance, loop, jax.random.split(key, self.iterations))[0][2]


@final
class MPPI(Search):
    """Model predictive path integral control: the mean moves to the draws, weighed by their scores.

    Scores are weighed in units of their own spread, so that the temperature means the same in any
    task.

    References:
        G. Williams, A. Aldrich and E. A. Theodorou, "Model predictive path integral control: from
        theory to parallel computation", Journal of Guidance, Control, and Dynamics 40(2), 2017.
    """

    iterations: int = eqx.field(static=True, default=30)
    samples: int = eqx.field(static=True, default=128)
    """Plans tried in each iteration."""
    width: float = eqx.field(static=True, default=0.5)
    """Standard deviation of the draws at first; it falls to a tenth of that."""
    temperature: float = eqx.field(static=True, default=0.2)
    """Difference of scores, in units of their spread, that makes a draw count e times less."""

    def __check_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            ValueError: If one is out of range.
        """
        check_counts(self, iterations=1, samples=2)
        check_range(self, "width", 2.0)
        check_range(self, "temperature", math.inf)

    @override
    def __call__(
        self, score: Score, guess: Float[Array, "time action"], *, key: PRNGKeyArray
    ) -> Found:
        def advance(loop: tuple[Array, Found], inputs: tuple[Array, Array]):
            (mean, best), (width, key) = loop, inputs
            plans, scores = _tried(score, mean, width, self.samples, best, key=key)
            finite = jnp.isfinite(scores)
            highest = jnp.max(scores)
            spread = jnp.std(scores, where=finite) + _LEAST_SPREAD
            logits = jnp.where(finite, (scores - highest) / (self.temperature * spread), -jnp.inf)
            weighed = jnp.tensordot(jax.nn.softmax(logits), plans, axes=1)
            mean = jnp.where(jnp.isfinite(highest), weighed, mean)
            return (mean, _best(plans, scores)), None

        start = jnp.clip(guess, -1.0, 1.0)
        widths = jnp.geomspace(self.width, 0.1 * self.width, self.iterations).astype(start.dtype)
        inputs = widths, jax.random.split(key, self.iterations)
        return jax.lax.scan(advance, (start, _nothing(start)), inputs)[0][1]


def _tried(
    score: Score, mean: Array, width: Array, samples: int, best: Found, *, key: PRNGKeyArray
) -> tuple[Float[Array, "plan time action"], Float[Array, " plan"]]:
    # The mean and the best plan so far are tried too.
    noise = jax.random.normal(key, (samples - 1, *mean.shape), mean.dtype)
    plans = jnp.clip(jnp.concatenate([mean[None], mean + width * noise]), -1.0, 1.0)
    scores = jax.vmap(score)(plans)
    scores = jnp.where(jnp.isfinite(scores), scores, -jnp.inf)
    known = best.actions[None], best.score[None]
    return jnp.concatenate([plans, known[0]]), jnp.concatenate([scores, known[1]])


def _best(plans: Array, scores: Array) -> Found:
    highest = jnp.argmax(scores)
    return Found(plans[highest], scores[highest])


def _nothing(start: Array) -> Found:
    return Found(start, jnp.full((), -jnp.inf, start.dtype))
