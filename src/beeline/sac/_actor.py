"""The actor of soft actor-critic as a policy like any other, without the library it came from."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline.networks.layers import MLP
from beeline.policies import Policy
from beeline.policies._squash import squashed_sample

LIMIT = 10.0
"""Of standardised observations."""
_LOG_DEVIATIONS = (-20.0, 2.0)


@final
class Actor(Policy):
    """tanh(mean + deviation * noise), both from an MLP on the standardised observation.

    The observation is that of `beeline.envs.gymnasium`: the state, and the time as a share of the
    horizon unless that is a limit of time. The limits of observation and deviation are those of
    Stable-Baselines3.
    """

    network: MLP
    mean: Float[Array, " observation"]
    """Mean of the observations."""
    deviation: Float[Array, " observation"]
    """Standard deviation of the observations."""
    horizon: int | None = eqx.field(static=True)

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        horizon: int | None,
        *,
        hidden_sizes: tuple[int, ...],
        key: PRNGKeyArray,
    ) -> None:
        """Draw the network, on observations in physical units.

        Args:
            state_dim: Number of state entries.
            action_dim: Number of action entries.
            horizon: Steps in an episode; None for a policy that does not see the time.
            hidden_sizes: Hidden layers.
            key: Random key.
        """
        seen = state_dim + (horizon is not None)
        self.network = MLP((seen, *hidden_sizes, 2 * action_dim), key=key)
        self.mean = jnp.zeros(seen)
        self.deviation = jnp.ones(seen)
        self.horizon = horizon

    def sample(
        self,
        state: Float[Array, "*batch state"],
        t: Int[ArrayLike, "*batch"],
        noise: Float[Array, "*batch action"],
        width: Float[ArrayLike, ""] = 1.0,
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
        """Choose an action by the reparameterisation trick.

        Args:
            state: State in physical units.
            t: Index of the step.
            noise: Standard normal draws.
            width: Factor on the noise.

        Returns:
            The action in [-1, 1], and a one-sample estimate of the entropy at a width of 1.
        """
        mean, log_deviation = self._outputs(state, t)
        deviation = jnp.exp(jnp.clip(log_deviation, *_LOG_DEVIATIONS))
        return squashed_sample(mean, deviation, noise, width)

    def mode(
        self, state: Float[Array, "*batch state"], t: Int[ArrayLike, "*batch"]
    ) -> Float[Array, "*batch action"]:
        """Choose the action without noise.

        Args:
            state: State in physical units.
            t: Index of the step.

        Returns:
            tanh of the mean.
        """
        return jnp.tanh(self._outputs(state, t)[0])

    def _outputs(self, state: Array, t: ArrayLike) -> tuple[Array, Array]:
        observation = state
        if self.horizon is not None:
            time = jnp.asarray(t, state.dtype)[..., None] / self.horizon
            observation = jnp.concatenate([state, time], axis=-1)
        seen = jnp.clip((observation - self.mean) / self.deviation, -LIMIT, LIMIT)
        mean, log_deviation = jnp.split(self.network(seen), 2, axis=-1)
        return mean, log_deviation
