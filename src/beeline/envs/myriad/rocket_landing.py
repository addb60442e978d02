"""A rocket that turns upright and lands."""

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
class RocketLanding(ControlSystem):
    r"""Turn a falling rocket upright and set it down, with little thrust.

    A rocket of length L falls lying on its side. Its engine gives the share u₁ of the thrust F, at
    the gimbal angle u₂ from its axis, which is at the angle φ from upright:

        ẍ = (F/m) u₁ sin(u₂ + φ)
        ÿ = (F/m) u₁ cos(u₂ + φ) - g
        φ̈ = -6 F/(m L) u₁ sin u₂

    The last is the torque at the end of a rod of uniform density, whose moment of inertia is
    m L²/12; the formula in the testbed's documentation is another than that of its code.

    The end that the source prescribes, all of the state 0, is a quadratic terminal cost, whose
    weights leave the best plan some 0.5 m, 0.5 m/s and 4° from it. The source's box (heights of 0
    to 1000 m, and [-250, 150] for what else is in m or m/s) constrains its optimisers; held to it,
    a rocket would hang still beside the place and not notice the ground. Here there is none, and a
    height below 0 costs as much as one above.

    There are several optima; the best return that was found is -11.9 at horizon 100. Random actions
    miss the place by kilometres (-47000).

    Attributes:
        g: Gravity, in m/s².
        m: Mass, in kg, above 0.
        length: L, in m, above 0.
        thrust: F, the greatest thrust, in N.
        w_x: The weight of the distance from the place at the end, per m².
        w_v: The weight of the velocity at the end, per (m/s)².
        w_a: The weight of the angle and the angular velocity at the end, per rad² and (rad/s)².
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | sideways position x | m | unbounded |
        | 1 | sideways velocity ẋ | m/s | unbounded |
        | 2 | height y | m | unbounded |
        | 3 | climb rate ẏ | m/s | unbounded |
        | 4 | angle φ, 0 upright | rad | unbounded |
        | 5 | angular velocity φ̇ | rad/s | unbounded |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | share of thrust u₁ | 1 | 0.4 | 1 |
        | 1 | gimbal angle u₂ | rad | -π/9 | π/9 |

    Reward:
        -dt (u₁² + u₂² + 2 φ̇²), and -w_x (x² + y²) - w_v (ẋ² + ẏ²) - w_a (φ² + φ̇²) more at the last
        step, of the state before the last move.

    Start:
        x = (0, 0, 1000, -80, -π/2, 0), always.

    End:
        After `horizon` steps, which is T = 16 s; never earlier.

    References:
        - T. Godden, "How SpaceX lands Starship (sort of)", 2021.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "rocket-landing"
    state_names: ClassVar[tuple[str, ...]] = (
        "sideways position",
        "sideways velocity",
        "height",
        "climb rate",
        "angle",
        "angular velocity",
    )
    state_units: ClassVar[tuple[str, ...]] = ("m", "m/s", "m", "m/s", "rad", "rad/s")
    control_names: ClassVar[tuple[str, ...]] = ("share of thrust", "gimbal angle")
    control_units: ClassVar[tuple[str, ...]] = ("1", "rad")
    time_unit: ClassVar[str] = "s"
    positive: ClassVar[tuple[str, ...]] = ("m", "length")

    g: float = 9.8
    m: float = 1e5
    length: float = 50.0
    thrust: float = 2.21e6
    w_x: float = 0.01
    w_v: float = 0.1
    w_a: float = 10.0
    x_0: tuple[float, ...] = eqx.field(
        default=(0.0, 0.0, 1000.0, -80.0, -math.pi / 2, 0.0), static=True
    )
    duration: float = eqx.field(default=16.0, static=True)
    state_bounds: Bounds = eqx.field(default=((-math.inf, math.inf),) * 6, static=True)
    control_bounds: Bounds = eqx.field(
        default=((0.4, 1.0), (-math.pi / 9, math.pi / 9)), static=True
    )

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        _, sideways, _, climb, angle, spin = x
        push = self.thrust * u[0] / self.m
        return jnp.stack(
            [
                sideways,
                push * jnp.sin(u[1] + angle),
                climb,
                push * jnp.cos(u[1] + angle) - self.g,
                spin,
                -6.0 * push * jnp.sin(u[1]) / self.length,
            ]
        )

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return u[0] ** 2 + u[1] ** 2 + 2.0 * x[5] ** 2

    @override
    def terminal_cost(self, x: Float[Array, "state"]) -> Float[Array, ""]:
        position, velocity = x[0] ** 2 + x[2] ** 2, x[1] ** 2 + x[3] ** 2
        turn = x[4] ** 2 + x[5] ** 2
        return self.w_x * position + self.w_v * velocity + self.w_a * turn
