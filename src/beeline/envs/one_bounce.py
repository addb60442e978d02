"""A sliding block that bounces off a wall once."""

import math
import typing

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline.envs._base import Environment
from beeline.envs._checks import check_action, check_horizon, check_state, check_step_index
from beeline.envs._registry import check_least_horizon

FRICTION = 10.0
"""The share of its speed that the block loses a second."""
_DT = 0.01


@typing.final
class OneBounce(Environment):
    r"""Push a block against a wall so that it comes to rest at a given place.

    Step 0 puts the block at x = 0 with the speed v = 10 (a - 2), towards the wall on the left.
    Every step after it ignores its action and slides the block for dt, by explicit Euler with
    the speed of before the step: with y = x + v dt,

        x⁺ = y,         v⁺ = v - φ v dt,    if y > wall,
        x⁺ = 2 wall - y,    v⁺ = -v,        otherwise, a perfect reflection without friction.

    Between the bounces everything is linear, and the reflection reverses the speed at once: the
    state jumps as a function of time and of the action. The place where the block comes to rest,
    about -a, hardly does: as a function of the first action it is piecewise linear with jumps
    of at most 0.022 where the bounce falls into another step.

    The same as the code published with the paper but for the state, which here leaves out the
    wall, the goal and the step index (the first two never change and the last is `t`), and for
    the goal, to which neither that code nor the paper gives a value. With `goal` 0.5 the best
    first action is -0.361 at H = 100 and -0.377 at H = 50.

    Attributes:
        horizon: H, the number of steps, at least 3: at index 1 the block is still where it was.
        goal: Where the block should come to rest, in metres.
        wall: Where the wall is, in metres, left of 0.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        dt: The length of one step, in seconds.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | place of the block x | m | [-1, 2] |
        | 1 | its speed v | m/s | [-30, 30] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | speed at the start, at step 0 only | m/s | -30 | -10 |

    Reward:
        At t = H - 1, minus (x - goal)², of the state before that step, which has slid for H - 2
        steps; 0 before.

    Start:
        x = 0, v = 0, always.

    End:
        After `horizon` steps; never earlier.

    References:
        Paper, section 5.1 and Figure 3.
    """

    horizon: int = eqx.field(converter=check_horizon, static=True)
    goal: float = eqx.field(default=0.5, converter=float, static=True)
    wall: float = eqx.field(default=-1.0, converter=float, static=True)
    name = "one-bounce"
    state_dim = 2
    action_dim = 1
    dt = _DT
    deterministic = True

    def __check_init__(self) -> None:
        """Refuse a scene that makes no sense.

        Raises:
            ValueError: If the goal is not finite, the wall not left of 0, or no action counts.
        """
        check_least_horizon(self.name, self.horizon)
        if not math.isfinite(self.goal):
            raise ValueError(f"goal must be a finite place in metres, got {self.goal}")
        if not -math.inf < self.wall < 0:
            raise ValueError(f"wall must be finite and left of 0, got {self.wall}")

    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        """Begin an episode, always at rest at x = 0.

        Args:
            key: Not used, for there is nothing random here.

        Returns:
            The state at step index 0, in JAX's default precision.
        """
        del key
        return jnp.zeros(self.state_dim)

    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        """Push the block at step 0; let it slide at every other.

        Args:
            state: The state at step index `t`; not read at step 0.
            action: The action, in [-1, 1]; not read after step 0.
            t: The step index, 0 to horizon - 1; it may be traced.
            key: Not used.

        Returns:
            The state at step index `t` + 1.
        """
        del key
        check_state(state, self.state_dim)
        check_action(action, self.action_dim)
        check_step_index(t)
        pushed = jnp.stack([jnp.zeros((), state.dtype), 10 * (action[0].astype(state.dtype) - 2)])
        place, speed = state
        reached = place + speed * _DT
        slid = jnp.where(
            reached > self.wall,
            jnp.stack([reached, speed - FRICTION * speed * _DT]),
            jnp.stack([2 * self.wall - reached, -speed]),
        )
        return jnp.where(jnp.asarray(t) == 0, pushed, slid)

    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        """Reward the last step by how near the block is to the goal.

        Args:
            state: The state at step index `t`, before the move.
            action: The action, in [-1, 1]; it earns nothing by itself.
            t: The step index, 0 to horizon - 1; it may be traced.

        Returns:
            The reward of step `t`.
        """
        check_state(state, self.state_dim)
        check_action(action, self.action_dim)
        check_step_index(t)
        distance = (state[0] - self.goal) ** 2
        return jnp.where(jnp.asarray(t) == self.horizon - 1, -distance, jnp.zeros_like(distance))
