"""A pole on a cart."""

import math
import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class MyriadCartPole(ControlSystem):
    r"""Swing up a pole on a cart and stop a metre further on, with as little force as will do.

    A cart at q of mass m₁ is pushed with the force u. A pole of length ℓ with the mass m₂ at its
    end hangs from it at the angle θ. With D = m₁ + m₂ sin² θ,

        q̈ = (ℓ m₂ θ̇² sin θ + u + m₂ g cos θ sin θ) / D
        θ̈ = -(ℓ m₂ θ̇² cos θ sin θ + u cos θ + (m₁ + m₂) g sin θ) / (ℓ D)

    Corrected: the testbed lacks the sin θ beside θ̇² in the second equation, which is there in
    Kelly's (6.2). The end that the source prescribes, (d, π, 0, 0), is a quadratic terminal cost,
    whose weight w = 1000 leaves the best plan 1.4° from upright. The source's box (2 m of track
    among it) constrains its optimisers; to hold states to it would not stop the cart, only falsify
    how it moves. Here only velocities are held, far out, where long steps would run off.

    Explicit Euler adds energy, so that coarse steps need less force: the best return is -43.9 at
    horizon 100 and -53.6 at 400.

    Attributes:
        g: Gravity, in m/s².
        m_1: m₁, the mass of the cart, in kg, above 0.
        m_2: m₂, the mass of the pole, in kg, above 0.
        length: ℓ, the length of the pole, in m, above 0.
        target: d, where the cart has to stop, in m.
        w: The weight of the distance from the end wanted.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | position q | m | unbounded |
        | 1 | angle θ, 0 where the pole hangs | rad | unbounded |
        | 2 | velocity q̇ | m/s | [-40, 40] |
        | 3 | angular velocity θ̇ | rad/s | [-40, 40] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | force u | N | -20 | 20 |

    Reward:
        -dt u², and -w ((q - d)² + (θ - π)² + q̇² + θ̇²) more at the last step, of the state before
        the last move.

    Start:
        x = 0, always: at rest, the pole hanging.

    End:
        After `horizon` steps, which is T = 2 s; never earlier.

    References:
        - M. Kelly, "An introduction to trajectory optimization: how to do your own direct
            collocation", SIAM Review 59(4), 2017, section 6.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "myriad-cart-pole"
    state_names: ClassVar[tuple[str, ...]] = ("position", "angle", "velocity", "angular velocity")
    state_units: ClassVar[tuple[str, ...]] = ("m", "rad", "m/s", "rad/s")
    control_names: ClassVar[tuple[str, ...]] = ("force",)
    control_units: ClassVar[tuple[str, ...]] = ("N",)
    time_unit: ClassVar[str] = "s"
    positive: ClassVar[tuple[str, ...]] = ("m_1", "m_2", "length")

    g: float = 9.81
    m_1: float = 1.0
    m_2: float = 0.3
    length: float = 0.5
    target: float = 1.0
    w: float = 1000.0
    x_0: tuple[float, ...] = eqx.field(default=(0.0,) * 4, static=True)
    duration: float = eqx.field(default=2.0, static=True)
    state_bounds: Bounds = eqx.field(
        default=((-math.inf, math.inf),) * 2 + ((-40.0, 40.0),) * 2, static=True
    )
    control_bounds: Bounds = eqx.field(default=((-20.0, 20.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        _, angle, velocity, spin = x
        sin, cos = jnp.sin(angle), jnp.cos(angle)
        mass = self.m_1 + self.m_2 * sin**2
        swing = self.length * self.m_2 * spin**2 * sin + u[0]
        weight = self.g * sin
        return jnp.stack(
            [
                velocity,
                spin,
                (swing + self.m_2 * weight * cos) / mass,
                -(swing * cos + (self.m_1 + self.m_2) * weight) / (self.length * mass),
            ]
        )

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t, x
        return u[0] ** 2

    @override
    def terminal_cost(self, x: Float[Array, "state"]) -> Float[Array, ""]:
        position, angle, velocity, spin = x
        away = (position - self.target) ** 2 + (angle - jnp.pi) ** 2
        return self.w * (away + velocity**2 + spin**2)
