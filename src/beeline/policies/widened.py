"""A policy that acts more at random than it would by itself."""

from typing import final

from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from beeline.policies._base import Policy


@final
class Widened(Policy):
    """A policy under wider noise than its own; the entropy that it tells is still its own."""

    policy: Policy
    width: Float[Array, ""]

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
            width: Factor on the noise, beside this one's own.

        Returns:
            The action in [-1, 1], and an estimate of the policy's own entropy.
        """
        return self.policy.sample(state, t, noise, self.width * width)

    def mode(
        self, state: Float[Array, "*batch state"], t: Int[ArrayLike, "*batch"]
    ) -> Float[Array, "*batch action"]:
        """Choose the action without noise.

        Args:
            state: State in physical units.
            t: Index of the step.

        Returns:
            That of the policy.
        """
        return self.policy.mode(state, t)
