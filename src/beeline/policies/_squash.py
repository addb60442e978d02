"""Gaussians squashed into the action box.

tanh never reaches the edges of the box, and near them its slope is twice the distance left: a
policy that was driven there by a model that has learned better since stays there. The sine reaches
an edge at π/2, near which its slope is the root of twice the distance, and comes back beyond: an
optimum on the edge is one like any other to gradient ascent.

References:
    Haarnoja et al. 2018, "Soft actor-critic", Appendix C (density of a squashed Gaussian).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Squash(NamedTuple):
    """One way into the action box."""

    function: Callable[[Array], Array]
    sample: Callable[[Array, Array, Array], tuple[Array, Array]]
    """From mean, deviation and noise to the action and an entropy."""


def folded_sample(
    mean: Float[Array, "*batch action"],
    deviation: Float[Array, "*batch action"],
    noise: Float[Array, "*batch action"],
) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
    """Draw sin(mean + deviation * noise).

    Args:
        mean: Mean before squashing.
        deviation: Standard deviation before squashing.
        noise: Standard normal draws.

    Returns:
        The action in [-1, 1], and minus the Gaussian's log-density before squashing: the action's
        own is not finite at the edges of the box.
    """
    return jnp.sin(mean + deviation * noise), -jnp.sum(_log_density(deviation, noise), axis=-1)


def squashed_sample(
    mean: Float[Array, "*batch action"],
    deviation: Float[Array, "*batch action"],
    noise: Float[Array, "*batch action"],
) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
    """Draw tanh(mean + deviation * noise).

    Args:
        mean: Mean before squashing.
        deviation: Standard deviation before squashing.
        noise: Standard normal draws.

    Returns:
        The action in [-1, 1], and minus its log-density: a one-sample entropy estimate.
    """
    before = mean + deviation * noise
    slope = 2 * (jnp.log(2.0) - before - jax.nn.softplus(-2 * before))
    return jnp.tanh(before), -jnp.sum(_log_density(deviation, noise) - slope, axis=-1)


def _log_density(
    deviation: Float[Array, "*batch action"], noise: Float[Array, "*batch action"]
) -> Float[Array, "*batch action"]:
    return -0.5 * noise**2 - jnp.log(deviation) - 0.5 * jnp.log(2 * jnp.pi)


SQUASHES = {
    "sine": Squash(jnp.sin, folded_sample),
    "tanh": Squash(jnp.tanh, squashed_sample),
}
