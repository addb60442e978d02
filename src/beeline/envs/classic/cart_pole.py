"""A pole on a cart, to swing up."""

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
from beeline.envs.classic.pendulum import rotated

FORCE = 10.0
"""The largest, in N."""
_DT = 0.04
_PARTS = 4


class PoleOnCart(Environment):
    """A pole on a cart that is pushed along a track.

    Attributes:
        gravity: g, in m/s².
        cart_mass: m_c, in kg.
        pole_mass: m_p, in kg.
        half_length: l, in m.
        friction: μ of the cart on its track, in N s/m.
    """

    gravity: eqx.AbstractVar[float]
    cart_mass: eqx.AbstractVar[float]
    pole_mass: eqx.AbstractVar[float]
    half_length: eqx.AbstractVar[float]
    friction: eqx.AbstractVar[float]
    action_dim = 1
    action_low, action_high = -FORCE, FORCE
    action_names, action_units = ("force",), ("N",)
    time_unit = "s"
    deterministic = False

    def __check_init__(self) -> None:
        """Refuse constants that mean nothing.

        Raises:
            ValueError: If one is not finite, or a mass or the length not above 0.
        """
        for name in ("gravity", "friction"):
            check_constant(self.name, name, getattr(self, name))
        for name in ("cart_mass", "pole_mass", "half_length"):
            check_constant(self.name, name, getattr(self, name), positive=True)

    def _accelerations(
        self, speed: Array, cosine: Array, sine: Array, rate: Array, force: Array
    ) -> tuple[Array, Array]:
        mass = self.cart_mass + self.pole_mass
        moment = self.pole_mass * self.half_length
        q = (force + moment * rate**2 * sine - self.friction * speed) / mass
        inertia = self.half_length * (4.0 / 3.0 - self.pole_mass * cosine**2 / mass)
        turn = (self.gravity * sine - q * cosine) / inertia
        return q - moment * turn * cosine / mass, turn

    def _check(self, state: Array, action: Array, t: ArrayLike) -> None:
        check_state(state, self.state_dim)
        check_action(action, self.action_dim, FORCE)
        check_step_index(t)


@typing.final
class CartPole(PoleOnCart):
    r"""Swing a pole up by pushing the cart that it hangs from, and keep the cart in the middle.

    A uniform pole of half-length l and mass m_p on a cart of mass m_c, θ = 0 upright. With
    m = m_c + m_p and q = (F + m_p l ω² sin θ - μ v) / m,

        ω̇ = (g sin θ - q cos θ) / (l (4/3 - m_p cos² θ / m)),
        v̇ = q - m_p l ω̇ cos θ / m.

    A step of dt = 0.04 s is four of the semi-implicit Euler method: rates first, and by the new
    rates the position and the angle. The state holds the cosine and the sine of θ, which a step
    rotates, so that nothing jumps where the angle does.

    The track has no ends: far from the middle, there is less and less to earn.

    Attributes:
        horizon: H, the number of steps, at least 2; 250 are ten seconds.
        gravity: g, in m/s².
        cart_mass: m_c, in kg.
        pole_mass: m_p, in kg.
        half_length: l, in m.
        friction: μ, of the cart, in N s/m.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        dt: The length of one step, in seconds.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | position of the cart x | m | unbounded |
        | 1 | its speed v | m/s | unbounded |
        | 2 | cos θ | 1 | [-1, 1] |
        | 3 | sin θ | 1 | [-1, 1] |
        | 4 | rate of the pole ω | rad/s | unbounded |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0 | force on the cart F | N | -10 | 10 |

    Reward:
        (1 + cos θ) / 2 / (1 + x²/2) - 0.01 (F / 10)², of the state before the step: at most 1.

    Start:
        x uniform in [-0.5, 0.5], v in [-0.1, 0.1], θ in π ± 0.3, ω in [-0.1, 0.1].

    End:
        After `horizon` steps; never earlier.

    References:
        - A. G. Barto, R. S. Sutton and C. W. Anderson, "Neuronlike adaptive elements that can solve
            difficult learning control problems", IEEE Transactions on Systems, Man, and Cybernetics
            13(5), 1983: the equations; here the cart's friction is viscous, and the hinge has none.
        - R. V. Florian, "Correct equations for the dynamics of the cart-pole system", 2007.
    """

    horizon: int = eqx.field(converter=check_horizon, static=True)
    gravity: float = eqx.field(default=9.81, converter=float, static=True)
    cart_mass: float = eqx.field(default=1.0, converter=float, static=True)
    pole_mass: float = eqx.field(default=0.1, converter=float, static=True)
    half_length: float = eqx.field(default=0.5, converter=float, static=True)
    friction: float = eqx.field(default=0.05, converter=float, static=True)
    name = "cart-pole"
    state_dim = 5
    dt = _DT
    state_names = ("position", "speed", "cosine of the angle", "sine of the angle", "rate")
    state_units = ("m", "m/s", "1", "1", "rad/s")

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        key = check_key(self.name, key, "initial_state")
        high = jnp.asarray([0.5, 0.1, 0.3, 0.1], dtype=float)
        x, speed, angle, rate = jax.random.uniform(key, (4,), high.dtype, -high, high)
        angle = angle + math.pi
        return jnp.stack([x, speed, jnp.cos(angle), jnp.sin(angle), rate])

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
        x, speed, cosine, sine, rate = state
        part = _DT / _PARTS
        for _ in range(_PARTS):
            pull, turn = self._accelerations(speed, cosine, sine, rate, action[0])
            speed, rate = speed + part * pull, rate + part * turn
            x = x + part * speed
            cosine, sine = rotated(cosine, sine, part * rate)
        return jnp.stack([x, speed, cosine, sine, rate])

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        self._check(state, action, t)
        upright = 0.5 * (1.0 + state[2]) / (1.0 + 0.5 * state[0] ** 2)
        return upright - 0.01 * (action[0] / FORCE) ** 2
