"""What logged data tells of a system, as an environment that knows where it does not know."""

import dataclasses
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs import Environment
from beeline.envs._declared import takes_next_state
from beeline.offline._ensemble import Ensemble
from beeline.offline._reward import boxed


@final
class System(Environment):
    r"""An environment that is learned from logged data, and is pessimistic where there is little.

    A step is the mean of an ensemble. With u the disagreement of its members, and v what u stays
    below in 99 of 100 held-out steps, the reward of a step is

        r - c · s · log(u / v) where u > v, and r elsewhere,

    s being the spread of the data's rewards and c the caution: where the data tells what happens,
    rewards are as they are. No state entry leaves the range that was seen.

    Attributes:
        horizon: The number of steps in an episode.
        name: What it is called.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        dt: The length of one step; 1 if the data does not tell.
        ensemble: Predicts the next state.
        starts: States that episodes begin in.
        earned: The reward of a state, an action between the bounds and a step index, and of
            `next_state` if it takes that.
        lowest: The lowest state in the data, by entry.
        highest: The highest one.
        usual: v.
        spread: s.
        caution: c; 0 trusts the ensemble everywhere.
        continuing: Whether the task goes on beyond the horizon.
    """

    ensemble: Ensemble
    starts: Float[Array, "start state"]
    earned: Callable[..., Any]
    lowest: Float[Array, " state"]
    highest: Float[Array, " state"]
    usual: Float[Array, ""]
    spread: Float[Array, ""]
    name: str = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    state_dim: int = eqx.field(static=True)
    action_dim: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    action_low: tuple[float, ...] = eqx.field(static=True)
    action_high: tuple[float, ...] = eqx.field(static=True)
    state_names: tuple[str, ...] = eqx.field(static=True)
    action_names: tuple[str, ...] = eqx.field(static=True)
    caution: float = eqx.field(static=True, default=1.0)
    continuing: bool = eqx.field(static=True, default=True)
    deterministic = False

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        if key is None:
            raise ValueError(f"{self.name} starts where episodes of the data do: give a key")
        place = jax.random.randint(key, (), 0, self.starts.shape[0])
        return self.starts[place].astype(jnp.asarray(0.0).dtype)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        del key, t
        after, _ = self.ensemble.predict(state, self._box(action))
        return jnp.clip(after, self.lowest, self.highest).astype(state.dtype)

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, "state"],
    ) -> Float[Array, ""]:
        more = {"next_state": next_state} if takes_next_state(self.earned) else {}
        earned = self.earned(state, action, t, **more)
        if self.caution == 0:
            return earned
        fee = self.caution * self.spread * self.excess(state, action)
        return (earned - fee).astype(state.dtype)

    def excess(
        self, state: Float[Array, "state"], action: Float[Array, "action"]
    ) -> Float[Array, ""]:
        """Say how far a step leaves the data.

        Args:
            state: The state before it.
            action: The action, between the bounds.

        Returns:
            log(u / v), or 0 where that is below 0.
        """
        _, apart = self.ensemble.predict(state, self._box(action))
        return jnp.maximum(jnp.log(apart / self.usual), 0)

    def trusting(self) -> "System":
        """Leave out the caution.

        Returns:
            The same with the rewards as they are everywhere.
        """
        return dataclasses.replace(self, caution=0.0)

    def _box(self, action: Array) -> Array:
        return boxed(action, self.action_low, self.action_high)
