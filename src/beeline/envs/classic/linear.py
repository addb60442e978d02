"""Two noisy linear systems: one that stays where it is, and one that runs away."""

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
    check_process_noise,
    check_state,
    check_step_index,
)

ACCELERATION = 6.0
"""The largest, in m/s²."""
_DT = 0.1


class LinearMotion(Environment):
    r"""A point that is pushed along a line: x⁺ = x + v dt, v⁺ = v + (k x + u) dt + σ ε.

    ε is standard normal and σ is `process_noise`.

    Attributes:
        stiffness: k, how much faster it runs away the farther it is out, in 1/s².
        process_noise: σ, in m/s.
    """

    stiffness: eqx.AbstractVar[float]
    process_noise: eqx.AbstractVar[float]
    state_dim = 2
    action_dim = 1
    dt = _DT
    action_low, action_high = -ACCELERATION, ACCELERATION
    state_names, state_units = ("position", "speed"), ("m", "m/s")
    action_names, action_units = ("acceleration",), ("m/s²",)
    time_unit = "s"
    deterministic = property(lambda self: self.process_noise == 0)

    def __check_init__(self) -> None:
        """Refuse a stiffness that means nothing.

        Raises:
            ValueError: If it is not finite.
        """
        check_constant(self.name, "stiffness", self.stiffness)

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        del key
        return jnp.asarray([0.3, 0.0], dtype=float)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        self._check(state, action, t)
        x, speed = state
        moved = x + _DT * speed
        speed = speed + _DT * (self.stiffness * x + action[0])
        if self.process_noise > 0:
            key = check_key(self.name, key, "step")
            speed = speed + self.process_noise * jax.random.normal(key, (), state.dtype)
        return jnp.stack([moved, speed])

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        self._check(state, action, t)
        x, speed = state
        return -_DT * (x**2 + 0.1 * speed**2 + 0.1 * (action[0] / ACCELERATION) ** 2)

    def _check(self, state: Array, action: Array, t: ArrayLike) -> None:
        check_state(state, self.state_dim)
        check_action(action, self.action_dim, ACCELERATION)
        check_step_index(t)


@typing.final
class DoubleIntegrator(LinearMotion):
    r"""Hold a point still on a line, against noise.

    x⁺ = x + v dt and v⁺ = v + u dt + σ ε, with dt = 0.1 s and ε standard normal. What noise does to
    it adds up: over 100 steps the best plan earns -80.6, and the best answer to the state -0.087.

    Attributes:
        horizon: H, the number of steps, at least 2.
        process_noise: σ, in m/s; 0 makes the task deterministic.
        stiffness: k, in 1/s²: another than 0 adds k x to the acceleration.
        name: The task's name in the registry.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | position x | m | unbounded |
        | 1 | speed v | m/s | unbounded |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0 | acceleration u | m/s² | -6 | 6 |

    Reward:
        -dt (x² + 0.1 v² + 0.1 (u / 6)²), of the state before the step.

    Start:
        x = 0.3, v = 0, always.

    End:
        After `horizon` steps; never earlier.

    References:
        K. J. Åström and R. M. Murray, *Feedback Systems*, Princeton University Press, 2nd edition,
        2021, chapter 7: the linear quadratic regulator.
    """

    horizon: int = eqx.field(converter=check_horizon, static=True)
    process_noise: float = eqx.field(default=0.1, converter=check_process_noise, static=True)
    stiffness: float = eqx.field(default=0.0, converter=float, static=True)
    name = "double-integrator"


@typing.final
class UnstablePole(LinearMotion):
    r"""Hold a point at the top of a hill, against noise.

    x⁺ = x + v dt and v⁺ = v + (k x + u) dt + σ ε, with dt = 0.1 s and ε standard normal, as a pole
    near its upper balance. Left alone, a distance grows by a seventh in each step: in 100 steps by
    a factor of half a million, so that no plan holds, and only a policy that answers to the state
    does. Out of reach of the actions, beyond some 3 m, nothing brings it back.

    Attributes:
        horizon: H, the number of steps, at least 2.
        process_noise: σ, in m/s; 0 makes the task deterministic.
        stiffness: k, in 1/s².
        name: The task's name in the registry.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | position x | m | unbounded |
        | 1 | speed v | m/s | unbounded |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0 | acceleration u | m/s² | -6 | 6 |

    Reward:
        -dt (x² + 0.1 v² + 0.1 (u / 6)²), of the state before the step.

    Start:
        x = 0.3, v = 0, always.

    End:
        After `horizon` steps; never earlier.

    References:
        K. J. Åström and R. M. Murray, *Feedback Systems*, Princeton University Press, 2nd edition,
        2021, chapter 3: balance systems; chapter 7: the linear quadratic regulator.
    """

    horizon: int = eqx.field(converter=check_horizon, static=True)
    process_noise: float = eqx.field(default=0.1, converter=check_process_noise, static=True)
    stiffness: float = eqx.field(default=2.0, converter=float, static=True)
    name = "unstable-pole"
