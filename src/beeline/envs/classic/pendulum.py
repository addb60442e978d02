"""A pendulum to swing up."""

import math
import typing

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs._base import Environment
from beeline.envs._checks import (
    check_action,
    check_constant,
    check_horizon,
    check_key,
    check_state,
    check_step_index,
)

TORQUE = 2.0
"""The largest, in N m."""
RATE = 8.0
"""The largest, in rad/s."""
_DT = 0.05


@typing.final
class Pendulum(Environment):
    r"""Swing a pendulum up with a weak motor, and hold it there.

    A rod of 1 kg and 1 m, hinged at its end, θ = 0 upright. A step takes dt = 0.05 s by the
    semi-implicit Euler method, as Gymnasium's Pendulum-v1 does:

        ω⁺ = clip(ω + (3/2 g sin θ + 3 u) dt, ±8),    θ⁺ = θ + ω⁺ dt.

    The motor holds the rod against gravity up to 24° from the vertical only: from below, it has to
    swing to and fro first. The state holds the cosine and the sine of θ, which a step rotates, so
    that nothing jumps where the angle does; the reward has a kink where the rod hangs.

    Attributes:
        horizon: H, the number of steps, at least 2; Gymnasium has 200.
        gravity: g, in m/s²; at least 0.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        dt: The length of one step, in seconds.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | cos θ | 1 | [-1, 1] |
        | 1 | sin θ | 1 | [-1, 1] |
        | 2 | rate ω | rad/s | [-8, 8] |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0 | torque u | N m | -2 | 2 |

    Reward:
        -(θ² + 0.1 ω² + 0.001 u²), with θ in [-π, π], of the state before the step.

    Start:
        θ uniform in [-π, π], ω uniform in [-1, 1].

    End:
        After `horizon` steps; never earlier.

    References:
        M. Towers et al., "Gymnasium: a standard interface for reinforcement learning environments",
        2024: Pendulum-v1, whose observation is this state.
    """

    horizon: int = eqx.field(converter=check_horizon, static=True)
    gravity: float = eqx.field(default=10.0, converter=float, static=True)
    name = "pendulum"
    state_dim = 3
    action_dim = 1
    dt = _DT
    action_low, action_high = -TORQUE, TORQUE
    state_names = ("cosine of the angle", "sine of the angle", "rate")
    state_units = ("1", "1", "rad/s")
    action_names, action_units = ("torque",), ("N m",)
    time_unit = "s"
    deterministic = False

    def __check_init__(self) -> None:
        """Refuse a gravity that means nothing.

        Raises:
            ValueError: If it is not finite.
        """
        check_constant(self.name, "gravity", self.gravity)

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        key = check_key(self.name, key, "initial_state")
        high = jnp.asarray([math.pi, 1.0], dtype=float)
        angle, rate = jax.random.uniform(key, (2,), high.dtype, -high, high)
        return jnp.stack([jnp.cos(angle), jnp.sin(angle), rate])

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
        self._check(state, action, t)
        cosine, sine, rate = state
        rate = rate + (1.5 * self.gravity * sine + 3.0 * action[0]) * _DT
        rate = jnp.clip(rate, -RATE, RATE)
        return jnp.stack([*rotated(cosine, sine, rate * _DT), rate])

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        self._check(state, action, t)
        cosine, sine, rate = state
        # A model may predict the origin, where there is no angle and it would have no derivative.
        nowhere = (cosine == 0) & (sine == 0)
        angle = jnp.arctan2(sine, jnp.where(nowhere, 1.0, cosine))
        return -(angle**2 + 0.1 * rate**2 + 0.001 * action[0] ** 2)

    def _check(self, state: Array, action: Array, t: ArrayLike) -> None:
        check_state(state, self.state_dim)
        check_action(action, self.action_dim, TORQUE)
        check_step_index(t)


def rotated(
    cosine: Float[Array, ""], sine: Float[Array, ""], angle: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Add an angle to one that is given by its cosine and sine.

    Args:
        cosine: Its cosine.
        sine: Its sine.
        angle: What to add, in radians.

    Returns:
        Cosine and sine of the sum.
    """
    c, s = jnp.cos(angle), jnp.sin(angle)
    return cosine * c - sine * s, sine * c + cosine * s
