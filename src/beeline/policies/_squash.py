"""Gaussians brought into the action box.

tanh never reaches the edges of the box, and near them its slope is twice the distance left: a
policy that an early, inaccurate model drove there can hardly leave. Clipping reaches them, and its
derivative is replaced by that of projected ascent: 1 wherever a step leads into the box, 0 where it
leads out. An action on the wrong edge leaves it at full pace, and one on the right edge stays.

References:
    Haarnoja et al. 2018, "Soft actor-critic", Appendix C (density of a squashed Gaussian).
    Hausknecht and Stone 2016, "Deep reinforcement learning in parameterized action space", section
    4.2 (gradients that lead out of the box).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float


class Squash(NamedTuple):
    """One way into the action box."""

    function: Callable[[Array], Array]
    sample: Callable[[Array, Array, Array, ArrayLike], tuple[Array, Array]]
    """From mean, deviation, noise and its width to the action and an entropy."""


@jax.custom_vjp
def project(action: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
    """Clip to the box, with a slope that projects ascent: whatever depends on this is maximised.

    Args:
        action: Action before clipping.

    Returns:
        The action in [-1, 1].
    """
    return jnp.clip(action, -1, 1)


def _forwards(action: Array) -> tuple[Array, Array]:
    return project(action), action


def _backwards(action: Array, cotangent: Array) -> tuple[Array]:
    leads_out = (jnp.abs(action) >= 1) & (action * cotangent >= 0)
    return (jnp.where(leads_out, 0, cotangent),)


project.defvjp(_forwards, _backwards)


def clipped_sample(
    mean: Float[Array, "*batch action"],
    deviation: Float[Array, "*batch action"],
    noise: Float[Array, "*batch action"],
    width: Float[ArrayLike, ""] = 1.0,
) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
    """Draw clip(mean + deviation * width * noise), with the slope of projected ascent.

    Args:
        mean: Mean before clipping.
        deviation: Standard deviation before clipping.
        noise: Standard normal draws.
        width: Factor on the noise.

    Returns:
        The action in [-1, 1], and the entropy of the Gaussian before clipping, at a width of 1: the
        action's own is not finite at the edges of the box.
    """
    entropy = jnp.sum(jnp.log(deviation) + 0.5 * jnp.log(2 * jnp.pi * jnp.e), axis=-1)
    return project(mean + deviation * (width * noise)), entropy


def squashed_sample(
    mean: Float[Array, "*batch action"],
    deviation: Float[Array, "*batch action"],
    noise: Float[Array, "*batch action"],
    width: Float[ArrayLike, ""] = 1.0,
) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
    """Draw tanh(mean + deviation * width * noise).

    Args:
        mean: Mean before squashing.
        deviation: Standard deviation before squashing.
        noise: Standard normal draws.
        width: Factor on the noise.

    Returns:
        The action in [-1, 1], and minus the log-density of the action at a width of 1: a one-sample
        entropy estimate.
    """
    before = mean + deviation * noise
    # log(1 - tanh²), without the underflow of 1 - tanh² far from zero.
    slope = 2 * (jnp.log(2.0) - before - jax.nn.softplus(-2 * before))
    log_density = -0.5 * noise**2 - jnp.log(deviation) - 0.5 * jnp.log(2 * jnp.pi)
    action = jnp.tanh(mean + deviation * (width * noise))
    return action, -jnp.sum(log_density - slope, axis=-1)


SQUASHES = {
    "clip": Squash(project, clipped_sample),
    "tanh": Squash(jnp.tanh, squashed_sample),
}
