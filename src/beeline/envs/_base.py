"""What a task is to the rest of the library."""

import abc

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module


class Environment(Module):
    """A finite-horizon Markov decision process whose dynamics and reward are pure functions.

    Everything is in physical units, for one state at a time: batch with `jax.vmap`. Both `step`
    and `reward` may be jitted and differentiated. Results take the precision of the inputs.

    Attributes:
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        horizon: How many steps an episode has.
        dt: The length of one step, in the system's unit of time.
    """

    name: eqx.AbstractVar[str]
    state_dim: eqx.AbstractVar[int]
    action_dim: eqx.AbstractVar[int]
    horizon: eqx.AbstractVar[int]
    dt: eqx.AbstractVar[float]

    @abc.abstractmethod
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        """Begin an episode.

        Args:
            key: Randomness, for a task whose start is random.

        Returns:
            The state at step index 0.
        """

    @abc.abstractmethod
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        """Move by one step.

        Args:
            state: The state at step index `t`.
            action: The action, each entry in [-1, 1].
            t: The step index, 0 to horizon - 1; it may be traced.
            key: Randomness, for a task with process noise.

        Returns:
            The state at step index `t` + 1.
        """

    @abc.abstractmethod
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        """Reward one step.

        Args:
            state: The state at step index `t`, before the move.
            action: The action, each entry in [-1, 1].
            t: The step index, 0 to horizon - 1; it may be traced.

        Returns:
            The reward of step `t`. The return of an episode is their plain sum.
        """
