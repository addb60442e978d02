"""An environment that is stepped on the host: somebody else's simulator.

Not to be confused with `beeline.envs.gymnasium`, by which other libraries step ours.
"""

import hashlib
from collections.abc import Callable
from typing import Any, cast, final

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from beeline.envs._base import Environment
from beeline.envs._declared import takes_next_state
from beeline.envs._simulators import Simulators


@final
class Simulator(Environment):
    """What is known of a simulator without stepping it: sizes, bounds, and how long episodes are.

    No program can be traced through it. Its horizon cuts episodes off, and so may the simulator;
    what comes after counts. Its reward and its termination are learned, unless they are given as
    functions of a state, an action in the simulator's own unit, a step index and, for a reward,
    `next_state` if it has such a parameter.
    """

    name: str = eqx.field(static=True)
    state_dim: int = eqx.field(static=True)
    action_dim: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    action_low: tuple[float, ...] = eqx.field(static=True)
    action_high: tuple[float, ...] = eqx.field(static=True)
    host: Simulators = eqx.field(static=True)
    """What is stepped."""
    own_reward: Callable[..., Any] | None = eqx.field(static=True, default=None)
    """The reward, where it is known."""
    own_termination: Callable[..., Any] | None = eqx.field(static=True, default=None)
    """The termination, where it is known."""
    dt: float = eqx.field(static=True, default=1.0)
    deterministic = False
    continuing = cast(Any, True)

    @property
    def learned(self) -> dict[str, str]:
        """Say what there is to learn beside the dynamics.

        Returns:
            The options `reward` and `termination` of a configuration.
        """
        known = {"reward": self.own_reward, "termination": self.own_termination}
        return {name: "known" if own else "learned" for name, own in known.items()}

    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        """Refuse.

        Args:
            key: Not used.

        Raises:
            TypeError: Always.
        """
        raise self._untraceable()

    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        """Refuse.

        Args:
            state: Not used.
            action: Not used.
            t: Not used.
            key: Not used.

        Raises:
            TypeError: Always.
        """
        raise self._untraceable()

    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, "state"],
    ) -> Float[Array, ""]:
        """Reward one step by the function that was given.

        Args:
            state: The state before.
            action: The action, in the simulator's unit.
            t: The step index.
            next_state: The state after.

        Returns:
            The reward.
        """
        if self.own_reward is None:
            raise self._untraceable()
        more = {"next_state": next_state} if takes_next_state(self.own_reward) else {}
        return jnp.asarray(self.own_reward(state, action, t, **more), state.dtype)

    def terminated(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, "state"],
    ) -> Bool[Array, ""]:
        """Tell whether a step ends the episode by the function that was given.

        Args:
            state: The state before.
            action: The action, in the simulator's unit.
            t: The step index.
            next_state: The state after.

        Returns:
            Whether it does.
        """
        if self.own_termination is None:
            raise self._untraceable()
        return jnp.asarray(self.own_termination(state, action, t, next_state), bool)

    @property
    def identity(self) -> str:
        """Say what the simulator is, in a line that another process can compare.

        Returns:
            Its sizes, its bounds and a fingerprint of what it was made with, as `name=value` with
            spaces between.
        """
        parts = {
            "state_dim": self.state_dim,
            "action_dim": self.action_dim,
            "dt": self.dt,
            "action_low": ",".join(map(str, self.action_low)),
            "action_high": ",".join(map(str, self.action_high)),
            "continuing": True,
            "equations": hashlib.sha256(self.host.constants.encode()).hexdigest()[:16],
        }
        return " ".join(f"{name}={value}" for name, value in parts.items())

    def _untraceable(self) -> TypeError:
        return TypeError(
            f"{self.name} is a simulator that is stepped on the host, and no program can be traced "
            "through it"
        )
