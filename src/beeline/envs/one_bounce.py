"""A sliding block that bounces off a wall once."""

import math
import typing

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs._base import Environment
from beeline.envs._checks import check_action, check_horizon, check_state, check_step_index
from beeline.envs._registry import check_least_horizon

FRICTION = 10.0
"""The share of its speed that the block loses per second."""
_DT = 0.01


@typing.final
class OneBounce(Environment):
    r"""Push a block against a wall so that it comes to rest at a given position.

    Step 0 puts the block at x = 0 with the speed v = 10 (a - 2), towards the wall on the left.
    Every step after it ignores its action and slides the block for dt, by explicit Euler with
    the speed of before the step: with y = x + v dt,

        x⁺ = y,         v⁺ = v - φ v dt,    if y > wall,
        x⁺ = 2 wall - y,    v⁺ = -v,        otherwise, a perfect reflection without friction.

    Between the bounces everything is linear, and the reflection reverses the speed at once: the
    state jumps as a function of time and of the action. The position where the block comes to rest,
    about -a, hardly does: as a function of the first action it is piecewise linear with jumps
    of at most 0.022 where the bounce falls into another step.

    The same as the code published with the paper but for the state, which here leaves out the
    wall, the goal and the step index (the first two never change and the last is `t`), and for
    the goal, to which neither that code nor the paper gives a value. With `goal` 0.5 the best
    first action is -0.361 at H = 100 and -0.377 at H = 50.

    Attributes:
        horizon: H, the number of steps, at least 3: at index 1 the block has not moved yet.
        goal: Where the block should come to rest, in metres.
        wall: Where the wall is, in metres, left of 0.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        dt: The length of one step, in seconds.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | position of the block x | m | [-1, 2] |
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
            raise ValueError(f"goal must be a finite position in metres, got {self.goal}")
        if not -math.inf < self.wall < 0:
            raise ValueError(f"wall must be finite and left of 0, got {self.wall}")

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        del key
        return jnp.zeros(self.state_dim)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        del key
        check_state(state, self.state_dim)
        check_action(action, self.action_dim)
        check_step_index(t)
        pushed = jnp.stack([jnp.zeros((), state.dtype), 10 * (action[0].astype(state.dtype) - 2)])
        position, speed = state
        reached = position + speed * _DT
        slid = jnp.where(
            reached > self.wall,
            jnp.stack([reached, speed - FRICTION * speed * _DT]),
            jnp.stack([2 * self.wall - reached, -speed]),
        )
        return jnp.where(jnp.asarray(t) == 0, pushed, slid)

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        check_state(state, self.state_dim)
        check_action(action, self.action_dim)
        check_step_index(t)
        distance = (state[0] - self.goal) ** 2
        return jnp.where(jnp.asarray(t) == self.horizon - 1, -distance, jnp.zeros_like(distance))
