"""A pole on a cart, to hold up: the classic task in which episodes terminate."""

import math
import typing

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs._checks import check_horizon, check_key
from beeline.envs.classic.cart_pole import PoleOnCart

POSITION, ANGLE = 2.4, math.radians(12)
"""Where an episode terminates, in m and rad."""
_DT = 0.02


@typing.final
class CartPoleBalance(PoleOnCart):
    r"""Hold a pole up by pushing the cart that it stands on, and keep the cart on its track.

    Gymnasium's CartPole, with any force up to 10 N in place of 10 N to either side. A uniform pole
    of half-length l and mass m_p on a cart of mass m_c, θ = 0 upright. With m = m_c + m_p and
    q = (F + m_p l ω² sin θ - μ v) / m,

        ω̇ = (g sin θ - q cos θ) / (l (4/3 - m_p cos² θ / m)),
        v̇ = q - m_p l ω̇ cos θ / m.

    A step of dt = 0.02 s is one of the explicit Euler method. Every step earns the same, so that
    there is nothing to learn from but where episodes end.

    Attributes:
        horizon: H, the number of steps, at least 2; 500 are ten seconds.
        gravity: g, in m/s².
        cart_mass: m_c, in kg.
        pole_mass: m_p, in kg.
        half_length: l, in m.
        friction: μ of the cart on its track, in N s/m; Gymnasium's has none.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        dt: The length of one step, in seconds.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | position of the cart x | m | [-2.4, 2.4] |
        | 1 | its speed v | m/s | unbounded |
        | 2 | angle of the pole θ | rad | [-0.21, 0.21] |
        | 3 | its rate ω | rad/s | unbounded |

        Only the state that an episode ends in is out of range.

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0 | force on the cart F | N | -10 | 10 |

    Reward:
        1 for every step, that which the pole falls in included: H is the most.

    Start:
        Every entry uniform in [-0.05, 0.05].

    End:
        Terminates where |x| is beyond 2.4 m or |θ| beyond 12°; after `horizon` steps otherwise.

    References:
        - A. G. Barto, R. S. Sutton and C. W. Anderson, "Neuronlike adaptive elements that can solve
            difficult learning control problems", IEEE Transactions on Systems, Man, and Cybernetics
            13(5), 1983.
        - M. Towers et al., "Gymnasium: a standard interface for reinforcement learning
            environments", arXiv:2407.17032, 2024.
    """

    horizon: int = eqx.field(converter=check_horizon, static=True)
    gravity: float = eqx.field(default=9.8, converter=float, static=True)
    cart_mass: float = eqx.field(default=1.0, converter=float, static=True)
    pole_mass: float = eqx.field(default=0.1, converter=float, static=True)
    half_length: float = eqx.field(default=0.5, converter=float, static=True)
    friction: float = eqx.field(default=0.0, converter=float, static=True)
    name = "cart-pole-balance"
    state_dim = 4
    dt = _DT
    state_names = ("position", "speed", "angle", "rate")
    state_units = ("m", "m/s", "rad", "rad/s")
    reference_return = property(lambda self: float(self.horizon))

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        key = check_key(self.name, key, "initial_state")
        return jax.random.uniform(key, (4,), jnp.zeros(()).dtype, -0.05, 0.05)

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
        _, speed, angle, rate = state
        pull, turn = self._accelerations(speed, jnp.cos(angle), jnp.sin(angle), rate, action[0])
        return state + _DT * jnp.stack([speed, pull, rate, turn])

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        self._check(state, action, t)
        return jnp.ones((), state.dtype)

    def terminated(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, "state"],
    ) -> Bool[Array, ""]:
        """Tell whether the pole has fallen, or the cart left its track.

        Args:
            state: The state before the step.
            action: The force, in N.
            t: The step index.
            next_state: The state after it.

        Returns:
            Whether it has.
        """
        self._check(state, action, t)
        return (jnp.abs(next_state[0]) > POSITION) | (jnp.abs(next_state[2]) > ANGLE)
