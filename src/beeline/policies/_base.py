"""The interface of every policy."""

import abc

from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from beeline._module import Module
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling


class Policy(Module):
    """A stochastic policy of state and time, differentiable through its noise.

    Leading axes of state, time and noise are batch axes.
    """

    @property
    def modes(self) -> Modes | None:
        """Components of the state that the policy sees in the place of its entries.

        Returns:
            These; None for all entries, as it is unless a policy overrides this.
        """
        return None

    @abc.abstractmethod
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
            width: Factor on the noise, to act more or less at random than the policy itself.

        Returns:
            The action in [-1, 1], and an estimate of the policy's own entropy, at a width of 1.
        """

    @abc.abstractmethod
    def mode(
        self, state: Float[Array, "*batch state"], t: Int[ArrayLike, "*batch"]
    ) -> Float[Array, "*batch action"]:
        """Choose the action without noise.

        Args:
            state: State in physical units.
            t: Index of the step.

        Returns:
            The action in [-1, 1].
        """

    def standardise(self, scaling: StateScaling) -> "Policy":
        """See states in other coordinates, those of the episodes that training begins with.

        Args:
            scaling: The coordinates.

        Returns:
            The policy that sees states so; the same, if it has coordinates of its own.
        """
        del scaling
        return self
