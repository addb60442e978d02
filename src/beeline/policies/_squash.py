"""A Gaussian squashed into the action box.

References:
    Haarnoja et al. 2018, "Soft actor-critic", Appendix C (density of a squashed Gaussian).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


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
    density = -0.5 * noise**2 - jnp.log(deviation) - 0.5 * jnp.log(2 * jnp.pi)
    slope = 2 * (jnp.log(2.0) - before - jax.nn.softplus(-2 * before))
    return jnp.tanh(before), -jnp.sum(density - slope, axis=-1)
